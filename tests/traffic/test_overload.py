"""Nobody is turned away while requests begin in time; beyond, as many are let in as do."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from ccgateway.errors import Code, RequestError
from ccgateway.traffic.overload import FEWEST, LATE, MOST, OVER_AFTER, WINDOW, WINDOWS, Arrival, Overload

#: as many requests as can be under way at all
CONNECTIONS = 500


class Process:
    """A process that works on one request at a time, and a clock of its own: ``cost`` seconds each."""

    def __init__(self, cost: float = 0.01) -> None:
        self.now, self.cost = 0.0, cost
        self.overload = Overload(lambda: self.now)
        self.queue: list[Arrival] = []
        self.took: list[float] = []
        self.refused: list[RequestError] = []
        self._free_at = 0.0

    def ask(self, caller: Hashable = "a") -> bool:
        if caller != "modest" and self.overload.under_way >= CONNECTIONS:
            return False  # which is never sent
        try:
            self.queue.append(self.overload.arrive(caller))
        except RequestError as error:
            self.refused.append(error)
            return False
        return True

    def until(self, moment: float) -> None:
        """Works until then."""
        while self.queue and max(self._free_at, self.queue[0].at) + self.cost <= moment:
            arrival = self.queue.pop(0)
            self.now = max(self._free_at, arrival.at)
            arrival.begun()
            arrival.turn_came(0.0)
            self._free_at = self.now = self.now + self.cost
            self.took.append(self.now - arrival.at)
            arrival.leave()
        self.now = moment

    def arrivals(self, per_second: float, seconds: float, caller: Hashable = "a", *, start: float = 0.0) -> None:
        for number in range(int(per_second * seconds)):
            self.until(start + number / per_second)
            self.ask(caller)


def test_below_capacity_nobody_is_turned_away() -> None:
    process = Process()
    process.arrivals(95, 60)
    assert not process.refused and not process.overload.is_on


def test_a_burst_is_let_in_whole() -> None:
    process = Process()
    for second in range(0, 30, 3):
        process.until(float(second))
        for _ in range(100):  # a second of work at once
            process.ask()
    process.until(40.0)
    for _ in range(CONNECTIONS):
        process.ask()
    process.until(50.0)
    assert not process.refused
    assert len(process.took) == 1000 + CONNECTIONS


def test_callers_who_wait_for_their_answers_before_they_ask_again_are_not_turned_away() -> None:
    process = Process(cost=0.002)
    for _ in range(100):
        process.ask()
    for step in range(1, 10_000):
        done = len(process.took)
        process.until(step * 0.002)
        for _ in range(len(process.took) - done):
            process.ask()
    assert not process.refused


def test_a_process_that_stood_still_for_a_while_turns_nobody_away() -> None:
    process = Process(cost=0.001)
    for start in range(5):
        process.arrivals(100, 2, start=start * 4.0)
        process.until(start * 4.0 + 2)
        process.now += 1.5  # another one had the processor
        for _ in range(100):  # meanwhile
            process.ask()
    assert not process.refused


def test_waiting_for_sites_is_no_overload() -> None:
    process = Process()
    under_way = []
    for number in range(MOST):
        process.now = number * 0.02
        arrival = process.overload.arrive("a")
        arrival.begun()
        arrival.turn_came(0.0)
        under_way.append(arrival)
    assert process.overload.under_way == MOST
    for arrival in under_way:
        arrival.leave()
        arrival.leave()
    assert process.overload.under_way == 0


@pytest.mark.parametrize("times", [2, 4, 10])
def test_beyond_capacity_what_is_let_in_fills_it_and_is_answered_soon(times: int) -> None:
    process = Process()
    process.arrivals(100 * times, 20)  # in which those are answered who came before it was known
    begun = len(process.took)
    process.arrivals(100 * times, 30, start=20.0)
    took = sorted(process.took[begun:])
    assert len(took) >= 0.9 * 30 * 100
    assert took[int(0.99 * len(took))] < 0.5
    assert process.overload.turned_away > 0


def test_those_who_are_turned_away_are_told_when_to_come_back() -> None:
    process = Process()
    process.arrivals(1000, 10)
    assert {error.code for error in process.refused} == {Code.OVERLOADED}
    assert all(error.retryable and (error.retry_after or 0) >= 1 for error in process.refused)


def test_a_caller_beside_a_greedy_one_is_let_in_and_the_greedy_one_is_told_that_it_is_it() -> None:
    process = Process()
    process.arrivals(1000, 20, "greedy")
    let_in = 0
    for number in range(3000):
        process.until(20.0 + number / 1000)
        process.ask("greedy")
        if number % 100 == 0:
            let_in += process.ask("modest")
    assert let_in == 30
    assert Code.RATE_LIMITED in {error.code for error in process.refused}


def test_it_is_over_once_nobody_is_turned_away_any_more() -> None:
    process = Process()
    process.arrivals(400, 10)
    during = process.overload.is_on
    end = 10.0 + OVER_AFTER + 5
    process.until(end)
    process.arrivals(50, 5, start=end)
    refused = len(process.refused)
    process.arrivals(90, 10, start=end + 5)
    assert (during, process.overload.is_on, len(process.refused)) == (True, False, refused)


def test_requests_that_do_not_even_begin_tell_as_well() -> None:
    now = 0.0
    overload = Overload(lambda: now)
    with pytest.raises(RequestError):
        for _ in range(int(LATE / WINDOW) + 2 * WINDOWS):
            now += WINDOW
            overload.arrive("a")
    assert overload.is_on


@pytest.mark.parametrize(("share", "is_overload"), [(0.0, True), (0.1, False)])
def test_waiting_for_places_is_an_overload_where_no_site_has_one_free(share: float, *, is_overload: bool) -> None:
    process, was_on = Process(cost=0.0), False
    for number in range(1000):
        process.until(number * 0.01)
        process.ask()
        process.overload.note_place(0.0 if number % 10 < share * 10 else 3.0)
        was_on = was_on or process.overload.is_on
    assert was_on is is_overload


def test_no_more_than_so_many_are_under_way_and_whoever_has_none_is_let_in() -> None:
    overload = Overload(lambda: 0.0)
    for _ in range(MOST):
        overload.arrive("a")
    with pytest.raises(RequestError):
        overload.arrive("a")
    overload.arrive("b")


def test_some_are_always_let_in() -> None:
    process = Process(cost=1000.0)
    process.arrivals(1000, 5)
    for arrival in process.queue:
        arrival.leave()
    assert [process.overload.arrive("a") for _ in range(FEWEST)]
