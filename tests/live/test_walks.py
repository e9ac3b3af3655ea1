"""The walk is the sorted union of what each instance lists itself: for every page size, every filter, and both faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from live import upstream
from live.faces import Http, InProcess
from live.farm import Farm
from live.meaning import matches
from live.questions import FILTERS, FIT_FOR_1_5, FROM_JOBS, filters_named
from live.truth import Job, in_order, truth_of
from live.walking import ends_one_by_one, walk
from live.worlds import World

EVERY_FILTER = [*FILTERS, *FROM_JOBS]
#: page sizes of filtered walks, and how many jobs at each end of the list are read one by one, by face
SIZES: dict[type, tuple[tuple[int, ...], int]] = {InProcess: ((7, 100, 5000), 60), Http: ((100, 5000), 10)}


def test_the_farm_has_hundreds_of_jobs_and_many_that_start_in_the_same_second(farm: Farm, farm_jobs: list[Job]) -> None:
    for site in farm:
        starts = [job["startTime"] for job in farm_jobs if job["site"] == site.name]
        assert len(starts) >= 500
        assert len(set(starts)) * 2 < len(starts)


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
async def test_a_walk_to_the_end_is_the_sorted_union_of_what_the_instances_list(world: World, size: int) -> None:
    assert await walk(world.face, [], size) == in_order(world.jobs)


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
async def test_so_it_is_where_many_sites_have_jobs_of_one_second(varied_world: World, size: int) -> None:
    assert await walk(varied_world.face, [], size) == in_order(varied_world.jobs)


@pytest.mark.parametrize("name", EVERY_FILTER)
async def test_a_filtered_walk_is_what_the_filter_means(world: World, name: str) -> None:
    await _check_walks(world, name)


@pytest.mark.parametrize("name", EVERY_FILTER)
async def test_a_filtered_walk_is_what_the_filter_means_among_jobs_of_every_kind(varied_world: World, name: str) -> None:
    await _check_walks(varied_world, name)


async def _check_walks(world: World, name: str) -> None:
    filters = filters_named(name, world.jobs)
    expected = in_order(job for job in world.jobs if matches(job, filters))
    sizes, part = SIZES[type(world.face)]
    for size in sizes:
        assert await walk(world.face, filters, size) == expected, f"pages of {size}"
    head, tail = await ends_one_by_one(world.face, filters, len(expected), part=part)
    assert (head, tail) == (expected[:part], expected[-part:])


def test_every_filter_takes_in_some_jobs_and_leaves_out_others_somewhere(farm: Farm, scratch: Farm, farm_jobs: list[Job]) -> None:
    both = (farm_jobs, truth_of(scratch))
    everything = {"none", "an empty one", "operators that are null", "nodes below 0", "node neq"}
    nothing = {"user in nothing", "no state", "filters that exclude each other", "a footprint value that nobody has"}
    for name in [name for name in EVERY_FILTER if name not in everything | nothing | {"sub-cluster eq", "sub-cluster neq"}]:
        shares = [[matches(job, filters_named(name, jobs)) for job in jobs] for jobs in both]
        assert any(any(share) and not all(share) for share in shares), name


@pytest.mark.parametrize("name", [*FIT_FOR_1_5, *(name for name in FROM_JOBS if name not in ("database ids", "tag numbers"))])
async def test_the_newest_release_evaluates_the_filter_to_the_same_jobs_itself(
    farm: Farm, farm_jobs: list[Job], farm_http: Http, name: str
) -> None:
    filters = filters_named(name, farm_jobs)
    judges = [site for site in farm if site.is_newest]
    if not judges:
        pytest.skip("no 1.5 among the instances")
    walked = await walk(farm_http, filters, 5000)
    for site in judges:
        answer = upstream.query(site, JUDGE, {"filter": [_closed(one) for one in filters]})["jobs"]
        ours = [key.job_id for key in walked if key.site == site.name]
        assert sorted(ours) == sorted(item["jobId"] for item in answer["items"])
        assert len(ours) == answer["count"]


JUDGE = "query ($filter: [JobFilter!]) { jobs(filter: $filter, page: {itemsPerPage: -1, page: 1}) { count items { jobId } } }"
_RANGES = ("numNodes", "numHWThreads", "numAccelerators", "duration", "energy")


def _closed(one: Any) -> dict[str, Any]:
    """The filter with both ends of every range: cc-backend insists on them and takes 0 for an open one."""
    closed = {name: {"from": 0, "to": 0, **value} if name in _RANGES else value for name, value in one.items()}
    if stats := closed.get("metricStats"):
        closed["metricStats"] = [{**item, "range": {"from": 0, "to": 0, **item["range"]}} for item in stats]
    return closed


@pytest.mark.parametrize("numbers", [[1], [1, 2, 3], [4], [11, 12]])
async def test_pages_by_number_are_cut_from_the_same_list(farm_http: Http, farm_jobs: list[Job], numbers: Sequence[int]) -> None:
    expected = in_order(farm_jobs)
    for number in numbers:
        document = (
            f"{{ jobs(page: {{itemsPerPage: 211, page: {number}}}) {{ items {{ site jobId }} count hasNextPage offset }} }}"
        )
        jobs = farm_http.data(document)["jobs"]
        part = expected[(number - 1) * 211 : number * 211]
        assert [(item["site"], item["jobId"]) for item in jobs["items"]] == [(key.site, key.job_id) for key in part]
        assert (jobs["count"], jobs["offset"]) == (len(expected), (number - 1) * 211)
        assert jobs["hasNextPage"] is (number * 211 < len(expected))


@pytest.mark.parametrize(
    "name", ["none", "user eq", "two footprint values", "a state that only old releases know", "several fields"]
)
async def test_the_count_is_exact(farm_http: Http, farm_jobs: list[Job], name: str) -> None:
    filters = filters_named(name, farm_jobs)
    document = "query ($filter: [JobFilter!]) { jobs(filter: $filter, first: 3) { count items { id } } }"
    expected = sum(matches(job, filters) for job in farm_jobs)
    assert farm_http.data(document, {"filter": filters})["jobs"]["count"] == expected


ORDERS = [
    ("duration", "ASC", "duration"), ("duration", "DESC", "duration"), ("numNodes", "DESC", "numNodes"), ("user", "ASC", "user"),
    ("startTime", "ASC", "startTime"), ("jobId", "DESC", "jobId"), ("energy", "DESC", "energy"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "direction", "column"), ORDERS)
async def test_another_order_sorts_everything_and_equal_values_as_always(
    farm_http: Http, farm_jobs: list[Job], field: str, direction: str, column: str
) -> None:
    document = f"""query ($after: String) {{ jobs(first: 500, after: $after, order: {{field: "{field}", order: {direction}}})
        {{ items {{ site jobId }} pageInfo {{ endCursor hasNextPage }} }} }}"""
    always = sorted(farm_jobs, key=lambda job: (-job["startTime"], job["site"], job["cluster"], job["jobId"]))
    expected = sorted(always, key=lambda job: job[column], reverse=direction == "DESC")
    if direction == "DESC":  # Python keeps equal ones as they were, also reversed
        assert [job[column] for job in expected] == sorted((job[column] for job in farm_jobs), reverse=True)
    walked: list[tuple[str, int]] = []
    after = None
    while True:
        jobs = farm_http.data(document, {"after": after})["jobs"]
        walked += [(item["site"], item["jobId"]) for item in jobs["items"]]
        if not jobs["pageInfo"]["hasNextPage"]:
            break
        after = jobs["pageInfo"]["endCursor"]
    assert walked == [(job["site"], job["jobId"]) for job in expected]
