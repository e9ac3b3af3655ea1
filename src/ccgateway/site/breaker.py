"""Whether a site's answers to one token are good enough to go on asking: a state machine without clock, task or I/O.

Closed: everybody asks. Open, after failures: nobody does, until a pause is over. Half open: one question is let through, and what
it comes to closes the breaker, or opens it for a pause twice as long.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from enum import Enum

__all__ = ["Breaker", "BreakerState"]

#: failures one after the other that open it
IN_A_ROW = 5
#: half of the questions of so many seconds, if there were so many
WINDOW, AT_LEAST = 30.0, 10
#: seconds that it is open for, at first and at the most, each made up to a fifth shorter or longer
FIRST_PAUSE, LONGEST_PAUSE, JITTER = 5.0, 60.0, 0.2
#: seconds after which a question that was let through, and of which nothing was heard, is one that failed
TRIAL_TIME = 60.0


class BreakerState(Enum):
    """Whether a site is asked."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Breaker:
    """One token's, at one site. All moments are seconds on one clock that never goes back; ``random`` gives 0 to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self.state = BreakerState.CLOSED
        self._random = random
        self._in_a_row = 0
        self._pause = FIRST_PAUSE
        self._until = -math.inf
        self._ends: deque[tuple[float, bool]] = deque()

    def admits(self, now: float) -> bool:
        """Whether a question may be asked. In ``HALF_OPEN`` one may, and whoever gets a yes then asks it."""
        if self.state is BreakerState.CLOSED:
            return True
        if now < self._until:
            return False
        self.state, self._until = BreakerState.HALF_OPEN, now + TRIAL_TIME
        return True

    def wait(self, now: float) -> float:
        """Seconds until a question may be let through."""
        return max(0.0, self._until - now) if self.state is not BreakerState.CLOSED else 0.0

    def succeeded(self, now: float) -> bool:
        """A question was answered; whether that closed it."""
        self._in_a_row = 0
        if self.state is not BreakerState.CLOSED:
            self.close()
            return True
        self._note(now, failed=False)
        return False

    def failed(self, now: float, *, retry_after: float = 0.0) -> bool:
        """A question failed by the site's fault; whether that opened it. ``retry_after``: seconds that the site asks for."""
        if self.state is BreakerState.OPEN:
            return False
        self._in_a_row += 1
        self._note(now, failed=True)
        failures = sum(failed for _, failed in self._ends)
        is_half = len(self._ends) >= AT_LEAST and failures * 2 >= len(self._ends)
        if self.state is BreakerState.CLOSED and self._in_a_row < IN_A_ROW and not is_half:
            return False
        is_new = self.state is BreakerState.CLOSED
        self._pause = FIRST_PAUSE if is_new else min(self._pause * 2, LONGEST_PAUSE)
        asked_for = max(self._pause, min(retry_after, LONGEST_PAUSE))
        self.state, self._until = BreakerState.OPEN, now + asked_for * (1 + JITTER * (2 * self._random() - 1))
        return is_new

    def withdrawn(self) -> None:
        """The question that was let through ended without telling anything of the site: the next one may be let through."""
        if self.state is BreakerState.HALF_OPEN:
            self.state, self._until = BreakerState.OPEN, -math.inf

    def close(self) -> None:
        """The site is known to answer; what was counted is forgotten."""
        self.state, self._in_a_row, self._pause, self._until = BreakerState.CLOSED, 0, FIRST_PAUSE, -math.inf
        self._ends.clear()

    def _note(self, now: float, *, failed: bool) -> None:
        self._ends.append((now, failed))
        while self._ends[0][0] <= now - WINDOW or len(self._ends) > MOST_COUNTED:
            self._ends.popleft()


#: questions that are counted at any one time
MOST_COUNTED = 100
