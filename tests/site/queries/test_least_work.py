"""A site is asked the question that is the least work for it: which way, for how many rows, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from ccgateway.federation.questions import JobListAnswer, JobListQuestion, PageRequest
from ccgateway.jobs.filters import IntRange, JobFilter, StringInput
from ccgateway.jobs.model import JOB_TEXTS
from ccgateway.simulator import GeneratedJobs, SimulatedSite
from ccgateway.site.queries.ways import MANY
from support.caching import cache_of
from support.simulated import Simulated
from support.walking import CALLER, gateway_over

NOW = 1_760_000_000
RELEASES = ["1.2", "1.3", "1.4", "1.5"]
ALICE = JobFilter(user=StringInput(eq="alice"))


def site(name: str = "s1", release: str = "1.5", count: int = 400) -> Simulated:
    jobs = GeneratedJobs(count, cluster=name, seed=len(name), until=NOW)
    return Simulated(SimulatedSite(name, release, jobs, clock=lambda: float(NOW)))


async def ask(there: Sequence[Simulated], question: JobListQuestion, **settings: Any) -> JobListAnswer:
    async with gateway_over([one.instance(number, **settings) for number, one in enumerate(there, 1)]) as gateway:
        return await gateway.jobs(question, CALLER)


def sizes(there: Simulated) -> list[int]:
    """How many rows each question to the site's own GraphQL was for."""
    return [msgspec.json.decode(request.body or b"")["variables"]["n"] for request in there.requests if request.path == "/query"]


@pytest.mark.parametrize("release", RELEASES)
async def test_a_large_page_is_read_with_the_attributes_that_are_shown_and_no_others(release: str) -> None:
    there = site(release=release)
    answer = await ask([there], JobListQuestion(first=MANY, fields=frozenset({"user"})))
    assert len(answer.rows) == MANY and there.queries == len(there.requests) > 0
    by_rest = await ask([site(release=release)], JobListQuestion(first=MANY, fields=frozenset({"user"})), reads="rest")
    assert [(row.key, row.user) for row in answer.rows] == [(row.key, row.user) for row in by_rest.rows]


async def test_a_small_page_and_what_only_rest_tells_are_read_by_rest() -> None:
    there = site()
    await ask([there], JobListQuestion(first=20, fields=frozenset({"user"})))
    await ask([there], JobListQuestion(first=MANY, fields=frozenset({"user", *JOB_TEXTS})))
    assert there.queries == 0


@pytest.mark.parametrize("release", RELEASES)
async def test_a_filter_that_the_site_evaluates_is_asked_for_no_more_rows_than_are_shown(release: str) -> None:
    there = [site(name, release) for name in ("s1", "s22", "s333", "s4444")]
    answer = await ask(there, JobListQuestion(filters=(ALICE,), first=20))
    assert len(answer.rows) == 20 and max(max(sizes(one)) for one in there) <= 20
    long = JobFilter(user=StringInput(eq="alice"), duration=IntRange(60, 10**6))
    answer = await ask(there, JobListQuestion(filters=(long,), first=20))
    assert len(answer.rows) == 20 and max(max(sizes(one)) for one in there) <= 20


async def test_a_site_that_has_more_of_what_is_left_is_asked_for_all_of_that() -> None:
    """Once the others have been read to their end, what is lacking can come from it alone."""
    few, many = site("few", count=2), site("many", count=400)
    answer = await ask([few, many], JobListQuestion(filters=(JobFilter(project=StringInput(neq="none")),), first=90))
    assert len(answer.rows) == 90
    assert len(sizes(many)) <= 2


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("filters", [(), (ALICE,)])
async def test_a_count_reads_no_page(release: str, filters: tuple[JobFilter, ...]) -> None:
    there = site(release=release)
    answer = await ask([there], JobListQuestion(filters=filters, first=50, wants_count=True, wants_jobs=False))
    users = [job["user"] for job in there.site.all_jobs()]
    assert answer.count == (users.count("alice") if filters else len(users))
    assert answer.rows == [] and answer.complete
    assert answer.reports[0].scanned <= 1 and set(sizes(there)) == {1}


@pytest.mark.parametrize("release", ["1.2", "1.3"])
async def test_where_an_order_takes_sorting_all_that_match_a_count_asks_for_none(release: str) -> None:
    there = site(release=release)
    await ask([there], JobListQuestion(filters=(ALICE,), wants_count=True, wants_jobs=False))
    counting = [request.body or b"" for request in there.requests if b"alice" in (request.body or b"")]
    assert len(counting) == 1 and b"order" not in counting[0]


@pytest.mark.parametrize("release", RELEASES)
async def test_jobs_of_times_that_no_job_can_have_are_in_no_count(release: str) -> None:
    jobs = [{**job, "startTime": 10**14} if job["id"] == 3 else job for job in site(release=release, count=10).site.all_jobs()]
    there = Simulated(SimulatedSite("s1", release, jobs, clock=lambda: float(NOW)))
    answer = await ask([there], JobListQuestion(wants_count=True, wants_jobs=False))
    assert answer.count is None or (answer.count, answer.complete) == (9, True)
    assert answer.count is not None or not answer.complete


@pytest.mark.parametrize("release", RELEASES)
async def test_pages_by_number_tile_the_list_though_some_jobs_are_told_one_way_only(release: str) -> None:
    there = site(release=release, count=250)
    broken = sorted((job["id"] for job in there.site.all_jobs() if job["jobState"] != "running"), reverse=True)[::40]
    for db_id in broken:
        there.site.break_archive(db_id)
    async with gateway_over([there.instance()]) as gateway:
        pages = [await gateway.jobs(JobListQuestion(page=PageRequest(number, 60)), CALLER) for number in (1, 2, 3, 4, 5)]
        whole = await gateway.jobs(JobListQuestion(page=PageRequest(1, 300)), CALLER)
    assert [row.key for page in pages for row in page.rows] == [row.key for row in whole.rows]
    assert len(whole.rows) == 250 - len(broken)


@pytest.mark.parametrize("release", RELEASES)
async def test_those_who_count_the_same_at_once_ask_once_and_none_is_told_what_was_before(release: str) -> None:
    there, responses = site(release=release), cache_of()
    question = JobListQuestion(filters=(ALICE,), wants_count=True, wants_jobs=False)
    async with gateway_over([there.instance()], responses) as gateway:
        first = await gateway.jobs(question, CALLER)
        alone = len(there.requests)
        answers = await asyncio.gather(*(gateway.jobs(question, CALLER) for _ in range(8)))
        assert {answer.count for answer in answers} == {first.count}
        assert len(there.requests) == 2 * alone
        there.site.delete_job(next(job["id"] for job in there.site.all_jobs() if job["user"] == "alice"))
        later = await gateway.jobs(question, CALLER)
        assert first.count is not None and later.count == first.count - 1
