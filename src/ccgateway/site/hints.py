"""That a site is down, passed on between processes: a hint, on which each of them looks for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from ccgateway.cache.ttl_store import TtlStore

__all__ = ["OutageHints"]

#: seconds for which a hint stands: longer than between two looks; seconds between two questions for one
STANDS_FOR, EVERY = 6.0, 1.0


class OutageHints:
    """Hints about ``site`` in what all processes share. Never waited for: work of its own asks and tells, ``aclose`` ends it."""

    def __init__(self, store: TtlStore, site: str) -> None:
        self._store, self._site = store, site
        self._asked_at = float("-inf")
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def ask(self, is_down: Callable[[], None]) -> None:
        """Calls ``is_down`` later on if another process says so. Asks now and then, however often it is called."""
        now = asyncio.get_running_loop().time()
        if now - self._asked_at < EVERY:
            return
        self._asked_at = now

        async def look() -> None:
            if await self._store.get(self._site) is not None:
                is_down()

        self._begin("ask", look)

    def tell(self) -> None:
        """The site failed just now."""
        self._begin("tell", lambda: self._store.set(self._site, b"1", STANDS_FOR))

    def _begin(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if name in self._tasks:
            return  # the last one is not through yet: Redis is slow
        loop = asyncio.get_running_loop()
        task = self._tasks[name] = loop.create_task(work(), name=f"hint about {self._site}", context=Context())
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def aclose(self) -> None:
        """Ends what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
