"""Questions that fail though the site answers: who is told so without asking, who still asks, and what other processes say."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import Code
from ccgateway.site import breaker, guard, outages
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.guard import Guarding, Watching
from ccgateway.site.hints import OutageHints
from ccgateway.site.outage import EVERYBODY, RememberedFailureError, Witness
from ccgateway.site.outages import FailureMemory
from ccgateway.telemetry import Observer
from support.failing import (
    ALICE,
    BAD,
    BOB,
    CLEO,
    HEAVY,
    READ,
    SERVICE,
    WRITE,
    Outcome,
    Site,
    Slow,
    ask_as,
    asking,
    failure,
    is_down,
    memory_of,
    outcome,
    outcome_of,
    status,
    until,
    well_but_for_questions,
)
from support.scripted import OK


async def test_questions_that_fail_though_looks_go_well_are_asked_no_more_but_writes_and_who_insists_are() -> None:
    site = Site(well_but_for_questions("kaputt"))
    async with memory_of(site) as memory:
        told = [await outcome(memory) for _ in range(20)]
        assert site.questions() == breaker.IN_A_ROW
        assert all(isinstance(one, RememberedFailureError) for one in told[breaker.IN_A_ROW :])
        await outcome(memory, context=asking(insists=True))
        await outcome(memory, WRITE)
        assert site.questions() == breaker.IN_A_ROW + 2


async def test_what_a_site_said_to_a_question_is_not_told_to_another_with_the_same_token() -> None:
    site = Site(well_but_for_questions("of one caller"))
    async with memory_of(site) as memory:
        for _ in range(breaker.IN_A_ROW):
            await outcome(memory)
        told = await outcome(memory, HEAVY)
    assert isinstance(told, RememberedFailureError)
    assert "of one caller" not in told.message


async def test_of_those_who_insist_a_few_ask_and_the_others_wait_for_a_look() -> None:
    down = [True]
    site = Slow(lambda *_: status(503) if down else OK)
    async with memory_of(site) as memory:
        memory._fall(EVERYBODY, failure(Code.UNREACHABLE), [Witness(ALICE)])
        asking_now = [asyncio.create_task(outcome(memory, context=asking(insists=True))) for _ in range(20)]
        done, _ = await asyncio.wait(asking_now, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        await until(lambda: sum(one.done() for one in asking_now) == 18)
        assert site.questions() == guard.PROBES
        assert all(isinstance(one.result(), RememberedFailureError) for one in asking_now if one.done())
        down.clear()
        site.gate.set()
        assert [one.result() for one in (await asyncio.wait(asking_now, timeout=5))[0] if one.result() is OK] == [OK] * 2
    assert done


async def test_an_answer_to_a_look_lets_those_who_insist_ask() -> None:
    down = [True]
    site = Slow(lambda *_: status(503) if down else OK)
    async with memory_of(site) as memory:
        memory._fall(EVERYBODY, failure(Code.UNREACHABLE), [Witness(ALICE)])
        asking_now = [asyncio.create_task(outcome(memory, context=asking(insists=True))) for _ in range(20)]
        await asyncio.sleep(0)
        down.clear()
        await until(lambda: site.questions() == 20)
        site.gate.set()
        assert await asyncio.gather(*asking_now) == [OK] * 20


async def test_a_question_that_was_cancelled_at_a_site_that_is_down_leaves_nothing_behind() -> None:
    site = Slow(lambda *_: status(503))
    async with memory_of(site) as memory:
        memory._fall(EVERYBODY, failure(Code.UNREACHABLE), [Witness(ALICE)])
        probes = [asyncio.create_task(outcome(memory, context=asking(insists=True))) for _ in range(5)]
        await asyncio.sleep(0.01)
        for one in probes:
            one.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        outage = memory._outages[EVERYBODY]
        assert outage.probes == 0
        assert not outage._waiting


# --- callers, tokens and questions do no harm to one another


@pytest.mark.parametrize("bad", [BAD, SiteAnswer(200, "application/json", b""), status(502), failure(Code.CONNECTION_LOST)])
async def test_one_caller_opens_nothing_for_others_with_the_same_token(bad: Outcome) -> None:
    site = Site(lambda _, path: bad if path == HEAVY.path else OK)
    async with memory_of(site) as memory:
        for _ in range(20):
            await ask_as(memory, "mallory", HEAVY)
        assert isinstance(await ask_as(memory, "mallory", HEAVY), RememberedFailureError)
        for _ in range(5):
            assert await ask_as(memory, "alice", READ) is OK


async def test_what_fails_for_two_callers_is_not_asked_by_a_third_until_it_goes_well_again() -> None:
    down = [True]
    site = Site(lambda _, path: BAD if path == READ.path and down else OK)
    async with memory_of(site) as memory:
        for _ in range(breaker.IN_A_ROW):
            await ask_as(memory, "alice")
        assert not isinstance(await ask_as(memory, "bob"), RememberedFailureError)
        assert isinstance(await ask_as(memory, "cleo"), RememberedFailureError)
        down.clear()
        await until(lambda: not is_down(memory))  # though nobody asks: looks ask what failed
        assert await ask_as(memory, "cleo") is OK


async def test_questions_that_only_take_too_long_open_nothing_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "CUT_OFF", 0.0)
    site = Slow(lambda *_: OK)
    async with memory_of(site) as memory:
        for number in range(6 * breaker.IN_A_ROW):
            asked = asyncio.create_task(ask_as(memory, f"caller {number % 3}"))
            await asyncio.sleep(0.001)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        site.gate.set()
        assert await ask_as(memory, "somebody else") is OK


@pytest.mark.parametrize("number", [400, 401, 403, 404, 422, 429])
async def test_refusals_open_nothing(number: int) -> None:
    site = Site(lambda *_: status(number))
    async with memory_of(site) as memory:
        for _ in range(30):
            found = await ask_as(memory, "alice")
            assert isinstance(found, SiteAnswer) and found.status == number
        assert not memory._outages


async def test_tokens_that_make_a_site_fail_keep_nobody_else_from_it_for_long() -> None:
    site = Site(lambda token, _: OK if token == "cleo" else status(500))
    async with memory_of(site) as memory:
        for _ in range(3):
            for who in (ALICE, BOB):
                await outcome(memory, context=asking(who))
                await asyncio.sleep(0.05)
            for _ in range(300):
                if await outcome(memory, context=asking(CLEO)) is OK:
                    break
                await asyncio.sleep(0.01)
            else:
                raise AssertionError("two bad tokens keep a third from the site")
        for _ in range(20):  # by now it is known that those two tokens speak for nobody else
            await outcome(memory, context=asking(ALICE))
            await outcome(memory, context=asking(BOB))
            await asyncio.sleep(0.02)
            assert await outcome(memory, context=asking(CLEO)) is OK


async def test_a_site_that_fails_every_other_time_is_not_asked() -> None:
    turn = count()
    site = Site(lambda *_: OK if next(turn) % 2 else status(503))
    async with memory_of(site) as memory:
        for _ in range(100):
            await outcome(memory)
        asked = site.questions()
        for _ in range(20):
            await outcome(memory)
            await asyncio.sleep(0.02)
        assert site.questions() - asked <= 12  # looks that ask what failed, among them


async def test_it_is_told_once_that_a_site_is_down_and_once_that_it_is_back() -> None:
    told: list[str | None] = []

    class Told(Observer):
        def site_changed(self, site: str, failure: str | None) -> None:
            assert site == "here"
            told.append(failure)

    down = [True]
    site = Site(lambda *_: status(503) if down else OK)
    async with memory_of(site) as memory:
        memory._observer = Told()
        for who in (SERVICE, ALICE, BOB) * 5:
            await outcome(memory, context=asking(who))
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        down.clear()
        await until(lambda: not is_down(memory))
    assert told == ["The site is busy or its proxy cannot reach it (HTTP 503).", None]


# --- what other processes see


async def test_a_process_looks_for_itself_when_another_one_says_that_a_site_is_down() -> None:
    store = TtlStore("down")
    told = Site(lambda *_: failure(Code.UNREACHABLE))
    one = FailureMemory(told, "here", 5.0, hints=OutageHints(store, "here"))
    one._fall(EVERYBODY, failure(Code.UNREACHABLE), [Witness(ALICE)])
    await until(lambda: bool(store._here))
    site = Slow(lambda *_: status(503))
    other = FailureMemory(site, "here", 5.0, hints=OutageHints(store, "here"))
    asked = asyncio.create_task(outcome_of(Guarding(Watching(site, other), other)))
    await until(lambda: is_down(other))
    site.gate.set()
    await asked
    await one.aclose()
    await other.aclose()


async def test_a_hint_that_is_wrong_keeps_nobody_from_a_site() -> None:
    store = TtlStore("down")
    await store.set("here", b"1", 60.0)
    site = Site(lambda *_: OK)
    memory = FailureMemory(site, "here", 5.0, hints=OutageHints(store, "here"))
    exchange = Guarding(Watching(site, memory), memory)
    for _ in range(20):
        assert await outcome_of(exchange) is OK
        await asyncio.sleep(0.01)
    assert len(site.asked) > 20  # it was looked at
    await memory.aclose()
