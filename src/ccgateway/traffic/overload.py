"""Overload: when more comes than the process can work on, it begins only as much as it can answer about as quickly as ever.

The process is overloaded once all requests waited long for two seconds without a break: for processor time, or for a place at a
site while no site had one free; or once ``MANY`` were under way for half a second and did not begin at once. A burst of requests
is none, nor are many that wait for sites. From then on so many are under way at the most as wait little (additive increase,
multiplicative decrease). Those beyond are turned away at once. Of the places, each caller gets its share, so that one who asks
for more than that finds none, and others do. Once nobody was turned away for a while, it is over.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ccgateway.errors import Code, RequestError
from ccgateway.telemetry.samples import Sample

__all__ = ["Arrival", "Overload", "current_arrival", "is_arrival"]

logger = logging.getLogger("ccgateway.server")

#: seconds of one measurement, and how many of them in a row make an overload
WINDOW, WINDOWS = 0.1, 20
#: requests under way that are many, and in how many measurements in a row they make an overload
MANY, FULL_WINDOWS = 256, 5
#: seconds that are long to wait for processor time, and for a place; seconds that are little, once others are turned away
LATE, LATE_PLACE = 0.25, 2.0
IN_TIME, IN_TIME_PLACE = 0.01, 0.1
#: requests under way that are always let in, and at the most
FEWEST, MOST = 8, 512
#: what is left of the places where requests begin late, and what comes to them else
LESS, MORE = 0.8, 8
#: seconds without anybody turned away after which the overload is over
OVER_AFTER = 2.0
#: seconds for which a caller that was turned away counts among those who share the places
SHARES_FOR = 1.0
#: callers that are told apart at any one time
MOST_CALLERS = 1024
#: seconds after which whoever is turned away may ask again
RETRY_AFTER = (1, 3)


@dataclass(slots=True, eq=False)
class Arrival:
    """One request of ``caller`` that is under way: ``begun``, then ``turn_came`` once it is worked on, and ``leave`` when its
    answer begins, or nobody waits for it. ``late`` (s): its first step; ``None``: that was not seen."""

    overload: Overload
    caller: Hashable
    at: float
    late: float | None = None
    is_here: bool = True

    def begun(self) -> None:
        """Its first step is made."""
        self.overload.note_begin(self)

    def turn_came(self, seconds: float) -> None:
        """It is known who asks, and has waited so long for that caller's turn."""
        if self.late is not None:
            self.overload.note_delay(self.late + seconds)

    def leave(self) -> None:
        """It takes none any more."""
        if self.is_here:
            self.is_here = False
            self.overload.note_leave(self)


class _Waits:
    """How long requests waited in one measurement; ``long``: in how many in a row all of them waited for more than ``late``."""

    def __init__(self, late: float, in_time: float) -> None:
        self._late, self._in_time = late, in_time
        self.long = 0
        self._least, self._sum, self._count = math.inf, 0.0, 0

    def note(self, seconds: float) -> None:
        """One more."""
        self._least = min(self._least, seconds)
        self._sum += seconds
        self._count += 1

    def end(self) -> bool:
        """Ends the measurement; whether they waited for more than a little."""
        if not self._count:
            return False
        is_late = self._sum / self._count > self._in_time
        self.long = self.long + 1 if self._least > self._late else 0
        self._least, self._sum, self._count = math.inf, 0.0, 0
        return is_late


