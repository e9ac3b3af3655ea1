"""What is known of a site being down: whose failure it was, who is told without asking, and how that ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pydantic import SecretStr

from ccgateway.errors import Code, SiteError
from ccgateway.site import breaker, guard, outages
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.outage import EVERYBODY, RememberedFailureError
from support.failing import (
    ALICE,
    BOB,
    CLEO,
    HEAVY,
    READ,
    SERVICE,
    WRITE,
    Outcome,
    Site,
    asking,
    failure,
    is_down,
    memory_of,
    outcome,
    status,
    until,
)
from support.scripted import OK

DOWN: list[Outcome] = [
    *(failure(code) for code in (Code.UNREACHABLE, Code.CONNECTION_LOST, Code.BAD_ANSWER)),
    *(status(number) for number in (500, 502, 503, 504)),
]


@pytest.mark.parametrize("fails", DOWN, ids=lambda one: str(getattr(one, "status", getattr(one, "code", None))))
async def test_a_site_that_fails_everybody_is_asked_once_and_then_looked_after(fails: Outcome) -> None:
    site = Site(lambda *_: fails)
    async with memory_of(site) as memory:
        for who in (ALICE, BOB):  # it may have been her token, until it fails with another one
            await outcome(memory, context=asking(who))
            await until(lambda: is_down(memory))
            await asyncio.sleep(0.05)
        asked = site.questions()
        told = [await outcome(memory, context=asking(who)) for who in (ALICE, BOB, CLEO) * 100]
        assert site.questions() == asked <= 2
        assert len(site.asked) - asked <= 8
    assert all(isinstance(one, RememberedFailureError) for one in told)
    assert {one.code for one in told if isinstance(one, SiteError)} == {Code.CIRCUIT_OPEN}
    assert all(one.retryable and (one.retry_after or 0) >= 1 for one in told if isinstance(one, SiteError))
    assert "not asked now" in str(told[0])


@pytest.mark.parametrize("fails", DOWN, ids=lambda one: str(getattr(one, "status", getattr(one, "code", None))))
async def test_it_is_noticed_without_being_asked_that_a_site_answers_again(fails: Outcome) -> None:
    down = [True]
    site = Site(lambda *_: fails if down else OK)
    async with memory_of(site) as memory:
        await outcome(memory)
        await until(lambda: is_down(memory))
        assert isinstance(await outcome(memory), RememberedFailureError)
        down.clear()
        await until(lambda: not is_down(memory))
        assert memory.health.reachable
        assert await outcome(memory) is OK


@pytest.mark.parametrize("fails", DOWN[1:], ids=lambda one: str(getattr(one, "status", getattr(one, "code", None))))
async def test_what_fails_with_one_question_is_no_failure_of_the_site(fails: Outcome) -> None:
    site = Site(lambda _, path: fails if path == HEAVY.path else OK)
    async with memory_of(site) as memory:
        for _ in range(5):
            await outcome(memory, HEAVY)
            await asyncio.sleep(0.02)
            assert await outcome(memory) is OK
            assert await outcome(memory, context=asking(BOB)) is OK
        assert not is_down(memory)
        assert sum(path not in (READ.path, HEAVY.path) for _, path in site.asked) <= 2  # looks that went well count for a second


@pytest.mark.parametrize("fails", DOWN[1:], ids=lambda one: str(getattr(one, "status", getattr(one, "code", None))))
async def test_what_fails_with_one_token_is_no_failure_for_others(fails: Outcome) -> None:
    site = Site(lambda token, _: fails if token == "alice" else OK)
    async with memory_of(site) as memory:
        await outcome(memory)
        await until(lambda: is_down(memory))
        for _ in range(20):
            assert await outcome(memory, context=asking(BOB)) is OK
        assert isinstance(await outcome(memory), RememberedFailureError)


async def test_whoever_insists_asks_the_site_and_ends_the_outage_by_an_answer() -> None:
    down = [True]
    site = Site(lambda *_: failure(Code.UNREACHABLE) if down else OK)
    async with memory_of(site) as memory:
        await outcome(memory)
        asked = site.questions()
        assert not isinstance(await outcome(memory, context=asking(insists=True)), RememberedFailureError)
        assert site.questions() == asked + 1
        down.clear()
        assert await outcome(memory, context=asking(insists=True)) is OK
        assert not is_down(memory)
        assert await outcome(memory) is OK


async def test_writes_always_reach_the_site() -> None:
    site = Site(lambda *_: failure(Code.UNREACHABLE))
    async with memory_of(site) as memory:
        await outcome(memory)
        asked = site.questions()
        for _ in range(3):
            assert not isinstance(await outcome(memory, WRITE), RememberedFailureError)
        assert site.questions() == asked + 3


async def test_a_site_that_hangs_is_looked_at_before_the_question_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SLOW", 0.05)
    looked = asyncio.Event()

    class Hanging(Site):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            if request is not READ:
                looked.set()
                raise failure(Code.TIMEOUT)
            await asyncio.sleep(3600)
            raise AssertionError

    site = Hanging(lambda *_: OK)
    async with memory_of(site) as memory:
        hanging = asyncio.create_task(outcome(memory))
        await asyncio.wait_for(looked.wait(), 5)
        await until(lambda: is_down(memory))
        told = await asyncio.wait_for(outcome(memory), 5)
        assert isinstance(told, RememberedFailureError)
        assert told.code is Code.CIRCUIT_OPEN
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


async def test_a_site_that_has_so_much_to_do_that_looks_take_too_long_is_not_down_while_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "SLOW", 0.01)
    monkeypatch.setattr(outages, "LOOK", 0.1)

    class Laden(Site):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            await asyncio.sleep(0.05 if request is READ else 1.0)
            return await super().exchange(request, context)

    site = Laden(lambda *_: OK)
    async with memory_of(site) as memory:
        for _ in range(10):
            assert await asyncio.gather(*(outcome(memory) for _ in range(3))) == [OK] * 3
        assert not is_down(memory)


async def test_a_slow_question_at_a_site_that_answers_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SLOW", 0.02)

    class Slow(Site):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            if request is HEAVY:
                await asyncio.sleep(0.2)
            return await super().exchange(request, context)

    site = Slow(lambda *_: OK)
    async with memory_of(site) as memory:
        heavy = asyncio.create_task(outcome(memory, HEAVY))
        for _ in range(10):
            await asyncio.sleep(0.02)
            assert await outcome(memory) is OK
        assert await heavy is OK


async def test_a_failure_from_before_an_answer_counts_for_nothing() -> None:
    gate = asyncio.Event()

    class Late(Site):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            if request is HEAVY:
                await gate.wait()
                raise failure(Code.UNREACHABLE)
            return await super().exchange(request, context)

    site = Late(lambda *_: OK)
    async with memory_of(site) as memory:
        late = asyncio.create_task(outcome(memory, HEAVY))
        await asyncio.sleep(0.01)
        assert await outcome(memory) is OK
        gate.set()
        await late
        assert not is_down(memory)


async def test_the_failures_of_one_persons_token_are_forgotten_when_nobody_asks_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "PERSON_KEPT", 0.1)
    site = Site(lambda *_: status(500))
    async with memory_of(site) as memory:
        await outcome(memory)
        await until(lambda: is_down(memory))
        await until(lambda: not memory._outages)
        assert not isinstance(await outcome(memory), RememberedFailureError)


@pytest.mark.parametrize("fails", [failure(Code.UNREACHABLE), status(500)], ids=["unreachable", "500"])
async def test_a_site_is_looked_after_until_it_answers_though_nobody_asks(
    fails: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "PERSON_KEPT", 0.05)
    monkeypatch.setattr(breaker, "LAST_LOOK", 0.05)
    down = [True]
    site = Site(lambda *_: fails if down else OK)
    async with memory_of(site) as memory:
        await outcome(memory, context=asking(SERVICE))
        await until(lambda: is_down(memory))
        await asyncio.sleep(0.5)
        assert is_down(memory)
        down.clear()
        await until(lambda: not is_down(memory))


async def test_looks_are_rare_and_heed_what_the_site_asks_for() -> None:
    site = Site(lambda *_: replace(status(503), retry_after=5.0))
    async with memory_of(site) as memory:
        await outcome(memory)
        await until(lambda: is_down(memory))
        await asyncio.sleep(1.0)
        assert len(site.asked) <= 3


async def test_tokens_whose_failures_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "MOST_KEPT", 5)
    site = Site(lambda token, _: status(500) if token != "alice" else OK)
    async with memory_of(site) as memory:
        for number in range(20):
            one = Credential(SecretStr(f"person {number}"), f"person {number}", frozenset({"user"}), "/api")
            await outcome(memory, context=asking(one))
            await asyncio.sleep(0.01)
            assert len(memory._outages) <= 5
            assert await outcome(memory, context=asking(ALICE, insists=True)) is OK


async def test_the_token_of_one_who_fails_for_ever_holds_nobody_up() -> None:
    flaky = [True]
    site = Site(lambda token, _: status(500) if token == "alice" or flaky else OK)
    async with memory_of(site) as memory:
        for who in (ALICE, BOB):
            await outcome(memory, context=asking(who))
            await asyncio.sleep(0.05)
        assert isinstance(await outcome(memory, context=asking(CLEO)), RememberedFailureError)
        flaky.clear()
        await until(lambda: not is_down(memory) or EVERYBODY not in memory._outages)
        assert await outcome(memory, context=asking(CLEO)) is OK
        for _ in range(20):
            assert await outcome(memory, context=asking(BOB)) is OK
            await outcome(memory)


async def test_what_a_site_told_one_is_not_told_to_others() -> None:
    site = Site(lambda token, _: SiteAnswer(500, "application/json", f'{{"error":"for {token}"}}'.encode()))
    async with memory_of(site) as memory:
        for who in (ALICE, BOB):
            await outcome(memory, context=asking(who))
            await asyncio.sleep(0.05)
        told = await outcome(memory, context=asking(CLEO))
    assert isinstance(told, RememberedFailureError)
    assert "for " not in told.message


async def test_who_waits_for_a_persons_outage_that_becomes_everybodys_is_told_so_and_does_not_ask() -> None:
    gate = asyncio.Event()
    gate.set()

    class Gated(Site):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            if (context.credential, request) == (ALICE, READ):
                self.asked.append(("alice", request.path))
                await gate.wait()
                return status(500)
            return await super().exchange(request, context)

    site = Gated(lambda *_: status(500))
    async with memory_of(site) as memory:
        await outcome(memory)
        await until(lambda: is_down(memory))
        gate.clear()
        site.asked.clear()
        insisting = [asyncio.create_task(outcome(memory, context=asking(insists=True))) for _ in range(40)]
        await asyncio.sleep(0.01)
        await outcome(memory, context=asking(BOB))
        await until(lambda: EVERYBODY in memory._outages and memory._outages[EVERYBODY].failure is not None)
        await until(lambda: sum(one.done() for one in insisting) == 40 - guard.PROBES)
        assert site.asked.count(("alice", READ.path)) == guard.PROBES
        gate.set()
        told = await asyncio.gather(*insisting)
    assert sum(isinstance(one, RememberedFailureError) for one in told) == 40 - guard.PROBES
