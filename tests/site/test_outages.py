"""What is known of a site being down: whose failure it was, who is told without asking, and how that ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest
from pydantic import SecretStr

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import Code, SiteError
from ccgateway.settings import LimitSettings
from ccgateway.site import breaker, guard, outages
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, Exchange, SiteAnswer, SiteRequest
from ccgateway.site.guard import Guarding, Watching
from ccgateway.site.hints import OutageHints
from ccgateway.site.outage import EVERYBODY, RememberedFailureError, Witness
from ccgateway.site.outages import FailureMemory
from ccgateway.telemetry import Observer
from ccgateway.traffic.admission import Traffic
from ccgateway.traffic.scopes import RequestScope, entered
from support.scripted import OK, context_for

READ = SiteRequest("GET", "/api/jobs/?page=1")
HEAVY = SiteRequest("GET", "/api/jobs/?page=2")
WRITE = SiteRequest("POST", "/api/jobs/start_job/", b"{}", safe=False)
ALICE, BOB, CLEO = (Credential(SecretStr(name), name, frozenset({"user"}), "/api") for name in ("alice", "bob", "cleo"))
SERVICE = replace(ALICE, is_vouched_for=True)

Outcome = SiteAnswer | SiteError


def status(number: int) -> SiteAnswer:
    return SiteAnswer(number, "text/plain", b"")


def failure(code: Code) -> SiteError:
    return SiteError(code, "here", "It failed.")


class Site:
    """``by`` says what comes of a request with a token; every request is kept, the looks among them."""

    def __init__(self, by: Callable[[str, str], Outcome]) -> None:
        self.by = by
        self.asked: list[tuple[str, str]] = []

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        token = context.credential.token.get_secret_value()
        self.asked.append((token, request.path))
        await asyncio.sleep(0)
        outcome = self.by(token, request.path)
        if isinstance(outcome, SiteError):
            raise SiteError(outcome.code, outcome.site, outcome.message)
        return outcome

    def questions(self) -> int:
        return sum(path in (READ.path, HEAVY.path, WRITE.path) for _, path in self.asked)


class Guarded(FailureMemory):
    """The memory with the layers that ask it, around ``site``."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, "here", 5.0)
        self.exchange = Guarding(Watching(site, self), self).exchange


@asynccontextmanager
async def memory_of(site: Site) -> AsyncIterator[Guarded]:
    before = asyncio.all_tasks()
    memory = Guarded(site)
    try:
        yield memory
    finally:
        await memory.aclose()
        assert asyncio.all_tasks() == before


def asking(credential: Credential = ALICE, *, insists: bool = False) -> CallContext:
    return replace(context_for(credential=credential), insists=insists)


async def outcome(memory: Guarded, request: SiteRequest = READ, context: CallContext | None = None) -> SiteAnswer | SiteError:
    try:
        return await memory.exchange(request, context or asking())
    except SiteError as error:
        return error


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


def is_down(memory: FailureMemory) -> bool:
    return any(outage.failure is not None for outage in memory._outages.values())


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


def well_but_for_questions(words: str) -> Callable[[str, str], Outcome]:
    bad = SiteAnswer(200, "application/json", f'{{"error":"{words}"}}'.encode())
    return lambda _, path: bad if path in (READ.path, HEAVY.path) else OK


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


class Slow(Site):
    """Answers questions only when ``gate`` is set; looks at once."""

    def __init__(self, by: Callable[[str, str], Outcome]) -> None:
        super().__init__(by)
        self.gate = asyncio.Event()

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        if request.path in (READ.path, HEAVY.path):
            self.asked.append((context.credential.token.get_secret_value(), request.path))
            await self.gate.wait()
            return self.by("", request.path)  # type: ignore[return-value]
        return await super().exchange(request, context)


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


async def ask_as(
    memory: Guarded, caller: str, request: SiteRequest = READ, credential: Credential = ALICE
) -> SiteAnswer | SiteError:
    with entered(RequestScope(Traffic(LimitSettings.model_validate({})), caller)):
        return await outcome(memory, request, asking(credential))


BAD = SiteAnswer(200, "application/json", b'{"error":"no"}')


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


async def outcome_of(exchange: Exchange) -> SiteAnswer | SiteError:
    try:
        return await exchange.exchange(READ, asking())
    except SiteError as error:
        return error
