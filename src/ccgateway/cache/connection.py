"""The one connection of a process to Redis: a pool, a time-out for every command, and a circuit breaker.

The first failure opens the breaker: from then on every call comes back at once, empty-handed, and a task tries Redis with
a new client until it takes reads, writes and scripts again, first after a tenth of a second, then ever more seldom. So do answers
that all come, but all late: then asking the sites is quicker.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from redis.exceptions import OutOfMemoryError, RedisClusterException, RedisError, ResponseError

from ccgateway.cache.urls import Client, Pipeline, Target
from ccgateway.deadline import limit_in_steps
from ccgateway.errors import redact
from ccgateway.settings import CacheSettings
from ccgateway.telemetry import Observer, Rarely
from ccgateway.telemetry.requests import waiting

__all__ = ["CircuitBreaker", "RedisConnection", "Reply"]

logger = logging.getLogger("ccgateway.cache")

#: one command's reply; an exception (``OutOfMemoryError``: a full Redis) if it was not carried out
Reply = bytes | int | bool | list[bytes | None] | dict[str, object] | Exception | None

#: whatever redis-py lets through when Redis cannot be reached, or says something that it should not
_FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError, EOFError)
#: slow answers one after the other that are too many
SLOW_IN_A_ROW = 8
#: seconds before the first try to recover
FIRST_PAUSE = 0.1
#: a script of no effect, to see that scripts are taken
_TRY = "return redis.call('DEL', KEYS[1])"


class CircuitBreaker:
    """Whether Redis is in use; while it is not, tries again and again whether it can be.

    Args:
        name: What it is told of as, in the log.
        recover: Raises where Redis cannot be used yet.
        retry_after: Seconds of the longest pause between tries.
    """

    def __init__(self, name: str, recover: Callable[[], Awaitable[None]], *, retry_after: float) -> None:
        self.times_opened = 0
        self.reason = ""
        self._name, self._recover, self._retry_after = name, recover, retry_after
        self._recovering: asyncio.Task[None] | None = None
        self._recovered_at = 0.0
        self._pause = FIRST_PAUSE
        self._is_ended = False
        self._rarely = Rarely(logger, pause=10.0)

    def is_closed(self) -> bool:
        """Whether Redis is being used."""
        return self._recovering is None and not self._is_ended

    def open(self, reason: str) -> None:
        """Takes Redis out of use until it has recovered."""
        if not self.is_closed():
            return
        self.times_opened += 1
        self.reason = reason
        self._rarely.warn("down", f"Redis ({self._name}) is not usable, going on without it: {reason}")
        if time.monotonic() - self._recovered_at > 2 * self._retry_after:
            self._pause = FIRST_PAUSE  # it had been well for long: likely a short disturbance
        self._recovering = asyncio.get_running_loop().create_task(self._try_again(), name="recover the connection to Redis")

    async def _try_again(self) -> None:
        since = time.monotonic()
        while True:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, self._retry_after)
            try:
                await self._recover()
            except Exception as error:  # noqa: BLE001 - redis-py lets through what it does not document; the reason is in the stats
                self.reason = _told(error)
                continue
            self._recovered_at = time.monotonic()
            self._recovering = None
            self._rarely.warn("back", f"Redis ({self._name}) is back after {self._recovered_at - since:.1f} s")
            return

    async def aclose(self) -> None:
        """Redis is used no more, and not tried either."""
        self._is_ended = True
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.gather(self._recovering, return_exceptions=True)


class RedisConnection:
    """Runs pipelines of whoever keeps something in Redis. ``prefix``: what the names of all of it begin with."""

    def __init__(self, target: Target, settings: CacheSettings, observer: Observer | None = None) -> None:
        self._observer = observer or Observer()
        self.name = str(target)
        self.is_cluster = target.kind == "cluster"
        self.prefix = settings.redis_prefix
        self.breaker = CircuitBreaker(self.name, self._recover, retry_after=settings.redis_retry_after)
        self._connect: Callable[[], Client] = partial(target.connect, settings)
        self._timeout, self._retry_after = settings.redis_timeout, settings.redis_retry_after
        self._slow, self._slow_in_a_row = settings.redis_slow, 0
        self._client: Client | None = None
        self._places = asyncio.Semaphore(settings.redis_connections)
        self._undelivered: Callable[[Pipeline], None] = lambda _pipeline: None
        self._is_delivered: Callable[[], bool] = lambda: True

    @property
    def is_up(self) -> bool:
        """Whether Redis is being used."""
        return self.breaker.is_closed()

    def deliver_first(self, queue: Callable[[Pipeline], None], is_delivered: Callable[[], bool]) -> None:
        """Before Redis is used again, it takes what ``queue`` queues, until there is nothing more."""
        self._undelivered, self._is_delivered = queue, is_delivered

    async def run(self, queue: Callable[[Pipeline], None], *, dispensable: bool = False) -> Sequence[Reply] | None:
        """The replies to what ``queue`` queues, in order; ``None`` if Redis is not usable.

        ``dispensable``: Redis may refuse any of it and is used all the same.
        """
        if not self.is_up:
            return None
        begun = time.perf_counter()
        with waiting():
            replies = await self._run(queue, dispensable=dispensable)
        self._observer.redis_called(time.perf_counter() - begun)
        return replies

    async def _run(self, queue: Callable[[Pipeline], None], *, dispensable: bool) -> Sequence[Reply] | None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._places.acquire()
        except TimeoutError:  # busy with our own calls, which says nothing about Redis
            return None
        client: Client | None = None
        try:
            if not self.breaker.is_closed():  # it was when the wait for a place began
                return None
            client = self._client = self._client or self._connect()
            replies = await self._exchange(client, queue, dispensable=dispensable)
            if self._slow_in_a_row >= SLOW_IN_A_ROW and client is self._client:
                self.breaker.open(self._too_slow())
            return replies
        except Exception as error:  # noqa: BLE001 - redis-py also lets through what it does not document; told as the reason
            if client is self._client:  # else it was closed under us because it had failed others
                self.breaker.open(_told(error))
            return None
        finally:
            self._places.release()

    async def _exchange(self, client: Client, queue: Callable[[Pipeline], None], *, dispensable: bool = False) -> Sequence[Reply]:
        pipeline = client.pipeline(transaction=False)
        queue(pipeline)
        task = asyncio.current_task()
        cancelling = task.cancelling() if task else 0
        async with limit_in_steps(self._timeout) as waited:
            replies = await pipeline.execute(raise_on_error=False)
        self._slow_in_a_row = self._slow_in_a_row + 1 if waited.seconds >= self._slow else 0
        if task and task.cancelling() > cancelling:
            # redis-py sends under asyncio.wait_for, which before Python 3.12 can lose a cancellation
            raise asyncio.CancelledError
        for reply in replies:
            # another type under our name is one key's affair
            of_key = isinstance(reply, OutOfMemoryError) or (isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply))
            if isinstance(reply, Exception) and not (dispensable or of_key):
                raise reply
        return replies

    async def sweep(self, pattern: str) -> int:
        """Unlinks every name that matches; how many there were, as far as it got."""
        found = 0
        if not self.is_up or self._client is None:
            return found
        try:
            async with asyncio.timeout(self._retry_after + self._timeout):
                batch: list[bytes] = []
                async for name in self._client.scan_iter(match=pattern, count=1000):
                    batch.append(name)
                    if len(batch) >= 500:
                        found += await self._unlink(batch)
                        batch = []
                found += await self._unlink(batch)
        except _FAILURES as error:
            logger.warning("Redis (%s): not all that was cleared could be removed: %s", self.name, _told(error))
        return found

    async def _unlink(self, names: Sequence[bytes]) -> int:
        def queue(pipeline: Pipeline) -> None:
            for name in names:
                pipeline.execute_command("UNLINK", name)

        replies = await self.run(queue) if names else []
        return sum(reply for reply in replies or [] if isinstance(reply, int))

    async def _recover(self) -> None:
        await self._discard()
        client = self._client = self._connect()
        while True:
            await self._exchange(client, self._queue_trial)
            if self._is_delivered():
                break
        self._slow_in_a_row = 0  # a new connection, and all that was not delivered, take their time
        await self._exchange(client, self._queue_trial)
        if self._slow_in_a_row:
            raise OSError(self._too_slow())

    def _too_slow(self) -> str:
        return f"each answer takes {self._slow:g} s or more (cache.redis_slow)"

    def _queue_trial(self, pipeline: Pipeline) -> None:
        self._undelivered(pipeline)
        pipeline.execute_command("EVAL", _TRY, 1, f"{self.prefix}:1:{{?}}:try")

    async def _discard(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                async with asyncio.timeout(self._timeout):
                    await client.aclose()
            except _FAILURES:  # it is of no use any more, however it ends
                logger.debug("Redis (%s): closing a broken client failed", self.name, exc_info=True)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self.breaker.aclose()
        await self._discard()


def _told(error: BaseException) -> str:
    words = redact(str(error)) if isinstance(error, (ResponseError, OSError)) else ""
    name = type(error).__name__
    return f"{name}: {words}" if words else name
