"""Numbered pages that follow one another: where the next one begins is remembered.

A list that is read page by page, "until there are fewer than a page", must neither lose nor double a job when others come and go
meanwhile. So page 2 begins where the page 1 that the same caller read last ended, and so on. What is not remembered (any more) is
found by skipping, as everybody does who asks for page 7 out of the blue.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

__all__ = ["RememberedPages"]

#: places remembered at any one time, and for how many seconds
MOST_PLACES, REMEMBERED_FOR = 10_000, 600.0


class RememberedPages:
    """For every walk (caller, question, size of a page) and page number the cursor at which that page begins.

    Bounded: the places that were used longest ago are forgotten first, and all of them after ``seconds``. Two walks of one caller
    with the very same question share their places: whichever read a page last says where the next begins.
    """

    def __init__(
        self, *, most: int = MOST_PLACES, seconds: float = REMEMBERED_FOR, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._places: OrderedDict[tuple[Hashable, int], tuple[str, float]] = OrderedDict()

    def start_of(self, walk: Hashable, page: int) -> str | None:
        """The cursor at which ``page`` of ``walk`` begins; ``None`` if that is not known."""
        found = self._places.get((walk, page))
        if found is None or self._clock() - found[1] > self._seconds:
            return None
        self._places.move_to_end((walk, page))
        return found[0]

    def remember(self, walk: Hashable, page: int, cursor: str) -> None:
        """``page`` of ``walk`` begins at ``cursor``."""
        self._places[walk, page] = cursor, self._clock()
        self._places.move_to_end((walk, page))
        while len(self._places) > self._most:
            self._places.popitem(last=False)
