"""What a site's answers tell beside what was asked: its clock, and until when its certificate is good."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

__all__ = ["SiteFacts"]

#: seconds after which the clock is looked at again: to read a date takes its time
CLOCK_EVERY = 30.0


@dataclass(slots=True)
class SiteFacts:
    """``clock_skew`` (s): how far the site's clock is ahead, to the second; ``certificate_expires``: epoch seconds. ``None``: not
    known (yet)."""

    clock_skew: float | None = None
    certificate_expires: float | None = None
    _clock_at: float = -math.inf

    def note_certificate(self, expires: float) -> None:
        """When the certificate of a new connection expires."""
        self.certificate_expires = expires

    def note_date(self, date: str | None, seconds: float) -> None:
        """The ``Date`` of an answer that took ``seconds``; what is none tells nothing."""
        now = time.monotonic()
        if date is None or now - self._clock_at < CLOCK_EVERY:
            return
        try:
            told = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError, TypeError):
            return
        self._clock_at = now
        # a date has no fractions: half a second is what is cut off on average, and it was written about half-way
        self.clock_skew = told + 0.5 - (time.time() - seconds / 2)
