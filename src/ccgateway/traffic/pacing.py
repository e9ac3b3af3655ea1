"""Processor time, which all requests share as everything runs in one thread.

Of large questions, one piece of work at a time, and while small questions are about, a pause as long as it. Of every caller, one
piece of work in each pass of the loop: without this, a request would wait for a piece of every other one at each of its steps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from typing import TypeVar

__all__ = ["CallerTurns", "Pacer"]

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


class CallerTurns:
    """``is_shared``: whether several callers are about; one alone has all turns."""

    def __init__(self, is_shared: Callable[[], bool]) -> None:
        self._is_shared = is_shared
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    async def take(self, caller: Hashable) -> None:
        """Waits until no other request of ``caller`` has had its turn in this pass of the loop. What the task does until it next
        awaits something is the piece of work."""
        waiting = self._waiting.get(caller)
        if waiting is None:
            if self._is_shared():
                self._waiting[caller] = deque()
                asyncio.get_running_loop().call_soon(self._pass_on, caller)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        await turn

    def _pass_on(self, caller: Hashable) -> None:
        waiting = self._waiting[caller]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():  # whoever was cancelled waits no more
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._pass_on, caller)
                return
        del self._waiting[caller]
