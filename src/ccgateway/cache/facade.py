"""The cache as its callers see it: what is known comes from where it is kept, the rest from their own fill, asked for once."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccgateway.cache.counts import CacheStats, Counts
from ccgateway.cache.entries import Entry, Hit, Source
from ccgateway.cache.filling import Fill, Filler
from ccgateway.cache.flights import Crew, Flights, Landing
from ccgateway.cache.keys import EVERYTHING, Key, Realm
from ccgateway.cache.memory import MemoryStore
from ccgateway.cache.store import Look, Store, Tokens, realms_of, stamp_of
from ccgateway.deadline import Deadline
from ccgateway.settings import CacheSettings
from ccgateway.telemetry import Rarely

if TYPE_CHECKING:
    from ccgateway.cache.connection import RedisConnection

__all__ = ["Cache", "Mark", "Reads", "open_cache", "open_redis"]

logger = logging.getLogger("ccgateway.cache")

#: whether an entry says what one of that key can say
Reads = Callable[[Key, Entry], bool]
#: bumps of this process that are remembered one by one; beyond that they are bumps of the whole site
MOST_FENCES = 20_000
#: no site is called so
_TRIAL = Key("?", "?", "?")


@dataclass(frozen=True, slots=True)
class Mark:
    """How the tokens of some realms were at one moment: whatever was read since then is from after the last bump before it."""

    tokens: Tokens
    at: float


class Cache:
    """Entries by key, each filled once however many want it. Owns its store and its tasks: ``aclose`` ends them.

    ``lock_timeout``: seconds that the death of a process that fetches costs the others; ``fill_timeout``: seconds that one fill
    may take, whoever began it; ``refreshes``: fills in the background at any one time.
    """

    def __init__(
        self, store: Store, *, lock_timeout: float = 5.0, fill_timeout: float = 30.0, refreshes: int = 8,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._store, self._clock = store, clock
        self._counts = Counts()
        self._flights = Flights(store.is_wanted)
        self._filler = Filler(
            store, self._flights, self._counts, lock_timeout=lock_timeout, fill_timeout=fill_timeout, clock=clock
        )  # fmt: skip
        self._most_refreshes, self._refreshing = refreshes, 0
        #: tells flights apart that were begun before and after a bump of ours, while no token does
        self._epoch = 0
        #: when this process last bumped each realm: whatever the store says, nothing from before is a hit here
        self._fences: OrderedDict[Realm, float] = OrderedDict()
        self._rarely = Rarely(logger)

    def __repr__(self) -> str:
        return f"Cache({self._store!r})"

    @property
    def down(self) -> str | None:
        """Why Redis is not in use; ``None`` if it is, or there is none."""
        return self._store.down

    async def fetch(
        self, keys: Sequence[Key], fill: Fill, *, deadline: Deadline, reads: Reads | None = None
    ) -> dict[Key, Hit]:  # fmt: skip
        """What is there of the keys; for those that are neither kept nor being fetched, ``fill`` is called once.

        A key of which the fill says nothing is left out; keys beyond those asked for that came with them may be there. Raises
        what the fill raised, also if that was another caller's fill; ``TimeoutError`` when the deadline comes first. Whether
        this caller stays or leaves makes no difference to others. ``reads``: whether an entry says what one of that key can say;
        if not, it is a miss.
        """
        async with deadline.limit():
            wanted = list(dict.fromkeys(keys))
            look = await self._store.look(wanted)
            self._sift(look, reads)
            now = self._clock()
            hits: dict[Key, Hit] = {}
            stale: list[Key] = []
            for key, (entry, source) in look.entries.items():
                hits[key] = self._hit(entry, source, now)
                if hits[key].stale:
                    stale.append(key)
            if stale:
                self._refresh(stale, look.tokens, fill, reads)
            missing = [key for key in wanted if key not in hits]
            if missing:
                hits |= await self._fetch(missing, dict(look.tokens), fill, reads)
            return hits

    async def ask(self, keys: Sequence[Key], fill: Fill, *, asker: Hashable, deadline: Deadline) -> dict[Key, Hit]:
        """What ``fill`` says of the keys now, whatever is kept of them; waited for by none but the same ``asker``, here or in
        another process. What it says is kept as ``fetch`` keeps it. Raises as ``fetch``.
        """
        async with deadline.limit():
            wanted = list(dict.fromkeys(keys))
            tokens = await self._store.stamp(realms_of(wanted))
            self._counts.misses += len(wanted)
            found = {key: self._flights.find((asker, self._ident(key, tokens)), self._clock()) for key in wanted}
            flights = [flight for flight in found.values() if flight is not None]
            unserved = [(key, (asker, self._ident(key, tokens))) for key, flight in found.items() if flight is None]
            if unserved:
                flights += self._flights.start(unserved, lambda crew: self._filler.run_alone(crew, fill, tokens))
            return self._landed(await self._flights.wait(flights))

    async def peek(self, keys: Sequence[Key], reads: Reads | None = None) -> dict[Key, Hit]:
        """What is there of the keys and may be served as it is; asks no site. ``reads`` as in ``fetch``."""
        look, now = await self._store.look(list(dict.fromkeys(keys))), self._clock()
        self._sift(look, reads)
        fresh = {key: found for key, found in look.entries.items() if found[0].is_fresh(now)}
        return {key: self._hit(entry, source, now) for key, (entry, source) in fresh.items()}

    def _sift(self, look: Look, reads: Reads | None) -> None:
        """Leaves out what is from before a bump of this process, or cannot be read, whoever says that it holds."""
        for key, (entry, _) in list(look.entries.items()):
            outdated = entry.filled_at < self._fence(key)
            if not outdated and (reads is None or reads(key, entry)):
                continue
            del look.entries[key]
            self._store.forget([key])
            if not outdated:
                self._rarely.warn("payload", "what was remembered could not be read and counts for nothing")

    def _fence(self, key: Key) -> float:
        return max(self._fences.get(realm, 0.0) for realm in key.realms) if self._fences else 0.0

    def _raise_fence(self, realms: Sequence[Realm]) -> None:
        for realm in realms:
            self._fences[realm] = self._clock()
            self._fences.move_to_end(realm)
        while len(self._fences) > MOST_FENCES:
            realm, at = self._fences.popitem(last=False)
            wider = Realm(realm.site) if realm.subject else EVERYTHING
            self._fences[wider] = max(at, self._fences.get(wider, 0.0))

    def _hit(self, entry: Entry, source: Source, now: float) -> Hit:
        stale = not entry.is_fresh(now)
        counts = self._counts
        counts.hits_memory += source is Source.MEMORY
        counts.hits_redis += source is Source.REDIS
        counts.hits_stale += stale
        counts.hits_absent += entry.absent
        return Hit(entry.payload, entry.age(now), source, entry.absent, stale)

    async def _fetch(self, keys: Sequence[Key], tokens: dict[Realm, bytes], fill: Fill, reads: Reads | None) -> dict[Key, Hit]:
        self._counts.misses += len(keys)
        untold = [realm for realm in realms_of(keys) if realm not in tokens]
        if untold:
            tokens |= await self._store.stamp(untold)
        # nothing is awaited from here until the wait, so that no flight found can end unseen
        found = {key: self._flights.find(self._ident(key, tokens), self._clock()) for key in keys}
        flights = [flight for flight in found.values() if flight is not None]
        self._counts.waits += len(flights)
        unserved = [(key, self._ident(key, tokens)) for key, flight in found.items() if flight is None]
        if unserved:
            flights += self._flights.start(
                unserved, lambda crew: self._filler.run(crew, fill, lambda look: self._sift(look, reads))
            )
        return self._landed(await self._flights.wait(flights))

    def _landed(self, landed: Mapping[Key, Landing]) -> dict[Key, Hit]:
        now = self._clock()
        hits: dict[Key, Hit] = {}
        for key, landing in landed.items():
            entries = dict(landing.more) if landing.entry is None else {**landing.more, key: landing.entry}
            hits |= {one: Hit(entry.payload, entry.age(now), landing.source, entry.absent) for one, entry in entries.items()}
        return hits

    def _refresh(self, keys: Sequence[Key], tokens: Tokens, fill: Fill, reads: Reads | None) -> None:
        idents = [(key, self._ident(key, tokens)) for key in keys]
        unserved = [(key, ident) for key, ident in idents if self._flights.find(ident, self._clock()) is None]
        if not unserved:
            return
        if self._refreshing >= self._most_refreshes:
            self._counts.refreshes_skipped += len(unserved)
            return
        self._refreshing += 1
        self._counts.refreshes += len(unserved)

        async def run(crew: Crew) -> None:
            try:
                await self._filler.run(crew, fill, lambda look: self._sift(look, reads))
            finally:
                self._refreshing -= 1

        self._flights.start(unserved, run, background=True)

    def _ident(self, key: Key, tokens: Tokens) -> Hashable:
        return key, stamp_of(key, tokens) or self._epoch, self._fence(key)

    async def bump(self, site: str, *subjects: str) -> None:
        """After a write: nothing that was kept, or is being fetched, of those subjects (none named: of the site) is a hit again.

        Never fails. Redis not taking it takes Redis out of use, and with it all that is kept, until it does.
        """
        self._epoch += 1
        self._counts.bumps += 1
        realms = [Realm(site, subject) for subject in subjects] or [Realm(site)]
        self._raise_fence(realms)
        await self._store.bump(realms)

    async def mark(self, *realms: Realm) -> Mark | None:
        """The present moment, for ``holds``; ``None`` while that cannot be told (Redis is down)."""
        wanted = list(dict.fromkeys((EVERYTHING, *realms)))
        tokens = await self._store.stamp(wanted)
        return Mark(tokens, self._clock()) if len(tokens) == len(wanted) else None

    async def holds(self, mark: Mark) -> bool:
        """Whether nothing was bumped since then, by whichever process; ``False`` also while that cannot be told."""
        if any(self._fences.get(realm, 0.0) > mark.at for realm in mark.tokens):
            return False
        return await self._store.stamp(list(mark.tokens)) == mark.tokens

    async def clear(self, *, site: str | None = None, subject: str | None = None) -> int:
        """Bumps the subject, the site or (none named) everything, and frees the room; how many entries that were."""
        self._epoch += 1
        realm = Realm(site, subject or "") if site else EVERYTHING
        if subject and not site:
            raise ValueError("a subject belongs to a site")
        self._raise_fence([realm])
        return await self._store.clear(realm)

    async def try_out(self) -> bool:
        """Whether what is put into the store is found there again."""
        tokens = await self._store.stamp(_TRIAL.realms)
        stamp = stamp_of(_TRIAL, tokens)
        if stamp is None:
            return False
        await self._store.put({_TRIAL: Entry(b"1", self._clock(), 60.0, 0.0, absent=False, stamp=stamp)}, None)
        found = await self._store.look([_TRIAL])
        await self._store.clear(_TRIAL.realms[-1])
        return _TRIAL in found.entries

    async def stats(self) -> CacheStats:
        """What happened since it was opened, and how it stands."""
        memory, redis = await self._store.stats()
        return CacheStats(self._counts, memory, redis)

    async def aclose(self) -> None:
        """Ends whatever runs; those who wait get an error."""
        await self._flights.aclose()
        await self._store.aclose()


def open_redis(settings: CacheSettings) -> RedisConnection | None:
    """The connection to the settings' Redis; reaches nothing yet. Raises ``SettingsError`` for a URL that cannot be used."""
    url = settings.read_redis_url()
    if url is None:
        return None
    # redis-py takes a third of a second to import: no need for those who have no Redis
    from ccgateway.cache.connection import RedisConnection
    from ccgateway.cache.urls import parse_url

    return RedisConnection(parse_url(url.get_secret_value()), settings)


def open_cache(
    settings: CacheSettings, redis: RedisConnection | None = None, *, clock: Callable[[], float] = time.time
) -> Cache:  # fmt: skip
    """The cache that the settings describe; reaches nothing yet. Owns ``redis``, or (``None``) opens it itself.

    Raises ``SettingsError`` for a URL that cannot be used.
    """
    memory = MemoryStore(settings.memory_bytes, clock)
    store: Store = memory
    redis = redis or open_redis(settings)
    if redis is not None:
        from ccgateway.cache.layered import LayeredStore
        from ccgateway.cache.redis import RedisStore

        store = LayeredStore(memory, RedisStore(redis, clock=clock))
    return Cache(
        store, lock_timeout=settings.lock_timeout, fill_timeout=settings.fill_timeout, refreshes=settings.refreshes, clock=clock
    )  # fmt: skip
