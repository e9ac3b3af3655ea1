"""Two processes, one Redis, a site that hangs: the second one finds out before any question of its own has failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from acceptance.conftest import site
from acceptance.processes import Process, processes
from cache.servers import Valkey
from ccgateway.simulator import SimulatedSite, serve_in_thread

LIST = "{ jobs(first: 20) { items { site } complete sites { site status code } } }"
#: seconds that a list waits for a site that is not known to be sick; to look at one that others say is takes a second
PATIENCE = 6.0


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Process], SimulatedSite]]:
    folder: Path = tmp_path_factory.mktemp("told")
    sites = [site("aurora", "1.5", count=40), site("borealis", "1.4", count=40)]
    with serve_in_thread(*sites) as running, Valkey(folder / "valkey") as valkey:
        (folder / "redis.url").write_text(valkey.url)
        settings = f'redis_url_file = "{folder / "redis.url"}"\nlist_for = 0\nredis_timeout = 5.0\nredis_connect_timeout = 5.0\n'
        with processes(2, running, folder, f"{settings}[limits]\npatience = {PATIENCE}\n") as found:
            yield found, running["borealis"].site


async def ask(session: aiohttp.ClientSession, process: Process) -> tuple[dict[str, Any], float]:
    """The list, and the seconds that it took."""
    begun = time.monotonic()
    async with session.post(process.url, json={"query": LIST}) as answer:
        content = await answer.json()
    return content["data"]["jobs"], time.monotonic() - begun


async def test_a_process_is_told_that_a_site_hangs_and_finds_out_by_itself_when_it_no_longer_does(
    two: tuple[list[Process], SimulatedSite],
) -> None:
    (one, other), sick = two
    async with aiohttp.ClientSession() as session:
        for process in (one, other):
            found, _ = await ask(session, process)
            assert found["complete"]
        sick.faults.hang()
        found, took = await ask(session, one)
        assert not found["complete"]
        assert took >= PATIENCE - 1
        for _ in range(20):
            found, took = await ask(session, one)
            if found["sites"][1]["code"] == "CIRCUIT_OPEN":
                break
            await asyncio.sleep(0.1)
        assert found["sites"][1]["code"] == "CIRCUIT_OPEN"
        first = asyncio.create_task(ask(session, other))
        await asyncio.sleep(3.0)  # it was told meanwhile, and has looked
        found, took = await ask(session, other)
        assert (found["complete"], found["sites"][0]["status"]) == (False, "OK")
        assert found["sites"][1]["code"] == "CIRCUIT_OPEN"
        assert took < PATIENCE / 2 and not first.done()
        await first
        sick.faults.clear()
        for process in (one, other):
            await _until_complete(session, process)


async def _until_complete(session: aiohttp.ClientSession, process: Process) -> None:
    until = time.monotonic() + 30
    while not (await ask(session, process))[0]["complete"]:
        assert time.monotonic() < until
        await asyncio.sleep(0.2)
