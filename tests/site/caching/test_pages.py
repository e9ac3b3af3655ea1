"""Pages of lists, remembered for a second: one question for all who ask, and the list stays right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, FederationError, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import JobListAnswer, JobListQuestion, PageRequest
from ccgateway.jobs.filters import JobFilter, StringInput
from ccgateway.jobs.metrics import MetricsWanted
from ccgateway.jobs.model import JobKey
from ccgateway.settings import LimitSettings
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.instance import Instance
from properties.worlds import World, filter_lists, worlds
from support.caching import Clock, cache_of, settled, until
from support.upstream import ADMIN, Job, Upstream, piece, site_of, user_credential
from support.walking import CALLER, gateway_over, order_of, walk
from support.whose import Whose

FIELDS = frozenset({"user", "state"})
QUESTION = JobListQuestion(first=20, fields=FIELDS)


def upstreams() -> list[Upstream]:
    """Two sites, the second one with the newer jobs."""
    return [
        Upstream([Job(i, 1000 * number + i, name, id=i) for i in range(1, 200)], release=release)
        for number, (name, release) in enumerate([("alex", "1.5"), ("fritz", "1.3")], start=1)
    ]


@asynccontextmanager
async def over(
    sites: list[Upstream],
    clock: Clock | None = None,
    *,
    credential: Credential = ADMIN,
    limits: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Gateway, ResponseCache]]:
    responses = cache_of(clock, **settings)
    named = enumerate(zip(("one", "two"), sites, strict=False), start=1)
    instances = [site_of(one, name, number, credential=credential) for number, (name, one) in named]
    async with gateway_over(instances, responses, **(limits or {})) as gateway:
        yield gateway, responses


def calls(sites: list[Upstream]) -> list[int]:
    return [len(one.requests) for one in sites]


def keys(answer: JobListAnswer) -> list[JobKey]:
    return [row.key for row in answer.rows]


async def test_however_many_open_a_list_at_once_each_site_is_asked_for_it_once() -> None:
    sites = upstreams()
    async with over(sites[:1]) as (gateway, _):
        alone = await gateway.jobs(QUESTION, CALLER)
        assert calls(sites) == [1, 0]
        answers = await asyncio.gather(*[gateway.jobs(QUESTION, CALLER) for _ in range(100)])
        assert calls(sites) == [1, 0]
    assert {tuple(keys(answer)) for answer in answers} == {tuple(keys(alone))}
    assert all(answer.complete and answer.has_next_page for answer in answers)


async def test_also_where_pages_of_several_sites_are_merged() -> None:
    sites = upstreams()
    async with over(sites) as (gateway, _):
        first = await asyncio.gather(*[gateway.jobs(QUESTION, CALLER) for _ in range(50)])
        before = calls(sites)
        assert max(before) <= 3
        await gateway.jobs(QUESTION, CALLER)  # which part each site gives is known a little better now
        after = calls(sites)
        answers = await asyncio.gather(*[gateway.jobs(QUESTION, CALLER) for _ in range(50)])
        assert max(late - early for early, late in zip(after, calls(sites), strict=True)) <= 3
    assert len({tuple(keys(answer)) for answer in [*first, *answers]}) == 1


async def test_other_attributes_and_filters_of_the_gateways_own_need_no_other_page() -> None:
    sites = upstreams()[:1]
    mine = (JobFilter(user=StringInput(eq="alice")),)
    async with over(sites) as (gateway, _):
        await gateway.jobs(QUESTION, CALLER)
        more = await gateway.jobs(replace(QUESTION, fields=frozenset({"project", "duration"})), CALLER)
        assert [row.project for row in more.rows] == ["p_a"] * 20
        assert calls(sites) == [1]
        await gateway.jobs(replace(QUESTION, filters=mine), CALLER)
        await gateway.jobs(replace(QUESTION, filters=mine, fields=frozenset({"project"})), CALLER)
        assert calls(sites) == [2]  # of a filtered list, more rows


async def test_a_page_is_served_for_a_second_and_says_how_old_it_is() -> None:
    sites, clock = upstreams()[:1], Clock()
    async with over(sites, clock, list_for=1) as (gateway, responses):
        (report,) = (await gateway.jobs(QUESTION, CALLER)).reports
        assert (report.calls, report.cache_age) == (1, None)
        await settled(responses)
        clock.now += 0.9
        (report,) = (await gateway.jobs(QUESTION, CALLER)).reports
        assert report.calls == 0 and report.cache_age == pytest.approx(0.9, abs=0.05)
        clock.now += 0.2
        (report,) = (await gateway.jobs(QUESTION, CALLER)).reports
        assert (report.calls, report.cache_age) == (1, None)


async def test_a_site_that_is_known_to_be_down_is_not_asked_and_what_is_remembered_of_it_is_given() -> None:
    sites, clock = upstreams(), Clock()
    async with over(sites, clock, list_for=1) as (gateway, responses):
        for _ in range(2):
            remembered = await gateway.jobs(QUESTION, CALLER)
            await settled(responses)
        down, fell = SiteError(Code.CIRCUIT_OPEN, "two", "It is down."), clock.now
        two = gateway._registry.one("two").origin
        two.failure_known = lambda _context, seconds: down if clock.now - fell >= seconds else None
        before = calls(sites)
        same = await gateway.jobs(QUESTION, CALLER)
        assert (keys(same), same.complete) == (keys(remembered), True)
        clock.now += 2
        answer = await gateway.jobs(QUESTION, CALLER)
        _, report = answer.reports
        assert (report.code, answer.complete) == (Code.CIRCUIT_OPEN, False)
        assert calls(sites)[1] == before[1] and answer.rows


async def test_decoded_rows_count_as_memory() -> None:
    sites = upstreams()[:1]
    async with over(sites) as (gateway, responses):
        await gateway.jobs(replace(QUESTION, first=100), CALLER)
        await settled(responses)
        memory = (await responses.cache.stats()).memory
        assert memory is not None
        payloads = sum(len(entry.payload) for entry in responses.cache._store._entries.values())  # type: ignore[attr-defined, misc]
        assert memory.bytes > payloads + 100 * 512


@pytest.mark.parametrize("settings", [{"list_for": 0}, {"memory_bytes": 0}])
async def test_the_operator_may_have_the_sites_asked_every_time(settings: dict[str, Any]) -> None:
    sites = upstreams()[:1]
    async with over(sites, **settings) as (gateway, _):
        for _ in range(3):
            await gateway.jobs(QUESTION, CALLER)
    assert calls(sites) == [3]


@pytest.mark.parametrize(
    "question",
    [
        replace(QUESTION, wants_count=True),
        JobListQuestion(page=PageRequest(2, 20), fields=FIELDS, wants_count=True),
    ],
)
async def test_what_is_counted_is_what_is_there_now(question: JobListQuestion) -> None:
    sites = upstreams()[:1]
    async with over(sites) as (gateway, _):
        first = await gateway.jobs(question, CALLER)
        sites[0].add(Job(900, 5000))
        second = await gateway.jobs(question, CALLER)
    assert (first.count, second.count) == (199, 200)


async def test_a_page_that_failed_is_asked_for_again() -> None:
    sites = upstreams()[:1]
    async with over(sites) as (gateway, _):
        for body, status in ((b"", 200), (b"<html>", 200), (b'{"jobs":[{"id":1', 200), (b"busy", 503), (b"no", 401)):
            sites[0].fails = lambda _, body=body, status=status: SiteAnswer(status, "application/json", body)  # type: ignore[misc]
            with pytest.raises(FederationError) as failed:
                await gateway.jobs(QUESTION, CALLER)
            assert failed.value.code is Code.ALL_SITES_FAILED
            sites[0].fails = lambda _: None
            assert len((await gateway.jobs(QUESTION, CALLER)).rows) == 20
            await gateway.invalidate("one")


async def test_a_job_that_cannot_be_read_is_left_out_as_ever() -> None:
    sites = upstreams()[:1]
    sites[0].jobs["alex", 195, 1195].archive = "silent"
    async with over(sites) as (gateway, _):
        answers = [await gateway.jobs(QUESTION, CALLER) for _ in range(2)]
    for answer in answers:
        assert JobKey("one", "alex", 195, 1195) not in keys(answer)
        assert [report.code for report in answer.reports] == [Code.UNREADABLE_JOBS]


# --- writes


async def test_after_a_write_the_list_is_read_anew() -> None:
    sites = upstreams()[:1]
    async with over(sites) as (gateway, _):
        await gateway.jobs(QUESTION, CALLER)
        sites[0].jobs["alex", 199, 1199].state = "failed"
        assert (await gateway.jobs(QUESTION, CALLER)).rows[0].state == "completed"
        await gateway.invalidate("one", [JobKey("one", "alex", 199, 1199)])
        assert (await gateway.jobs(QUESTION, CALLER)).rows[0].state == "failed"


async def test_what_was_read_ahead_before_a_write_is_not_given_after_it() -> None:
    sites = upstreams()[:1]
    async with over(sites, limits={"read_ahead": 30}) as (gateway, _):
        answer = await gateway.jobs(replace(QUESTION, first=100), CALLER)
        answer = await gateway.jobs(replace(QUESTION, first=10, after=answer.end_cursor), CALLER)
        assert answer.reports[0].calls == 0  # it was held already
        for job in sites[0].jobs.values():
            job.state = "failed"
        await gateway.invalidate("one")
        answer = await gateway.jobs(replace(QUESTION, first=10, after=answer.end_cursor), CALLER)
        assert {row.state for row in answer.rows} == {"failed"}


async def test_another_sites_writes_disturb_nobody() -> None:
    sites = upstreams()
    one = replace(QUESTION, sites=["one"])
    async with over(sites, limits={"read_ahead": 30}) as (gateway, _):
        answer = await gateway.jobs(replace(one, first=100), CALLER)
        await gateway.invalidate("two")
        again = await gateway.jobs(replace(one, first=100), CALLER)
        more = await gateway.jobs(replace(one, first=10, after=answer.end_cursor), CALLER)
    assert (again.reports[0].calls, more.reports[0].calls) == (0, 0)


# --- for whom


@pytest.mark.parametrize("release", ["1.3", "1.5"])
async def test_each_sees_his_own(release: str) -> None:
    owners = ("alice", "bob")
    upstream = Upstream([Job(i, 1000 + i, user=owners[i % 2]) for i in range(40)], release=release)
    known = {"admin": ADMIN, **{name: user_credential(name) for name in owners}}
    instance = Instance(site_of(upstream, "one").settings, upstream, Whose(**known))
    async with gateway_over([instance], cache_of()) as gateway:
        for turn in range(2):
            before = len(upstream.requests)
            for name, owned in (("admin", set(owners)), ("alice", {"alice"}), ("bob", {"bob"})):
                answer = await gateway.jobs(QUESTION, replace(CALLER, subject=name))
                assert {row.user for row in answer.rows} == owned
            assert (len(upstream.requests) - before >= 3) is (turn == 0)
    assert len({(one.path, who.user) for one, who in zip(upstream.requests, upstream.credentials, strict=True)}) == before


# --- walks


@given(
    world=worlds(most_sites=3, churn=True),
    walks=st.lists(st.tuples(st.sampled_from([1, 3, 7, 50]), filter_lists() | st.just([])), min_size=1, max_size=4),
    read_ahead=st.sampled_from([0.0, 2.0]),
)
def test_walks_over_remembered_pages_lose_and_double_no_job(
    world: World, walks: list[tuple[int, Any]], read_ahead: float
) -> None:
    """However old the pages are: here no time passes, so that each is remembered to the end."""

    async def run() -> None:
        async with gateway_over(world.instances, cache_of(), read_ahead=read_ahead) as gateway, asyncio.TaskGroup() as group:
            for size, filters in walks:
                question = JobListQuestion(first=size, filters=filters, fields=FIELDS)
                group.create_task(check(gateway, question))

    async def check(gateway: Gateway, question: JobListQuestion) -> None:
        walked = await walk(gateway, question, at_most=3 * world.total() + 200)
        assert walked.keys == sorted(set(walked.keys), key=order_of)
        assert world.expected(list(question.filters)) <= set(walked.keys)

    asyncio.run(run())


async def test_a_hanging_site_is_told_from_a_slow_one() -> None:
    sites = upstreams()
    async with over(sites) as (gateway, responses):
        sites[1].hangs = True
        asking = [asyncio.create_task(gateway.jobs(replace(QUESTION, fields=FIELDS), CALLER)) for _ in range(3)]
        await until(lambda: all(calls(sites)))
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await settled(responses)  # nobody wants it any more: nobody asks
        assert len(sites[1].requests) == 1


async def test_gateways_that_call_different_instances_by_one_name_do_not_answer_for_one_another() -> None:
    responses, owners = cache_of(), ("ann", "bob")
    sites = [Upstream([Job(number, 1000 + number, id=number, user=user) for number in range(1, 5)]) for user in owners]
    for number, upstream in enumerate(sites):
        upstream.metrics = {1: [piece("cpu_load", values=(float(number),))]}
    here, there = (site_of(upstream, "one", url=f"http://{user}.site") for upstream, user in zip(sites, owners, strict=True))
    async with gateway_over([here], responses) as one, gateway_over([there], responses) as other:
        for gateway, number in [(one, 0), (other, 1)] * 2:
            listed = await gateway.jobs(JobListQuestion(first=10, fields=frozenset({"user"})), CALLER)
            budget = MetricsBudget(LimitSettings())  # type: ignore[call-arg]
            measured = await gateway.job_metrics("one:1", MetricsWanted(), CALLER, budget=budget)
            await settled(responses)
            assert {row.user for row in listed.rows} == {owners[number]}
            assert [bytes(series.data) for series in measured.pieces[0].metric.series or ()] == [b"[%d.0]" % number]
