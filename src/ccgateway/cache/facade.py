"""The cache as its callers see it: what is known comes from where it is kept, the rest from their own fill, asked for once."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ccgateway.cache.counts import CacheStats, Counts
from ccgateway.cache.entries import UNREADABLE, Entry, Hit, Source, View
from ccgateway.cache.filling import Fill, Filler
from ccgateway.cache.keys import EVERYTHING, InvalidationTag, Key
from ccgateway.cache.memory import MemoryStore
from ccgateway.cache.samples import cache_samples
from ccgateway.cache.single_flight import FetchResult, FetchTask, Flight, SingleFlight
from ccgateway.cache.store import Look, Store, Tokens, tags_of, versions_of
from ccgateway.deadline import Deadline
from ccgateway.settings import CacheSettings
from ccgateway.telemetry import Observer, Rarely
from ccgateway.telemetry.requests import note_joined, waiting
from ccgateway.telemetry.samples import Sample

if TYPE_CHECKING:
    from ccgateway.cache.connection import RedisConnection

__all__ = ["Cache", "TagSnapshot", "open_cache", "open_redis"]

T = TypeVar("T")

logger = logging.getLogger("ccgateway.cache")

#: invalidations of this process that are remembered one by one; beyond that they are invalidations of the whole site
MOST_FENCES = 20_000
#: no site is called so
_TRIAL = Key("?", "?", "?")


@dataclass(frozen=True, slots=True)
class TagSnapshot:
    """The tokens of some tags as of one moment: while they are the same, nothing of those tags has been invalidated since.

    ``at``: that moment, in epoch seconds.
    """

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
        self._flights = SingleFlight(store.is_wanted)
        self._filler = Filler(
            store, self._flights, self._counts, lock_timeout=lock_timeout, fill_timeout=fill_timeout, clock=clock
        )  # fmt: skip
        self._most_refreshes, self._refreshing = refreshes, 0
        #: tells flights apart that were begun before and after an invalidation of ours, while no token does
        self._epoch = 0
        #: when this process last invalidated each tag: whatever the store says, nothing from before is a hit here
        self._fences: OrderedDict[InvalidationTag, float] = OrderedDict()
        self._rarely = Rarely(logger)

    def __repr__(self) -> str:
        return f"Cache({self._store!r})"

    @property
    def down(self) -> str | None:
        """Why Redis is not in use; ``None`` if it is, or there is none."""
        return self._store.down

    async def fetch(
        self, keys: Sequence[Key], fill: Fill, view: View[T], *, deadline: Deadline
    ) -> dict[Key, Hit[T]]:  # fmt: skip
        """What is there of the keys; for those that are neither kept nor being fetched, ``fill`` is called once.

        A key of which the fill says nothing is left out; keys beyond those asked for that came with them may be there. Raises
        what the fill raised, also if that was another caller's fill; ``TimeoutError`` when the deadline comes first. Whether
        this caller stays or leaves makes no difference to others. ``view``: how entries are read; one that cannot be is a miss.
        """
        async with deadline.limit():
            wanted = list(dict.fromkeys(keys))
            look = await self._store.look(wanted)
            self._sift(look, view)
            now = self._clock()
            hits: dict[Key, Hit[T]] = {}
            stale: list[Key] = []
            for key, (entry, source) in look.entries.items():
                hits[key] = self._hit(key, entry, source, now, view)
                if hits[key].stale:
                    stale.append(key)
            if stale:
                self._refresh(stale, look.tokens, fill, view)
            missing = [key for key in wanted if key not in hits]
            if missing:
                hits |= await self._fetch(missing, dict(look.tokens), fill, view)
            return hits

    async def ask(
        self, keys: Sequence[Key], fill: Fill, view: View[T], *, asker: Hashable, deadline: Deadline
    ) -> dict[Key, Hit[T]]:
        """What ``fill`` says of the keys now, whatever is kept of them; waited for by none but the same ``asker``, here or in
        another process. What it says is kept as ``fetch`` keeps it. Raises as ``fetch``.
        """
        async with deadline.limit():
            wanted = list(dict.fromkeys(keys))
            tokens = await self._store.versions(tags_of(wanted))
            self._counts.misses += len(wanted)
            under_way = {key: self._flights.find((asker, self._ident(key, tokens)), self._clock()) for key in wanted}
            flights = [flight for flight in under_way.values() if flight is not None]
            unserved = [(key, (asker, self._ident(key, tokens))) for key, flight in under_way.items() if flight is None]
            self._note_missing(under_way)
            if unserved:
                flights += self._flights.start(unserved, lambda fetch: self._filler.run_alone(fetch, fill, tokens))
            return self._landed(await self._wait(flights, under_way), view)

    async def peek(self, keys: Sequence[Key], view: View[T]) -> dict[Key, Hit[T]]:
        """What is there of the keys and may be served as it is; asks no site. ``view`` as in ``fetch``."""
        look, now = await self._store.look(list(dict.fromkeys(keys))), self._clock()
        self._sift(look, view)
        fresh = {key: pair for key, pair in look.entries.items() if pair[0].is_fresh(now)}
        return {key: self._hit(key, entry, source, now, view) for key, (entry, source) in fresh.items()}

    def _sift(self, look: Look, view: View[Any]) -> None:
        """Leaves out what is from before an invalidation of this process, or cannot be read, whoever says that it holds."""
        for key, (entry, _) in list(look.entries.items()):
            outdated = entry.filled_at < self._fence(key)
            if not outdated and self._is_readable(key, entry, view):
                continue
            del look.entries[key]
            self._store.forget([key])
            if not outdated:
                self._rarely.warn("payload", "what was remembered could not be read and counts for nothing")

    def _is_readable(self, key: Key, entry: Entry, view: View[Any]) -> bool:
        try:
            self._value(key, entry, view)
        except UNREADABLE:
            return False
        return True

    def _value(self, key: Key, entry: Entry, view: View[T]) -> T:
        """What the entry says; decoded now unless it was before."""
        decoded = entry.values.get(view.name)
        if decoded is None:
            decoded = entry.values[view.name] = view.decode(key, entry)
            self._store.reweigh(key, entry)
        value: T = decoded[0]
        return value

    def keep(self, key: Key, entry: Entry, name: Hashable, value: object, size: int) -> None:
        """Keeps what was made of a hit's entry with it, as its value by that name; it takes ``size`` bytes."""
        entry.values[name] = value, size
        self._store.reweigh(key, entry)

    def _fence(self, key: Key) -> float:
        return max(self._fences.get(tag, 0.0) for tag in key.tags) if self._fences else 0.0

    def _raise_fence(self, tags: Sequence[InvalidationTag]) -> None:
        for tag in tags:
            self._fences[tag] = self._clock()
            self._fences.move_to_end(tag)
        while len(self._fences) > MOST_FENCES:
            tag, at = self._fences.popitem(last=False)
            wider = InvalidationTag(tag.site) if tag.subject else EVERYTHING
            self._fences[wider] = max(at, self._fences.get(wider, 0.0))

    def _hit(self, key: Key, entry: Entry, source: Source, now: float, view: View[T]) -> Hit[T]:
        stale = not entry.is_fresh(now)
        counts = self._counts
        counts.hits_memory += source is Source.MEMORY
        counts.hits_redis += source is Source.REDIS
        counts.hits_stale += stale
        counts.hits_absent += entry.absent
        counts.look(key, source, "absent" if entry.absent else "stale" if stale else "hit")
        return Hit(self._value(key, entry, view), entry.age(now), source, entry.absent, stale, entry)

    async def _fetch(
        self, keys: Sequence[Key], tokens: dict[InvalidationTag, bytes], fill: Fill, view: View[T]
    ) -> dict[Key, Hit[T]]:
        self._counts.misses += len(keys)
        untold = [tag for tag in tags_of(keys) if tag not in tokens]
        if untold:
            tokens |= await self._store.versions(untold)
        # nothing is awaited from here until the wait, so that no flight found can end unseen
        under_way = {key: self._flights.find(self._ident(key, tokens), self._clock()) for key in keys}
        flights = [flight for flight in under_way.values() if flight is not None]
        self._counts.waits += len(flights)
        self._note_missing(under_way)
        unserved = [(key, self._ident(key, tokens)) for key, flight in under_way.items() if flight is None]
        if unserved:
            flights += self._flights.start(
                unserved, lambda fetch: self._filler.run(fetch, fill, lambda look: self._sift(look, view))
            )
        return self._landed(await self._wait(flights, under_way), view)

    def _note_missing(self, under_way: Mapping[Key, Flight | None]) -> None:
        for key, flight in under_way.items():
            self._counts.look(key, Source.SITE, "miss" if flight is None else "joined")
            if flight is not None and flight.fetch.trace is not None:
                note_joined(flight.fetch.trace)

    async def _wait(self, flights: Sequence[Flight], under_way: Mapping[Key, Flight | None]) -> Mapping[Key, FetchResult]:
        # who began a fetch waits for the site within it; whoever has joined one waits for the work of another
        with waiting() if any(under_way.values()) else nullcontext():
            return await self._flights.wait(flights)

    def _landed(self, landed: Mapping[Key, FetchResult], view: View[T]) -> dict[Key, Hit[T]]:
        now = self._clock()
        hits: dict[Key, Hit[T]] = {}
        for key, result in landed.items():
            entries = dict(result.more) if result.entry is None else {**result.more, key: result.entry}
            for filled_key, entry in entries.items():
                value = self._value(filled_key, entry, view)
                hits[filled_key] = Hit(value, entry.age(now), result.source, entry.absent, entry=entry)
        return hits

    def _refresh(self, keys: Sequence[Key], tokens: Tokens, fill: Fill, view: View[Any]) -> None:
        idents = [(key, self._ident(key, tokens)) for key in keys]
        unserved = [(key, ident) for key, ident in idents if self._flights.find(ident, self._clock()) is None]
        if not unserved:
            return
        if self._refreshing >= self._most_refreshes:
            self._counts.refreshes_skipped += len(unserved)
            return
        self._refreshing += 1
        self._counts.refreshes += len(unserved)

        async def run(fetch: FetchTask) -> None:
            try:
                await self._filler.run(fetch, fill, lambda look: self._sift(look, view))
            finally:
                self._refreshing -= 1

        self._flights.start(unserved, run, background=True)

    def _ident(self, key: Key, tokens: Tokens) -> Hashable:
        return key, versions_of(key, tokens) or self._epoch, self._fence(key)

    async def invalidate(self, site: str, *subjects: str) -> None:
        """After a write: nothing that was kept, or is being fetched, of those subjects (none named: of the site) is a hit again.

        Never fails. Redis not taking it takes Redis out of use, and with it all that is kept, until it does.
        """
        self._epoch += 1
        self._counts.invalidations += 1
        tags = [InvalidationTag(site, subject) for subject in subjects] or [InvalidationTag(site)]
        self._raise_fence(tags)
        await self._store.invalidate(tags)

    async def snapshot(self, *tags: InvalidationTag) -> TagSnapshot | None:
        """The present moment, for ``is_current``; ``None`` while that cannot be told (Redis is down)."""
        wanted = list(dict.fromkeys((EVERYTHING, *tags)))
        tokens = await self._store.versions(wanted)
        return TagSnapshot(tokens, self._clock()) if len(tokens) == len(wanted) else None

    async def is_current(self, snapshot: TagSnapshot) -> bool:
        """Whether nothing was invalidated since then, by whichever process; ``False`` also while that cannot be told."""
        if any(self._fences.get(tag, 0.0) > snapshot.at for tag in snapshot.tokens):
            return False
        return await self._store.versions(list(snapshot.tokens)) == snapshot.tokens

    async def clear(self, *, site: str | None = None, subject: str | None = None) -> int:
        """Invalidates the subject, the site or (none named) everything, and frees the room; how many entries that were."""
        self._epoch += 1
        tag = InvalidationTag(site, subject or "") if site else EVERYTHING
        if subject and not site:
            raise ValueError("a subject belongs to a site")
        self._raise_fence([tag])
        return await self._store.clear(tag)

    async def try_out(self) -> bool:
        """Whether what is put into the store is found there again."""
        tokens = await self._store.versions(_TRIAL.tags)
        versions = versions_of(_TRIAL, tokens)
        if versions is None:
            return False
        await self._store.put({_TRIAL: Entry(b"1", self._clock(), 60.0, 0.0, absent=False, versions=versions)}, None)
        look = await self._store.look([_TRIAL])
        await self._store.clear(_TRIAL.tags[-1])
        return _TRIAL in look.entries

    def samples(self) -> Iterator[Sample]:
        """What there is to tell Prometheus."""
        return cache_samples(self._counts, self._store.stats_now())

    async def stats(self) -> CacheStats:
        """What happened since it was opened, and how it stands."""
        memory, redis = await self._store.stats()
        return CacheStats(self._counts, memory, redis)

    async def aclose(self) -> None:
        """Ends whatever runs; those who wait get an error."""
        await self._flights.aclose()
        await self._store.aclose()


def open_redis(settings: CacheSettings, observer: Observer | None = None) -> RedisConnection | None:
    """The connection to the settings' Redis; reaches nothing yet. Raises ``SettingsError`` for a URL that cannot be used."""
    url = settings.read_redis_url()
    if url is None:
        return None
    # redis-py takes a third of a second to import: no need for those who have no Redis
    from ccgateway.cache.connection import RedisConnection
    from ccgateway.cache.urls import parse_url

    return RedisConnection(parse_url(url.get_secret_value()), settings, observer)


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
