"""What a site's answers tell beside what was asked: its clock, how long they take, until when its certificate is good."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

__all__ = ["Latency", "SiteFacts"]

#: seconds after which the clock is looked at again: to read a date takes its time
CLOCK_EVERY = 30.0
#: answers whose times are remembered
LATENCIES = 500


@dataclass(frozen=True, slots=True)
class Latency:
    """How long (s) half of the newest ``calls`` HTTP requests that a site answered took at the most, and 95 and 99 of 100."""

    calls: int
    p50: float
    p95: float
    p99: float


@dataclass(slots=True)
class SiteFacts:
    """``clock_skew`` (s): how far the site's clock is ahead, to the second; ``certificate_expires``: epoch seconds. ``None``: not
    known (yet)."""

    clock_skew: float | None = None
    certificate_expires: float | None = None
    _clock_at: float = -math.inf
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))

    def note_certificate(self, expires: float) -> None:
        """When the certificate of a new connection expires."""
        self.certificate_expires = expires

    def note_latency(self, seconds: float) -> None:
        """An answer took so long."""
        self._latencies.append(seconds)

    @property
    def latency(self) -> Latency | None:
        """Of the newest answers; ``None`` before the first."""
        ordered = sorted(self._latencies)
        if not ordered:
            return None
        p50, p95, p99 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95, 0.99))
        return Latency(len(ordered), p50, p95, p99)

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
