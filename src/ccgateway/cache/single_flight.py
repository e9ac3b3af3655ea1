"""One fill per key within this process: whoever wants a key that is being fetched waits for that, and may leave at any time.

A *flight* is one key under way. A *fetch* brings the flights of one caller, in a task that belongs to nobody who waits: its first
caller may be cancelled, and the others get their answer all the same. When nobody waits for any of its flights, here or in
another process, it is ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ccgateway.cache.entries import Entry, Source
from ccgateway.cache.keys import Key
from ccgateway.errors import GatewayError, forget_frames
from ccgateway.telemetry.requests import current_request
from ccgateway.traffic.scopes import FetchScope, begin_fetch, current_scope

__all__ = ["FetchResult", "FetchTask", "Flight", "SingleFlight"]

T = TypeVar("T")

#: seconds between questions whether other processes still want what nobody here does
LINGER = 0.25
#: seconds that ``aclose`` leaves to those who give claims back
GRACE = 1.0


@dataclass(frozen=True, slots=True)
class FetchResult:
    """How a flight ended: with an entry from somewhere, or (``None``) without a word on the key. ``more``: what else the same
    fill said of the same subject, for the same audience."""

    entry: Entry | None
    source: Source = Source.SITE
    more: Mapping[Key, Entry] = field(default_factory=dict)


class Flight:
    """One key being fetched. ``result``: how it ends; ``waiting``: how many want to know."""

    __slots__ = ("fetch", "ident", "key", "result", "waiting")

    def __init__(self, key: Key, ident: Hashable, fetch: FetchTask) -> None:
        self.key, self.ident, self.fetch = key, ident, fetch
        self.result: asyncio.Future[FetchResult] = asyncio.get_running_loop().create_future()
        self.waiting = 0


class FetchTask:
    """The flights that one task fetches. ``background``: nobody has to wait for it to go on. ``claimed``: keys for which other
    processes wait until this one has them. ``is_lingering``: nobody here wants it any more; others are being asked.
    ``trace``: that of the request that began it."""

    def __init__(self, *, background: bool) -> None:
        self.background = background
        self.claimed: set[Key] = set()
        self.is_lingering = False
        self.flights: dict[Key, Flight] = {}
        self.task: asyncio.Task[None] | None = None
        self.scope: FetchScope | None = None
        record = current_request()
        self.trace = record.trace if record is not None else None

    def is_wanted(self) -> bool:
        """Whether somebody waits for a flight that has not landed, or nobody needs to."""
        under_way = [flight for flight in self.flights.values() if not flight.result.done()]
        return self.background or not under_way or any(flight.waiting for flight in under_way)


class SingleFlight:
    """All flights under way. Owns the tasks of the fetches, and others given to it: ``aclose`` ends them all.

    ``elsewhere`` tells whether another process wants any of some keys.
    """

    def __init__(self, elsewhere: Callable[[Sequence[Key]], Awaitable[bool]]) -> None:
        self._elsewhere = elsewhere
        self._flights: dict[Hashable, Flight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._fetches: set[FetchTask] = set()

    def find(self, ident: Hashable, now: float) -> Flight | None:
        """The flight under that identity, if one is under way, or has just landed with what is still good."""
        flight = self._flights.get(ident)
        if flight is None or not flight.result.done():
            return flight
        entry = flight.result.result().entry
        return flight if entry is not None and entry.is_fresh(now) else None

    def start(self, wanted: Sequence[tuple[Key, Hashable]], run: Callable[[FetchTask], Coroutine[Any, Any, None]], *,
              background: bool = False) -> list[Flight]:  # fmt: skip
        """New flights for keys that have none, fetched by ``run``, which has to land them all."""
        fetch = FetchTask(background=background)
        for key, ident in wanted:
            self._flights[ident] = fetch.flights[key] = Flight(key, ident, fetch)
        self._fetches.add(fetch)
        task, fetch.scope = begin_fetch(lambda: self.own(run(fetch), f"fill {len(wanted)} keys"))
        fetch.task = task
        task.add_done_callback(lambda task: self._abandon(fetch, task))
        return list(fetch.flights.values())

    def own(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Runs ``work`` in a task that ends with this at the latest."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def land(self, flight: Flight, result: FetchResult | BaseException) -> None:
        """Tells everybody who waits; who comes later while the flight is known (see ``forget``) hears the same."""
        if flight.result.done():
            return
        if isinstance(result, BaseException):
            self.forget(flight)
            if isinstance(result, GatewayError):
                forget_frames(result)  # who waits knows the flight
            flight.result.set_exception(result)
            flight.result.exception()  # nobody has to be waiting for it
        else:
            flight.result.set_result(result)

    def forget(self, flight: Flight) -> None:
        """Whoever comes now starts anew."""
        if self._flights.get(flight.ident) is flight:
            del self._flights[flight.ident]

    async def wait(self, flights: Sequence[Flight]) -> dict[Key, FetchResult]:
        """How each flight ended; raises the first failure among them. Leaving early (cancelled) fails nobody else."""
        for flight in flights:
            flight.waiting += 1
            if flight.fetch.scope is not None:
                flight.fetch.scope.lift(current_scope())
        try:
            await asyncio.wait([flight.result for flight in flights], return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for flight in flights:
                flight.waiting -= 1
            for fetch in {flight.fetch for flight in flights}:
                if not fetch.is_wanted():
                    self._leave(fetch)
        for flight in flights:
            failure = None if not flight.result.done() or flight.result.cancelled() else flight.result.exception()
            if failure is not None:
                # else each who waits would add to one traceback
                raise failure.again() if isinstance(failure, GatewayError) else failure.with_traceback(None)
        return {flight.key: flight.result.result() for flight in flights}

    def _leave(self, fetch: FetchTask) -> None:
        if not fetch.claimed:
            self._end(fetch)
        elif not fetch.is_lingering:
            fetch.is_lingering = True
            self.own(self._linger(fetch), "whether others want it")

    async def _linger(self, fetch: FetchTask) -> None:
        try:
            while not fetch.is_wanted() and await self._elsewhere(list(fetch.claimed)):
                if fetch.task is not None:
                    await asyncio.wait([fetch.task], timeout=LINGER)
        finally:
            fetch.is_lingering = False
        if not fetch.is_wanted():
            self._end(fetch)

    def _end(self, fetch: FetchTask) -> None:
        for flight in fetch.flights.values():
            self.forget(flight)
        if fetch.task is not None:
            fetch.task.cancel()

    def _abandon(self, fetch: FetchTask, task: asyncio.Task[None]) -> None:
        """After the fetch's task: whoever still waits must not wait for ever."""
        self._fetches.discard(fetch)
        failure = None if task.cancelled() else task.exception()
        for flight in fetch.flights.values():
            if not flight.result.done():
                self.land(flight, failure or _ClosedError("the cache was closed"))
        fetch.flights.clear()  # they know their fetch: what they brought would stay until the collector comes

    async def aclose(self) -> None:
        """Ends every task and waits for its end; claims are given back first, if that is quickly done."""
        for fetch in list(self._fetches):
            self._end(fetch)
        until = asyncio.get_running_loop().time() + GRACE
        while self._tasks:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                for task in self._tasks:
                    task.cancel()
            await asyncio.wait(self._tasks, timeout=max(left, 0.1))


class _ClosedError(RuntimeError):
    """The cache was closed while somebody waited."""
