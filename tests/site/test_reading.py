"""One site's stream of jobs: complete down to its floor after every step."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import conditions_of
from ccgateway.jobs.filters import JobFilter, StringInput, TimeRange
from ccgateway.site.base import JobsWanted
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.reading import JobStream
from support.scripted import context_for
from support.upstream import Job, Upstream, site_of


def stream_of(upstream: Upstream, *filters: JobFilter, latest: int = 10**10) -> JobStream:
    wanted = JobsWanted(conditions_of(filters, "here"), frozenset({"user"}))
    return JobStream(site_of(upstream, "here"), context_for(60.0), wanted, latest=latest)


def jobs_in(seconds: list[int]) -> list[Job]:
    return [Job(i, 1000 + second) for i, second in enumerate(seconds)]


@given(
    seconds=st.lists(st.integers(0, 6), max_size=40), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    down_to=st.sampled_from([0, 1002, 1004]), seed=st.integers(0, 99),
)  # fmt: skip
def test_after_every_step_everything_down_to_the_floor_is_known(
    seconds: list[int], sizes: list[int], down_to: int, seed: int
) -> None:
    upstream = Upstream(jobs_in(seconds))
    pick = random.Random(seed)

    async def run() -> None:
        stream = stream_of(upstream)
        known: list[int] = []
        while not stream.done and stream.floor > down_to:
            floor = stream.floor
            await stream.read(pick.choice(sizes), down_to=down_to)
            assert stream.floor < floor, "no progress"
            known += [row.job_id for row in stream.rows]
            assert all(row.start_time >= stream.floor for row in stream.rows)
            stream.rows = []
            expected = [job.job_id for job in upstream.jobs.values() if job.start_time >= stream.floor]
            assert sorted(known) == sorted(expected)

    asyncio.run(run())


async def test_a_second_with_more_jobs_than_fit_one_page_is_read_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccgateway.site.reading.LARGEST_SECOND", 64)
    upstream = Upstream(jobs_in([5] * 300 + [4]), stable_ties=True)
    stream = stream_of(upstream)
    while not stream.done:
        await stream.read(10)
    assert len({row.job_id for row in stream.rows}) == len(stream.rows) == 301


async def test_reading_stays_within_the_filters_span_of_time() -> None:
    upstream = Upstream(jobs_in(list(range(20))))
    stream = stream_of(upstream, JobFilter(start_time=TimeRange(1005, 1010)))
    while not stream.done:
        await stream.read(100)
    assert sorted(row.start_time for row in stream.rows) == list(range(1005, 1011))
    assert all("start-time=1005-1010" in request.path for request in upstream.requests)


async def test_nothing_is_read_where_nothing_can_match() -> None:
    upstream = Upstream(jobs_in([1]))
    stream = stream_of(upstream, JobFilter(state=()))
    assert stream.done
    await stream.read(100)
    assert upstream.requests == []


async def test_ids_are_asked_one_by_one_and_the_rest_of_the_filter_holds() -> None:
    upstream = Upstream([Job(i, 1000 + i, user="alice" if i % 2 else "bob") for i in range(10)])
    stream = stream_of(upstream, JobFilter(db_id=("2", "3", "here:4", "there:5", "99"), user=StringInput(eq="alice")))
    await stream.read(100)
    assert stream.done
    assert [row.id for row in stream.rows] == [2, 4]
    assert len(upstream.requests) == 4


async def test_selectivity_is_the_share_that_matched() -> None:
    upstream = Upstream([Job(i, 1000 + i, user="alice" if i % 4 == 0 else "bob") for i in range(40)])
    stream = stream_of(upstream, JobFilter(user=StringInput(eq="alice")))
    assert (stream.selectivity, stream.is_filtered) == (1.0, True)
    await stream.read(100)
    assert (stream.selectivity, stream.scanned) == (0.25, 40)


@pytest.mark.parametrize("starts", [[1, 2, 3], [5000, 1], [9, 8, 9]], ids=["oldest first", "outside the window", "not sorted"])
async def test_a_list_that_is_not_what_was_asked_for_is_refused(starts: list[int]) -> None:
    upstream = Upstream()
    rows = ",".join(f'{{"id":{i},"jobId":{i},"cluster":"x","startTime":{start}}}' for i, start in enumerate(starts))
    upstream.fails = lambda _: SiteAnswer(200, "application/json", f'{{"jobs":[{rows}]}}'.encode())
    with pytest.raises(SiteError, match="not what was asked for") as failed:
        await stream_of(upstream, latest=100).read(3)
    assert failed.value.code is Code.WRONG_RELEASE


async def test_a_large_page_grows_back_after_an_unreadable_job() -> None:
    jobs = jobs_in(list(range(2000)))
    jobs[1500].archive = "named"
    upstream = Upstream(jobs)
    stream = stream_of(upstream)
    while not stream.done:
        await stream.read(1000)
    assert len(stream.rows) == 1999
    assert [str(one) for one in stream.unreadable] == ["job 1500 of alex, started at 2500"]
    assert len(upstream.requests) < 50


async def test_jobs_of_one_second_are_read_singly_around_several_unreadable_ones() -> None:
    jobs = jobs_in([5] * 10)
    for job in jobs[::3]:
        job.archive = "silent"
    stream = stream_of(Upstream(jobs, stable_ties=True))
    while not stream.done:
        await stream.read(100)
    assert sorted(row.job_id for row in stream.rows) == [1, 2, 4, 5, 7, 8]
    assert len(stream.unreadable) == 4
