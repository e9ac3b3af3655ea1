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

#: lines of one site at once, and seconds after which it may have one more
LINES_AT_ONCE, SECONDS_PER_LINE = 6.0, 300.0

_WELL = frozenset({CallOutcome.OK, CallOutcome.REFUSED})


@dataclass(slots=True)
class _State:
    """``since``: when the row of failures began; ``is_down``: whether it is asked no more, ``told``: and the log says so;
    ``missed``: requests that went without the site since then."""

    failures: int = 0
    since: float = 0.0
    is_down: bool = False
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
    """Told of every call to a site, of every request, and of sites that are asked no more; writes the lines."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, _State] = {}

    def note_call(self, site: str, outcome: CallOutcome) -> None:
        """How an HTTP request to a site ended. One that was cancelled tells nothing."""
        if outcome is CallOutcome.CANCELLED:
            return
        state = self._states.get(site)
        if outcome not in _WELL:
            self._fail(site)
        elif state is not None:
            state.failures = 0

    def note_change(self, site: str, failure: str | None) -> None:
        """``site`` is asked no more, for that reason; ``None``: it is asked again."""
        if failure is None:
            state = self._states.get(site)
            if state is not None:
                state.failures, state.is_down = 0, False
                if state.told and state.may_tell(self._clock()):
                    self._tell_back(site, state)
            return
        state = self._fail(site)
        state.is_down = True
        if not state.told and state.may_tell(self._clock()):
            state.told = True
            fields = {"site": site, "state": "down", "reason": failure}
            logger.warning("site %s is down: %s", site, failure, extra={FIELDS: {**fields, "message": "site is down"}})

    def _fail(self, site: str) -> _State:
        now = self._clock()
        state = self._states.get(site)
        if state is None:
            state = self._states[site] = _State(credited_at=now)
        if not state.failures and not state.is_down and not state.told:
            state.since, state.missed = now, 0
        state.failures += 1
        return state

    def note_request(self, record: RequestRecord) -> None:
        """Which sites a request had to do without."""
        for site, code in record.sites.items():
            if code is not None and (state := self._states.get(site)) is not None and (state.failures or state.is_down):
                state.missed += 1

    def _tell_back(self, site: str, state: _State) -> None:
        seconds = self._clock() - state.since
        state.told = False
        fields = {"site": site, "state": "up", "seconds": round(seconds, 1), "missed": state.missed}
        logger.warning(
            "site %s answers again after %.0f s; %d requests went without it", site, seconds, state.missed,
            extra={FIELDS: {**fields, "message": "site answers again"}},
        )  # fmt: skip
