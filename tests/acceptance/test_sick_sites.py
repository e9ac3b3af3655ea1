"""One of four sites is sick, on real sockets: nobody waits for it once that is known, and it is back soon after it is well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
import pytest

from acceptance.conftest import Front, gateway, site
from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Response
from ccgateway.simulator.misbehaviour import Exchange, Fault

LIST = """query($policy: Policy! = PARTIAL) { jobs(first: 20, policy: $policy) { items { site } complete
    sites { site status code retryable retryAfter elapsed } } }"""
#: seconds that a list waits for a sick site until it is known to be one; no list that does not wait takes half of that
PATIENCE = 6.0


@dataclass(frozen=True)
class EveryOther(Fault):
    """Says 503 to every other request."""

    turns: Any = field(default_factory=count)

    def altered(self, exchange: Exchange) -> Response:
        return Response(503) if next(self.turns) % 2 else exchange.response


async def comes_and_goes(one: SimulatedSite) -> None:
    while True:
        one.faults.hang()
        await asyncio.sleep(0.3)
        one.faults.clear()
        await asyncio.sleep(0.3)


SICK: dict[str, Callable[[SimulatedSite], object]] = {
    "hung": lambda one: one.faults.hang(),
    "dripping": lambda one: one.faults.drip(interval=0.5),
    "503": lambda one: one.faults.status(503),
    "504 after a while": lambda one: one.faults.status(504),
    "refusing": lambda one: one.unplug() if one.unplug else None,
    "resetting": lambda one: one.faults.reset(),
    "empty 200": lambda one: one.faults.empty(),
    "an error in a 200": lambda one: one.faults.error_object("kaputt"),
    "every other request": lambda one: one.faults.add(EveryOther()),
    "coming and going": comes_and_goes,
    "only lists, by either way": lambda one: one.faults.empty(path=r"query|items-per-page=[^1]"),
}
COMES_BACK = ("every other request", "coming and going")


@asynccontextmanager
async def four_sites(**settings: Any) -> AsyncIterator[tuple[Front, SimulatedSite]]:
    well = [site("aurora", "1.5", count=60), site("borealis", "1.4", count=60), site("cygnus", "1.3", count=60)]
    sick = site("draco", "1.5", count=60)
    before = asyncio.all_tasks()
    async with gateway(*well, sick, limits={"patience": PATIENCE}, timeout=20, **settings) as front:
        assert (await front.ask(LIST))["data"]["jobs"]["complete"]
        yield front, sick
    assert [one.open_connections for one in (*well, sick)] == [0] * 4
    assert not [task for task in asyncio.all_tasks() - before if "look after" in task.get_name()]


@asynccontextmanager
async def failing(front: Front, sick: SimulatedSite, how: str) -> AsyncIterator[None]:
    begun = SICK[how](sick)
    task = asyncio.ensure_future(begun) if isinstance(begun, Awaitable) else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        sick.faults.clear()
        await front.addresses["draco"].start()


def report(answer: Any) -> Any:
    return next(one for one in answer["data"]["jobs"]["sites"] if one["site"] == "draco")


async def timed(front: Front) -> tuple[float, Any]:
    begun = time.monotonic()
    answer = await front.ask(LIST)
    return time.monotonic() - begun, answer


async def known_to_be_sick(front: Front, times: int = 1) -> None:
    """``times``: how often it has to be found so, with a pause each time: one that comes and goes is, again and again."""
    for _ in range(times):
        await found_sick(front, at_once=8 if times > 1 else 1)
        await asyncio.sleep(0.1 * (times - 1))


async def found_sick(front: Front, at_once: int) -> None:
    async with asyncio.timeout(60):
        while True:
            answers = await asyncio.gather(*(front.ask(LIST) for _ in range(at_once)))
            if all(report(answer)["code"] == "CIRCUIT_OPEN" for answer in answers):
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", SICK)
async def test_once_a_site_is_known_to_be_sick_nobody_waits_for_it_and_it_is_back_unasked(how: str) -> None:
    async with four_sites() as (front, sick):
        async with failing(front, sick, how):
            await known_to_be_sick(front, times=5 if how in COMES_BACK else 1)
            seen, asked = sick.faults.seen, 0
            for at_once in (1, 16, 100):
                for answer in await asyncio.gather(*(front.ask(LIST) for _ in range(at_once))):
                    told = report(answer)
                    if how in COMES_BACK and (told["code"] != "CIRCUIT_OPEN" or told["elapsed"] > PATIENCE / 2):
                        asked += 1  # while it was there, or seemed to be
                        continue
                    assert {job["site"] for job in answer["data"]["jobs"]["items"]} <= {"aurora", "borealis", "cygnus"}
                    assert (told["status"], told["code"], told["retryable"]) == ("FAILED", "CIRCUIT_OPEN", True)
                    assert told["retryAfter"] >= 1
                    assert told["elapsed"] < PATIENCE / 2  # 0, but for a machine that is busy
                    [error] = [one for one in answer["errors"] if one["extensions"]["site"] == "draco"]
                    assert error["extensions"]["code"] == "CIRCUIT_OPEN"
                    assert error["extensions"]["retryAfter"] >= 1
            # one that hangs for moments only is asked in between, and each time it falls those under way wait for it
            assert asked < 60 or how == "coming and going"
            assert how in COMES_BACK or sick.faults.seen - seen <= 30  # looks, not 117 questions
        await asyncio.sleep(5)  # nobody asks
        async with aiohttp.ClientSession() as session:  # uvicorn has closed the connections that were idle
            assert (await Front(front.url, session, front.addresses).ask(LIST))["data"]["jobs"]["complete"]


@pytest.mark.parametrize("how", ["hung", "503", "refusing"])
async def test_strict_questions_to_a_sick_site_are_bounded_and_see_it_well_at_once(how: str) -> None:
    async with four_sites() as (front, sick):
        async with failing(front, sick, how):
            await known_to_be_sick(front)
            seen = sick.faults.seen
            asked = [asyncio.create_task(front.ask(LIST, policy="STRICT")) for _ in range(50)]
            done, late = await asyncio.wait(asked, timeout=PATIENCE)
            assert len(late) <= 2  # those that ask a site that hangs
            assert sick.faults.seen - seen <= 30
            assert all(one.result()["data"] is None for one in done)
            assert {one.result()["errors"][0]["extensions"]["code"] for one in done} == {"INCOMPLETE"}
        answers = await asyncio.gather(*(front.ask(LIST, policy="STRICT") for _ in range(20)))
        assert all(one["data"]["jobs"]["complete"] for one in answers)
        for one in late:
            one.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def test_a_site_that_asks_for_time_gets_it_and_holds_no_caller() -> None:
    async with four_sites() as (front, sick):
        sick.faults.status(503, retry_after=20)
        seconds, answer = await timed(front)
        assert seconds < PATIENCE / 2
        assert report(answer)["code"] == "SITE_BUSY"
        assert report(answer)["retryAfter"] == 20
        await known_to_be_sick(front)
        seen = sick.faults.seen
        for _ in range(6):
            await front.ask(LIST)
            await asyncio.sleep(0.5)
        assert sick.faults.seen == seen


@pytest.mark.parametrize("status", [401, 403, 404, 422])
async def test_refusals_do_not_make_a_site_sick(status: int) -> None:
    async with four_sites() as (front, sick):
        sick.faults.status(status)
        for _ in range(12):
            told = report(await front.ask(LIST))
            assert told["status"] == "FAILED" and told["code"] != "CIRCUIT_OPEN"
        sick.faults.clear()
        assert (await front.ask(LIST))["data"]["jobs"]["complete"]


async def test_a_sick_site_takes_no_file_descriptors() -> None:
    async with four_sites() as (front, sick), failing(front, sick, "hung"):
        await known_to_be_sick(front)
        for _ in range(3):  # by now the connections of the client, and those to the other sites, are made
            await asyncio.gather(*(front.ask(LIST) for _ in range(10)))
        before = open_files()
        for _ in range(30):
            await asyncio.gather(*(front.ask(LIST) for _ in range(10)))
        assert open_files() - before <= 10  # looks; 200 would be those of questions


def open_files() -> int:
    from pathlib import Path

    return len(list(Path("/proc/self/fd").iterdir()))
