"""The store within this process: bounded in bytes. What is dead goes first, then the least recently used.

Payloads are kept as they are, and with them the values that they were decoded to: to unpack 10 MB, or to decode 500 jobs, at each
hit would cost more than everything else that is done with them. Both count.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from ccgateway.cache.counts import MemoryStats, RedisStats
from ccgateway.cache.entries import Entry, Source
from ccgateway.cache.keys import EVERYTHING, InvalidationTag, Key
from ccgateway.cache.store import Claim, Claims, Look, Tokens, tags_of, versions_of

__all__ = ["MemoryStore"]

#: bytes that an entry takes beside its payload and its name
OVERHEAD = 600
#: deaths noted of entries that are gone, beyond as many as there are entries, before these are forgotten
SLACK = 1000
#: tokens kept; beyond that all are made anew
MOST_TOKENS = 100_000


class MemoryStore:
    """Entries and tokens in dictionaries. ``limit``: bytes; 0 keeps nothing."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._limit, self._clock = limit, clock
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        #: bytes that each was counted with
        self._sizes: dict[Key, int] = {}
        self._tokens: dict[InvalidationTag, bytes] = {}
        #: when entries die, the first to do so at the front; an entry that was replaced is still named here
        self._deaths: list[tuple[float, int, Key]] = []
        self._kept = 0
        self._bytes = 0
        self._evictions = 0

    # --- plain, for the layer above

    def peek(self, key: Key) -> Entry | None:
        """The entry if it is alive, whatever its versions."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if not entry.is_alive(self._clock()):
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def keep(self, key: Key, entry: Entry) -> None:
        """Keeps the entry, whatever its versions, and drops what there is no more room for."""
        self.drop(key)
        self._bury()
        size = _size(key, entry)
        if size > self._limit and entry.values:
            entry.values.clear()
            size = _size(key, entry)
        if size > self._limit:
            return
        self._entries[key] = entry
        self._count(key, size)
        self._kept += 1
        heappush(self._deaths, (_death(entry), self._kept, key))
        self._evict()

    def reweigh(self, key: Key, entry: Entry) -> None:
        """See ``Store``. Values for which there is no room at all are not kept."""
        if self._entries.get(key) is not entry:
            return
        if _size(key, entry) > self._limit:
            entry.values.clear()
        self._count(key, _size(key, entry))
        self._evict()

    def _count(self, key: Key, size: int) -> None:
        self._bytes += size - self._sizes.get(key, 0)
        self._sizes[key] = size

    def _evict(self) -> None:
        while self._bytes > self._limit:
            self.drop(next(iter(self._entries)))
            self._evictions += 1

    def _bury(self) -> None:
        """Drops what is dead: lists that live for a second would push out metrics that live for a day."""
        now = self._clock()
        while self._deaths and self._deaths[0][0] <= now:
            _, _, key = heappop(self._deaths)
            entry = self._entries.get(key)
            if entry is not None and not entry.is_alive(now):
                self.drop(key)
        if len(self._deaths) > 2 * len(self._entries) + SLACK:
            self._deaths = [(_death(entry), number, key) for number, (key, entry) in enumerate(self._entries.items())]
            heapify(self._deaths)

    def drop(self, key: Key) -> None:
        """Forgets the entry."""
        if self._entries.pop(key, None) is not None:
            self._bytes -= self._sizes.pop(key)

    def drop_all(self, tag: InvalidationTag) -> int:
        """Forgets every entry of the tag; how many there were."""
        gone = [key for key in self._entries if tag in key.tags]
        for key in gone:
            self.drop(key)
        return len(gone)

    def stats_now(self) -> MemoryStats:
        """How it stands."""
        return MemoryStats(len(self._entries), self._bytes, self._limit, self._evictions)

    # --- the port

    @property
    def down(self) -> None:
        """See ``Store``."""
        return None

    def forget(self, keys: Iterable[Key]) -> None:
        """See ``Store``."""
        for key in keys:
            self.drop(key)

    async def look(self, keys: Sequence[Key]) -> Look:
        """See ``Store``."""
        look = Look(tokens={tag: self._token(tag) for tag in tags_of(keys)})
        for key in keys:
            entry = self.peek(key)
            if entry is None:
                continue
            if entry.versions == versions_of(key, look.tokens):
                look.entries[key] = entry, Source.MEMORY
            else:
                self.drop(key)
        return look

    async def versions(self, tags: Sequence[InvalidationTag]) -> Tokens:
        """See ``Store``."""
        return {tag: self._token(tag) for tag in tags}

    async def claim(self, keys: Sequence[Key], holder: bytes, seconds: float) -> Claims:  # noqa: ARG002
        """See ``Store``: there is no other process."""
        look = await self.look(keys)
        return Claims(look.entries, look.tokens, dict.fromkeys(keys, Claim.MINE))

    async def extend(self, keys: Sequence[Key], holder: bytes, seconds: float) -> None:
        """See ``Store``."""

    async def want(self, keys: Sequence[Key]) -> None:
        """See ``Store``."""

    async def is_wanted(self, keys: Sequence[Key]) -> bool:  # noqa: ARG002
        """See ``Store``."""
        return False

    async def put(self, entries: Mapping[Key, Entry], holder: bytes | None) -> set[Key]:  # noqa: ARG002
        """See ``Store``."""
        tokens = {tag: self._token(tag) for tag in tags_of(entries)}
        for key, entry in entries.items():
            if entry.versions == versions_of(key, tokens):
                self.keep(key, entry)
        return set(entries)

    async def release(self, keys: Sequence[Key], holder: bytes) -> None:
        """See ``Store``."""

    async def invalidate(self, tags: Sequence[InvalidationTag]) -> None:
        """See ``Store``."""
        for tag in tags:
            self._tokens.pop(tag, None)

    async def clear(self, tag: InvalidationTag) -> int:
        """See ``Store``."""
        await self.invalidate([tag])
        return self.drop_all(tag)

    async def stats(self) -> tuple[MemoryStats | None, RedisStats | None]:
        """See ``Store``."""
        return self.stats_now(), None

    async def aclose(self) -> None:
        """See ``Store``."""
        self._entries.clear()
        self._sizes.clear()
        self._bytes = 0

    def _token(self, tag: InvalidationTag) -> bytes:
        token = self._tokens.get(tag)
        if token is None:
            if len(self._tokens) >= MOST_TOKENS:
                # those of wide tags stay the same, else all that is being looked up would be missed at once
                self._tokens = {one: token for one, token in self._tokens.items() if not one.subject}
                if len(self._tokens) >= MOST_TOKENS:
                    self._tokens = {EVERYTHING: _fresh_token()}
            token = self._tokens.setdefault(tag, _fresh_token())
        return token


def _fresh_token() -> bytes:
    return secrets.token_bytes(12)


def _death(entry: Entry) -> float:
    return entry.filled_at + entry.fresh_for + entry.stale_for


def _size(key: Key, entry: Entry) -> int:
    decoded = sum(size for _, size in entry.values.values())
    return len(entry.payload) + decoded + len(key.subject) + sum(map(len, key.question)) + OVERHEAD
