"""One thread does all the work: in each pass of its loop, one piece of every caller's."""

from __future__ import annotations

import asyncio

from ccgateway.settings import LimitSettings
from ccgateway.traffic.admission import Sending, Traffic
from ccgateway.traffic.pacing import CallerTurns
from ccgateway.traffic.scopes import callers_turn


async def pieces(turns: CallerTurns, caller: str, count: int, done: list[str]) -> None:
    for _ in range(count):
        await turns.take(caller)
        done.append(caller)


async def test_however_many_requests_one_caller_has_another_waits_for_one_piece_at_a_time() -> None:
    turns, done = CallerTurns(lambda: True), list[str]()
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(pieces(turns, "greedy", 4, done))
        group.create_task(pieces(turns, "user", 4, done))
    assert done.count("greedy") == 200
    last = max(place for place, caller in enumerate(done) if caller == "user")
    assert last <= 4 * 3


async def test_a_caller_alone_waits_for_nothing() -> None:
    turns, done = CallerTurns(lambda: False), list[str]()
    await asyncio.gather(*(pieces(turns, "alone", 3, done) for _ in range(3)))
    assert done == ["alone"] * 9


async def test_whoever_is_cancelled_while_waiting_takes_no_turn() -> None:
    turns, done = CallerTurns(lambda: True), list[str]()
    tasks = [asyncio.create_task(pieces(turns, f"{number % 2}", 2, done)) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[4:12]:
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert len(done) >= 2 * 12 and all(task.cancelled() for task in tasks[4:12])
    await asyncio.wait_for(turns.take("0"), 5)


async def test_turns_are_taken_while_several_callers_are_about() -> None:
    traffic = Traffic(LimitSettings.model_validate({}))
    assert not traffic.is_shared()
    async with traffic.admitted("one", Sending()):
        assert not traffic.is_shared()
        async with traffic.admitted("two", Sending()):
            assert traffic.is_shared()
            await callers_turn()
    assert traffic.is_shared()  # the second one may be reading
