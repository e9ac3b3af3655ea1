"""Other orders than the total one: exact over all sites, page by page, or refused."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, RequestError
from ccgateway.federation.questions import JobListQuestion, PageRequest
from ccgateway.jobs.filters import JobOrder
from ccgateway.jobs.model import JobKey
from properties.worlds import World, worlds
from support.upstream import Job
from support.walking import CALLER, gateway_over, order_of, walked_over

COLUMNS = {
    "id": "id", "jobId": "job_id", "cluster": "cluster", "subCluster": "sub_cluster", "user": "user", "project": "project",
    "startTime": "start_time", "duration": "duration", "numNodes": "num_nodes", "numAcc": "num_acc", "state": "state",
    "partition": "partition", "arrayJobId": "array_job_id", "energy": "energy", "shared": "shared",
}  # fmt: skip

orders = st.one_of(
    st.builds(JobOrder, st.sampled_from(sorted(COLUMNS)), st.just("col"), st.sampled_from(["ASC", "DESC"])),
    st.builds(
        JobOrder, st.sampled_from(["load_avg", "mem_used_avg", "nobody_has"]), st.just("foot"), st.sampled_from(["ASC", "DESC"])
    ),
)


def value_of(job: Job, order: JobOrder, release: str) -> Any:
    keeps_energy = release in ("1.4", "1.5")
    if order.type != "col":
        return (job.footprint or {}).get(order.field) if keeps_energy else None
    if order.field == "energy" and not keeps_energy:
        return 0.0
    return job.lasted if order.field == "duration" else getattr(job, COLUMNS[order.field])


def sorted_by(world: World, order: JobOrder) -> list[JobKey]:
    """The oracle: values in their order, equal ones in the total order, jobs without a value last."""
    pairs = [
        (value_of(job, order, world.upstreams[name].release), job.key_at(name))
        for name, jobs in world.pinned.items()
        for job in jobs
    ]
    pairs.sort(key=lambda pair: order_of(pair[1]))
    have = sorted((pair for pair in pairs if pair[0] is not None), key=lambda pair: pair[0], reverse=order.direction == "DESC")
    return [key for _, key in have] + [key for value, key in pairs if value is None]


@given(world=worlds(most_sites=3), order=orders, size=st.sampled_from([1, 3, 50]))
def test_a_walk_in_another_order_is_exact(world: World, order: JobOrder, size: int) -> None:
    walked = walked_over(world.instances, JobListQuestion(order=order, first=size), at_most=world.total() + 2)
    assert walked.keys == sorted_by(world, order)
    assert walked.is_complete


@given(world=worlds(most_sites=3), order=orders)
def test_pages_by_number_in_another_order(world: World, order: JobOrder) -> None:
    expected = sorted_by(world, order)

    async def pages() -> None:
        async with gateway_over(world.instances) as gateway:
            for number in (1, 2, 3):
                question = JobListQuestion(order=order, page=PageRequest(number, 5), wants_count=True)
                answer = await gateway.jobs(question, CALLER)
                assert [row.key for row in answer.rows] == expected[(number - 1) * 5 : number * 5]
                assert answer.count == len(expected)
                assert answer.has_next_page == (len(expected) > number * 5)

    asyncio.run(pages())


@given(world=worlds(most_sites=3), order=orders, budget=st.integers(1, 40))
def test_another_order_is_exact_or_refused_never_a_wrong_top(world: World, order: JobOrder, budget: int) -> None:

    async def first_page() -> list[JobKey]:
        async with gateway_over(world.instances, scan_budget=budget) as gateway:
            return [row.key for row in (await gateway.jobs(JobListQuestion(order=order, first=5), CALLER)).rows]

    try:
        keys = asyncio.run(first_page())
    except RequestError as refused:
        assert refused.code is Code.SCAN_BUDGET
        assert max(len(upstream.jobs) for upstream in world.upstreams.values()) >= budget
    else:
        if order != JobOrder():  # the total order may stop early, and then says so
            assert keys == sorted_by(world, order)[:5]
