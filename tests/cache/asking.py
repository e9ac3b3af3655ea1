"""Keys, fills and ways to ask, for the cache's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ccgateway.cache.entries import RAW, Absent, Filled, Hit
from ccgateway.cache.facade import Cache
from ccgateway.cache.keys import Key
from ccgateway.deadline import Deadline

__all__ = ["JOB", "Site", "ask", "key"]

JOB = "c/1/17"


def key(metric: str = "flops", *, job: str = JOB, site: str = "aurora", audience: str = "all") -> Key:
    return Key(site, job, audience, (metric, "node"))


class Site:
    """Answers fills, after ``takes`` seconds, with its current ``version`` for each key, and counts what it is asked."""

    def __init__(self, *, takes: float = 0.0, fresh_for: float = 60.0, stale_for: float = 0.0) -> None:
        self.takes, self.fresh_for, self.stale_for = takes, fresh_for, stale_for
        self.version = 1
        self.calls: list[tuple[Key, ...]] = []
        self.absent: set[str] = set()
        self.fails: Exception | None = None
        self.ended = 0
        self.begun = asyncio.Event()

    def payload(self, key: Key) -> bytes:
        return f'"{self.version} {key.text}"'.encode()

    async def fill(self, keys: Sequence[Key], deadline: Deadline) -> Mapping[Key, Filled | Absent]:
        self.calls.append(tuple(keys))
        payloads = {key: self.payload(key) for key in keys}
        self.begun.set()
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.ended += 1
        if self.fails is not None:
            raise self.fails
        return {
            key: Absent(self.fresh_for) if key.question[0] in self.absent else Filled(payload, self.fresh_for, self.stale_for)
            for key, payload in payloads.items()
        }


async def ask(cache: Cache, site: Site, *keys: Key, seconds: float = 10.0) -> dict[Key, Hit[bytes]]:
    """What the cache gives for the keys (none: the usual one)."""
    return await cache.fetch(keys or (key(),), site.fill, RAW, deadline=Deadline.after(seconds))


async def settled(cache: Cache) -> None:
    """Waits until what was filled has been put."""
    while cache._flights._tasks:
        await asyncio.wait(cache._flights._tasks)
