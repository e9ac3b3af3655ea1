"""Bytes of answers are counted, shared, and given back."""

from __future__ import annotations

import pytest

from ccgateway.errors import Code, RequestError
from ccgateway.traffic.budget import Account, ByteBudget


def filled(budget: ByteBudget, caller: str, step: int = 1) -> int:
    """Bytes that ``caller`` can hold by many small requests."""
    held = 0
    while True:
        try:
            Account(budget, caller).hold(step)
        except RequestError as error:
            assert (error.code, error.retryable) == (Code.RATE_LIMITED, True)
            assert "limits.inflight_bytes" in error.message
            assert error.extensions()["retryAfter"] == 2
            return held
        held += step


def test_one_caller_has_half_and_there_is_always_some_left_for_the_next() -> None:
    budget = ByteBudget(1200)
    assert [filled(budget, name) for name in "abc"] == [600, 300, 150]


def test_a_request_that_is_too_large_by_itself_is_not_told_to_come_again() -> None:
    account = Account(ByteBudget(100), "a")
    account.hold(50)
    with pytest.raises(RequestError) as refused:
        account.hold(1)
    assert (refused.value.code, refused.value.retryable) == (Code.LIMIT_EXCEEDED, False)
    assert account.refusal is not None and account.refusal.as_entry() == refused.value.as_entry()


def test_what_is_closed_holds_nothing_and_stays_so() -> None:
    budget = ByteBudget(100)
    account = Account(budget, "a")
    account.hold(30)
    account.settle(10)
    assert budget.used == account.held == 10
    account.close()
    account.hold(30)
    assert budget.used == 0
