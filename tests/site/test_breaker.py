"""When a site's failures keep questions from it, and how that ends: claims for any course of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ccgateway.site.breaker import AT_LEAST, FIRST_PAUSE, IN_A_ROW, JITTER, LONGEST_PAUSE, Breaker, BreakerState

LONGEST = LONGEST_PAUSE * (1 + JITTER)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(lambda: 0.5)
    for _ in range(IN_A_ROW):
        breaker.failed(now)
    return breaker


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    breaker = Breaker(lambda: 0.5)
    assert [breaker.failed(0.0) for _ in range(IN_A_ROW)] == [False] * (IN_A_ROW - 1) + [True]
    assert not breaker.admits(FIRST_PAUSE - 0.1)


def test_half_of_ten_failures_open_it_though_never_five_in_a_row() -> None:
    breaker = Breaker(lambda: 0.5)
    for number in range(AT_LEAST // 2):
        assert breaker.state is BreakerState.CLOSED
        breaker.succeeded(float(number))
        breaker.failed(float(number))
    assert breaker.state is BreakerState.OPEN


def test_failures_of_long_ago_do_not_count() -> None:
    breaker = Breaker(lambda: 0.5)
    for number in range(100):
        breaker.succeeded(number * 10.0)
        breaker.failed(number * 10.0)
    assert breaker.state is BreakerState.CLOSED


def test_one_question_is_let_through_and_its_answer_closes_it() -> None:
    breaker = opened()
    assert [breaker.admits(FIRST_PAUSE) for _ in range(3)] == [True, False, False]
    assert breaker.succeeded(FIRST_PAUSE)
    assert breaker.admits(FIRST_PAUSE)


def test_a_question_that_tells_nothing_lets_the_next_one_through() -> None:
    breaker = opened()
    assert breaker.admits(FIRST_PAUSE)
    breaker.withdrawn()
    assert breaker.admits(FIRST_PAUSE)


def test_what_a_site_asks_for_is_heeded_up_to_the_longest_pause() -> None:
    breaker = Breaker(lambda: 0.5)
    for _ in range(IN_A_ROW):
        breaker.failed(0.0, retry_after=1e9)
    assert breaker.wait(0.0) == LONGEST_PAUSE


events = st.lists(st.tuples(st.sampled_from(["fail", "succeed", "ask", "withdraw"]), st.floats(0, 30)), max_size=80)


@given(events, st.floats(0, 1))
def test_whatever_happens_somebody_may_ask_after_the_longest_pause(course: list[tuple[str, float]], chance: float) -> None:
    breaker, now = Breaker(lambda: chance), 0.0
    for event, pause in course:
        now += pause
        match event:
            case "fail":
                breaker.failed(now)
            case "succeed":
                breaker.succeeded(now)
                assert breaker.state is BreakerState.CLOSED or breaker._in_a_row == 0
            case "ask":
                breaker.admits(now)
            case _:
                breaker.withdrawn()
        assert 0.0 <= breaker.wait(now) <= LONGEST
    assert breaker.admits(now + LONGEST)
