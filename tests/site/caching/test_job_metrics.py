"""Remembered metrics are the site's own: nobody else's, no other job's, from no other time than they may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget, Outcome
from ccgateway.federation.questions import JobListQuestion, JobMetricsAnswer
from ccgateway.jobs.metrics import NEEDED, SCOPES, JobRef, MetricPiece, MetricsWanted
from ccgateway.jobs.model import JobKey
from ccgateway.settings import LimitSettings
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.instance import Instance
from support.caching import Clock, cache_of, settled, until
from support.upstream import ADMIN, Job, Upstream, piece, site_of, user_credential
from support.walking import CALLER, gateway_over
from support.whose import Whose

RELEASES = ("1.2", "1.3", "1.4", "1.5")
FIVE = ("a", "b", "c", "d", "e")
#: metrics of jobs: at one scope and at several, on one host and on two that have the same samples, with gaps, without series
METRICS: dict[int, list[dict[str, Any]]] = {
    1: [piece(name) for name in FIVE],
    2: [piece("cpu_load"), piece("mem_bw", "socket"), piece("mem_bw"), piece("flops", "core", (1.5,) * 3, 30)],
    3: [],
}
BOTH = piece("mem_bw", values=(3.25, 4.5))
BOTH["metric"]["series"] *= 2
METRICS[4] = [BOTH, {"name": "bare", "scope": "node", "metric": {"unit": {"base": ""}, "series": None, "timestep": 0}}]


def site_with(release: str = "1.5", **each: Any) -> Upstream:
    upstream = Upstream([Job(i, 1000 + i, id=i, **each) for i in range(1, 41)], release=release)
    upstream.metrics = dict(METRICS)
    return upstream


def budget() -> MetricsBudget:
    return MetricsBudget(LimitSettings())  # type: ignore[call-arg]


async def ask(gateway: Gateway, names: Sequence[str] | None = None, scopes: Sequence[str] | None = None,
              job: str = "one:1") -> JobMetricsAnswer:  # fmt: skip
    return await gateway.job_metrics(job, MetricsWanted.of(names, scopes), CALLER, budget=budget())


def shown(pieces: Sequence[MetricPiece]) -> list[bytes]:
    return [msgspec.json.encode(one) for one in pieces]


def asked(upstream: Upstream) -> list[list[str]]:
    """Which metrics the site was asked for, question by question; ``["*"]`` for all of them."""
    found = []
    for request in upstream.requests:
        url = urlsplit(request.path)
        if "/metrics/" in url.path:
            found.append(sorted(parse_qs(url.query).get("metric", ["*"])))
        elif request.method == "POST" and request.body != b'["-"]':
            found.append(sorted(msgspec.json.decode(request.body or b"null") or ["*"]))
    return found


@asynccontextmanager
async def over(
    upstream: Upstream, clock: Clock | None = None, *, credential: Credential = ADMIN, **settings: Any
) -> AsyncIterator[tuple[Gateway, ResponseCache]]:
    responses = cache_of(clock, **settings)
    async with gateway_over([site_of(upstream, "one", credential=credential)], responses) as gateway:
        yield gateway, responses


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


# --- how long


async def test_an_archived_job_is_known_for_a_day_and_no_longer() -> None:
    upstream, clock = site_with(), Clock()
    async with over(upstream, clock) as (gateway, responses):
        for after, calls in ((0, 1), (86_399, 1), (2, 2)):
            clock.now += after
            await ask(gateway, ["a"])
            await settled(responses)
            assert len(asked(upstream)) == calls


@pytest.mark.parametrize("phase", [{"state": "running"}, {"state": "completed", "monitoring_status": 1}])
async def test_what_may_still_change_is_never_served_past_its_limit(phase: dict[str, Any]) -> None:
    upstream, clock = site_with(**phase), Clock()
    async with over(upstream, clock, running_for=20, stale_for=10, refreshes=0) as (gateway, responses):
        for after, calls in ((0, 1), (19, 1), (10, 1), (2, 2)):
            clock.now += after
            await ask(gateway, ["a"])
            await settled(responses)
            assert len(asked(upstream)) == calls, clock.now


async def test_what_is_stale_is_served_while_it_is_fetched_anew() -> None:
    upstream, clock = site_with(state="running"), Clock()
    async with over(upstream, clock, running_for=20, stale_for=10) as (gateway, responses):
        await ask(gateway, ["a"])
        await settled(responses)
        clock.now += 25
        upstream.metrics[1] = [piece("a", values=(7.0,))]
        old = await ask(gateway, ["a"])
        await settled(responses)
        new = await ask(gateway, ["a"])
    assert b"7.0" not in shown(old.pieces)[0]
    assert b"7.0" in shown(new.pieces)[0]


async def test_no_longer_than_one_sampling_interval() -> None:
    upstream, clock = site_with(state="running"), Clock()
    upstream.metrics[1] = [piece("a", timestep=60), piece("b", timestep=5)]
    async with over(upstream, clock, running_for=20, stale_for=0) as (gateway, responses):
        await ask(gateway, ["a", "b"])
        await settled(responses)
        clock.now += 6
        await ask(gateway, ["a", "b"])
    assert asked(upstream) == [["a", "b"], ["b"]]


async def test_what_was_read_while_it_ran_is_not_shown_once_it_is_known_to_have_ended() -> None:
    upstream, clock = site_with(state="running"), Clock()
    async with over(upstream, clock, list_for=1) as (gateway, responses):
        await ask(gateway, ["a"])
        await settled(responses)
        upstream.jobs["alex", 1, 1001].state = "completed"
        upstream.metrics[1] = [piece("a", values=(7.0,))]
        clock.now += 1.1
        answer = await ask(gateway, ["a"])
    assert b"7.0" in shown(answer.pieces)[0]


@pytest.mark.parametrize(
    "failure",
    [
        SiteAnswer(200, "application/json", b""),
        SiteAnswer(200, "application/json", b'{"data":null,"error":{"message":"kaputt"}}'),
        SiteAnswer(200, "application/json", b'{"data":{"jobMetrics":[{"name":"a","scope":"node","metric":{"ser'),
        SiteAnswer(200, "text/html", b"<html>"),
        SiteAnswer(500, "", b""),
        SiteAnswer(503, "text/plain", b"busy"),
        SiteError(Code.CONNECTION_LOST, "one", "gone"),
    ],
    ids=str,
)
async def test_a_failure_is_not_remembered(failure: SiteAnswer | SiteError) -> None:
    upstream = site_with()
    async with over(upstream) as (gateway, responses):
        upstream.fails = lambda request: failure if "/metrics/" in request.path else None
        with pytest.raises(GatewayError):
            await ask(gateway, ["a"])
        await settled(responses)
        upstream.fails = lambda _: None
        assert [one.name for one in (await ask(gateway, ["a"])).pieces] == ["a"]


# --- which job


async def test_an_id_that_was_used_again_is_noticed_within_a_second() -> None:
    upstream, clock = site_with(), Clock()
    async with over(upstream, clock, list_for=1) as (gateway, responses):
        await ask(gateway, ["a"])
        await settled(responses)
        upstream.remove(("alex", 1, 1001))
        upstream.add(Job(900, 5000, id=1))
        upstream.metrics[1] = [piece("a", values=(7.0,))]
        clock.now += 1.1
        assert b"7.0" in shown((await ask(gateway, ["a"])).pieces)[0]


async def test_a_job_that_came_back_under_another_id_is_read_anew() -> None:
    upstream = site_with()
    async with over(upstream, list_for=0) as (gateway, responses):
        await ask(gateway, ["a"])
        await settled(responses)
        upstream.remove(("alex", 1, 1001))
        upstream.add(Job(1, 1001, id=77))
        upstream.metrics[77] = [piece("a", values=(7.0,))]
        assert b"7.0" in shown((await ask(gateway, ["a"], job="one:77")).pieces)[0]


async def test_a_job_that_is_not_there_is_not_found_and_looked_for_once() -> None:
    upstream = site_with()
    async with over(upstream) as (gateway, _):
        outcomes = await asyncio.gather(*[ask(gateway, job="one:99") for _ in range(10)], return_exceptions=True)
    assert {one.code for one in outcomes if isinstance(one, SiteError)} == {Code.NOT_FOUND}
    assert len(upstream.requests) == 1


async def test_a_job_that_cannot_be_looked_up_may_have_metrics_all_the_same() -> None:
    upstream = site_with()
    upstream.fails = lambda request: SiteAnswer(500, "", b"") if request.path.endswith("/jobs/1") else None
    async with over(upstream) as (gateway, responses):
        for _ in range(2):
            assert len((await ask(gateway, FIVE)).pieces) == 5
            await settled(responses)
    assert len(asked(upstream)) == 2


# --- nothing from before a write


async def test_after_a_write_everything_of_the_job_is_read_anew() -> None:
    upstream = site_with()
    async with over(upstream) as (gateway, responses):
        for job in ("one:1", "one:2"):
            await ask(gateway, job=job)
        await settled(responses)
        await gateway.invalidate("one", [JobKey("one", "alex", 1, 1001)])
        for job in ("one:1", "one:2"):
            await ask(gateway, job=job)
        assert len(asked(upstream)) == 3
        await gateway.invalidate("one", None)
        await ask(gateway, job="one:2")
        assert len(asked(upstream)) == 4


async def test_what_was_being_read_during_a_write_is_not_kept() -> None:
    upstream = site_with()
    gate = asyncio.Event()

    class Slow(Upstream):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            answer = await super().exchange(request, context)
            if "/metrics/" in request.path and not gate.is_set():
                self.metrics[1] = [piece("a", values=(7.0,))]
                await gate.wait()
            return answer

    slow = Slow(upstream.jobs.values())
    slow.metrics = upstream.metrics
    async with over(slow) as (gateway, _):
        early = asyncio.create_task(ask(gateway, ["a"]))
        await until(lambda: asked(slow))
        await gateway.invalidate("one", [JobKey("one", "alex", 1, 1001)])
        late = asyncio.create_task(ask(gateway, ["a"]))
        await until(lambda: len(asked(slow)) == 2)
        gate.set()
        assert b"7.0" not in shown((await early).pieces)[0]
        assert b"7.0" in shown((await late).pieces)[0]
        assert b"7.0" in shown((await ask(gateway, ["a"])).pieces)[0]


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
