"""Caches whose time the test makes pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ccgateway.cache.facade import open_cache
from ccgateway.settings import CacheSettings
from ccgateway.site.caching.responses import ResponseCache

__all__ = ["Clock", "cache_of", "settled", "until"]


@dataclass
class Clock:
    """The time that a cache goes by, seconds since the epoch."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def cache_of(clock: Clock | None = None, **values: Any) -> ResponseCache:
    """A cache with these settings of ``[cache]``."""
    settings = CacheSettings.model_validate(values)
    return ResponseCache(open_cache(settings, clock=clock or Clock()), settings)


async def settled(responses: ResponseCache) -> None:
    """Waits until what was fetched is kept, and what is being refreshed is fresh."""
    while tasks := responses.cache._flights._tasks:
        await asyncio.wait(tasks)


async def until(condition: Callable[[], object]) -> None:
    """Lets the others work until it holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)
