"""Metrics of one job and of many: each job an outcome of its own, each site asked no more at once than it may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from ccgateway.errors import Code, GatewayError, RequestError, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget, Outcome
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.jobs.metrics import JobRef, MetricsWanted
from ccgateway.settings import LimitSettings
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.instance import Instance
from support.upstream import Job, Upstream, piece, site_of
from support.walking import CALLER, gateway_over

WANTED = MetricsWanted.of(["cpu_load", "mem_bw"], ["node"])


class Counting(Upstream):
    """Knows how many requests it had at once."""

    now = most = 0

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.001)
            return await super().exchange(request, context)
        finally:
            self.now -= 1


@pytest.fixture
def one() -> Counting:
    return Counting([Job(i, 1000 + i, id=i) for i in range(1, 41)], release="1.5")


@pytest.fixture
def two() -> Counting:
    return Counting([Job(i, 1000 + i, "fritz", id=i) for i in range(1, 41)], release="1.3")


@pytest.fixture
def sites(one: Upstream, two: Upstream) -> list[Instance]:
    return [site_of(one, "one", 1, concurrency=4), site_of(two, "two", 2, concurrency=3)]


def budget(**limits: object) -> MetricsBudget:
    return MetricsBudget(LimitSettings.model_validate(limits))


async def of_many(gateway: Gateway, jobs: Sequence[JobRef], wanted: MetricsWanted = WANTED, **limits: object) -> list[Outcome]:
    return await gateway.metrics_of(jobs, wanted, CALLER, budget=budget(**limits))


def good(outcome: Outcome) -> JobMetricsAnswer:
    assert isinstance(outcome, JobMetricsAnswer), outcome
    return outcome


def code_of(outcome: Outcome) -> Code:
    assert isinstance(outcome, GatewayError), outcome
    return outcome.code


def refs(*sites: str, ids: Sequence[int] = range(1, 41)) -> list[JobRef]:
    return [JobRef(site, db_id) for db_id in ids for site in sites]


# --- one job


async def test_a_jobs_metrics_come_from_its_site_alone(sites: list[Instance], one: Counting, two: Counting) -> None:
    async with gateway_over(sites) as gateway:
        answer = await gateway.job_metrics("two:7", WANTED, CALLER, budget=budget())
    assert [(p.name, p.scope) for p in answer.pieces] == [("cpu_load", "node"), ("mem_bw", "node"), ("mem_bw", "socket")]
    assert (answer.report.site, answer.report.number, answer.report.calls, answer.report.returned) == ("two", 2, 1, 3)
    assert one.requests == [] and len(two.requests) == 1


async def test_what_was_delivered_otherwise_is_said(sites: list[Instance]) -> None:
    wanted = MetricsWanted.of(["cpu_load", "mem_bw", "nope"], ["node"], 240)
    async with gateway_over(sites) as gateway:
        answer = await gateway.job_metrics("one:7", wanted, CALLER, budget=budget())
        plain = await gateway.job_metrics("one:7", MetricsWanted.of(["cpu_load"], ["node"], 60), CALLER, budget=budget())
    resolution, scopes, metrics = answer.report.notes
    assert scopes.startswith("scopes: socket came unasked")
    assert metrics == "metrics: there is no nope."
    assert resolution.startswith("resolution: chosen by the site")
    assert plain.report.notes == []


@pytest.mark.parametrize(
    ("job_id", "code"), [("one:99", Code.NOT_FOUND), ("three:1", Code.UNKNOWN_SITE), ("one", Code.BAD_REQUEST)]
)
async def test_a_job_that_is_not_there_is_an_error(sites: list[Instance], job_id: str, code: Code) -> None:
    async with gateway_over(sites) as gateway:
        with pytest.raises(GatewayError) as failed:
            await gateway.job_metrics(job_id, WANTED, CALLER, budget=budget())
    assert failed.value.code is code


async def test_a_site_that_hangs_costs_its_own_time_and_no_more(one: Counting) -> None:
    one.hangs = True
    async with gateway_over([site_of(one, "one", timeout=0.1)]) as gateway:
        started = time.monotonic()
        with pytest.raises(SiteError) as failed:
            await gateway.job_metrics("one:7", WANTED, CALLER, budget=budget())
    assert failed.value.code is Code.TIMEOUT
    assert time.monotonic() - started < 5


# --- many


async def test_many_jobs_come_in_their_order_from_all_sites_at_once(sites: list[Instance], one: Counting, two: Counting) -> None:
    jobs = refs("one", "two")
    async with gateway_over(sites) as gateway:
        outcomes = await of_many(gateway, jobs)
    assert [good(outcome).report.site for outcome in outcomes] == [job.site for job in jobs]
    assert (len(one.requests), len(two.requests)) == (40, 40)
    assert (one.most, two.most) == (4, 3)


async def test_the_failure_of_one_job_is_that_jobs_alone(sites: list[Instance], one: Counting) -> None:
    gone = b'{"data":null,"error":{"message":"open data.json: no such file or directory"}}'
    one.fails = lambda request: SiteAnswer(200, "application/json", gone) if "/metrics/7?" in request.path else None
    async with gateway_over(sites) as gateway:
        outcomes = await of_many(gateway, refs("one", ids=(6, 7, 99, 8)))
    assert [code_of(one) if isinstance(one, GatewayError) else "OK" for one in outcomes] == [
        "OK",
        Code.SITE_ERROR,
        Code.NOT_FOUND,
        "OK",
    ]


async def test_a_site_that_is_down_fails_its_own_jobs_and_is_not_asked_for_each(
    sites: list[Instance], one: Counting, two: Counting
) -> None:
    one.fails = lambda _: SiteError(Code.UNREACHABLE, "one", "down")
    async with gateway_over(sites) as gateway:
        outcomes = await of_many(gateway, refs("one", "two"))
    assert {code_of(outcome) for outcome in outcomes[::2]} == {Code.UNREACHABLE}
    assert all(good(outcome) for outcome in outcomes[1::2])
    assert len(one.requests) <= 4


async def test_what_is_not_read_in_time_is_said_to_be_late(one: Counting, two: Counting) -> None:
    one.hangs = True
    async with gateway_over([site_of(one, "one", 1, timeout=0.1), site_of(two, "two", 2)]) as gateway:
        started = time.monotonic()
        outcomes = await of_many(gateway, refs("one", "two"))
    assert time.monotonic() - started < 5
    assert {code_of(outcome) for outcome in outcomes[::2]} == {Code.TIMEOUT}
    assert all(good(outcome) for outcome in outcomes[1::2])


async def test_a_request_has_one_time_for_all_its_fields(one: Counting) -> None:
    one.hangs = True
    spent = budget(request_timeout=1.0)
    async with gateway_over([site_of(one, "one")]) as gateway:
        started = time.monotonic()
        for _ in range(5):
            (outcome,) = await gateway.metrics_of([JobRef("one", 1)], WANTED, CALLER, budget=spent)
            assert code_of(outcome) is Code.TIMEOUT
    assert time.monotonic() - started < 4


async def test_a_job_of_a_site_that_is_gone_is_its_own_failure(sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        good_one, gone = await of_many(gateway, [JobRef("one", 1), JobRef("three", 1)])
    assert good(good_one)
    assert code_of(gone) is Code.UNKNOWN_SITE


async def test_without_a_token_nobody_is_asked(one: Counting) -> None:
    async with gateway_over([site_of(one, "one", credential=None)]) as gateway:
        outcomes = await of_many(gateway, refs("one"))
    assert {code_of(outcome) for outcome in outcomes} == {Code.NO_CREDENTIAL}
    assert one.requests == []


async def test_no_jobs_are_no_question(sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        assert await of_many(gateway, []) == []


async def test_an_answer_holds_no_more_bytes_than_it_may(sites: list[Instance], one: Counting) -> None:
    one.metrics = {i: [piece("cpu_load", values=(1.25,) * 1000)] for i in range(1, 41)}
    async with gateway_over(sites) as gateway:
        outcomes = await of_many(gateway, refs("one"), metrics_bytes=20_000)
        passed = [outcome for outcome in outcomes if isinstance(outcome, JobMetricsAnswer)]
        assert len(passed) == 3
        assert {code_of(outcome) for outcome in outcomes if isinstance(outcome, GatewayError)} == {Code.LIMIT_EXCEEDED}
        assert len(one.requests) <= 3 + 4
        with pytest.raises(RequestError, match="4000 bytes") as refused:
            await gateway.job_metrics("one:1", WANTED, CALLER, budget=budget(metrics_bytes=4000))
    assert refused.value.code is Code.LIMIT_EXCEEDED


async def test_nothing_goes_on_when_the_caller_is_gone(one: Counting) -> None:
    one.hangs = True
    async with gateway_over([site_of(one, "one")]) as gateway:
        asking = asyncio.create_task(of_many(gateway, refs("one")))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert one.now == 0
