"""Requests are let in caller by caller; what they hold of the memory is given back; what has taken effect is answered."""

from __future__ import annotations

import asyncio

import pytest

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError
from ccgateway.settings import LimitSettings
from ccgateway.traffic.admission import Traffic
from ccgateway.traffic.scopes import Reading, Scope, begin_fetch, current_scope, hold, in_background, never_refused


def traffic(**changes: object) -> Traffic:
    return Traffic(LimitSettings.model_validate(changes))


async def test_one_callers_requests_wait_for_each_other_and_nobody_elses_do() -> None:
    shared, inside = traffic(requests_per_caller=2), 0

    async def ask(caller: str, gate: asyncio.Event) -> None:
        nonlocal inside
        with shared.sending() as sending:
            async with shared.admitted(caller, sending):
                inside += 1
                await gate.wait()

    gate = asyncio.Event()
    greedy = [asyncio.create_task(ask("greedy", gate)) for _ in range(10)]
    await asyncio.sleep(0.01)
    assert (inside, shared.running_of("greedy")) == (2, 2)
    other = asyncio.create_task(ask("other", gate))
    await asyncio.sleep(0.01)
    assert inside == 3
    gate.set()
    await asyncio.gather(*greedy, other)
    assert (inside, shared.running, shared.running_of("greedy")) == (11, 0, 0)


async def test_a_caller_with_too_many_waiting_is_told_to_come_later() -> None:
    shared, gate = traffic(requests_per_caller=1, waiting_per_caller=3), asyncio.Event()

    async def ask() -> None:
        with shared.sending() as sending:
            async with shared.admitted("greedy", sending):
                await gate.wait()

    asking = [asyncio.create_task(ask()) for _ in range(6)]
    await asyncio.sleep(0.01)
    gate.set()
    refused = [one for one in await asyncio.gather(*asking, return_exceptions=True) if one is not None]
    assert len(refused) == 2
    for one in refused:
        assert isinstance(one, RequestError)
        assert (one.code, one.retry_after) == (Code.RATE_LIMITED, 1.0)
        assert "limits.waiting_per_caller" in one.message


async def test_memory_is_held_until_the_answer_is_sent_and_then_given_back() -> None:
    shared = traffic(inflight_bytes=1 << 20)
    with shared.sending() as sending:
        async with shared.admitted("alice", sending):
            hold(100_000)
            hold(100_000)
            with Reading() as reading:
                reading.take(50_000)
                assert shared.budget.used == 250_000
            assert shared.budget.used == 200_000
        assert shared.budget.used == 200_000
        sending.settle(30_000)
        assert shared.budget.used == 30_000
    assert shared.budget.used == 0


async def test_who_wants_too_much_is_refused_and_has_no_other_answer_and_others_have_theirs() -> None:
    shared = traffic(inflight_bytes=1 << 20)
    with shared.sending() as first, shared.sending() as second:
        async with shared.admitted("alice", first):
            hold(500_000)
            with pytest.raises(RequestError) as refused:
                hold(100_000)
            assert refused.value.code is Code.LIMIT_EXCEEDED
            assert first.refusal is not None
            assert (first.refusal.code, first.refusal.message) == (refused.value.code, refused.value.message)
            async with shared.admitted("bob", second):
                hold(200_000)
            assert second.refusal is None
    assert shared.budget.used == 0


async def test_many_small_answers_that_are_not_read_are_refused_with_a_time_to_come_back() -> None:
    shared, held = traffic(inflight_bytes=1 << 20), []
    with pytest.raises(RequestError) as refused:
        for _ in range(100):
            held.append(shared.sending())
            async with shared.admitted("alice", held[-1].__enter__()):
                hold(100_000)
    assert (refused.value.code, refused.value.retry_after) == (Code.RATE_LIMITED, 2.0)
    assert len(held) == 6
    for one in held:
        one.__exit__(None, None, None)
    assert shared.budget.used == 0


async def test_what_writes_is_never_refused_for_memory() -> None:
    shared = traffic(inflight_bytes=1 << 20)
    with shared.sending() as sending:
        async with shared.admitted("alice", sending):
            never_refused()
            hold(10 << 20)
            with Reading() as reading:
                reading.take(10 << 20)
        sending.settle(10 << 20)
        assert sending.refusal is None
    assert shared.budget.used == 0


async def test_a_cancelled_request_gives_everything_back() -> None:
    shared = traffic()

    async def ask() -> None:
        with shared.sending() as sending:
            async with shared.admitted("alice", sending):
                hold(1000)
                await asyncio.sleep(3600)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (shared.running, shared.budget.used) == (0, 0)


async def test_deep_requests_are_few_and_one_caller_has_half_of_them() -> None:
    shared, deep = traffic(deep_requests=4), []

    async def ask(caller: str, gate: asyncio.Event) -> None:
        with shared.sending() as sending:
            async with shared.admitted(caller, sending) as scope:
                await scope.deepen(Deadline.after(5))
                deep.append(caller)
                await gate.wait()

    gate = asyncio.Event()
    asking = [asyncio.create_task(ask("greedy", gate)) for _ in range(10)]
    await asyncio.sleep(0.01)
    asking += [asyncio.create_task(ask("other", gate)) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert sorted(deep) == ["greedy", "greedy", "other", "other"]
    gate.set()
    await asyncio.gather(*asking)
    assert len(deep) == 13


async def test_a_page_of_thousands_of_jobs_is_a_large_question_from_its_first_call_on_and_a_page_of_hundreds_is_none() -> None:
    shared = traffic()
    with shared.sending() as sending:
        async with shared.admitted("somebody", sending) as scope:
            assert not scope.use("aurora", 315)
            assert scope.use("borealis", 1262)


async def test_a_shared_fetch_stands_for_the_best_claim_and_reading_ahead_for_the_caller_as_bulk() -> None:
    shared = traffic()
    with shared.sending() as sending:
        async with shared.admitted("greedy", sending) as scope:
            for _ in range(20):
                scope.use("aurora", 1000)
            assert scope.is_bulk
            task, fetch = begin_fetch(lambda: asyncio.create_task(_scope_of_this()))
            assert fetch is not None and await task is fetch and fetch.owner is scope
            with shared.sending() as other:
                async with shared.admitted("user", other) as small:
                    fetch.lift(small)
                    assert fetch.owner is small
            ahead = await in_background(asyncio.get_running_loop(), _scope_of_this(), "ahead")
            assert ahead is not None and ahead.owner.is_bulk and ahead.owner.caller == "greedy"


async def _scope_of_this() -> Scope | None:
    return current_scope()
