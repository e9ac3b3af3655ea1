"""A caller whose API key is for one site asks that site alone; one who takes no parts gets none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError, SiteError
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.questions import JobListQuestion, Policy, ReportStatus
from ccgateway.identity.principal import Principal
from ccgateway.jobs.writes import DeleteBefore, Target, WriteOutcome
from ccgateway.site.instance import Instance
from support.upstream import Job, Upstream, site_of
from support.walking import gateway_over

BOUND = Principal("slurm", frozenset({"api"}), issuer="api_keys.slurm", site="two")


@pytest.fixture
def sites() -> list[Instance]:
    """Two sites whose clusters have one name."""
    return [site_of(Upstream([Job(i, 1000 + i) for i in range(5)]), name, n) for n, name in enumerate(("one", "two"), 1)]


async def test_it_reads_its_own_site_though_it_names_none(sites: Sequence[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        answer = await gateway.jobs(JobListQuestion(), BOUND)
        assert {row.site for row in answer.rows} == {"two"} and [report.site for report in answer.reports] == ["two"]
        found = await gateway.clusters(BOUND, sites=None, policy=Policy.PARTIAL, with_partitions=False)
        assert {one.site for one in found.items} == {"two"}
        assert [one.name for one in await gateway.sites(BOUND)] == ["two"]


async def test_no_other_site_is_asked_for_it_however_that_is_named(sites: Sequence[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        answer = await gateway.jobs(JobListQuestion(sites=["one", "two"]), BOUND)
        assert {row.site for row in answer.rows} == {"two"}
        report = answer.reports[0]
        assert (report.status, report.code) == (ReportStatus.FAILED, Code.NO_CREDENTIAL)
        with pytest.raises(SiteError) as refused:
            await gateway.job("one:1", BOUND, fields=frozenset())
        assert refused.value.code is Code.NO_CREDENTIAL
        with pytest.raises(SiteError):
            await sites[0].context(BOUND, Deadline.after(1))


async def test_what_it_writes_goes_to_its_site_though_another_has_a_cluster_of_that_name(sites: Sequence[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        router, deadline = gateway.writes.router, Deadline.after(5)
        target = Target(cluster="alex", job_id=3)
        with pytest.raises(RequestError) as refused:
            await router.route(target, Principal("slurm", frozenset({"api"})), deadline)
        assert refused.value.code is Code.AMBIGUOUS_CLUSTER
        for one in (target, Target(job_id=3)):
            assert (await router.route(one, BOUND, deadline)).instance.name == "two"


async def test_what_it_deletes_is_deleted_at_its_site_alone(sites: Sequence[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        for named in (None, ("*",)):
            command = DeleteBefore(before=1003, sites=named)
            results = await gateway.writes.delete_jobs_before(command, BOUND, WriteCall("r"), dry_run=True)
            assert [one.site for one in results] == ["two"]
        command = DeleteBefore(before=1003, sites=("one",))
        (result,) = await gateway.writes.delete_jobs_before(command, BOUND, WriteCall("r"), dry_run=True)
        assert (result.outcome, result.code) == (WriteOutcome.FAILED, Code.NO_CREDENTIAL)


def test_a_caller_who_takes_no_parts_asks_strictly_whatever_is_asked() -> None:
    strict = Principal("slurm", refuses_parts=True)
    assert [one.of(strict) for one in Policy] == [Policy.STRICT, Policy.STRICT]
    assert [one.of(Principal("alice")) for one in Policy] == list(Policy)
