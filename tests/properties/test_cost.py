"""What a walk costs the sites: rows sent, counted rather than timed, stay linear in the number of jobs."""

from __future__ import annotations

import asyncio
import random

import pytest

from ccgateway.federation import merge_source
from ccgateway.federation.questions import JobListQuestion
from ccgateway.jobs.filters import JobFilter, StringInput
from support.upstream import Job, Upstream, site_of
from support.walking import CALLER, gateway_over, walked_over


@pytest.fixture(autouse=True)
def _steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for a while makes no site slow, of which smaller pages would be asked."""
    monkeypatch.setattr(merge_source, "PAGE_SECONDS", 3600.0)


def sites_of(*sizes: int, per_second: int) -> list[Upstream]:
    pick = random.Random(3)
    made = []
    for number, size in enumerate(sizes):
        jobs = [Job(i, 1_700_000_000 + pick.randrange(5000 // per_second), user=f"u{i % 10}") for i in range(size)]
        for i, job in enumerate(jobs):
            job.id = number * 10**6 + i + 1
        made.append(Upstream(jobs))
    return made


@pytest.mark.parametrize("read_ahead", [0, 2])
@pytest.mark.parametrize("size", [50, 500])
@pytest.mark.parametrize("sizes", [(2000,), (800, 800, 800), (2000, 100, 10), (1500, 0)])
@pytest.mark.parametrize("per_second", [1, 20])
def test_a_walk_reads_each_job_about_once(sizes: tuple[int, ...], size: int, read_ahead: int, per_second: int) -> None:
    upstreams = sites_of(*sizes, per_second=per_second)
    instances = [site_of(upstream, f"s{i}", i + 1) for i, upstream in enumerate(upstreams)]
    walked = walked_over(instances, JobListQuestion(first=size), at_most=sum(sizes) // size + 2, read_ahead=read_ahead)
    assert len(walked.keys) == sum(sizes)
    assert sum(upstream.rows_sent for upstream in upstreams) <= 2.5 * sum(sizes)


def test_a_selective_filter_reads_each_job_about_once() -> None:
    upstreams = sites_of(1500, 1500, per_second=1)
    instances = [site_of(upstream, f"s{i}", i + 1) for i, upstream in enumerate(upstreams)]
    question = JobListQuestion(filters=[JobFilter(user=StringInput(eq="u3"))], first=50)
    walked = walked_over(instances, question, at_most=10)
    assert len(walked.keys) == 300
    assert sum(upstream.rows_sent for upstream in upstreams) <= 2.5 * 3000


def test_the_first_page_reads_little_more_than_it_gives() -> None:
    upstreams = sites_of(2000, 2000, per_second=1)
    instances = [site_of(upstream, f"s{i}", i + 1) for i, upstream in enumerate(upstreams)]
    question = JobListQuestion(first=50, filters=[])

    async def run() -> int:
        async with gateway_over(instances) as gateway:
            return len((await gateway.jobs(question, CALLER)).rows)

    assert asyncio.run(run()) == 50
    assert sum(upstream.rows_sent for upstream in upstreams) <= 4 * 50
