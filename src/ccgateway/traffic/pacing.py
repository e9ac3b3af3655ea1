"""Processor time of large questions: one piece of work at a time, and while small questions are about, a pause as long as it.

Everything runs in one thread: without this, a small question would wait for a piece of every large one at each of its steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Pacer"]

T = TypeVar("T")

#: work below this many seconds counts as none
SHORT = 0.0005


class Pacer:
    """``has_small``: whether small questions are about."""

    def __init__(self, has_small: Callable[[], bool]) -> None:
        self._has_small = has_small
        self._free_at = 0.0

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work``, which takes processor time and awaits nothing, comes to, as soon as it is its turn."""
        clock = asyncio.get_running_loop().time
        while (wait := self._free_at - clock()) > 0:  # noqa: ASYNC110 - a moment, and not an event, is waited for
            await asyncio.sleep(wait)
        begun = clock()
        try:
            return work()
        finally:
            took = clock() - begun
            if took > SHORT:
                self._free_at = clock() + (took if self._has_small() else 0.0)
