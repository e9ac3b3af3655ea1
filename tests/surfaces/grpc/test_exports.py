"""Exports by gRPC are those by HTTP: the same jobs as of a moment, in slices, taken up again wherever they were cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from ccgateway.simulator import GeneratedJobs, SimulatedSite
from ccgateway.v1.filter_pb2 import JobFilter, StringFilter, TimeRange
from ccgateway.v1.jobs_service_pb2 import ExportJobsRequest, ExportJobsResponse
from ccgateway.v1.report_pb2 import POLICY_PARTIAL
from support.faces import Faces, faces, failure_of, ids_in, job_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = 1_760_000_000
RELEASES = {"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3", "draco": "1.2"}
LIVING = {"running", "pending", "suspended"}


def site(name: str) -> SimulatedSite:
    jobs = GeneratedJobs(300, cluster=name, seed=len(name), until=NOW)
    return SimulatedSite(name, RELEASES[name], jobs, clock=lambda: float(NOW))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both() -> AsyncIterator[Faces]:
    async with faces(*map(site, RELEASES), each={"retries": 0}) as found:
        yield found


async def exported(both: Faces, **request: Any) -> list[ExportJobsResponse]:
    return [one async for one in both.jobs.ExportJobs(ExportJobsRequest(**request))]


async def rows(both: Faces, parameters: str) -> list[dict[str, Any]]:
    """What ``/export/jobs`` gives."""
    answer = await both.http.get(f"/export/jobs?{parameters}")
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert found[-1]["end"] and found[-1]["complete"]
    return [one for one in found if "jobId" in one]


COLUMNS = "site,cluster,jobId,startTime,user,project,subCluster,partition,jobState,duration,walltime,numNodes,numHwthreads,energy"


@pytest.mark.parametrize(
    ("filters", "parameters"),
    [
        ([], ""),
        ([JobFilter(user=StringFilter(eq="alice"))], "user=alice"),
        (
            [
                JobFilter(start_time=TimeRange(not_before=Timestamp(seconds=NOW - 40 * 86400))),
                JobFilter(start_time=TimeRange(not_after=Timestamp(seconds=NOW - 10 * 86400)), user=StringFilter(eq="bob")),
            ],
            f"start-time={NOW - 40 * 86400}-{NOW - 10 * 86400}&user=bob",
        ),
    ],
)
async def test_the_jobs_are_those_of_the_export_by_http(both: Faces, filters: list[JobFilter], parameters: str) -> None:
    messages = await exported(both, filters=filters, page_size=200)
    wanted = await rows(both, f"{parameters}&columns={COLUMNS}")
    found = [job_of(job) for one in messages for job in one.jobs]
    named = {"jobState": "state", "numHwthreads": "numHWThreads"}
    assert [{name: job[named.get(name, name)] for name in COLUMNS.split(",") if name != "energy"} for job in found] == [
        {name: value for name, value in row.items() if name != "energy"} for row in wanted
    ]
    assert len(found) > 50 and not {job["state"] for job in found} & LIVING
    last = messages[-1]
    assert last.complete and last.rows == len(found) and {one.site for one in last.site_reports} == set(RELEASES)
    assert not any(one.HasField("complete") for one in messages[:-1]) and len({one.as_of.seconds for one in messages}) == 1


async def test_running_jobs_come_if_they_are_asked_for(both: Faces) -> None:
    found = {job["id"]: job["state"] for one in await exported(both, running=True) for job in map(job_of, one.jobs)}
    ended = ids_in(await exported(both))
    assert len(found) == 1200 and {id_ for id_, state in found.items() if state not in LIVING} == set(ended)


@pytest.mark.parametrize("slices", [{}, {"shard": 2, "shards": 3}])
async def test_every_token_gives_exactly_the_rest_as_of_the_same_moment(both: Faces, slices: dict[str, int]) -> None:
    messages = await exported(both, page_size=150, **slices)
    whole = ids_in(messages)
    for number in range(0, len(messages) - 1, max(1, len(messages) // 8)):
        rest = await exported(both, page_size=100, page_token=messages[number].resume_token, **slices)
        assert ids_in(messages[: number + 1]) + ids_in(rest) == whole
        assert rest[-1].complete and rest[-1].rows == len(whole) and rest[0].as_of == messages[0].as_of


async def test_slices_are_disjoint_and_complete(both: Faces) -> None:
    whole = ids_in(await exported(both))
    parts = [ids_in(await exported(both, shard=number, shards=4)) for number in range(1, 5)]
    assert sorted(id_ for part in parts for id_ in part) == sorted(whole) and all(parts)


@pytest.mark.parametrize(
    ("request_", "reason", "said"),
    [
        ({"shard": 5, "shards": 4}, "BAD_REQUEST", "shard"),
        ({"shard": 1}, "BAD_REQUEST", "shard"),
        ({"shard": 1, "shards": 5000}, "BAD_REQUEST", "shard"),
        ({"page_size": -1}, "BAD_REQUEST", "page_size"),
        ({"policy": 7}, "BAD_REQUEST", "policy"),
        ({"read_mask": {"paths": ["nope"]}}, "BAD_REQUEST", "read_mask"),
        ({"page_token": "x"}, "INVALID_CURSOR", "resume"),
        ({"sites": ["nowhere"]}, "UNKNOWN_SITE", "nowhere"),
    ],
)
async def test_what_cannot_be_exported_is_refused(both: Faces, request_: dict[str, Any], reason: str, said: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await exported(both, **request_)
    failure = failure_of(refused.value)
    assert failure.reason == reason and said in failure.message


async def test_a_token_is_good_for_its_own_question_only(both: Faces) -> None:
    token = (await exported(both, page_size=100))[0].resume_token
    for other in (
        {"running": True},
        {"shard": 1, "shards": 2},
        {"sites": ["aurora"]},
        {"filters": [JobFilter(ids=["aurora:1"])]},
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await exported(both, page_token=token, **other)
        assert failure_of(refused.value).reason == "INVALID_CURSOR"
    assert await exported(both, page_token=token, page_size=7)


async def test_a_site_that_is_down_ends_it_unless_parts_are_asked_for(both: Faces) -> None:
    both.sites["draco"].site.faults.status(403)
    try:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await exported(both)
        assert failure_of(refused.value).reason == "INCOMPLETE"
        messages = await exported(both, policy=POLICY_PARTIAL)
        last = messages[-1]
        assert last.HasField("complete") and not last.complete and list(last.unreachable) == ["draco"]
        assert {one.site for one in last.site_reports if one.code} == {"draco"} and last.rows > 600
    finally:
        both.sites["draco"].site.faults.clear()
    # what was missing stays told, for who goes on
    if len(messages) > 1:
        rest = await exported(both, policy=POLICY_PARTIAL, page_token=messages[0].resume_token)
        assert not rest[-1].complete and list(rest[-1].unreachable) == ["draco"]


async def test_exports_of_both_faces_count_together() -> None:
    async with faces(site("aurora"), export={"streams_per_caller": 1}) as both:
        stream = both.jobs.ExportJobs(ExportJobsRequest(page_size=10))
        assert len((await stream.read()).jobs) <= 10
        answer = await both.http.get("/export/jobs")
        assert answer.status_code == 429 and "export.streams_per_caller" in answer.json()["error"]
        stream.cancel()
