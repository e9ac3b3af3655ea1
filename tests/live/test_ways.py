"""Read by REST, or by their own GraphQL: real instances give the same jobs, order and counts either way, for every filter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion
from ccgateway.jobs.filters import JobFilter, JobOrder
from ccgateway.jobs.model import JobRow
from live.faces import CALLER, filter_value, gateway_over
from live.farm import Farm
from live.meaning import matches
from live.questions import FILTERS, FROM_JOBS, filters_named
from live.truth import Job

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = frozenset({
    "user", "project", "sub_cluster", "partition", "array_job_id", "num_nodes", "num_hw_threads", "num_acc", "smt", "shared",
    "state", "duration", "walltime", "monitoring_status", "energy", "footprint", "resources", "tags", "meta_data",
})  # fmt: skip
ORDERS = [
    JobOrder(name, "col", direction)
    for name in ("startTime", "duration", "numNodes", "jobId", "user", "state", "cluster", "energy")
    for direction in ("ASC", "DESC")
] + [JobOrder("flops_any_avg", "foot", "DESC"), JobOrder("mem_used_max", "foot", "ASC")]
PAGES, SIZE = 3, 40


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ways(farm: Farm) -> AsyncIterator[dict[str, Gateway]]:
    def reading(way: str) -> list[object]:
        # what is compared is what is said, not how soon: a page of a large archive takes an instance its time by REST
        return [one.model_copy(update={"reads": way, "timeout": 60.0}) for one in farm.settings()]

    patient = {"request_timeout": 300.0, "patience": 0}
    async with (
        gateway_over(reading("rest"), **patient) as rest,  # type: ignore[arg-type]
        gateway_over(reading("query"), **patient) as query,  # type: ignore[arg-type]
        gateway_over(reading("auto"), **patient) as auto,  # type: ignore[arg-type]
    ):
        yield {"rest": rest, "query": query, "auto": auto}


async def pages(gateway: Gateway, filters: tuple[JobFilter, ...], order: JobOrder) -> list[object]:
    """What a caller learns of the first pages; all but what REST tells in another way than ``/query`` does not matter."""
    found: list[object] = []
    after = None
    for _ in range(PAGES):
        question = JobListQuestion(filters=filters, order=order, first=SIZE, after=after, fields=FIELDS)
        answer = await gateway.jobs(question, CALLER)
        assert answer.complete, answer.reports
        rows = [(row.key, row.id, *(_plain(row, name) for name in sorted(FIELDS))) for row in answer.rows]
        found.append((rows, answer.has_next_page))
        after = answer.end_cursor
        if not answer.has_next_page:
            break
    return found


def _plain(row: JobRow, name: str) -> object:
    """A value, nothing and an empty one alike; how long a job runs changes while this is read."""
    value = getattr(row, name)
    if isinstance(value, list):
        return sorted(map(str, value)) or None
    return None if name == "duration" and row.state == "running" else value or None


@pytest.mark.parametrize("order", ORDERS, ids=lambda one: f"{one.field} {one.direction}")
async def test_every_order_is_equal(ways: dict[str, Gateway], order: JobOrder) -> None:
    by_rest = await pages(ways["rest"], (), order)
    for way in ("query", "auto"):
        assert await pages(ways[way], (), order) == by_rest, way


@pytest.mark.parametrize("name", [*FILTERS, *FROM_JOBS])
async def test_every_filter_and_its_count_is_equal(ways: dict[str, Gateway], farm_jobs: list[Job], name: str) -> None:
    wanted = filters_named(name, farm_jobs)
    filters = tuple(filter_value(one) for one in wanted)
    by_rest = await pages(ways["rest"], filters, JobOrder())
    expected = sum(matches(job, wanted) for job in farm_jobs)
    for way in ("query", "auto"):
        assert await pages(ways[way], filters, JobOrder()) == by_rest, way
        counted = await ways[way].jobs(JobListQuestion(filters=filters, first=0, wants_count=True), CALLER)
        assert counted.count == expected, way
