"""Memory in front of Redis: payloads from memory, whether they still hold from Redis, in one small round trip.

Redis alone keeps the tokens. While it cannot be asked, nobody knows what other processes have invalidated: then nothing is a hit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from ccgateway.cache.counts import MemoryStats, RedisStats
from ccgateway.cache.entries import Entry, Source
from ccgateway.cache.keys import InvalidationTag, Key
from ccgateway.cache.memory import MemoryStore
from ccgateway.cache.redis import RedisStore
from ccgateway.cache.store import Claims, Look, Tokens, versions_of

__all__ = ["LayeredStore"]


class LayeredStore:
    """A ``MemoryStore`` for payloads and a ``RedisStore`` for everything. Owns both."""

    def __init__(self, memory: MemoryStore, redis: RedisStore) -> None:
        self._memory, self._redis = memory, redis

    def __repr__(self) -> str:
        return f"LayeredStore({self._redis!r})"

    @property
    def down(self) -> str | None:
        """See ``Store``."""
        return self._redis.down

    def forget(self, keys: Iterable[Key]) -> None:
        """See ``Store``."""
        self._memory.forget(keys)

    def reweigh(self, key: Key, entry: Entry) -> None:
        """See ``Store``."""
        self._memory.reweigh(key, entry)

    async def look(self, keys: Sequence[Key]) -> Look:
        """See ``Store``."""
        held = {key: entry for key in keys if (entry := self._memory.peek(key)) is not None}
        look = await self._redis.look([key for key in keys if key not in held], confirm=list(held))
        self._remember(look)
        outdated = []
        for key, entry in held.items():
            if entry.versions == versions_of(key, look.tokens):
                look.entries[key] = entry, Source.MEMORY
            elif look.tokens:
                self._memory.drop(key)
                outdated.append(key)
        if outdated:  # invalidated elsewhere, and perhaps filled again there
            again = await self._redis.look(outdated)
            self._remember(again)
            look.entries |= again.entries
            look.tokens |= again.tokens
        return look

    def _remember(self, look: Look) -> None:
        for key, (entry, _) in look.entries.items():
            self._memory.keep(key, entry)

    async def versions(self, tags: Sequence[InvalidationTag]) -> Tokens:
        """See ``Store``."""
        return await self._redis.versions(tags)

    async def claim(self, keys: Sequence[Key], holder: bytes, seconds: float) -> Claims:
        """See ``Store``."""
        claims = await self._redis.claim(keys, holder, seconds)
        self._remember(claims)
        return claims

    async def extend(self, keys: Sequence[Key], holder: bytes, seconds: float) -> None:
        """See ``Store``."""
        await self._redis.extend(keys, holder, seconds)

    async def want(self, keys: Sequence[Key]) -> None:
        """See ``Store``."""
        await self._redis.want(keys)

    async def is_wanted(self, keys: Sequence[Key]) -> bool:
        """See ``Store``."""
        return await self._redis.is_wanted(keys)

    async def put(self, entries: Mapping[Key, Entry], holder: bytes | None) -> set[Key]:
        """See ``Store``. In memory at once, and whatever Redis says to it: the versions alone tell whether it may be used."""
        for key, entry in entries.items():
            self._memory.keep(key, entry)
        return await self._redis.put(entries, holder)

    async def release(self, keys: Sequence[Key], holder: bytes) -> None:
        """See ``Store``."""
        await self._redis.release(keys, holder)

    async def invalidate(self, tags: Sequence[InvalidationTag]) -> None:
        """See ``Store``."""
        await self._redis.invalidate(tags)

    async def clear(self, tag: InvalidationTag) -> int:
        """See ``Store``."""
        return max(self._memory.drop_all(tag), await self._redis.clear(tag))

    def stats_now(self) -> MemoryStats:
        """See ``Store``."""
        return self._memory.stats_now()

    async def stats(self) -> tuple[MemoryStats | None, RedisStats | None]:
        """See ``Store``."""
        return self._memory.stats_now(), (await self._redis.stats())[1]

    async def aclose(self) -> None:
        """See ``Store``."""
        await asyncio.gather(self._memory.aclose(), self._redis.aclose())
