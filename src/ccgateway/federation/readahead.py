"""Walks kept open between two pages: what was read beyond a page serves the next one, and more is read meanwhile.

A walk that was answered in full is parked under its cursor for a few seconds. Whoever hands that cursor back goes on with it;
everybody else, and everybody later, starts from the cursor afresh, so that parking changes cost, never the list; and so does
everybody once something was written at one of its sites (``Walk.mark``). While a caller keeps asking, the next rows are read
before it does: twice as many with every page, up to a bound.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from ccgateway.federation.walk import Walk
from ccgateway.traffic.scopes import in_background

__all__ = ["ParkedWalks"]

#: walks parked at any one time, and rows of one walk beyond which it is not worth the memory
MOST_WALKS, MOST_ROWS = 64, 10_000
#: seconds to wait for what is being read ahead; beyond, the page is read afresh
_MOST_WAIT = 1.0


@dataclass(slots=True)
class _Parked:
    walk: Walk
    reading: asyncio.Task[None] | None
    timer: asyncio.TimerHandle


class ParkedWalks:
    """The walks that wait for their next page, for ``seconds`` at most (0: none is kept).

    Owns the tasks that read ahead: ``aclose`` ends them.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._parked: OrderedDict[Hashable, _Parked] = OrderedDict()

    def park(self, key: Hashable, walk: Walk, *, read_ahead: int) -> None:
        """Keeps ``walk`` for whoever comes with ``key``, and reads on until ``read_ahead`` jobs are ready (0: does not)."""
        if self._seconds <= 0 or walk.held_rows > MOST_ROWS or key in self._parked:
            return
        reading = None
        if read_ahead > len(walk.ready) and not walk.exhausted:
            reading = in_background(asyncio.get_running_loop(), walk.collect(read_ahead), "read ahead")
        timer = asyncio.get_running_loop().call_later(self._seconds, self._drop, key)
        self._parked[key] = _Parked(walk, reading, timer)
        if len(self._parked) > MOST_WALKS:
            self._drop(next(iter(self._parked)))

    async def take(self, key: Hashable) -> Walk | None:
        """The walk parked under ``key``, no longer parked; ``None`` if there is none, or reading ahead failed."""
        found = self._parked.pop(key, None)
        if found is None:
            return None
        found.timer.cancel()
        if found.reading is not None:
            try:
                await asyncio.wait((found.reading,), timeout=_MOST_WAIT)
            finally:
                if not found.reading.done():
                    found.reading.cancel()
            if found.reading.cancelled() or not found.reading.done() or found.reading.exception() is not None:
                return None
        return found.walk if found.walk.is_whole else None

    def clear(self) -> None:
        """Drops every walk: what comes next is read afresh."""
        for key in list(self._parked):
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        found = self._parked.pop(key, None)
        if found is not None:
            found.timer.cancel()
            if found.reading is not None:
                found.reading.cancel()

    async def aclose(self) -> None:
        """Drops every walk and waits until nothing reads any more."""
        tasks = [parked.reading for parked in self._parked.values() if parked.reading is not None]
        for key in list(self._parked):
            self._drop(key)
        await asyncio.gather(*tasks, return_exceptions=True)