class Overload:
    """All requests of this process. ``clock``: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_on = False
        self.turned_away = 0
        self._clock = clock
        self._places = MANY
        self._waiting: dict[Arrival, None] = {}
        self._of: Counter[Hashable] = Counter()
        self._here = 0
        self._window_ends = clock() + WINDOW
        self._begins, self._places_waited = _Waits(LATE, IN_TIME), _Waits(LATE_PLACE, IN_TIME_PLACE)
        self._is_full, self._full = False, 0
        self._refused_at = -math.inf
        self._refused: dict[Hashable, float] = {}

    @property
    def under_way(self) -> int:
        """Requests that were let in and are not answered yet."""
        return self._here

    def arrive(self, caller: Hashable, *, is_timed: bool = True) -> Arrival:
        """Lets a request in. Raises ``RATE_LIMITED`` for a caller that takes more than its share, else ``OVERLOADED``.

        ``is_timed``: whether this is the moment of its arrival, from which on it waits for processor time.
        """
        now = self._clock()
        self._look(now)
        if self.is_on or self._here >= MOST:
            self._find_place(caller, now)
        elif self._here >= MANY:
            self._is_full = True
        arrival = Arrival(self, caller, now)
        if is_timed:
            self._waiting[arrival] = None
        self._of[caller] += 1
        self._here += 1
        return arrival

    def _find_place(self, caller: Hashable, now: float) -> None:
        held = self._of[caller]
        if self._here < self._places and held < self._share(caller, now):
            return
        if not held and len(self._of) < 2 * self._places:
            return  # somebody else's requests do not keep all places from who has none
        self._is_full = True
        self.turned_away += 1
        self._refused_at = now
        self._refused.pop(caller, None)
        self._refused[caller] = now
        if len(self._refused) > MOST_CALLERS:
            self._refused.pop(next(iter(self._refused)))
        wait = random.randint(*RETRY_AFTER)  # noqa: S311 - so that not all come back at once
        if held and len(self._of) > 1 and held >= self._share(caller, now):
            message = (
                f"The gateway has more to do than it can, and this caller more than its share of that. Try again in {wait} s."
            )
            raise RequestError(Code.RATE_LIMITED, message, retry_after=wait)
        message = f"The gateway has more to do than it can. Try again in {wait} s."
        raise RequestError(Code.OVERLOADED, message, retry_after=wait)

    def _share(self, caller: Hashable, now: float) -> int:
        """Of the places, for each caller that is about."""
        while self._refused and next(iter(self._refused.values())) < now - SHARES_FOR:
            self._refused.pop(next(iter(self._refused)))
        about = self._of.keys() | self._refused.keys() | {caller}
        return max(1, self._places // len(about))

    def samples(self) -> Iterator[Sample]:
        """What there is to tell Prometheus."""
        yield Sample("ccgateway_requests_turned_away_total", (), self.turned_away)
        yield Sample("ccgateway_overloaded", (), float(self.is_on))

    # --- what tells

    def note_begin(self, arrival: Arrival) -> None:
        """See ``Arrival``."""
        if arrival in self._waiting:
            del self._waiting[arrival]
            arrival.late = self._clock() - arrival.at

    def note_delay(self, seconds: float) -> None:
        """A request waited so long for processor time."""
        self._begins.note(seconds)
        self._look(self._clock())

    def note_place(self, seconds: float) -> None:
        """A small question waited so long for a place at a site."""
        self._places_waited.note(seconds)

    def note_leave(self, arrival: Arrival) -> None:
        """See ``Arrival``."""
        self._waiting.pop(arrival, None)
        self._here -= 1
        self._of[arrival.caller] -= 1
        if not self._of[arrival.caller]:
            del self._of[arrival.caller]

    def _look(self, now: float) -> None:
        if now < self._window_ends:
            return
        if self._waiting and (oldest := now - next(iter(self._waiting)).at) > LATE:
            self._begins.note(oldest)  # those that have not begun at all tell as well
        are_late = [self._begins.end(), self._places_waited.end()]
        self._full = self._full + 1 if self._is_full and are_late[0] else 0
        if self.is_on:
            self._adapt(now, are_late=any(are_late))
        elif max(self._begins.long, self._places_waited.long) >= WINDOWS or self._full >= FULL_WINDOWS:
            self.is_on, self._refused_at = True, now
            logger.warning("overloaded: requests are turned away (503), so that those that are let in are answered in time")
        self._is_full, self._window_ends = False, now + WINDOW

    def _adapt(self, now: float, *, are_late: bool) -> None:
        if are_late:
            self._places = max(FEWEST, int(self._places * LESS))
        elif self._is_full:
            self._places = min(MOST, self._places + max(1, self._places // MORE))
        if now - self._refused_at > OVER_AFTER:
            self.is_on, self._places = False, MANY
            self._begins.long = self._places_waited.long = self._full = 0
            logger.warning("not overloaded any more; %d requests were turned away since the start", self.turned_away)


_arrival: ContextVar[Arrival | None] = ContextVar("arrival", default=None)


def current_arrival() -> Arrival | None:
    """That of the request that the running task works on."""
    return _arrival.get()


@contextmanager
def is_arrival(arrival: Arrival | None) -> Iterator[None]:
    """For the length of the work on that request (``None``: on one that nobody counts)."""
    token = _arrival.set(arrival)
    try:
        yield
    finally:
        _arrival.reset(token)
        if arrival is not None:
            arrival.leave()
