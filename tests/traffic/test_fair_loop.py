"""One thread does all the work: whoever has used least of it goes next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from ccgateway.settings import LimitSettings
from ccgateway.traffic.admission import Sending, Traffic
from ccgateway.traffic.fair_loop import FairLoop
from ccgateway.traffic.scopes import give_way


def work(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def request(traffic: Traffic, caller: str, steps: int, done: list[str], *, seconds: float = 0.001) -> None:
    async with traffic.admitted(caller, Sending()):
        for _ in range(steps):
            work(seconds)
            done.append(caller)
            await asyncio.sleep(0)


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=FairLoop) as runner:
        runner.run(main)


def a_traffic() -> Traffic:
    return Traffic(LimitSettings.model_validate({"requests_per_caller": 100}))


def test_however_many_requests_one_caller_has_another_waits_for_one_step_at_a_time() -> None:
    done: list[str] = []

    async def main() -> None:
        traffic = a_traffic()
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(request(traffic, "greedy", 4, done))
                await asyncio.sleep(0)  # one begins in each round
            group.create_task(request(traffic, "user", 4, done))

    run(main())
    assert done.count("greedy") == 200
    first = done.index("user")
    last = max(place for place, caller in enumerate(done) if caller == "user")
    assert last - first <= 2 * 4


def test_small_questions_of_a_caller_do_not_wait_for_all_of_its_large_ones() -> None:
    done: list[str] = []

    async def large(traffic: Traffic) -> None:
        async with traffic.admitted("one", Sending()) as scope:
            scope.use("aurora", 100_000)
            for _ in range(4):
                work(0.001)
                done.append("large")
                await asyncio.sleep(0)

    async def main() -> None:
        traffic = a_traffic()
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(large(traffic))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            group.create_task(request(traffic, "one", 4, done))

    run(main())
    places = [place for place, kind in enumerate(done) if kind == "one"]
    assert places[-1] - places[0] <= 5 * 4 and places[-1] < len(done) - 20  # of 120 steps


def test_what_one_caller_does_keeps_its_order() -> None:
    seen: list[int] = []

    async def main() -> None:
        traffic = a_traffic()
        async with traffic.admitted("other", Sending()), traffic.admitted("one", Sending()):
            assert traffic.is_contended
            loop = asyncio.get_running_loop()
            for number in range(100):
                loop.call_soon(seen.append, number)
            cancelled = loop.call_soon(seen.append, -1)
            cancelled.cancel()
            await asyncio.sleep(0.05)

    run(main())
    assert seen == list(range(100))


def test_input_and_output_are_looked_at_between_steps() -> None:
    ticks: list[float] = []

    async def main() -> None:
        traffic, done = a_traffic(), list[str]()
        loop = asyncio.get_running_loop()

        async def tick() -> None:
            while len(done) < 300:
                await asyncio.sleep(0.002)
                ticks.append(loop.time())

        async with asyncio.TaskGroup() as group:
            group.create_task(tick())
            for number in range(30):
                group.create_task(request(traffic, f"caller {number % 3}", 10, done))

    run(main())
    assert len(ticks) > 30


def test_a_step_that_fails_holds_nobody_up() -> None:
    told: list[dict[str, Any]] = []

    def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: told.append(what))
        traffic, done = a_traffic(), list[str]()
        async with traffic.admitted("other", Sending()), traffic.admitted("one", Sending()):
            loop.call_soon(fail)
            await request(traffic, "one", 3, done)
        assert done == ["one"] * 3

    run(main())
    assert [type(what["exception"]) for what in told] == [ZeroDivisionError]


def test_what_ends_the_process_ends_it_out_of_a_callers_step_too() -> None:
    def leave() -> None:
        raise SystemExit(3)

    async def main() -> None:
        traffic = a_traffic()
        async with traffic.admitted("other", Sending()), traffic.admitted("one", Sending()):
            asyncio.get_running_loop().call_soon(leave)
            await asyncio.sleep(1)

    with pytest.raises(SystemExit):
        run(main())


def test_whoever_is_cancelled_while_waiting_is_gone() -> None:
    async def main() -> None:
        traffic, done = a_traffic(), list[str]()
        tasks = [asyncio.create_task(request(traffic, f"{number % 2}", 5, done)) for number in range(20)]
        await asyncio.sleep(0.003)
        for task in tasks[4:12]:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        assert done.count("0") + done.count("1") == len(done) >= 12 * 5 and traffic.running == 0

    run(main())


def test_one_caller_alone_gives_way_to_nobody() -> None:
    contended: list[bool] = []

    async def main() -> None:
        traffic = a_traffic()
        async with traffic.admitted("one", Sending()), traffic.admitted("one", Sending()):
            contended.append(traffic.is_contended)
            async with traffic.admitted("two", Sending()):
                contended.append(traffic.is_contended)
                await give_way()
        contended.append(traffic.is_contended)  # the second one may be reading

    run(main())
    assert contended == [False, True, True]
