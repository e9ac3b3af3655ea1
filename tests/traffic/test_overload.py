"""Nobody is turned away while requests begin in time; beyond, as many are let in as do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextlib import suppress

import pytest

from ccgateway.errors import Code, RequestError
from ccgateway.traffic.overload import FEWEST, GIVEN_UP, MOST, OVER_AFTER, WINDOW, Arrival, Overload

#: as many requests as can be under way at all
CONNECTIONS = 500


class Process:
    """A process that works on one request at a time, and a clock of its own: ``cost`` seconds each."""

    def __init__(self, cost: float = 0.01) -> None:
        self.now, self.cost = 0.0, cost
        self._rounds: list[Callable[[], None]] = []
        self._working: list[Arrival] = []
        self._waiting: list[Arrival] = []
        self.overload = Overload(lambda: self.now, call_soon=self._rounds.append, is_busy=lambda _: bool(self._working))
        self.took: list[float] = []
        self.refused: list[RequestError] = []
        self._free_at = 0.0

    def ask(self, caller: Hashable = "a") -> bool:
        if caller != "modest" and self.overload.under_way >= CONNECTIONS:
            return False  # which is never sent
        try:
            self._waiting.append(self.overload.arrive(caller))
        except RequestError as error:
            self.refused.append(error)
            return False
        self._look()
        return True

    def until(self, moment: float) -> None:
        """Works until then."""
        self._round()
        while self._working and self._free_at <= moment:
            self.now = self._free_at
            arrival = self._working.pop(0)
            arrival.leave()
            self.took.append(self.now - arrival.at)
            self._free_at = self.now + self.cost
            self._round()
        self.now = moment
        self._round()

    def _round(self) -> None:
        for _ in range(2):  # the second one begins what came while the first was under way
            calls, self._rounds[:] = self._rounds[:], []
            for call in calls:
                call()
            self._look()

    def _look(self) -> None:
        for arrival in [one for one in self._waiting if one.has_begun or one.refusal]:
            self._waiting.remove(arrival)
            if arrival.refusal is not None:
                self.refused.append(arrival.refusal)
                arrival.leave()
                continue
            if not self._working:
                self._free_at = self.now + self.cost
            self._working.append(arrival)

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


@pytest.mark.parametrize(("share", "is_overload"), [(0.0, True), (0.1, False)])
def test_waiting_for_places_is_an_overload_where_no_site_has_one_free(share: float, *, is_overload: bool) -> None:
    process, was_on = Process(cost=0.0), False
    for number in range(1000):
        process.until(number * 0.01)
        process.ask()
        process.overload.note_place(0.0 if number % 10 < share * 10 else 3.0)
        was_on = was_on or process.overload.is_on
    assert was_on is is_overload


def idle() -> Overload:
    """Of a process with nothing to do but to begin requests, at a time that does not pass."""
    return Overload(lambda: 0.0, call_soon=lambda work: work(), is_busy=lambda _: False)


def test_waiting_for_sites_is_no_overload() -> None:
    overload = idle()
    under_way = [overload.arrive("a") for _ in range(MOST)]
    assert all(arrival.has_begun for arrival in under_way) and overload.under_way == MOST
    for arrival in under_way:
        arrival.leave()
        arrival.leave()
    assert overload.under_way == 0


def test_no_more_than_so_many_are_under_way_and_whoever_has_none_is_let_in() -> None:
    overload = idle()
    for _ in range(MOST):
        overload.arrive("a")
    with pytest.raises(RequestError):
        overload.arrive("a")
    overload.arrive("b")


async def test_who_steps_out_takes_no_place_and_finds_one_or_is_refused_on_coming_back() -> None:
    overload = idle()
    out = overload.arrive("a")
    out.step_out()
    assert overload.under_way == 0
    await out.come_back()
    assert overload.under_way == 1 and out.has_begun
    await out.come_back()  # which it has already
    assert overload.under_way == 1
    out.step_out()
    held = [overload.arrive("a") for _ in range(MOST)]
    with pytest.raises(RequestError):
        await out.come_back()
    out.leave()
    assert overload.under_way == MOST
    held[0].step_out()
    held[0].leave()  # its caller went
    await held[0].come_back()
    assert overload.under_way == MOST - 1


def test_some_are_always_let_in() -> None:
    now, under_way = 0.0, list[Arrival]()
    overload = Overload(lambda: now, call_soon=lambda work: work(), is_busy=lambda _: False)
    for _ in range(6000):
        now += 0.01
        overload.note_place(10.0)
        with suppress(RequestError):
            under_way.append(overload.arrive("a"))
    assert overload.is_on
    for arrival in under_way:
        arrival.leave()
    assert [overload.arrive("a") for _ in range(FEWEST)]
    with pytest.raises(RequestError):
        overload.arrive("a")


def test_over_a_minute_of_overload_almost_all_that_is_answered_is_answered_soon_from_its_first_moment_on() -> None:
    process = Process()
    process.arrivals(400, 60)
    process.until(70.0)
    took = sorted(process.took)
    assert len(took) >= 0.95 * 60 * 100
    assert took[int(0.98 * len(took))] < 5 * process.cost


def test_those_who_came_before_it_was_known_are_answered_unless_others_have_to_be_turned_away() -> None:
    burst, flood = Process(), Process()
    for process in (burst, flood):
        for _ in range(300):  # three seconds of work
            process.ask("early")
    burst.arrivals(20, 10)
    flood.arrivals(1000, 10)
    assert not burst.refused and sorted(burst.took)[-1] > 2.0
    early = [error for error in flood.refused if error.code is Code.OVERLOADED]
    assert early and sorted(flood.took)[-1] < GIVEN_UP + 2 * WINDOW


def test_while_a_burst_is_worked_on_whoever_comes_does_not_wait_for_it() -> None:
    process = Process()
    for _ in range(300):
        process.ask("many")
    process.until(1.0)
    before = len(process.took)
    process.ask("one")
    process.until(1.0 + 3 * process.cost)
    assert min(process.took[before:]) < 3 * process.cost


def test_callers_begin_in_turn() -> None:
    now, rounds, begun = 0.0, list[Callable[[], None]](), list[Hashable]()
    overload = Overload(lambda: now, call_soon=rounds.append, is_busy=lambda _: False)
    waiting = [overload.arrive(caller) for caller in ("a", *"bbbb", "c", "d", "c")]
    while waiting:
        begun += [arrival.caller for arrival in waiting if arrival.has_begun]
        waiting = [arrival for arrival in waiting if not arrival.has_begun]
        rounds.pop()()
    assert begun == [*"abcdbc", *"bb"]


def test_a_caller_who_has_no_request_begun_does_not_wait_for_those_of_a_few_others() -> None:
    overload = Overload(call_soon=lambda _: None, is_busy=lambda _: True)
    first = {caller: [overload.arrive(caller) for _ in range(3)] for caller in "abcdef"}
    assert {caller: [one.has_begun for one in arrivals] for caller, arrivals in first.items()} == {
        **{caller: [True, False, False] for caller in "abcd"},
        **{caller: [False] * 3 for caller in "ef"},
    }
    first["a"][0].leave()
    assert overload.arrive("g").has_begun and not overload.arrive("h").has_begun


async def test_one_begins_in_each_round_of_the_loop() -> None:
    overload = Overload()
    first, second, third = (overload.arrive("a") for _ in range(3))
    assert (first.has_begun, second.has_begun, third.has_begun) == (True, False, False)
    await asyncio.sleep(0)
    assert (second.has_begun, third.has_begun) == (True, False)
    await third.turn()
    assert not overload.waiting


async def test_whoever_leaves_before_its_turn_is_forgotten() -> None:
    overload = Overload(call_soon=lambda _: None, is_busy=lambda _: True)
    begun, arrival = overload.arrive("a"), overload.arrive("a")
    waiting = asyncio.create_task(arrival.turn())
    await asyncio.sleep(0)
    arrival.leave()
    await asyncio.wait([waiting])
    assert waiting.cancelled() and not overload.waiting and overload.under_way == begun.has_begun


async def test_whoever_may_not_begin_after_all_is_told_whether_it_waits_yet_or_not() -> None:
    now = 0.0
    overload = Overload(lambda: now, call_soon=lambda _: None, is_busy=lambda _: True)
    _, early, late = (overload.arrive("a") for _ in range(3))
    waiting = asyncio.create_task(early.turn())
    await asyncio.sleep(0)
    while now < GIVEN_UP + 2.0:
        now += WINDOW / 10
        with suppress(RequestError):
            overload.arrive("a")
    for turn in (waiting, late.turn()):
        with pytest.raises(RequestError) as caught:
            await turn
        assert caught.value.code is Code.OVERLOADED and caught.value.retry_after
