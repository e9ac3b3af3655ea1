"""One fill per key among all processes: a fetch claims its keys, fills those it got, and waits for those that another one has.

A claim runs out unless its holder lives to extend it, so that a process that is killed costs the others one lock time-out. One
that only slept finds its claim taken when it wants to put what it fetched: its own callers get that, the store does not.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ccgateway.cache.counts import Counts
from ccgateway.cache.entries import Absent, Entry, Filled
from ccgateway.cache.keys import Key
from ccgateway.cache.single_flight import FetchResult, FetchTask, Flight, SingleFlight
from ccgateway.cache.store import WANTED_FOR, Claim, Claims, Look, Store, Tokens, versions_of
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError
from ccgateway.telemetry.requests import waiting

__all__ = ["Fill", "Filler"]

logger = logging.getLogger("ccgateway.cache")

#: Fetches keys from their site until the deadline. A key that is left out is known no better than before. Keys beyond those asked
#: for are kept as well, and given to those who wait, if they are of a subject and a visibility that were asked for.
Fill = Callable[[Sequence[Key], Deadline], Awaitable[Mapping[Key, Filled | Absent]]]

#: seconds between looks at a key that another process fetches: the first, and the longest
FIRST_PAUSE, LAST_PAUSE = 0.005, 0.05


class Filler:
    """Runs fetch tasks. ``lock_timeout``: seconds until a dead holder's claim ends; ``fill_timeout``: seconds of one fill."""

    def __init__(
        self, store: Store, flights: SingleFlight, counts: Counts, *, lock_timeout: float, fill_timeout: float,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._store, self._flights, self._counts, self._clock = store, flights, counts, clock
        self._lock_timeout, self._fill_timeout = lock_timeout, fill_timeout

    async def run(self, fetch: FetchTask, fill: Fill, sift: Callable[[Look], None] = lambda _: None) -> None:
        """Lands every flight of the fetch. ``sift`` leaves out of what was found what may not be served."""
        holder = secrets.token_bytes(12)
        pending = dict(fetch.flights)
        waited: set[Key] = set()
        seen: dict[Key, tuple[bytes, float]] = {}
        fills: set[asyncio.Task[None]] = set()
        pause, wished_at = FIRST_PAUSE, -math.inf
        try:
            while pending:
                claims = await self._claim(list(pending), holder)
                sift(claims)
                for key in pending:  # a holder that gives no sign of life is none, however long its claim stands
                    if claims.owners[key] is Claim.BUSY:
                        if seen.get(key, (b"", 0.0))[0] != claims.holders.get(key):
                            seen[key] = claims.holders.get(key, b""), time.monotonic()
                        elif time.monotonic() - seen[key][1] > self._lock_timeout:
                            claims.owners[key] = Claim.OPEN
                self._land_found(pending, claims, holder)
                mine = [pending.pop(key) for key in list(pending) if claims.owners[key] is not Claim.BUSY]
                if mine:
                    fetch.claimed.update(flight.key for flight in mine if claims.owners[flight.key] is Claim.MINE)
                    fills.add(asyncio.create_task(self._fill(mine, fill, claims, holder), name="fill"))
                if fetch.background:  # another process refreshes what is left
                    for flight in [flight for flight in pending.values() if not flight.waiting]:
                        self._flights.forget(pending.pop(flight.key))
                        self._flights.land(flight, FetchResult(None))
                self._counts.waits_elsewhere += len(pending.keys() - waited)
                waited |= pending.keys()
                if pending:
                    if time.monotonic() - wished_at > WANTED_FOR / 3:
                        await self._store.want(list(pending))
                        wished_at = time.monotonic()
                    with waiting():
                        await asyncio.sleep(pause)
                    pause = min(pause * 1.5, LAST_PAUSE)
            await asyncio.gather(*fills)
        finally:
            for task in fills:
                task.cancel()
            await asyncio.gather(*fills, return_exceptions=True)

    async def run_alone(self, fetch: FetchTask, fill: Fill, tokens: Tokens) -> None:
        """Lands every flight of the fetch without a claim, so that no other process waits for it."""
        claims = Claims(tokens=dict(tokens), owners=dict.fromkeys(fetch.flights, Claim.OPEN))
        await self._fill(list(fetch.flights.values()), fill, claims, secrets.token_bytes(12))

    async def _claim(self, keys: Sequence[Key], holder: bytes) -> Claims:
        """As the store does; a claim that was cancelled half-way is given back."""
        try:
            return await self._store.claim(keys, holder, self._lock_timeout)
        except asyncio.CancelledError:
            self._flights.own(self._store.release(keys, holder), "release claims")
            raise

    def _land_found(self, pending: dict[Key, Flight], claims: Claims, holder: bytes) -> None:
        now = self._clock()
        unneeded = []
        for key, (entry, source) in claims.entries.items():
            if not entry.is_fresh(now):
                continue
            flight = pending.pop(key)
            self._flights.forget(flight)
            self._flights.land(flight, FetchResult(entry, source))
            if claims.owners[key] is Claim.MINE:
                unneeded.append(key)
        if unneeded:
            self._flights.own(self._store.release(unneeded, holder), "release claims")

    async def _fill(self, flights: Sequence[Flight], fill: Fill, claims: Claims, holder: bytes) -> None:
        keys = [flight.key for flight in flights]
        claimed = [key for key in keys if claims.owners[key] is Claim.MINE]
        entries: dict[Key, Entry] = {}
        filled_at = self._clock()
        work = self._flights.own(self._filled(fill, keys), "ask the site")
        try:
            while not (await asyncio.wait([work], timeout=self._lock_timeout / 3))[0]:
                if claimed:
                    await self._store.extend(claimed, holder, self._lock_timeout)
            entries = self._landed(flights, work, claims.tokens, filled_at)
        finally:
            work.cancel()
            self._flights.own(self._settle(flights, entries, claimed, holder), "put what was filled")

    async def _filled(self, fill: Fill, keys: Sequence[Key]) -> Mapping[Key, Filled | Absent]:
        self._counts.fills += len(keys)
        deadline = Deadline.after(self._fill_timeout)
        async with deadline.limit():
            return await fill(keys, deadline)

    def _landed(
        self, flights: Sequence[Flight], work: asyncio.Future[Mapping[Key, Filled | Absent]], tokens: Tokens, filled_at: float
    ) -> dict[Key, Entry]:
        """Tells those who wait, and gives back what may be kept."""
        if work.cancelled() or work.exception() is not None:
            self._counts.fill_failures += len(flights)
            failure = GatewayError(Code.INTERNAL, "A fetch was given up.") if work.cancelled() else work.exception()
            assert failure is not None  # noqa: S101 - asked above
            for flight in flights:
                self._flights.land(flight, failure)
            return {}
        visible = {flight.key.audience for flight in flights}
        entries: dict[Key, Entry] = {}
        kept: dict[Key, Entry] = {}
        for key, word in work.result().items():
            versions = versions_of(key, tokens) if key.audience in visible else None
            entries[key] = entry = _entry(word, filled_at, versions or (b"", b"", b""))
            if versions is not None and word.fresh_for > 0:
                kept[key] = entry
        beside: dict[tuple[str, str, str], dict[Key, Entry]] = {}
        for key in entries.keys() - {flight.key for flight in flights}:
            beside.setdefault((key.site, key.subject, key.audience), {})[key] = entries[key]
        for flight in flights:
            key = flight.key
            if key not in kept:
                self._flights.forget(flight)
            more = beside.get((key.site, key.subject, key.audience), {})
            self._flights.land(flight, FetchResult(entries.get(key), more=more))
        return kept

    async def _settle(
        self, flights: Sequence[Flight], entries: Mapping[Key, Entry], claimed: Sequence[Key], holder: bytes
    ) -> None:
        """Puts what may be kept, and ends the claims of the rest. New callers join the flights until that is done."""
        left = set(claimed)
        try:
            held = {key: entry for key, entry in entries.items() if key in left}
            more = {key: entry for key, entry in entries.items() if key not in left}
            if more:  # first: when a claim ends, other processes look for what it led to
                await self._store.put(more, None)
            if held:
                left -= await self._store.put(held, holder)
        finally:
            for flight in flights:
                self._flights.forget(flight)
            if left:
                await self._store.release(list(left), holder)


def _entry(word: Filled | Absent, filled_at: float, versions: tuple[bytes, bytes, bytes]) -> Entry:
    if isinstance(word, Absent):
        return Entry(b"", filled_at, word.fresh_for, 0.0, absent=True, versions=versions)
    entry = Entry(word.payload, filled_at, word.fresh_for, word.stale_for, absent=False, versions=versions)
    entry.values.update(word.values)
    return entry
