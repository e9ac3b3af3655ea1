"""States of sites in the log: a line when one goes down and a line when it is back, however many ask meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ccgateway.telemetry.logs import FIELDS
from ccgateway.telemetry.observer import CallOutcome
from ccgateway.telemetry.requests import RequestRecord

__all__ = ["SiteStates"]

logger = logging.getLogger("ccgateway.sites")

#: failures in a row by which a site is down; lines of one site at once, and seconds after which it may have one more
DOWN_AFTER, LINES_AT_ONCE, SECONDS_PER_LINE = 3, 6.0, 300.0

_WELL = frozenset({CallOutcome.OK, CallOutcome.REFUSED})


@dataclass(slots=True)
class _State:
    """``since``: when the row of failures began; ``told``: whether the log has it as down; ``missed``: requests that went without
    the site since then."""

    failures: int = 0
    since: float = 0.0
    told: bool = False
    missed: int = 0
    credit: float = LINES_AT_ONCE
    credited_at: float = 0.0

    def may_tell(self, now: float) -> bool:
        """Whether there may be one more line: a site that goes and comes all the time is not told of each time."""
        self.credit = min(LINES_AT_ONCE, self.credit + (now - self.credited_at) / SECONDS_PER_LINE)
        self.credited_at = now
        if self.credit < 1.0:
            return False
        self.credit -= 1.0
        return True


class SiteStates:
    """Told of every call to a site and of every request; writes the lines."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, _State] = {}

    def note_call(self, site: str, outcome: CallOutcome) -> None:
        """How an HTTP request to a site ended. One that was cancelled tells nothing."""
        state = self._states.get(site)
        if outcome in _WELL:
            if state is not None and state.failures:
                state.failures = 0
            if state is not None and state.told and state.may_tell(self._clock()):
                self._tell_back(site, state)
            return
        if outcome is CallOutcome.CANCELLED:
            return
        now = self._clock()
        if state is None:
            state = self._states[site] = _State(credited_at=now)
        if not state.failures and not state.told:
            state.since, state.missed = now, 0
        state.failures += 1
        if state.failures >= DOWN_AFTER and not state.told and state.may_tell(now):
            state.told = True
            fields = {"site": site, "state": "down", "outcome": outcome.value}
            logger.warning("site %s is down (%s)", site, outcome.value, extra={FIELDS: {**fields, "message": "site is down"}})

    def note_request(self, record: RequestRecord) -> None:
        """Which sites a request had to do without."""
        for site, code in record.sites.items():
            if code is not None and (state := self._states.get(site)) is not None and (state.failures or state.told):
                state.missed += 1

    def _tell_back(self, site: str, state: _State) -> None:
        seconds = self._clock() - state.since
        state.told = False
        fields = {"site": site, "state": "up", "seconds": round(seconds, 1), "missed": state.missed}
        logger.warning(
            "site %s answers again after %.0f s; %d requests went without it", site, seconds, state.missed,
            extra={FIELDS: {**fields, "message": "site answers again"}},
        )  # fmt: skip
