"""Work ends when its caller goes away, and at no other time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from ccgateway.surfaces import presence
from ccgateway.surfaces.presence import WhileConnected


class Caller:
    """``leave`` makes it go away; ``calls`` counts how often somebody looked."""

    def __init__(self) -> None:
        self.calls, self._gone = 0, asyncio.Event()

    def leave(self) -> None:
        self._gone.set()

    async def receive(self) -> dict[str, Any]:
        self.calls += 1
        if self.calls == 1:
            return {"type": "http.request"}
        await self._gone.wait()
        return {"type": "http.disconnect"}


@pytest.fixture(autouse=True)
def watched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "UNWATCHED", 0.0)


async def test_work_ends_with_its_caller() -> None:
    caller, ended = Caller(), asyncio.Event()

    async def work() -> None:
        async with WhileConnected(caller.receive):
            try:
                caller.leave()
                await asyncio.sleep(3600)
            finally:
                ended.set()

    with pytest.raises(ClientDisconnect):
        await asyncio.wait_for(work(), 5)
    assert ended.is_set()


async def test_a_task_group_within_ends_as_well() -> None:
    caller, ended = Caller(), asyncio.Event()

    async def child() -> None:
        try:
            caller.leave()
            await asyncio.sleep(3600)
        finally:
            ended.set()

    with pytest.raises(ClientDisconnect):
        async with WhileConnected(caller.receive), asyncio.TaskGroup() as group:
            group.create_task(child())
    assert ended.is_set()


async def test_the_task_can_go_on_afterwards() -> None:
    caller = Caller()
    with pytest.raises(ClientDisconnect):
        async with WhileConnected(caller.receive):
            caller.leave()
            await asyncio.sleep(3600)
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0


async def test_quick_work_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "UNWATCHED", 3600)
    caller = Caller()
    async with WhileConnected(caller.receive):
        await asyncio.sleep(0)
    assert caller.calls == 0
    assert len(asyncio.all_tasks()) == 1


async def test_nobody_watches_any_more_when_the_work_is_done() -> None:
    caller = Caller()
    async with WhileConnected(caller.receive):
        while not caller.calls:  # noqa: ASYNC110 - the watch begins with a turn of the loop
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    started = asyncio.Event()

    async def work() -> None:
        async with WhileConnected(Caller().receive):
            started.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_work_stays_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        async with WhileConnected(Caller().receive):
            raise ZeroDivisionError
