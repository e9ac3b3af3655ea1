"""Remembered metrics are the site's own, asked for once, and shown to nobody who may not see them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, SiteError
from ccgateway.federation.metrics import MetricsBudget, Outcome
from ccgateway.federation.questions import JobListQuestion, JobMetricsAnswer
from ccgateway.jobs.metrics import NEEDED, SCOPES, JobRef, MetricsWanted
from ccgateway.jobs.model import JobKey
from ccgateway.settings import LimitSettings
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, SiteAnswer
from ccgateway.site.instance import Instance
from support.caching import Clock, cache_of, settled, until
from support.remembering import FIVE, METRICS, RELEASES, ask, asked, budget, over, shown, site_with
from support.upstream import ADMIN, piece, site_of, user_credential
from support.walking import CALLER, gateway_over
from support.whose import Whose

# --- the same answer


QUESTIONS = st.tuples(
    st.none() | st.lists(st.sampled_from([*FIVE, "cpu_load", "mem_bw", "flops", "bare", "nope", ""]), min_size=1, max_size=4),
    st.none() | st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3),
    st.sampled_from([None, 60, 240]),
)
CREDENTIALS = [ADMIN, Credential(SecretStr("robot"), "robot", frozenset({"api"}), "/api"), user_credential("alice")]


@pytest.mark.parametrize("release", RELEASES)
@given(
    questions=st.lists(st.tuples(QUESTIONS, st.integers(1, 4)), min_size=1, max_size=8),
    credential=st.sampled_from(CREDENTIALS),
    state=st.sampled_from(["running", "completed"]),
)
def test_an_answer_from_the_cache_is_the_sites_own(
    release: str, questions: list[tuple[Any, int]], credential: Credential, state: str
) -> None:
    async def run() -> None:
        upstream = site_with(release, state=state)
        instance = site_of(upstream, "one", credential=credential)
        context = CallContext(credential, Deadline.after(10))
        async with over(upstream, credential=credential) as (gateway, responses):
            for (names, scopes, resolution), db_id in questions * 2:
                wanted = MetricsWanted.of(names, scopes, resolution)
                own = await instance.metrics(context, JobRef("one", db_id), wanted)
                answer = await gateway.job_metrics(f"one:{db_id}", wanted, CALLER, budget=budget())
                assert shown(answer.pieces) == shown(own.pieces)
                assert tuple(answer.report.notes[: len(own.notes)]) == own.notes
                await settled(responses)
            before = len(asked(upstream))
            for (names, scopes, resolution), db_id in questions:
                await gateway.job_metrics(f"one:{db_id}", MetricsWanted.of(names, scopes, resolution), CALLER, budget=budget())
            assert len(asked(upstream)) == before

    asyncio.run(run())


@pytest.mark.parametrize("release", RELEASES)
async def test_notes_are_told_from_the_cache_as_from_the_site(release: str) -> None:
    async with over(site_with(release)) as (gateway, responses):
        first = await ask(gateway, None, ["socket"], "one:4")
        await settled(responses)
        second = await ask(gateway, None, ["socket"], "one:4")
    assert (first.report.calls > 0, second.report.calls) == (True, 0)
    assert first.report.notes == second.report.notes != []
    assert any("sum over all hosts" in note for note in second.report.notes) is (release != "1.5")


# --- asking for what is missing, once


async def test_of_five_metrics_that_are_asked_for_only_the_one_that_is_missing_is() -> None:
    upstream = site_with()
    async with over(upstream) as (gateway, responses):
        await ask(gateway, FIVE[:4])
        await settled(responses)
        answer = await ask(gateway, FIVE)
    assert asked(upstream) == [list(FIVE[:4]), ["e"]]
    assert [one.name for one in answer.pieces] == list(FIVE)


async def test_who_asked_for_all_has_each_and_each_is_not_all() -> None:
    upstream = site_with()
    async with over(upstream) as (gateway, responses):
        await ask(gateway, ["a"])
        await settled(responses)
        everything = await ask(gateway)
        await settled(responses)
        again = await ask(gateway)
        some = await ask(gateway, ["e", "b"])
    assert asked(upstream) == [["a"], ["*"]]
    assert shown(again.pieces) == shown(everything.pieces)
    assert shown(some.pieces) == shown([everything.pieces[4], everything.pieces[1]])


@pytest.mark.parametrize("names", [None, ("a", "b")])
@pytest.mark.parametrize("memory_bytes", [0, 1 << 20])
async def test_however_many_ask_at_once_the_site_is_asked_once(names: Sequence[str] | None, memory_bytes: int) -> None:
    upstream = site_with()
    nowhere: dict[str, Any] = {"redis_url": "redis://127.0.0.1:1", "memory_bytes": memory_bytes}
    async with over(upstream, **nowhere) as (gateway, _):
        answers = await asyncio.gather(*[ask(gateway, names) for _ in range(100)])
    assert len(asked(upstream)) == 1
    assert len({tuple(shown(answer.pieces)) for answer in answers}) == 1
    assert sum(answer.report.calls for answer in answers) == 2  # which job it is, and its metrics


async def test_the_first_to_ask_may_leave() -> None:
    upstream = site_with()
    async with over(upstream) as (gateway, _):
        first = asyncio.create_task(ask(gateway, FIVE))
        others = [asyncio.create_task(ask(gateway, FIVE)) for _ in range(5)]
        await until(lambda: asked(upstream))
        first.cancel()
        answers = await asyncio.gather(*others)
    assert len(asked(upstream)) == 1
    assert all(len(answer.pieces) == 5 for answer in answers)


async def test_a_metric_that_is_not_there_is_asked_for_again_after_a_while() -> None:
    upstream, clock = site_with(), Clock()
    async with over(upstream, clock, absent_for=30) as (gateway, responses):
        for after in (0, 29, 2):
            clock.now += after
            assert (await ask(gateway, ["nope"])).pieces == []
            await settled(responses)
    assert asked(upstream) == [["nope"], ["nope"]]


async def test_a_list_of_jobs_is_looked_up_at_once() -> None:
    upstream = site_with()
    jobs = [JobRef("one", i, JobKey("one", "alex", i, 1000 + i)) for i in range(1, 41)]
    wanted = MetricsWanted.of(["cpu_load", "mem_bw"], ["node"])
    async with over(upstream) as (gateway, responses):
        rows = (await gateway.jobs(JobListQuestion(first=40, fields=NEEDED), CALLER)).rows
        jobs = [JobRef.of(row) for row in rows]
        cold = [good(one) for one in await gateway.metrics_of(jobs, wanted, CALLER, budget=budget())]
        await settled(responses)
        before = len(upstream.requests)
        warm = [good(one) for one in await gateway.metrics_of(jobs, wanted, CALLER, budget=budget())]
        everything = await gateway.metrics_of(jobs[:2], MetricsWanted(), CALLER, budget=budget())
        assert len(upstream.requests) == before + 2
        await settled(responses)
        again = await gateway.metrics_of(jobs[:2], MetricsWanted(), CALLER, budget=budget())
        assert len(upstream.requests) == before + 2
    assert [shown(one.pieces) for one in warm] == [shown(one.pieces) for one in cold]
    assert [shown(good(one).pieces) for one in again] == [shown(good(one).pieces) for one in everything]
    assert {one.report.cache_age for one in cold} == {None}
    assert None not in {one.report.cache_age for one in warm}


async def test_a_list_of_jobs_holds_no_more_bytes_than_it_may_also_if_they_are_remembered() -> None:
    upstream = site_with()
    upstream.metrics = {i: [piece("cpu_load", values=(1.25,) * 1000)] for i in range(1, 41)}
    wanted = MetricsWanted.of(["cpu_load"], ["node"])
    async with over(upstream) as (gateway, responses):
        jobs = [JobRef.of(row) for row in (await gateway.jobs(JobListQuestion(first=40, fields=NEEDED), CALLER)).rows]
        await gateway.metrics_of(jobs, wanted, CALLER, budget=budget())
        await settled(responses)
        small = MetricsBudget(LimitSettings(metrics_bytes=20_000))  # type: ignore[call-arg]
        outcomes = await gateway.metrics_of(jobs, wanted, CALLER, budget=small)
        assert sum(isinstance(one, JobMetricsAnswer) for one in outcomes) == 3
        assert {one.code for one in outcomes if isinstance(one, GatewayError)} == {Code.LIMIT_EXCEEDED}


def good(outcome: Outcome) -> JobMetricsAnswer:
    assert isinstance(outcome, JobMetricsAnswer), outcome
    return outcome


async def test_the_report_says_how_old_the_oldest_part_is() -> None:
    clock = Clock()
    async with over(site_with(), clock) as (gateway, responses):
        assert (await ask(gateway, ["a"])).report.cache_age is None
        await settled(responses)
        clock.now += 100
        await ask(gateway, ["b"])
        await settled(responses)
        clock.now += 20
        answer = await ask(gateway, ["a", "b", "c"])
    assert answer.report.cache_age == pytest.approx(120, abs=1)
    assert answer.report.calls > 0


# --- for whom


ALICE, BOB = user_credential("alice"), user_credential("bob")
MANAGER = replace(ALICE, token=SecretStr("token-of-manager"), roles=frozenset({"manager", "api"}))


@pytest.mark.parametrize("release", RELEASES)
async def test_what_one_may_see_is_shown_to_nobody_else(release: str) -> None:
    upstream = site_with(release)
    instance = Instance(site_of(upstream, "one").settings, upstream, Whose(admin=ADMIN, alice=ALICE, bob=BOB, manager=MANAGER))
    responses = cache_of()
    async with gateway_over([instance], responses) as gateway:

        async def seen_by(name: str) -> Any:
            try:
                caller = replace(CALLER, subject=name)
                answer = await gateway.job_metrics("one:1", MetricsWanted.of(["a"], None), caller, budget=budget())
            except SiteError as error:
                return error.code
            await settled(responses)
            return len(answer.pieces)

        assert [await seen_by(name) for name in ("admin", "bob", "alice", "bob", "admin", "alice")] == [
            1, Code.NOT_FOUND, 1, Code.NOT_FOUND, 1, 1,
        ]  # fmt: skip
        assert len(asked(upstream)) == 2  # once for each that may see it
        upstream.jobs["alex", 1, 1001].user = "bob"
        await gateway.invalidate("one")
        assert [await seen_by(name) for name in ("alice", "bob")] == [Code.NOT_FOUND, 1]


async def test_one_person_in_two_roles_is_two() -> None:
    upstream = site_with()
    instance = Instance(site_of(upstream, "one").settings, upstream, Whose(alice=ALICE, manager=MANAGER))
    responses = cache_of()
    async with gateway_over([instance], responses) as gateway:
        for name, calls in (("alice", 1), ("manager", 2), ("alice", 2), ("manager", 2)):
            caller = replace(CALLER, subject=name)
            await gateway.job_metrics("one:1", MetricsWanted.of(["a"], None), caller, budget=budget())
            await settled(responses)
            assert len(asked(upstream)) == calls


@pytest.mark.parametrize(
    "credential",
    [
        Credential(SecretStr("opaque"), None, None, "/api"),
        Credential(SecretStr("nobody"), None, frozenset({"user", "api"}), "/userapi"),
        Credential(SecretStr("nobody"), "", frozenset({"user", "api"}), "/userapi"),
    ],
)
async def test_for_a_token_that_does_not_say_whose_it_is_nothing_is_remembered(credential: Credential) -> None:
    upstream = site_with()
    told = msgspec.json.encode({"data": {"jobMetrics": METRICS[1]}, "error": None})
    upstream.fails = lambda _: SiteAnswer(200, "application/json", told)
    async with over(upstream, credential=credential) as (gateway, responses):
        for _ in range(2):
            assert len((await ask(gateway, ["a"])).pieces) == 5
        stats = await responses.cache.stats()
    assert len(asked(upstream)) == 2
    assert stats.memory is not None and stats.memory.entries == 0
