"""Whoever holds the event loop is named in the log, and nothing of what it works on."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from ccgateway.app import create_app
from ccgateway.loopwatch import watched_loop
from ccgateway.settings import Settings
from ccgateway.surfaces.graphql import execution


@pytest.fixture
def watches() -> Callable[[], set[threading.Thread]]:
    """The watches that were begun since: gateways of other tests may have theirs."""

    def running() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "loop watch"}

    before = running()
    return lambda: running() - before


async def becomes(true: Callable[[], object]) -> bool:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0.05)
    return True


async def test_the_task_that_holds_the_loop_is_named_with_the_place_in_the_code(
    caplog: pytest.LogCaptureFixture, watches: Callable[[], set[threading.Thread]]
) -> None:
    def count_for_ever(secret: str) -> None:
        until = time.monotonic() + 1.5
        while time.monotonic() < until and secret:
            pass

    async def work() -> None:
        await asyncio.sleep(0)
        count_for_ever("a-secret-of-somebody")

    with caplog.at_level(logging.WARNING, "ccgateway.loop"), watched_loop(patience=0.3):
        await asyncio.create_task(work(), name="request 0123")
        assert await becomes(lambda: caplog.messages)
    line = caplog.messages[0]
    assert "held for" in line and "by request 0123" in line and "count_for_ever" in line and "secret" not in line
    assert await becomes(lambda: not watches())


async def test_a_loop_that_is_free_is_not_told_of_and_the_watch_ends_with_the_block(
    caplog: pytest.LogCaptureFixture, watches: Callable[[], set[threading.Thread]]
) -> None:
    with watched_loop(patience=30.0):
        for _ in range(20):
            await asyncio.sleep(0.05)
        assert watches()
    assert await becomes(lambda: not watches()) and not caplog.messages


async def test_the_gateway_names_the_request_that_held_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, watches: Callable[[], set[threading.Thread]]
) -> None:
    plain = execution.Executions.run

    async def slow(*arguments: object) -> object:
        time.sleep(4.0)  # noqa: ASYNC251 - that is the fault
        return await plain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(execution.Executions, "run", slow)
    app = create_app(Settings())
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            asked = asyncio.create_task(client.post("/graphql", json={"query": "{ __typename }"}))
            await asked
        assert await becomes(lambda: caplog.messages)
    line = caplog.messages[0]
    assert "by request " in line and "test_loopwatch:" in line
    assert await becomes(lambda: not watches())
