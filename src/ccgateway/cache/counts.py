"""What happened in the cache since it was opened, and how it stands: for ``ccgateway cache stats``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ccgateway.cache.entries import Source
from ccgateway.cache.keys import Key

__all__ = ["CacheStats", "Counts", "MemoryStats", "RedisStats"]


@dataclass(slots=True)
class Counts:
    """Counters of this process; keys are counted, not calls.

    ``waits``: keys that somebody in this process was already fetching; ``waits_elsewhere``: keys that another process was;
    ``looked_for``: keys by where they were found (or not), of what kind they are, and how.
    """

    hits_memory: int = 0
    hits_redis: int = 0
    hits_stale: int = 0
    hits_absent: int = 0
    misses: int = 0
    fills: int = 0
    fill_failures: int = 0
    waits: int = 0
    waits_elsewhere: int = 0
    refreshes: int = 0
    refreshes_skipped: int = 0
    invalidations: int = 0
    looked_for: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def look(self, key: Key, source: Source, result: str) -> None:
        """Counts one key."""
        self.looked_for[source.value, key.kind, result] += 1

    def __str__(self) -> str:
        found = self.hits_memory + self.hits_redis
        return (
            f"{found} found ({self.hits_redis} in Redis, {self.hits_stale} stale, {self.hits_absent} known to be absent), "
            f"{self.misses} not ({self.waits + self.waits_elsewhere} already being fetched), {self.fills} fetched, "
            f"{self.fill_failures} in vain, {self.refreshes} in the background, {self.invalidations} writes"
        )


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """The store within this process."""

    entries: int
    bytes: int
    limit: int
    evictions: int


@dataclass(frozen=True, slots=True)
class RedisStats:
    """The shared store as this process sees it. ``state``: ``up`` or ``down``; ``reason``: why it is down; ``writes_refused``:
    entries that a full Redis did not take; ``undelivered``: invalidations it has still to be told before it is used again.
    """

    target: str
    state: str
    reason: str = ""
    trips: int = 0
    writes_refused: int = 0
    undelivered: int = 0
    used_bytes: int | None = None
    max_bytes: int | None = None
    policy: str | None = None
    keys: int | None = None


@dataclass(frozen=True, slots=True)
class CacheStats:
    """All of it."""

    counts: Counts = field(default_factory=Counts)
    memory: MemoryStats | None = None
    redis: RedisStats | None = None
