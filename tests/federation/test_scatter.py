"""Many sites at once: each within its limit, none delaying the others, nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError, SiteError
from ccgateway.federation.scatter import Ask, scatter
from support.upstream import Upstream, site_of

#: seconds that are far less than what hangs takes, also on a busy machine
SOON = 30.0


def ask(name: str, run: Callable[[], Awaitable[str]], *, seconds: float = 60.0, patient: bool = False) -> Ask[str]:
    return Ask(site_of(Upstream(), name), run, Deadline.after(seconds), patient=patient)


def takes(seconds: float, answer: str = "answer") -> Callable[[], Awaitable[str]]:
    async def run() -> str:
        await asyncio.sleep(seconds)
        return answer

    return run


def fails(error: Exception, after: float = 0.0) -> Callable[[], Awaitable[str]]:
    async def run() -> str:
        await asyncio.sleep(after)
        raise error

    return run


async def timed(*asks: Ask[str], patience: float | None = None) -> tuple[dict[str, str | Code], float]:
    """Each outcome, errors by their code, and how long it took; no task may be left."""
    before = asyncio.all_tasks()
    started = asyncio.get_running_loop().time()
    outcomes = await scatter(asks, patience=patience)
    took = asyncio.get_running_loop().time() - started
    assert asyncio.all_tasks() == before
    return {name: one.code if isinstance(one, SiteError) else one for name, one in outcomes.items()}, took


async def test_nobody_asked_nobody_answered() -> None:
    assert await scatter([], patience=1.0) == {}


async def test_sites_are_asked_side_by_side() -> None:
    outcomes, took = await timed(*(ask(f"s{i}", takes(1.0, f"{i}")) for i in range(10)))
    assert outcomes == {f"s{i}": f"{i}" for i in range(10)}
    assert took < 8.0


async def test_a_hanging_site_ends_at_its_own_limit_and_the_others_come() -> None:
    outcomes, took = await timed(ask("hangs", takes(60), seconds=0.2), ask("fine", takes(0.01)))
    assert outcomes == {"hangs": Code.TIMEOUT, "fine": "answer"}
    assert 0.19 <= took < SOON


async def test_a_single_site_has_its_limit_too() -> None:
    outcomes, took = await timed(ask("hangs", takes(60), seconds=0.1))
    assert outcomes == {"hangs": Code.TIMEOUT}
    assert took < SOON


@pytest.mark.parametrize("seconds", [0.0, -5.0])
async def test_a_limit_that_has_passed_is_a_time_out(seconds: float) -> None:
    outcomes, took = await timed(ask("late", takes(60), seconds=seconds), ask("fine", takes(0.01)))
    assert outcomes["late"] is Code.TIMEOUT
    assert took < SOON


async def test_a_failing_site_is_an_outcome_and_takes_nobody_with_it() -> None:
    error = SiteError(Code.UNREACHABLE, "down", "no")
    outcomes, _ = await timed(ask("down", fails(error)), ask("fine", takes(0.05)))
    assert outcomes == {"down": Code.UNREACHABLE, "fine": "answer"}


async def test_with_patience_slow_sites_get_that_long_after_the_first_answer() -> None:
    outcomes, took = await timed(ask("fast", takes(0.05)), ask("slow", takes(0.1)), ask("hangs", takes(60)), patience=0.5)
    assert outcomes == {"fast": "answer", "slow": "answer", "hangs": Code.TIMEOUT}
    assert 0.25 <= took < SOON


async def test_patience_counts_also_where_the_first_answers_before_the_others_are_asked() -> None:
    async def from_memory() -> str:
        return "remembered"

    outcomes, took = await timed(ask("fast", from_memory), ask("hangs", takes(60)), patience=0.1)
    assert outcomes == {"fast": "remembered", "hangs": Code.TIMEOUT}
    assert took < SOON


async def test_patience_counts_from_the_first_answer_not_from_the_last() -> None:
    asks = [ask(f"s{i}", takes(0.05 * (i + 1))) for i in range(3)]
    _, took = await timed(*asks, ask("hangs", takes(60)), patience=0.2)
    assert took < SOON


async def test_a_failure_does_not_start_the_clock() -> None:
    error = SiteError(Code.UNREACHABLE, "down", "no")
    outcomes, _ = await timed(ask("down", fails(error)), ask("slow", takes(0.2)), patience=0.01)
    assert outcomes["slow"] == "answer"


async def test_a_patient_question_is_not_hurried() -> None:
    outcomes, _ = await timed(ask("fast", takes(0.0)), ask("required", takes(0.2), patient=True), patience=0.01)
    assert outcomes == {"fast": "answer", "required": "answer"}


async def test_without_patience_everybody_is_waited_for() -> None:
    outcomes, _ = await timed(ask("fast", takes(0.0)), ask("slow", takes(0.2)), patience=None)
    assert outcomes == {"fast": "answer", "slow": "answer"}


async def test_patience_never_gives_more_time_than_a_sites_own_limit() -> None:
    outcomes, took = await timed(ask("fast", takes(0.0)), ask("hangs", takes(60), seconds=0.1), patience=5.0)
    assert outcomes["hangs"] is Code.TIMEOUT
    assert took < SOON


async def test_who_was_hurried_is_told_why() -> None:
    outcomes = await scatter([ask("fast", takes(0.0)), ask("hangs", takes(60))], patience=0.05)
    late = outcomes["hangs"]
    assert isinstance(late, SiteError)
    assert "0.05 s slower than others" in late.message
    assert late.retryable


@pytest.mark.parametrize("count", [1, 3])
async def test_cancelling_the_caller_cancels_all_work(count: int) -> None:
    ended: list[str] = []

    def hanging(name: str) -> Callable[[], Awaitable[str]]:
        async def run() -> str:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(name)
            return ""

        return run

    before = asyncio.all_tasks()
    names = [f"s{i}" for i in range(count)]
    asks = [ask(name, hanging(name)) for name in names]
    task = asyncio.create_task(timed(*asks, patience=1.0))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == names
    assert asyncio.all_tasks() == before


async def test_a_refused_question_ends_everything() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(RequestError):
        await scatter([ask("asked", fails(RequestError(Code.BAD_REQUEST, "no"))), ask("hangs", takes(60))], patience=None)
    assert asyncio.all_tasks() == before


async def test_a_refusal_in_the_same_moment_as_an_answer_is_a_refusal() -> None:
    gate = asyncio.Event()

    async def refused() -> str:
        await gate.wait()
        raise RequestError(Code.RATE_LIMITED, "no")

    async def answered() -> str:
        await gate.wait()
        return "answer"

    asyncio.get_running_loop().call_later(0.01, gate.set)
    with pytest.raises(RequestError):
        await scatter([ask("one", refused), ask("two", answered)], patience=1.0)


async def test_a_fault_of_the_gateway_with_one_sites_answer_is_that_sites_failure(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = await scatter([ask("bug", fails(ZeroDivisionError("secret"))), ask("fine", takes(0))], patience=None)
    failure = outcomes["bug"]
    assert isinstance(failure, SiteError)
    assert (failure.code, "secret" in failure.message) == (Code.INTERNAL, False)
    assert not isinstance(outcomes["fine"], SiteError)
    assert "ZeroDivisionError" in caplog.text
