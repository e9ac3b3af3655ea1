"""The one way to Redis: every command has a time-out, and while Redis is not usable nothing waits for it.

The first failure opens the breaker: from then on every call comes back at once, empty-handed, and a task of the link's own tries
Redis with a new client until it takes reads, writes and scripts again, first after a tenth of a second, then ever more seldom.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from pydantic import SecretStr
from redis.exceptions import OutOfMemoryError, RedisClusterException, RedisError, ResponseError

from ccgateway.cache.urls import Client, Pipeline, parse_url
from ccgateway.errors import redact
from ccgateway.settings import CacheSettings
from ccgateway.telemetry import Rarely

__all__ = ["Link", "Reply", "open_link"]

logger = logging.getLogger("ccgateway.cache")

#: one command's reply; an exception (``OutOfMemoryError``: a full Redis) if it was not carried out
Reply = bytes | int | bool | list[bytes | None] | dict[str, object] | Exception | None

#: whatever redis-py lets through when Redis cannot be reached, or says something that it should not
_FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError, EOFError)
#: steps in which a time-out is counted
STEPS = 10
#: seconds before the first try to mend the link
FIRST_PAUSE = 0.1


class Link:
    """Runs pipelines. ``connect`` makes a client; ``name`` is where it goes, for the log; ``places``: pipelines at any one time;
    ``timeout``: seconds one may take; ``retry_after``: longest pause between tries to mend.

    ``probe`` queues what Redis has to take before it is used again; ``mended`` says whether there is nothing more.
    """

    def __init__(
        self, connect: Callable[[], Client], name: str, *, places: int, timeout: float, retry_after: float,
        probe: Callable[[Pipeline], None], mended: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.name = name
        self.trips = 0
        self.reason = ""
        self._connect, self._probe, self._mended = connect, probe, mended
        self._timeout, self._retry_after = timeout, retry_after
        self._client: Client | None = None
        self._places = asyncio.Semaphore(places)
        self._mending: asyncio.Task[None] | None = None
        self._mended_at = 0.0
        self._pause = FIRST_PAUSE
        self._closed = False
        self._rarely = Rarely(logger, pause=10.0)

    @property
    def is_up(self) -> bool:
        """Whether Redis is being used."""
        return self._is_up()

    def _is_up(self) -> bool:
        return self._mending is None and not self._closed

    async def run(self, queue: Callable[[Pipeline], None], *, dispensable: bool = False) -> Sequence[Reply] | None:
        """The replies to what ``queue`` queues, in order; ``None`` if Redis is not usable.

        ``dispensable``: Redis may refuse any of it and is used all the same.
        """
        if not self.is_up:
            return None
        try:
            async with asyncio.timeout(self._timeout):
                await self._places.acquire()
        except TimeoutError:  # busy with our own calls, which says nothing about Redis
            return None
        client: Client | None = None
        try:
            if not self._is_up():  # it was when the wait for a place began
                return None
            client = self._client = self._client or self._connect()
            return await self._exchange(client, queue, dispensable=dispensable)
        except Exception as error:  # noqa: BLE001 - redis-py also lets through what it does not document; told in trip
            if client is self._client:  # else it was closed under us because it had failed others
                self.trip(_told(error))
            return None
        finally:
            self._places.release()

    async def _exchange(self, client: Client, queue: Callable[[Pipeline], None], *, dispensable: bool = False) -> Sequence[Reply]:
        pipeline = client.pipeline(transaction=False)
        queue(pipeline)
        task = asyncio.current_task()
        cancelling = task.cancelling() if task else 0
        async with _limit(self._timeout):
            replies = await pipeline.execute(raise_on_error=False)
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

    # --- the breaker

    def trip(self, reason: str) -> None:
        """Takes Redis out of use until it is mended."""
        if not self.is_up:
            return
        self.trips += 1
        self.reason = reason
        self._rarely.warn("down", f"Redis ({self.name}) is not usable, going on without it: {reason}")
        if time.monotonic() - self._mended_at > 2 * self._retry_after:
            self._pause = FIRST_PAUSE  # it had been well for long: likely a short disturbance
        self._mending = asyncio.get_running_loop().create_task(self._mend(), name="mend the link to Redis")

    async def _mend(self) -> None:
        since = time.monotonic()
        while True:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, self._retry_after)
            client: Client | None = None
            try:
                await self._discard()
                client = self._connect()
                while True:
                    await self._exchange(client, self._probe)
                    if self._mended():
                        break
            except Exception as error:  # noqa: BLE001 - as in run; the reason is in the stats
                self.reason = _told(error)
                self._client = client
                continue
            self._client = client
            self._mended_at = time.monotonic()
            self._mending = None
            self._rarely.warn("back", f"Redis ({self.name}) is back after {self._mended_at - since:.1f} s")
            return

    async def _discard(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                async with asyncio.timeout(self._timeout):
                    await client.aclose()
            except _FAILURES:  # it is of no use any more, however it ends
                logger.debug("Redis (%s): closing a broken client failed", self.name, exc_info=True)

    async def aclose(self) -> None:
        """Closes the connections, and gives up mending."""
        self._closed = True
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.gather(self._mending, return_exceptions=True)
        await self._discard()


def open_link(settings: CacheSettings, url: SecretStr) -> Link:
    """A link of few connections, for what is small; reaches nothing yet. ``SettingsError`` for a URL that cannot be used."""
    target = parse_url(url.get_secret_value())

    def probe(pipeline: Pipeline) -> None:
        pipeline.execute_command("PING")

    return Link(
        lambda: target.connect(settings),
        str(target), places=4, timeout=settings.redis_timeout, retry_after=settings.redis_retry_after,
        probe=probe, mended=lambda: True,
    )  # fmt: skip


@asynccontextmanager
async def _limit(seconds: float) -> AsyncIterator[None]:
    """As ``asyncio.timeout``, in small steps: a process that had no time to look whether there was an answer blames itself, not
    Redis, as each time it stops counts as one step only.
    """
    loop = asyncio.get_running_loop()
    step, left = seconds / STEPS, STEPS
    timer: asyncio.TimerHandle

    def tick() -> None:
        nonlocal left, timer
        left -= 1
        if left > 0:
            timer = loop.call_later(step, tick)
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        timer = loop.call_later(step, tick)
        try:
            yield
        finally:
            timer.cancel()


def _told(error: BaseException) -> str:
    words = redact(str(error)) if isinstance(error, (ResponseError, OSError)) else ""
    name = type(error).__name__
    return f"{name}: {words}" if words else name
