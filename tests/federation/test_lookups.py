"""One job by id or key, clusters, users, and how the sites are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from ccgateway.errors import Code, FederationError, RequestError, SiteError
from ccgateway.federation.questions import Policy, ReportStatus
from ccgateway.jobs.filters import StringInput
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.nodes import NodeFilter
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.instance import Instance
from support.upstream import Job, Upstream, site_of, user_credential
from support.walking import CALLER, gateway_over

DOWN = SiteError(Code.UNREACHABLE, "two", "down")


@pytest.fixture
def one() -> Upstream:
    jobs = [
        Job(7, 1000, id=1),
        Job(7, 5000, id=2),
        Job(8, 2000, id=3),
        *(Job(1000 + i, 6000 + i, id=100 + i) for i in range(300)),
    ]
    return Upstream(jobs, release="1.5")


@pytest.fixture
def two() -> Upstream:
    return Upstream([Job(7, 3000, "fritz", id=51), Job(8, 2000, id=52), Job(9, 9000, "fritz", id=53)], release="1.3")


@pytest.fixture
def sites(one: Upstream, two: Upstream) -> list[Instance]:
    return [site_of(one, "one", 1), site_of(two, "two", 2)]


def down(upstream: Upstream) -> None:
    upstream.fails = lambda _: DOWN


# --- by id


async def job(sites: Iterable[Instance], job_id: str) -> JobRow:
    async with gateway_over(sites) as gateway:
        return await gateway.job(job_id, CALLER, fields=frozenset({"user"}))


async def test_a_job_is_found_by_its_id_at_its_site_alone(sites: list[Instance], one: Upstream) -> None:
    found = await job(sites, "two:52")
    assert found.key == ("two", "alex", 8, 2000)
    assert one.requests == []


@pytest.mark.parametrize(
    ("job_id", "code"),
    [("one:999", Code.NOT_FOUND), ("three:1", Code.UNKNOWN_SITE), ("one", Code.BAD_REQUEST), ("one:x", Code.BAD_REQUEST)],
)
async def test_a_job_that_is_not_there_is_a_request_error(sites: list[Instance], job_id: str, code: Code) -> None:
    with pytest.raises(RequestError) as refused:
        await job(sites, job_id)
    assert refused.value.code is code


async def test_a_site_that_does_not_answer_is_its_own_error(sites: list[Instance], two: Upstream) -> None:
    down(two)
    with pytest.raises(SiteError) as failed:
        await job(sites, "two:52")
    assert failed.value.code is Code.UNREACHABLE


# --- by key


async def by_key(
    sites: Iterable[Instance], cluster: str, number: int, start: int | None = None, site: str | None = None, **limits: Any
) -> JobRow:
    async with gateway_over(sites, **limits) as gateway:
        return await gateway.job_by_key(CALLER, cluster=cluster, job_id=number, start_time=start, site=site, fields=frozenset())


async def test_a_job_is_found_by_its_key(sites: list[Instance]) -> None:
    assert (await by_key(sites, "alex", 7, 1000)).key == ("one", "alex", 7, 1000)
    assert (await by_key(sites, "fritz", 7, 3000, "two")).key == ("two", "fritz", 7, 3000)


async def test_without_a_start_the_newest_with_that_number_is_meant(sites: list[Instance]) -> None:
    assert (await by_key(sites, "alex", 7)).start_time == 5000


async def test_a_key_with_its_start_takes_one_request_a_site(sites: list[Instance], one: Upstream) -> None:
    await by_key(sites, "alex", 7, 1000)
    assert len(one.requests) == 1


@pytest.mark.parametrize("start", [2000, None])
async def test_a_key_that_two_sites_have_is_ambiguous_until_the_site_is_named(sites: list[Instance], start: int | None) -> None:
    with pytest.raises(RequestError, match="one and two") as refused:
        await by_key(sites, "alex", 8, start)
    assert refused.value.code is Code.AMBIGUOUS_JOB
    assert (await by_key(sites, "alex", 8, start, "two")).site == "two"


@pytest.mark.parametrize(
    ("cluster", "number", "start"), [("alex", 7, 1001), ("ALEX", 7, 1000), ("alex", 99, None), ("", 7, None)]
)
async def test_a_key_that_nobody_has_is_not_found(sites: list[Instance], cluster: str, number: int, start: int | None) -> None:
    with pytest.raises(RequestError) as refused:
        await by_key(sites, cluster, number, start)
    assert refused.value.code is Code.NOT_FOUND


async def test_a_key_that_may_be_at_a_site_that_is_down_is_not_called_absent(sites: list[Instance], two: Upstream) -> None:
    down(two)
    with pytest.raises(FederationError) as failed:
        await by_key(sites, "fritz", 7, 3000)
    assert failed.value.code is Code.INCOMPLETE
    assert [cause.site for cause in failed.value.causes] == ["two"]
    assert (await by_key(sites, "alex", 7, 1000)).site == "one"


async def test_a_key_beyond_the_budget_names_the_remedy(sites: list[Instance]) -> None:
    with pytest.raises(RequestError, match="startTime") as refused:
        await by_key(sites, "alex", 7, scan_budget=5)
    assert refused.value.code is Code.SCAN_BUDGET
    assert (await by_key(sites, "alex", 7, 5000, scan_budget=5)).start_time == 5000


async def test_an_unknown_site_is_a_request_error(sites: list[Instance]) -> None:
    with pytest.raises(RequestError) as refused:
        await by_key(sites, "alex", 7, None, "three")
    assert refused.value.code is Code.UNKNOWN_SITE


# --- clusters and users


async def test_clusters_of_all_sites_come_by_site_number(sites: list[Instance], one: Upstream, two: Upstream) -> None:
    one.clusters = [{"name": "z"}, {"name": "a"}]
    two.clusters = [{"name": "a"}]
    async with gateway_over(sites) as gateway:
        answer = await gateway.clusters(CALLER, sites=["two", "one"], policy=Policy.PARTIAL, with_partitions=False)
    assert [(item.site, item.cluster.name) for item in answer.items] == [("one", "z"), ("one", "a"), ("two", "a")]
    assert all(report.status is ReportStatus.OK and report.calls == 1 for report in answer.reports)


async def test_clusters_of_the_others_come_without_a_site_that_is_down(sites: list[Instance], two: Upstream) -> None:
    down(two)
    async with gateway_over(sites) as gateway:
        answer = await gateway.clusters(CALLER, sites=None, policy=Policy.PARTIAL, with_partitions=True)
        assert [item.site for item in answer.items] == ["one"]
        assert answer.reports[1].code is Code.UNREACHABLE
        with pytest.raises(FederationError) as failed:
            await gateway.clusters(CALLER, sites=None, policy=Policy.STRICT, with_partitions=False)
        assert failed.value.code is Code.INCOMPLETE
        with pytest.raises(FederationError) as failed:
            await gateway.clusters(CALLER, sites=["two"], policy=Policy.PARTIAL, with_partitions=False)
        assert failed.value.code is Code.ALL_SITES_FAILED


async def test_clusters_of_one_instance_under_two_names_come_once(one: Upstream, two: Upstream) -> None:
    two.clusters = [{"name": "fritz"}]
    sites = [site_of(one, "b", 1), site_of(one, "a", 2, same_as="b"), site_of(two, "c", 3)]
    async with gateway_over(sites) as gateway:
        for _ in range(2):
            answer = await gateway.clusters(CALLER, sites=["a", "b", "c"], policy=Policy.PARTIAL, with_partitions=False)
            assert [item.site for item in answer.items] == ["b", "c"]
            assert [(r.site, r.code) for r in answer.reports if r.status is ReportStatus.SKIPPED] == [("a", Code.DUPLICATE_SITE)]


async def test_users_come_from_sites_that_let_this_token_see_them(sites: list[Instance], one: Upstream) -> None:
    sites[1] = site_of(Upstream(), "two", 2, credential=user_credential("alice"))
    async with gateway_over(sites) as gateway:
        answer = await gateway.users(CALLER, sites=None, policy=Policy.PARTIAL)
    assert [(item.site, item.user.username) for item in answer.items] == [("one", "alice")]
    assert answer.reports[1].code is Code.SITE_UNAUTHORIZED


async def test_a_slow_site_does_not_hold_up_the_clusters_of_the_others(sites: list[Instance], two: Upstream) -> None:
    two.hangs = True
    loop = asyncio.get_running_loop()
    async with gateway_over(sites, patience=0.1) as gateway:
        started = loop.time()
        answer = await gateway.clusters(CALLER, sites=None, policy=Policy.PARTIAL, with_partitions=False)
        assert loop.time() - started < 3.0
    assert answer.reports[1].code is Code.TIMEOUT


# --- the sites


async def test_the_sites_are_told_as_they_are(sites: list[Instance], one: Upstream, two: Upstream) -> None:
    down(two)
    silent = site_of(Upstream(), "three", 3, credential=None)
    async with gateway_over([*sites, silent]) as gateway:
        found = {status.name: status for status in await gateway.sites(CALLER)}
    assert [status.number for status in found.values()] == [1, 2, 3]
    assert found["one"].reachable
    assert found["one"].last_error is None
    assert found["one"].elapsed is not None
    assert not found["two"].reachable
    assert found["two"].last_error is DOWN
    assert not found["three"].reachable
    assert found["three"].last_error is not None
    assert found["three"].last_error.code is Code.NO_CREDENTIAL


async def test_all_sites_may_be_down_and_are_told_all_the_same(sites: list[Instance], one: Upstream, two: Upstream) -> None:
    down(one)
    down(two)
    async with gateway_over(sites) as gateway:
        assert [status.reachable for status in await gateway.sites(CALLER)] == [False, False]


async def test_no_token_shows_in_what_is_told(sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        assert "token-of-admin" not in repr(await gateway.sites(CALLER))


async def test_to_find_out_who_has_the_cluster_and_to_ask_them_takes_the_time_of_one_request() -> None:
    ends: list[float] = []

    class Noting(Upstream):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            ends.append(context.deadline.at)
            return await super().exchange(request, context)

    wanted = NodeFilter(cluster=StringInput(eq="alex"))
    both = [site_of(Noting([Job(1, 1000)]), name, number) for number, name in enumerate(("one", "two"), 1)]
    async with gateway_over(both, request_timeout=5.0) as gateway:
        await gateway.nodes.node_states([wanted], CALLER, sites=None, policy=Policy.PARTIAL)
    assert len(ends) == 4 and len(set(ends)) == 1
