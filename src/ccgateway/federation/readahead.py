"""Merges kept open between two pages: what was read beyond a page serves the next one, and more is read ahead meanwhile.

A merge that was answered in full is kept under its cursor for a few seconds. Whoever hands that cursor back goes on with it;
everybody else, and everybody later, starts from the cursor afresh, so that this cache changes cost, never the list; and so does
everybody once something was written at one of its sites (``Merge.snapshot``). While a caller keeps asking, the next rows are read
before it does: twice as many with every page, up to a bound.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from ccgateway.federation.merge import Merge
from ccgateway.traffic.scopes import in_background

__all__ = ["ReadAheadCache"]

#: merges kept at any one time, and rows of one merge beyond which it is not worth the memory
MOST_MERGES, MOST_ROWS = 64, 10_000
#: seconds to wait for what is being read ahead; beyond, the page is read afresh
_MOST_WAIT = 1.0


@dataclass(slots=True)
class _Entry:
    merge: Merge
    reading: asyncio.Task[None] | None
    timer: asyncio.TimerHandle


class ReadAheadCache:
    """The merges that wait for their next page, for ``seconds`` at most (0: none is kept).

    Owns the tasks that read ahead: ``aclose`` ends them.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def put(self, key: Hashable, merge: Merge, *, read_ahead: int) -> None:
        """Keeps ``merge`` for whoever comes with ``key``, and reads on until ``read_ahead`` jobs are ready (0: does not)."""
        if self._seconds <= 0 or merge.held_rows > MOST_ROWS or key in self._entries:
            return
        reading = None
        if read_ahead > len(merge.ready) and not merge.exhausted:
            reading = in_background(asyncio.get_running_loop(), merge.collect(read_ahead), "read ahead")
        timer = asyncio.get_running_loop().call_later(self._seconds, self._drop, key)
        self._entries[key] = _Entry(merge, reading, timer)
        if len(self._entries) > MOST_MERGES:
            self._drop(next(iter(self._entries)))

    async def take(self, key: Hashable) -> Merge | None:
        """The merge kept under ``key``, taken out; ``None`` if there is none, or reading ahead failed."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        entry.timer.cancel()
        if entry.reading is not None:
            try:
                await asyncio.wait((entry.reading,), timeout=_MOST_WAIT)
            finally:
                if not entry.reading.done():
                    entry.reading.cancel()
            if entry.reading.cancelled() or not entry.reading.done() or entry.reading.exception() is not None:
                return None
        return entry.merge if entry.merge.is_whole else None

    def clear(self) -> None:
        """Drops every merge: what comes next is read afresh."""
        for key in list(self._entries):
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.timer.cancel()
            if entry.reading is not None:
                entry.reading.cancel()

    async def aclose(self) -> None:
        """Drops every merge and waits until nothing reads any more."""
        tasks = [entry.reading for entry in self._entries.values() if entry.reading is not None]
        for key in list(self._entries):
            self._drop(key)
        await asyncio.gather(*tasks, return_exceptions=True)
