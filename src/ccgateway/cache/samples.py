"""What the cache has to tell Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ccgateway.cache.counts import Counts, MemoryStats
from ccgateway.telemetry.samples import Sample

if TYPE_CHECKING:
    from ccgateway.cache.connection import RedisConnection

__all__ = ["cache_samples", "redis_samples"]


def cache_samples(counts: Counts, memory: MemoryStats) -> Iterator[Sample]:
    """What was looked for, and how the memory stands."""
    for labels, number in list(counts.looked_for.items()):
        yield Sample("ccgateway_cache_lookups_total", labels, number)
    yield Sample("ccgateway_cache_memory_bytes", (), memory.bytes)
    yield Sample("ccgateway_cache_memory_limit_bytes", (), memory.limit)
    yield Sample("ccgateway_cache_memory_entries", (), memory.entries)
    yield Sample("ccgateway_cache_memory_evictions_total", (), memory.evictions)


def redis_samples(redis: RedisConnection) -> Iterator[Sample]:
    """Whether Redis is in use."""
    yield Sample("ccgateway_redis_up", (), float(redis.is_up))
    yield Sample("ccgateway_redis_trips_total", (), redis.breaker.times_opened)
