"""What goes wrong with real instances: unreadable archive entries, instances that hang, are down, or are another release now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from live import upstream
from live.faces import Http, InProcess, Page, gateway_over, served
from live.farm import Farm, Site
from live.instances import down, hanging, replaced
from live.truth import Job, in_order, jobs_of, truth_of
from live.walking import pages, walk
from live.worlds import World

#: seconds a site may take in these tests; and what an answer may take that waits for one, on a busy machine
LIMIT, BUSY = 1.0, 10.0


@pytest_asyncio.fixture(params=["in process", "over HTTP"])
async def rest_world(request: pytest.FixtureRequest, scratch: Farm, tmp_path: Path) -> AsyncIterator[World]:
    """The farm that is altered, read by REST, which takes part of each job from the archive."""
    sites = scratch.settings(reads="rest")
    if request.param == "in process":
        async with gateway_over(sites) as gateway:
            yield World(scratch, truth_of(scratch), InProcess(gateway))
        return
    with served(sites, tmp_path) as url:
        client = Http(url)
        yield World(scratch, truth_of(scratch), client)
        client.close()


@contextmanager
def broken_archive(site: Site, jobs: Sequence[Job]) -> Iterator[None]:
    """The archive entries of ``jobs`` cannot be read."""
    entries = [
        site.archive
        / job["cluster"]
        / str(job["jobId"] // 1000)
        / f"{job['jobId'] % 1000:03d}"
        / str(job["startTime"])
        / "meta.json"
        for job in jobs
    ]
    for entry in entries:
        entry.rename(entry.with_name("hidden"))
    try:
        assert upstream.call(site, "GET", "/api/jobs/?items-per-page=10000")[0] == 500, "the instance does not mind"
        yield
    finally:
        for entry in entries:
            entry.with_name("hidden").rename(entry)


def _archived(site: Site) -> list[Job]:
    return [job for job in jobs_of(site) if job["monitoringStatus"] == 3 and job["jobId"] < 9_000_000]


@pytest.mark.parametrize("release", ["1.5", "1.4", "1.3", "1.2"])
@pytest.mark.parametrize("size", [1, 7, 100, 5000])
async def test_one_unreadable_archive_entry_is_left_out_and_named_and_all_other_jobs_come(
    rest_world: World, release: str, size: int
) -> None:
    site = next((site for site in rest_world.farm if site.release == release), None)
    if site is None:
        pytest.skip(f"no {release} among the instances")
    archived = _archived(site)
    job = archived[len(archived) // 2]
    with broken_archive(site, [job]):
        walked = [page async for page in pages(rest_world.face, [], size)]
    assert _keys(walked) == in_order(other for other in rest_world.jobs if other is not job and not _same(other, job))
    gaps = [page for page in walked if not page.complete]
    assert len(gaps) >= 1
    for page in gaps:
        assert [name for name, (status, _, _) in page.reports.items() if status != "OK"] == [site.name]
        status, code, message = page.reports[site.name]
        assert (status, code) == ("PARTIAL", "UNREADABLE_JOBS")
        assert message is not None
        assert str(job["jobId"]) in message
        assert job["cluster"] in message


def _same(one: Job, two: Job) -> bool:
    return (one["site"], one["dbId"]) == (two["site"], two["dbId"])


def _keys(walked: Sequence[Page]) -> list[object]:
    return [key for page in walked for key in page.keys]


async def test_several_unreadable_entries_at_every_site_hide_no_other_job(rest_world: World) -> None:
    broken: list[Job] = []
    with _all_broken(rest_world.farm, broken):
        walked = [page async for page in pages(rest_world.face, [], 25)]
    kept = [job for job in rest_world.jobs if not any(_same(job, other) for other in broken)]
    assert len(kept) == len(rest_world.jobs) - 4 * len(rest_world.farm)
    assert _keys(walked) == in_order(kept)
    named = " ".join(message or "" for page in walked for _, _, message in page.reports.values())
    assert all(str(job["jobId"]) in named for job in broken)


async def test_where_a_site_answers_without_its_archive_an_unreadable_entry_hides_nothing(varied_world: World) -> None:
    with _all_broken(varied_world.farm, []):
        walked = [page async for page in pages(varied_world.face, [], 1000)]  # small ones are asked for by REST
    assert _keys(walked) == in_order(varied_world.jobs)
    assert all(page.complete for page in walked)


@contextmanager
def _all_broken(farm: Farm, broken: list[Job]) -> Iterator[None]:
    """At every site the newest archived job, the oldest, and two of one second."""
    with ExitStack() as stack:
        for site in farm:
            archived = _archived(site)
            middle = next(
                i for i in range(len(archived) // 2, len(archived)) if archived[i]["startTime"] == archived[i + 1]["startTime"]
            )
            some = [archived[0], archived[middle], archived[middle + 1], archived[-1]]
            broken += some
            stack.enter_context(broken_archive(site, some))
        yield


async def test_a_job_whose_archive_entry_cannot_be_read_is_still_found_by_its_id(varied_world: World) -> None:
    for site in varied_world.farm:
        job = _archived(site)[3]
        with broken_archive(site, [job]):
            page = await varied_world.face.page([{"dbId": [f"{site.name}:{job['dbId']}"]}], first=10)
        assert [key.job_id for key in page.keys] in ([job["jobId"]], []), site.name
        assert page.keys or not page.complete


async def test_an_instance_that_hangs_is_reported_and_answers_again_later(scratch: Farm) -> None:
    jobs = truth_of(scratch)
    async with gateway_over(scratch.settings(timeout=LIMIT), patience=0.5) as gateway:
        face = InProcess(gateway)
        for site in scratch.sites:
            assert (await face.page([], first=5000)).complete
            with hanging(site):
                page = await _within(face)
                again = await _within(face)
            for answer in (page, again):
                assert answer.keys == in_order(job for job in jobs if job["site"] != site.name)
                assert answer.reports[site.name][:2] == ("FAILED", "TIMEOUT")
                assert not answer.complete
            page = await face.page([], first=5000)
            assert (page.keys, page.complete) == (in_order(jobs), True)


async def _within(face: InProcess) -> Page:
    async with asyncio.timeout(BUSY):
        return await face.page([], first=5000)


async def test_a_walk_survives_that_an_instance_hangs_in_its_middle(scratch: Farm) -> None:
    expected = in_order(truth_of(scratch))
    site = scratch.sites[1]
    async with gateway_over(scratch.settings(timeout=LIMIT), patience=0.5) as gateway:
        face = InProcess(gateway)
        first = await face.page([], first=60)
        with hanging(site):
            gap = await face.page([], first=60, after=first.end)
        # the gap is known from the report: asking again with the same cursor fills it
        again = await face.page([], first=60, after=first.end)
        rest = await walk(face, [], 60, after=again.end)
    assert gap.reports[site.name][1] == "TIMEOUT" or gap.keys == expected[60:120]
    assert first.keys + again.keys + rest == expected


async def test_an_instance_that_is_down_is_reported_and_answers_once_it_is_up(scratch: Farm) -> None:
    jobs = truth_of(scratch)
    for name in [site.name for site in scratch]:
        async with gateway_over(scratch.settings(timeout=5.0)) as gateway:
            face = InProcess(gateway)
            assert (await face.page([], first=5000)).complete
            with down(scratch, scratch.one(name)):
                page = await face.page([], first=5000)
                assert page.keys == in_order(job for job in jobs if job["site"] != name)
                assert page.reports[name][:2] == ("FAILED", "UNREACHABLE")
            page = await _once_it_is_looked_at(face)
            assert (page.keys, page.complete) == (in_order(jobs), True)


async def test_a_gateway_that_was_started_while_an_instance_was_down_reads_it_once_it_is_up(scratch: Farm) -> None:
    jobs = truth_of(scratch)
    site = scratch.sites[-1]
    async with AsyncExitStack() as stack:
        with down(scratch, site):
            face = InProcess(await stack.enter_async_context(gateway_over(scratch.settings(timeout=5.0))))
            assert (await face.page([], first=5000)).reports[site.name][:2] == ("FAILED", "UNREACHABLE")
        page = await _once_it_is_looked_at(face)
    assert (page.keys, page.complete) == (in_order(jobs), True)


async def _once_it_is_looked_at(face: InProcess) -> Page:
    """All jobs, in the five seconds after which an instance that is up again is asked again."""
    async with asyncio.timeout(5):
        while not (page := await face.page([], first=5000)).complete:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return page


async def test_an_instance_that_comes_back_as_another_release_is_read_as_that(scratch: Farm, tmp_path: Path) -> None:
    newest, older = scratch.sites[0], scratch.sites[-2]
    async with gateway_over([older.settings(timeout=5.0)]) as gateway:
        face = InProcess(gateway)
        before = await face.page([], first=5000)
        assert before.keys == in_order(jobs_of(older))
        with replaced(scratch, older, newest, tmp_path / "copy"):
            after = await face.page([], first=5000)
            expected = [key._replace(site=older.name) for key in in_order(jobs_of(newest))]
            assert (after.keys, after.complete) == (expected, True)
        again = await face.page([], first=5000)
    assert (again.keys, again.complete) == (before.keys, True)
