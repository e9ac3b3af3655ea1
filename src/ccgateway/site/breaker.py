"""When a site's failures keep questions from it, and when it is asked again: rules without clock, task or I/O.

Closed: everybody asks. Open, after too many failures: nobody does, and the gateway looks after the site by itself. Half open: a
look went well, and more have to before the site is believed; how many depends on how often it fell lately.

All moments are seconds on one clock that never goes back; ``random`` gives 0 to 1.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from enum import Enum

__all__ = ["BreakerState", "FailureCount", "Recovery", "Relapses"]

#: failures one after the other that are too many
IN_A_ROW = 5
#: so are half of the questions of so many seconds, if there were so many; the newest are counted
WINDOW, AT_LEAST, MOST_COUNTED = 30.0, 10, 100
#: seconds from the begin of one look to that of the next: at first, and at the most; either made up to a fifth shorter or longer
FIRST_LOOK, LAST_LOOK, JITTER = 0.25, 2.0, 0.2
#: the same while looks go well, of which more than one is wanted
WELL_LOOK = 0.2
#: seconds that a site may ask for (``Retry-After``) before it is looked at again
MOST_ASKED_FOR = 30.0
#: seconds after which callers are told to ask again: at first, and at the most
FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0
#: seconds in which a site that fell again is one that relapses; seconds for which looks at such a one have to go well
LATELY, STEADY_FOR = 60.0, 2.0


class BreakerState(Enum):
    """Whether a site is asked."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class FailureCount:
    """Counts how questions end, until too many failed."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._ends: deque[tuple[float, bool]] = deque(maxlen=MOST_COUNTED)

    def succeeded(self, now: float) -> None:
        """A question was answered."""
        self._in_a_row = 0
        self._ends.append((now, False))

    def failed(self, now: float) -> bool:
        """A question failed by the site's fault; whether that was one too many."""
        self._in_a_row += 1
        self._ends.append((now, True))
        while self._ends[0][0] <= now - WINDOW:
            self._ends.popleft()
        failures = sum(failed for _, failed in self._ends)
        return self._in_a_row >= IN_A_ROW or (len(self._ends) >= AT_LEAST and failures * 2 >= len(self._ends))


class Relapses:
    """How often a site fell lately."""

    def __init__(self) -> None:
        self._count = 0
        self._recovered_at = -math.inf

    def recovered(self, now: float) -> None:
        """It is well again."""
        self._recovered_at = now

    def fell(self, now: float) -> float:
        """It fell; for how many seconds looks have to go well before it is believed: none the first time, then longer."""
        self._count = self._count + 1 if now - self._recovered_at < LATELY else 0
        return min(STEADY_FOR, self._count * STEADY_FOR / 2)


class Recovery:
    """The way back of a site that is not asked: when it is looked at, and when that is enough.

    ``steady_for``: seconds for which looks have to go well; 0: one is enough.
    """

    def __init__(self, now: float, random: Callable[[], float], steady_for: float = 0.0) -> None:
        self.since = now
        self._random, self._steady_for = random, steady_for
        self._pause = FIRST_LOOK
        self._well_since: float | None = None

    @property
    def state(self) -> BreakerState:
        """``HALF_OPEN`` once a look went well."""
        return BreakerState.OPEN if self._well_since is None else BreakerState.HALF_OPEN

    def look_failed(self) -> None:
        """It is not well yet."""
        self._well_since = None

    def look_succeeded(self, now: float) -> bool:
        """It answered; whether that is enough."""
        if self._well_since is None:
            self._well_since = now
        return now - self._well_since >= self._steady_for

    def next_look(self, *, asked_for: float = 0.0) -> float:
        """Seconds from the begin of the last look to that of the next one. ``asked_for``: what the site wants."""
        if self._well_since is not None:
            return WELL_LOOK * self._jitter()
        pause = self._pause
        self._pause = min(pause * 2, LAST_LOOK)
        return max(pause * self._jitter(), min(asked_for, MOST_ASKED_FOR))

    def retry_after(self, now: float) -> float:
        """Seconds after which a caller is told to ask again: twice as long each time that they have passed."""
        wait, left = FIRST_WAIT, now - self.since
        while left >= wait and wait < LONGEST_WAIT:
            left -= wait
            wait = min(wait * 2, LONGEST_WAIT)
        return wait * self._jitter()

    def _jitter(self) -> float:
        return 1 + JITTER * (2 * self._random() - 1)
