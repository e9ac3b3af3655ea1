"""What is done to one thing (writes to a job, changes of a person's settings) goes one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from ccgateway.deadline import Deadline

__all__ = ["KeyedLock"]


class KeyedLock:
    """Those who come with the same name go one after the other, in the order in which they came."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def take(self, name: Hashable, deadline: Deadline) -> AsyncIterator[bool]:
        """Whether one had to wait: then what was read before may be out of date. ``TimeoutError`` if the turn does not come."""
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, users + 1
        try:
            async with deadline.limit():
                await lock.acquire()
            try:
                yield users > 0
            finally:
                lock.release()
        finally:
            _, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = lock, users - 1
