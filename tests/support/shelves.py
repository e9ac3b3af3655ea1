"""Shelves whose time the test makes pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ccgateway.cache.facade import open_cache
from ccgateway.federation.remembered.shelf import Shelf
from ccgateway.settings import CacheSettings

__all__ = ["Clock", "settled", "shelf_of", "until"]


@dataclass
class Clock:
    """The time that a shelf goes by, seconds since the epoch."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def shelf_of(clock: Clock | None = None, **settings: Any) -> Shelf:
    """A shelf with these settings of ``[cache]``."""
    lives = CacheSettings.model_validate(settings)
    return Shelf(open_cache(lives, clock=clock or Clock()), lives)


async def settled(shelf: Shelf) -> None:
    """Waits until what was fetched is on the shelf, and what is being refreshed is fresh."""
    while tasks := shelf.cache._flights._tasks:
        await asyncio.wait(tasks)


async def until(condition: Callable[[], object]) -> None:
    """Lets the others work until it holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)
