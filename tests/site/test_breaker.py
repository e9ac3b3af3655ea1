"""When failures are too many, and when a site is believed again: claims for any course of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ccgateway.site.breaker import (
    AT_LEAST,
    FIRST_WAIT,
    IN_A_ROW,
    JITTER,
    LAST_LOOK,
    LATELY,
    LONGEST_WAIT,
    MOST_ASKED_FOR,
    STEADY_FOR,
    WINDOW,
    BreakerState,
    FailureCount,
    Recovery,
    Relapses,
)

moments = st.floats(0, 1e6)
chances = st.floats(0, 1)


def test_five_failures_in_a_row_are_too_many_and_four_are_not() -> None:
    count = FailureCount()
    assert [count.failed(0.0) for _ in range(IN_A_ROW)] == [False] * (IN_A_ROW - 1) + [True]


def test_so_is_half_of_ten_though_never_five_in_a_row() -> None:
    count, told = FailureCount(), []
    for number in range(AT_LEAST // 2):
        count.succeeded(float(number))
        told.append(count.failed(float(number)))
    assert told == [False] * (AT_LEAST // 2 - 1) + [True]


def test_failures_of_long_ago_do_not_count() -> None:
    count = FailureCount()
    for number in range(100):
        count.succeeded(number * WINDOW / 3)
        assert not count.failed(number * WINDOW / 3)


def test_one_failure_in_three_is_not_too_many() -> None:
    count = FailureCount()
    for number in range(300):
        count.succeeded(number / 10)
        count.succeeded(number / 10)
        assert not count.failed(number / 10)


@given(st.lists(st.booleans(), max_size=40), chances)
def test_however_looks_went_the_next_one_comes_soon(looks: list[bool], chance: float) -> None:
    recovery, now = Recovery(0.0, lambda: chance, STEADY_FOR), 0.0
    for is_well in looks:
        now += recovery.next_look()
        if is_well:
            recovery.look_succeeded(now)
        else:
            recovery.look_failed()
        assert (recovery.state is BreakerState.HALF_OPEN) is is_well
    assert recovery.next_look() <= LAST_LOOK * (1 + JITTER)


@given(chances, st.integers(0, 20))
def test_whatever_went_before_a_site_is_believed_within_five_seconds(chance: float, failures: int) -> None:
    recovery, now, begun = Recovery(0.0, lambda: chance, STEADY_FOR), 0.0, 0.0
    for _ in range(failures):
        recovery.look_failed()
        begun = now = now + recovery.next_look()
    now += recovery.next_look()
    while not recovery.look_succeeded(now):
        now += recovery.next_look()
    assert now - begun < 5.0


def test_a_site_that_never_fell_is_believed_at_once_and_one_that_falls_again_and_again_less_and_less() -> None:
    relapses, asked_for = Relapses(), []
    for number in range(6):
        asked_for.append(relapses.fell(number * LATELY))
        relapses.recovered(number * LATELY + 1)
    assert asked_for[0] == 0.0
    assert asked_for == sorted(asked_for)
    assert asked_for[-1] == STEADY_FOR
    assert relapses.fell(1e9) == 0.0


@given(st.floats(0, 1e12))
def test_what_a_site_asks_for_is_heeded_up_to_a_bound(asked_for: float) -> None:
    assert min(asked_for, MOST_ASKED_FOR) <= Recovery(0.0, lambda: 0.5).next_look(asked_for=asked_for) <= MOST_ASKED_FOR


@given(moments, moments, chances)
def test_callers_are_told_to_wait_five_to_sixty_seconds(since: float, later: float, chance: float) -> None:
    wait = Recovery(since, lambda: chance).retry_after(since + later)
    assert FIRST_WAIT * (1 - JITTER) <= wait <= LONGEST_WAIT * (1 + JITTER)


def test_the_longer_a_site_is_down_the_longer_callers_are_told_to_wait() -> None:
    recovery = Recovery(0.0, lambda: 0.5)
    waits = [recovery.retry_after(float(seconds)) for seconds in range(0, 1000, 5)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (FIRST_WAIT, LONGEST_WAIT)
