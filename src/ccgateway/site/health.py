"""What is known of one site from the last exchanges with it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from ccgateway.errors import Code, SiteError
from ccgateway.site.breaker import BreakerState
from ccgateway.site.facts import SiteFacts

__all__ = ["BOUNDED_FOR", "CUT_OFF", "SiteHealth"]

#: seconds for which a site that fails on jobs of impossible start times is asked for others only
BOUNDED_FOR = 60.0
#: seconds without an answer after which a question that was cut off counts as one that failed
CUT_OFF = 2.0

#: failures that say nothing of the site itself: one caller's token would be everybody's news
_OF_THE_CALLER = frozenset({Code.SITE_UNAUTHORIZED, Code.NO_CREDENTIAL, Code.NOT_FOUND})


@dataclass(slots=True)
class SiteHealth:
    """What is known of a site from the last exchanges.

    Whether it answered, since when that is so, its newest failure; ``bounded_until``: until when (on the monotonic clock) it is
    not asked for jobs of impossible start times; ``pushed_down``, ``residual``: jobs looked at for lists, where the site
    evaluated the whole filter, and where the gateway had to test them; ``facts``: what its answers tell by the way. ``breaker``:
    whether its failures keep questions from it, and since when (``breaker_since``, seconds since the epoch). ``patience``: a
    question that is given fewer seconds than that tells nothing of the site by being late.
    """

    facts: SiteFacts = field(default_factory=SiteFacts)
    patience: float = CUT_OFF
    reachable: bool = False
    since: float = 0.0
    last_error: SiteError | None = None
    last_error_at: float | None = None
    bounded_until: float = -math.inf
    breaker: BreakerState = BreakerState.CLOSED
    breaker_since: float = 0.0
    pushed_down: int = 0
    residual: int = 0

    def note(self, error: SiteError | None, given: float = math.inf) -> None:
        """Takes in how one question ended that was given so many seconds; not where that is its caller's affair."""
        if error is not None and (error.code in _OF_THE_CALLER or (error.code is Code.TIMEOUT and given < self.patience)):
            return
        reachable = error is None
        if reachable != self.reachable or not self.since:
            self.reachable, self.since = reachable, time.time()
        if error is not None:
            self.last_error, self.last_error_at = error, time.time()

    def note_breaker(self, state: BreakerState) -> None:
        """Takes in whether questions are kept from the site."""
        if state is not self.breaker or not self.breaker_since:
            self.breaker, self.breaker_since = state, time.time()

    def note_read(self, jobs: int, *, is_residual: bool) -> None:
        """So many jobs were looked at for a list."""
        if is_residual:
            self.residual += jobs
        else:
            self.pushed_down += jobs

    @property
    def lists_all_times(self) -> bool:
        """Whether the site can be asked for jobs up to the end of time, for all that is known."""
        return time.monotonic() >= self.bounded_until

    def note_bounded(self) -> None:
        """The site fails on jobs whose start lies beyond ``LATEST``: it is asked for others only, for a while."""
        self.bounded_until = time.monotonic() + BOUNDED_FOR
