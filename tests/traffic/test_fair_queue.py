"""Places are given out in turn, whatever becomes of those who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from ccgateway.traffic.fair_queue import FairQueue, QueueFullError, Waiter


@dataclass(eq=False)
class Request:
    caller: str
    is_alone: bool = False
    is_beside_small: bool = False


class Site:
    """Lets requests hold a place until ``step``; ``order``: who got one, in turn."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue, self.order = queue, list[Request]()
        self.gate = asyncio.Semaphore(0)

    async def visit(self, request: Request, *, is_bulk: bool = False) -> None:
        place = await self.queue.enter(request, is_bulk=is_bulk)
        self.order.append(request)
        try:
            await self.gate.acquire()
        finally:
            self.queue.leave(place)

    async def drain(self) -> None:
        while self.queue.taken:
            self.gate.release()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def started(*work: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(one) for one in work]
    await asyncio.sleep(0)
    return tasks


async def test_callers_take_turns_however_many_requests_each_has() -> None:
    site = Site(FairQueue(1, most_waiting=100))
    greedy = [Request("greedy") for _ in range(20)]
    await started(*(site.visit(one) for one in greedy))
    await started(site.visit(late := Request("late")))
    await site.drain()
    assert site.order.index(late) == 2  # after the one that is running and one more of the other's
    assert len(site.order) == 21


async def test_requests_of_one_caller_take_turns_however_many_calls_each_has() -> None:
    site = Site(FairQueue(1, most_waiting=100))
    large, small = Request("one"), Request("one")
    await started(*(site.visit(large) for _ in range(20)), site.visit(small))
    await site.drain()
    assert site.order.index(small) <= 2


async def test_interactive_requests_come_before_bulk_ones_which_are_not_starved() -> None:
    site = Site(FairQueue(1, most_waiting=100))
    bulk, small = Request("one"), Request("two")
    await started(site.visit(Request("zero")))
    await started(*(site.visit(bulk, is_bulk=True) for _ in range(3)), *(site.visit(small) for _ in range(30)))
    await site.drain()
    assert site.order[1] is small
    assert site.order.index(bulk) <= 10


@pytest.mark.parametrize("is_bulk", [False, True])
async def test_no_caller_holds_every_place_while_others_run(is_bulk: bool) -> None:
    site = Site(FairQueue.for_site(8, most_waiting=100))
    await started(*(site.visit(Request("greedy"), is_bulk=is_bulk) for _ in range(30)))
    assert site.queue.taken == (4 if is_bulk else 6)
    await started(site.visit(newcomer := Request("late")))
    assert site.order[-1] is newcomer  # at once
    await site.drain()


@pytest.mark.parametrize(("places", "held"), [(1, 1), (8, 1), (32, 4)])
async def test_large_questions_hold_few_places_while_small_ones_are_about(places: int, held: int) -> None:
    site = Site(FairQueue.for_site(places, most_waiting=100))
    await started(*(site.visit(Request("greedy", is_beside_small=True), is_bulk=True) for _ in range(30)))
    assert site.queue.taken == held
    await started(site.visit(Request("greedy"), is_bulk=True))
    assert site.queue.taken == held  # those that wait come first
    await site.drain()
    assert len(site.order) == 31


async def test_who_is_alone_has_every_place() -> None:
    site = Site(FairQueue.for_site(8, most_waiting=100))
    await started(*(site.visit(Request("one", is_alone=True), is_bulk=True) for _ in range(30)))
    assert site.queue.taken == 8
    await site.drain()


async def test_a_caller_has_a_bounded_queue_and_others_are_not_concerned() -> None:
    queue = FairQueue(1, most_waiting=2)
    site = Site(queue)
    await started(*(site.visit(Request("greedy")) for _ in range(3)))
    with pytest.raises(QueueFullError):
        await queue.enter(Request("greedy"), is_bulk=False)
    await started(site.visit(Request("other")))
    await site.drain()
    assert len(site.order) == 4


async def test_whoever_is_cancelled_at_whatever_moment_leaves_no_place_taken() -> None:
    queue = FairQueue(2, most_waiting=1000)
    site = Site(queue)
    for moment in range(12):
        tasks = await started(*(site.visit(Request(f"c{number % 3}"), is_bulk=number % 2 == 0) for number in range(20)))
        for _ in range(moment):
            site.gate.release()
            await asyncio.sleep(0)
        site.gate.release()  # a place is given on in the very moment in which those who wait for it leave
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (queue.taken, queue.waiting) == (0, 0)


async def test_a_wait_that_is_moved_to_a_better_class_comes_first() -> None:
    queue = FairQueue(1, most_waiting=100)
    first = await queue.enter(Request("zero"), is_bulk=False)
    waiters: set[Waiter] = set()
    waiting = asyncio.create_task(queue.enter(Request("greedy"), is_bulk=True, waits=waiters))
    behind = [asyncio.create_task(queue.enter(Request("greedy"), is_bulk=True)) for _ in range(3)]
    await asyncio.sleep(0)
    (waiter,) = waiters
    queue.move(waiter, user := Request("user"), is_bulk=False)
    queue.leave(first)
    assert (await waiting).caller == user.caller
    assert not any(one.done() for one in behind)
    for one in behind:
        one.cancel()
