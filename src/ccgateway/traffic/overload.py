"""Overload: when more comes than the process can work on, it begins only as much as it can answer about as quickly as ever.

A request begins as soon as small questions that have begun have next to no steps to make; until then it waits, callers taking
turns. What has begun so is answered about as soon as it would be alone, however many wait. One caller does not wait for another
while few are about.

The process is overloaded once ``MANY`` wait to begin, one of them for ``LATE`` seconds, or once any waits for ``VERY_LATE``, or
all of them, for two seconds without a break, for long for a place at a site while no site had one free. From then on as many may
wait to begin, and be under way, as wait little (additive increase, multiplicative decrease); those beyond are turned away at
once. Those who wait already then share the turns with those who come, so that a burst is answered, if late; but while others are
turned away, whoever is let in is answered in time, and those from before have to go as well, after ``GIVEN_UP``. Of the places,
each caller gets its share, so that one who asks for more than that finds none, and others do. Once nobody was turned away for a
while, it is over.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ccgateway.errors import Code, RequestError
from ccgateway.telemetry.samples import Sample
from ccgateway.traffic.fair_loop import FairLoop
from ccgateway.traffic.turns import Turns

__all__ = ["Arrival", "Overload", "current_arrival", "is_arrival"]

logger = logging.getLogger("ccgateway.server")

#: seconds of one measurement, and how many in a row of long waits for places make an overload
WINDOW, WINDOWS = 0.1, 20
#: requests that are many to wait, and seconds that are long to wait for one of many, for one of few, and for a place
MANY, LATE, VERY_LATE, LATE_PLACE = 128, 0.25, 2.0, 2.0
#: seconds that are little, once others are turned away
IN_TIME, IN_TIME_PLACE = 0.01, 0.1
#: seconds of a round of the loop in which little was done
SHORT_ROUND = 0.00025
#: seconds after which a small question begins whatever else there is to do
LATEST = 0.05
#: seconds after which whoever was there before the overload is turned away, while others are; and while none is
GIVEN_UP, GIVEN_UP_AT_LAST = 2.0, 10.0
#: requests that may wait to begin when an overload begins, and always
FIRST_WAITING, FEWEST_WAITING = 8, 2
#: requests under way at the most, and those that are always let in
MOST, FEWEST = 512, 8
#: callers that are few: one that has no request begun does not wait for its turn beside them
FEW_CALLERS = 4
#: callers without a request that are let in however many those of others are
NEWCOMERS = 16
#: seconds without anybody turned away after which the overload is over
OVER_AFTER = 2.0
#: seconds for which a request that was turned away tells that others are, too
REFUSING = 1.0
#: seconds for which a caller that was turned away counts among those who share the places
SHARES_FOR = 1.0
#: callers that are told apart at any one time
MOST_CALLERS = 1024
#: seconds after which whoever is turned away may ask again
RETRY_AFTER = (1, 3)


class Arrival:
    """One request of ``caller`` that came ``at`` a moment and is under way until it leaves: when its answer begins, or nobody
    waits for it. ``has_begun``: its turn has come; ``refusal``: it never will; ``is_out``: it is to come back."""

    __slots__ = ("_turn", "at", "caller", "has_begun", "is_here", "is_out", "overload", "refusal")

    def __init__(self, overload: Overload, caller: Hashable) -> None:
        self.overload, self.caller, self.at = overload, caller, -math.inf
        self.is_here = self.has_begun = self.is_out = False
        self._turn: asyncio.Future[None] | None = None
        self.refusal: RequestError | None = None

    async def turn(self) -> None:
        """Waits until the request may begin. Raises ``OVERLOADED`` if it may not after all."""
        if self.refusal is not None:
            raise self.refusal
        if not self.has_begun:
            self._turn = asyncio.get_running_loop().create_future()
            await self._turn

    def begin(self) -> None:
        """It may."""
        self.has_begun = True
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    def refuse(self, refusal: RequestError) -> None:
        """It may not."""
        self.refusal = refusal
        if self._turn is not None and not self._turn.done():
            self._turn.set_exception(refusal)

    def step_out(self) -> None:
        """It takes no place for as long as it waits for its own caller, who may take any time."""
        if self.is_here:
            self.leave()
            self.is_out, self.has_begun, self._turn = True, False, None

    async def come_back(self) -> None:
        """Takes a place again, in its turn, if it stepped out. Raises ``RATE_LIMITED`` or ``OVERLOADED`` where it finds none."""
        if self.is_out:
            self.is_out = False
            self.overload.let_in(self)
            await self.turn()

    def leave(self) -> None:
        """It takes none any more."""
        self.is_out = False
        if self.is_here:
            self.is_here = False
            self.overload.note_leave(self)
            if self._turn is not None:
                self._turn.cancel()


class _Bound:
    """Requests of one kind at a time: so many ``places`` as wait no longer than ``in_time`` on average, of ``first`` at first."""

    def __init__(self, first: int, fewest: int, most: int, *, in_time: float, decrease: float) -> None:
        self.places, self.held, self.count = first, Counter[Hashable](), 0
        self._first, self._fewest, self._most, self._in_time, self._decrease = first, fewest, most, in_time, decrease
        self._is_full = False
        self._least, self._sum, self._waits = math.inf, 0.0, 0

    def enter(self, caller: Hashable) -> None:
        """One more."""
        self.held[caller] += 1
        self.count += 1

    def leave(self, caller: Hashable) -> None:
        """One less."""
        self.count -= 1
        _subtract(self.held, caller)

    def forget(self) -> None:
        """Nobody is counted any more."""
        self.count = 0
        self.held.clear()

    def is_open(self, caller: Hashable, share: int) -> bool:
        """Whether there is a place, for a caller that may have so many."""
        held = self.held[caller]
        if self.count < self.places and held < share:
            return True
        # somebody else's requests do not keep all places from who has none
        is_open = not held and len(self.held) < max(NEWCOMERS, 2 * self.places)
        self._is_full = self._is_full or not is_open
        return is_open

    def note(self, seconds: float) -> None:
        """A request waited so long."""
        self._least = min(self._least, seconds)
        self._sum += seconds
        self._waits += 1

    def end_window(self) -> float | None:
        """Ends a measurement, and adapts to it. How long all have waited at least; ``None`` if none has."""
        least = self._least if self._waits else None
        if self._waits and self._sum > self._in_time * self._waits:
            self.places = max(self._fewest, int(self.places * self._decrease))
        elif self._is_full:
            self.places = min(self._most, self.places + max(1, self.places // 8))
        self._is_full = False
        self._least, self._sum, self._waits = math.inf, 0.0, 0
        return least

    def reset(self) -> None:
        """As at first."""
        self.places = self._first


class Overload:
    """All requests of this process. ``clock``: seconds. ``call_soon``: what is to be done in the next round of the loop.
    ``is_busy``: whether small questions that have begun have steps to make, by how long the last round took (s). By default both
    are of the running loop."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        is_busy: Callable[[float], bool] | None = None,
    ) -> None:
        self.is_on = False
        self.turned_away = 0
        self._clock, self._call_soon, self._is_busy = clock, call_soon or _call_soon, is_busy or _is_busy
        self._turns, self._begun = Turns[Arrival](), Counter[Hashable]()
        self._waiting = _Bound(FIRST_WAITING, FEWEST_WAITING, MOST, in_time=IN_TIME, decrease=0.5)
        self._under_way = _Bound(MOST, FEWEST, MOST, in_time=IN_TIME_PLACE, decrease=0.8)
        self._is_next_called, self._called_at, self._begun_at = False, -math.inf, -math.inf
        self._window_ends, self._late_windows = clock() + WINDOW, 0
        self._on_at = self._refused_at = -math.inf
        self._refused: dict[Hashable, float] = {}

    @property
    def under_way(self) -> int:
        """Requests that were let in and are not answered yet."""
        return self._under_way.count

    @property
    def waiting(self) -> int:
        """Requests that wait to begin."""
        return len(self._turns)

    def arrive(self, caller: Hashable) -> Arrival:
        """Lets a request in. Raises ``RATE_LIMITED`` for a caller that takes more than its share, else ``OVERLOADED``."""
        arrival = Arrival(self, caller)
        self.let_in(arrival)
        return arrival

    def let_in(self, arrival: Arrival) -> None:
        """The same for one that was here before."""
        caller, now = arrival.caller, self._clock()
        self._look(now)
        if self.is_on or self._under_way.count >= MOST:
            self._find_place(caller, now)
        arrival.is_here, arrival.at = True, now
        self._under_way.enter(caller)
        if self._may_begin(caller):
            self._begin(arrival, now)
        else:
            self._turns.join(arrival)
            self._waiting.enter(caller)
        if not self._is_next_called:
            self._call_next(now)  # one begins in each round of the loop

    def note_place(self, seconds: float) -> None:
        """A small question waited so long for a place at a site."""
        self._under_way.note(seconds)

    def note_leave(self, arrival: Arrival) -> None:
        """See ``Arrival``."""
        self._under_way.leave(arrival.caller)
        if arrival.has_begun:
            _subtract(self._begun, arrival.caller)
        elif arrival in self._turns:
            self._leave_turns(arrival)

    def samples(self) -> Iterator[Sample]:
        """What there is to tell Prometheus."""
        yield Sample("ccgateway_requests_turned_away_total", (), self.turned_away)
        yield Sample("ccgateway_overloaded", (), float(self.is_on))

    # --- who begins

    def _may_begin(self, caller: Hashable) -> bool:
        if not self._begun[caller] and len(self._begun) < FEW_CALLERS:
            return True  # what others do is shared out by the loop
        return not (self._turns or self._is_next_called or self._is_busy(0.0))

    def _begin(self, arrival: Arrival, now: float) -> None:
        self._begun[arrival.caller] += 1
        self._begun_at = now
        arrival.begin()

    def _call_next(self, now: float) -> None:
        self._is_next_called, self._called_at = True, now
        self._call_soon(self._next)

    def _next(self) -> None:
        self._is_next_called = False
        now = self._clock()
        self._look(now)
        if not self._turns:
            return
        if now - self._begun_at > LATEST or not self._is_busy(now - self._called_at):
            arrival = self._turns.next(passes_behind=self._is_refusing(now))
            if not self._turns.is_behind(arrival):
                self._waiting.note(now - arrival.at)
            self._leave_turns(arrival)
            self._begin(arrival, now)
        self._call_next(now)

    def _leave_turns(self, arrival: Arrival) -> None:
        if not self._turns.is_behind(arrival):
            self._waiting.leave(arrival.caller)
        self._turns.leave(arrival)

    # --- who is turned away

    def _find_place(self, caller: Hashable, now: float) -> None:
        about = self._about(caller, now)
        bounds = (self._waiting, self._under_way) if self.is_on else (self._under_way,)
        full = next((bound for bound in bounds if not bound.is_open(caller, max(1, bound.places // about))), None)
        if full is None:
            return
        self._refused_at = now
        self._refused.pop(caller, None)
        self._refused[caller] = now
        if len(self._refused) > MOST_CALLERS:
            self._refused.pop(next(iter(self._refused)))
        takes_more = about > 1 and full.held[caller] >= max(1, full.places // about)
        raise self._refusal(takes_more=takes_more)

    def _refusal(self, *, takes_more: bool) -> RequestError:
        self.turned_away += 1
        wait = random.randint(*RETRY_AFTER)  # noqa: S311 - so that not all come back at once
        more = ", and this caller more than its share of that" if takes_more else ""
        message = f"The gateway has more to do than it can{more}. Try again in {wait} s."
        return RequestError(Code.RATE_LIMITED if takes_more else Code.OVERLOADED, message, retry_after=wait)

    def _about(self, caller: Hashable, now: float) -> int:
        """Callers among which the places are shared out."""
        while self._refused and next(iter(self._refused.values())) < now - SHARES_FOR:
            self._refused.pop(next(iter(self._refused)))
        return len(self._under_way.held.keys() | self._refused.keys() | {caller})

    def _is_refusing(self, now: float) -> bool:
        return now - self._refused_at < REFUSING

    # --- what tells

    def _look(self, now: float) -> None:
        if now < self._window_ends:
            return
        self._window_ends = now + WINDOW
        first = self._turns.since()
        is_late = first is not None and now - first > (LATE if len(self._turns) > MANY else VERY_LATE)
        if self.is_on:
            self._give_up(now)
            self._waiting.end_window()
            self._under_way.end_window()
            if now - max(self._on_at, self._refused_at) > OVER_AFTER and not is_late:
                self._end()
            return
        least = self._under_way.end_window()
        if least is not None:
            self._late_windows = self._late_windows + 1 if least > LATE_PLACE else 0
        self._under_way.reset()
        if is_late or self._late_windows >= WINDOWS:
            self._start(now)

    def _start(self, now: float) -> None:
        self.is_on, self._on_at = True, now
        self._turns.put_behind()
        self._waiting.forget()
        logger.warning("overloaded: requests are turned away (503), so that those that are let in are answered in time")

    def _end(self) -> None:
        self.is_on, self._late_windows = False, 0
        self._waiting.reset()
        self._under_way.reset()
        logger.warning("not overloaded any more; %d requests were turned away since the start", self.turned_away)

    def _give_up(self, now: float) -> None:
        for arrival in self._turns.came_before(now - (GIVEN_UP if self._is_refusing(now) else GIVEN_UP_AT_LAST)):
            self._leave_turns(arrival)
            arrival.refuse(self._refusal(takes_more=False))


def _subtract(counts: Counter[Hashable], key: Hashable) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


def _call_soon(work: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(work)


def _is_busy(seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    if isinstance(loop, FairLoop) and loop.is_shared:
        return loop.has_interactive
    return seconds > SHORT_ROUND


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
