"""A job whose archive entry a site cannot read fails every page that holds it: it is left out and named, all others come."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, FederationError
from ccgateway.federation.questions import JobListAnswer, JobListQuestion, Policy, ReportStatus
from properties.worlds import World, worlds
from support.upstream import Job, Reading, Upstream, site_of
from support.walking import CALLER, gateway_over, order_of, walked_over

kinds: st.SearchStrategy[list[Reading]] = st.lists(
    st.sampled_from(["yes", "yes", "yes", "named", "silent"]), min_size=1, max_size=9
)


def spoil(world: World, pattern: list[Reading]) -> int:
    """Makes jobs unreadable by the repeated pattern; returns how many."""
    count = 0
    for jobs in world.pinned.values():
        for job, archive in zip(jobs, cycle(pattern), strict=False):
            job.archive = archive
            count += archive != "yes"
    return count


@given(world=worlds(most_sites=3, stable_ties=True, reads=["rest"]), pattern=kinds, size=st.sampled_from([1, 3, 50]))
def test_every_readable_job_comes_and_every_unreadable_one_is_reported(world: World, pattern: list[Reading], size: int) -> None:
    spoiled = spoil(world, pattern)
    if spoiled and all(job.archive != "yes" for jobs in world.pinned.values() for job in jobs):
        pattern[0] = "yes"
        spoiled = spoil(world, pattern)
    walked = walked_over(world.instances, JobListQuestion(first=size), at_most=world.total() + 2)
    assert walked.keys == sorted(world.expected([], only=lambda job: job.archive == "yes"), key=order_of)
    assert walked.is_complete == (spoiled == 0)
    reports = [report for page in walked.pages for report in page.reports if not report.is_complete]
    assert all(report.code is Code.UNREADABLE_JOBS and report.status is ReportStatus.PARTIAL for report in reports)


@given(world=worlds(most_sites=2, seconds=500, reads=["rest"]), size=st.sampled_from([1, 3, 50]), one_in=st.integers(1, 4))
def test_an_unreadable_job_with_a_second_of_its_own_is_passed_whatever_the_ties(world: World, size: int, one_in: int) -> None:
    for jobs in world.pinned.values():
        seconds = Counter(job.start_time for job in jobs)
        for i, job in enumerate(jobs):
            if seconds[job.start_time] == 1 and i % one_in == 0:
                job.archive = "silent" if i % 2 else "named"
    walked = walked_over(world.instances, JobListQuestion(first=size), at_most=world.total() + 2)
    assert walked.keys == sorted(world.expected([], only=lambda job: job.archive == "yes"), key=order_of)


@given(silent=st.booleans())
def test_a_readable_tie_that_sometimes_comes_first_does_not_trap_the_search(silent: bool) -> None:
    """Ties come in any order, so the page of one that failed may succeed the next time; the search must still end."""
    jobs = [Job(i, 1000 + i // 2) for i in range(8)]
    for job in jobs[::4]:
        job.archive = "silent" if silent else "named"
    upstream = Upstream(jobs)
    walked = walked_over([site_of(upstream, "here")], JobListQuestion(first=50), at_most=2)
    assert len(upstream.requests) < 400
    assert set(walked.keys) <= {job.key_at("here") for job in jobs if job.archive == "yes"}
    assert {job.key_at("here") for job in jobs if job.start_time in (1001, 1003)} <= set(walked.keys)


def jobs_with_one_unreadable(archive: Reading) -> list[Job]:
    jobs = [Job(i, 1_700_000_000 + 10 * i) for i in range(100)]
    jobs[40].archive = archive
    return jobs


def ask_once(upstream: Upstream, policy: Policy = Policy.PARTIAL, *, wants_count: bool = False) -> JobListAnswer:
    async def run() -> JobListAnswer:
        async with gateway_over([site_of(upstream, "here")]) as gateway:
            return await gateway.jobs(JobListQuestion(first=500, policy=policy, wants_count=wants_count), CALLER)

    return asyncio.run(run())


def test_the_report_names_the_job_that_the_site_names() -> None:
    answer = ask_once(Upstream(jobs_with_one_unreadable("named")))
    [report] = answer.reports
    assert len(answer.rows) == 99
    assert report.message is not None
    assert "job 40 of alex, started at 1700000400" in report.message


def test_the_report_gives_the_second_where_the_site_says_nothing() -> None:
    answer = ask_once(Upstream(jobs_with_one_unreadable("silent")))
    [report] = answer.reports
    assert len(answer.rows) == 99
    assert report.message is not None
    assert "1 job was left out" in report.message
    assert "1700000400" in report.message


@pytest.mark.parametrize("archive", ["named", "silent"])
def test_one_unreadable_job_among_many_costs_few_requests(archive: Reading) -> None:
    upstream = Upstream(jobs_with_one_unreadable(archive))
    ask_once(upstream)
    assert len(upstream.requests) < (40 if archive == "named" else 80)


def test_strict_refuses_a_list_without_the_unreadable_job() -> None:
    with pytest.raises(FederationError) as refused:
        ask_once(Upstream(jobs_with_one_unreadable("named")), Policy.STRICT)
    assert refused.value.code is Code.INCOMPLETE


def test_no_count_is_given_where_a_job_cannot_be_read() -> None:
    answer = ask_once(Upstream(jobs_with_one_unreadable("named")), wants_count=True)
    assert answer.count is None
    assert any("count: unknown" in note for note in answer.reports[0].notes)
