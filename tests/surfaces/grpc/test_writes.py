"""Every write by gRPC does at the sites, and says, what the same by GraphQL does and says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ccgateway.simulator import SimulatedSite
from ccgateway.v1 import job_pb2
from ccgateway.v1 import writes_service_pb2 as pb
from support.faces import Faces, faces, failure_of
from support.writes import job
from support.written import NOW

RELEASES = {"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3", "draco": "1.2"}
RESULT = "outcome site id key { site cluster jobId startTime } code message retryable"
SITE_RESULT = "outcome site count code message retryable"

Act = Callable[[Faces], Awaitable[Any]]


@asynccontextmanager
async def world() -> AsyncIterator[Faces]:
    """Sites with six jobs each, of which the last runs."""
    sites = []
    for name, release in RELEASES.items():
        jobs = [job(name, number) for number in range(1, 6)]
        jobs.append(job(name, 6, jobState="running", monitoringStatus=1, startTime=NOW - 1000))
        one = SimulatedSite(name, release, jobs, clock=lambda: float(NOW))
        one.add_tag(2, "review", "old")
        one.backend.changes.effects.clear()
        sites.append(one)
    async with faces(*sites) as both:
        yield both


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds=seconds)


def targets(*numbers: int) -> list[pb.JobTarget]:
    return [pb.JobTarget(id=f"{name}:{number}") for name in RELEASES for number in numbers]


def ids(*numbers: int) -> str:
    return "[" + ", ".join(f'{{id: "{name}:{number}"}}' for name in RELEASES for number in numbers) + "]"


def each(text: str) -> str:
    """A list of the text for each site, in place of ``NAME``."""
    return "[" + ", ".join(text.replace("NAME", name) for name in RELEASES) + "]"


def starting(name: str, user: str = "alice") -> pb.NewJob:
    return pb.NewJob(
        job_id=4711, user=user, cluster=name, start_time=at(NOW - 600), project="p_a", sub_cluster="main", num_nodes=1, smt=1,
        num_hw_threads=4, num_acc=0, monitoring_status=1, shared=job_pb2.NODE_SHARING_NONE, walltime_seconds=3600,
        partition="main", array_job_id=0, resources=[job_pb2.Resource(hostname=f"{name[0]}n001", hwthreads=[0, 1, 2, 3])],
        meta_data={"jobName": "run"}, tags=[job_pb2.Tag(type="review", name="new")],
    )  # fmt: skip


def started(name: str, user: str = "alice") -> str:
    return f"""{{jobId: 4711, user: "{user}", cluster: "{name}", startTime: "{at(NOW - 600).ToJsonString()}", project: "p_a",
      subCluster: "main", numNodes: 1, SMT: 1, numHWThreads: 4, numAcc: 0, monitoringStatus: 1, shared: "none", walltime: 3600,
      partition: "main", arrayJobId: 0, resources: [{{hostname: "{name[0]}n001", hwthreads: [0, 1, 2, 3]}}],
      metaData: {{jobName: "run"}}, tags: [{{type: "review", name: "new"}}]}}"""


END, BEFORE = at(NOW - 10).ToJsonString(), at(NOW - 2000).ToJsonString()
STOPS = each('{job: {id: "NAME:6"}, stopTime: "' + END + '", state: failed}')
EDITS = each('{job: {id: "NAME:3"}, values: {note: "slow disk"}}')
TAGS = [job_pb2.Tag(type="review", name="old"), job_pb2.Tag(type="review", name="fresh", scope="global")]
TAG_TEXT = '[{type: "review", name: "old"}, {type: "review", name: "fresh", scope: "global"}]'
KEYED = pb.JobTarget(cluster="aurora", job_id=1003, start_time=at(NOW - 5000 + 3))
KEY_TEXT = f'{{cluster: "aurora", jobId: 1003, startTime: "{at(NOW - 5000 + 3).ToJsonString()}"}}'

WRITES: dict[str, tuple[str, Any, str]] = {
    "start": (
        "StartJobs",
        pb.StartJobsRequest(jobs=[*map(starting, RELEASES), starting("nowhere")]),
        f"startJobs(jobs: [{', '.join(map(started, [*RELEASES, 'nowhere']))}]) {{ {RESULT} }}",
    ),
    "stop": (
        "StopJobs",
        pb.StopJobsRequest(
            jobs=[pb.EndedJob(job=one, stop_time=at(NOW - 10), state=job_pb2.JOB_STATE_FAILED) for one in targets(6)]
        ),
        f"stopJobs(jobs: {STOPS}) {{ {RESULT} }}",
    ),
    "tag": (
        "TagJobs",
        pb.TagJobsRequest(jobs=targets(1, 2), tags=TAGS),
        f"tagJobs(jobs: {ids(1, 2)}, tags: {TAG_TEXT}) {{ {RESULT} }}",
    ),
    "untag": (
        "UntagJobs",
        pb.UntagJobsRequest(jobs=targets(1, 2), tags=TAGS),
        f"untagJobs(jobs: {ids(1, 2)}, tags: {TAG_TEXT}) {{ {RESULT} }}",
    ),
    "edit": (
        "EditJobs",
        pb.EditJobsRequest(jobs=[pb.JobEdit(job=one, meta_data={"note": "slow disk"}) for one in targets(3)]),
        f"editJobsMeta(jobs: {EDITS}) {{ {RESULT} }}",
    ),
    "delete": (
        "DeleteJobs",
        pb.DeleteJobsRequest(jobs=[*targets(4, 99), KEYED]),
        f"deleteJobs(jobs: {ids(4, 99)[:-1]}, {KEY_TEXT}]) {{ {RESULT} }}",
    ),
    "delete, dry": (
        "DeleteJobs",
        pb.DeleteJobsRequest(jobs=targets(4, 99), dry_run=True),
        f"deleteJobs(jobs: {ids(4, 99)}, dryRun: true) {{ {RESULT} }}",
    ),
    "delete before": (
        "DeleteJobsBefore",
        pb.DeleteJobsBeforeRequest(before=at(NOW - 2000), sites=["*"]),
        f'deleteJobsBefore(before: "{BEFORE}", sites: ["*"]) {{ {SITE_RESULT} }}',
    ),
    "delete before, dry": (
        "DeleteJobsBefore",
        pb.DeleteJobsBeforeRequest(before=at(NOW - 2000), sites=["aurora", "borealis"], dry_run=True),
        f'deleteJobsBefore(before: "{BEFORE}", sites: ["aurora", "borealis"], dryRun: true) {{ {SITE_RESULT} }}',
    ),
    "delete before, sparing": (
        "DeleteJobsBefore",
        pb.DeleteJobsBeforeRequest(before=at(NOW - 2000), sites=["aurora", "cygnus"], spare=pb.SPARED_JOBS_TAGGED),
        f"""deleteJobsBefore(before: "{BEFORE}", sites: ["aurora", "cygnus"], omitTagged: all)
            {{ {SITE_RESULT} }}""",
    ),
}


def shown(result: pb.WriteResult) -> dict[str, Any]:
    key = result.key
    return {
        "outcome": pb.WriteOutcome.Name(result.outcome).removeprefix("WRITE_OUTCOME_"),
        "site": result.site or None,
        "id": result.id or None,
        "key": {
            "site": key.site, "cluster": key.cluster, "jobId": key.job_id, "startTime": key.start_time.ToJsonString(),
        } if result.HasField("key") else None,
        "count": result.count if result.HasField("count") else None,
        "code": result.code or None,
        "message": result.message or None,
        "retryable": result.retryable,
    }  # fmt: skip


def happened(both: Faces) -> dict[str, list[str]]:
    """What each site did."""
    return {name: [f"{one.what} {one}" for one in address.site.backend.changes.effects] for name, address in both.sites.items()}


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_does_and_says_the_same(name: str) -> None:
    method, request, mutation = WRITES[name]
    async with world() as one, world() as two:
        found = [shown(result) for result in (await getattr(one.writes, method)(request)).results]
        answer = await two.data(f"mutation {{ results: {mutation} }}")
        wanted = answer["results"]
        assert [{key: result[key] for key in wanted[0]} for result in found] == wanted
        assert happened(one) == happened(two)
        assert any(happened(one).values()) is ("dry" not in name)


async def test_a_key_makes_a_call_happen_once() -> None:
    async with world() as both:
        request = pb.TagJobsRequest(jobs=targets(1), tags=TAGS, idempotency_key="once")
        first = await both.writes.TagJobs(request)
        assert {one.outcome for one in first.results} == {pb.WRITE_OUTCOME_DONE}
        done = happened(both)
        assert await both.writes.TagJobs(request) == first and happened(both) == done
        request.jobs.pop()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await both.writes.TagJobs(request)
        assert failure_of(refused.value).reason == "CONFLICT"


async def test_what_is_no_command_is_refused_as_a_whole() -> None:
    async with world() as both:
        wrong: list[tuple[Any, Any]] = [
            (both.writes.StartJobs, pb.StartJobsRequest()),
            (both.writes.StartJobs, pb.StartJobsRequest(jobs=[pb.NewJob(job_id=1)])),
            (both.writes.StopJobs, pb.StopJobsRequest(jobs=[pb.EndedJob(job=KEYED)])),
            (both.writes.StopJobs, pb.StopJobsRequest(jobs=[pb.EndedJob(job=KEYED, stop_time=at(NOW), state=99)])),  # type: ignore[arg-type]
            (both.writes.TagJobs, pb.TagJobsRequest(jobs=targets(1))),
            (both.writes.TagJobs, pb.TagJobsRequest(jobs=targets(1), tags=[job_pb2.Tag(type="x")])),
            (both.writes.EditJobs, pb.EditJobsRequest(jobs=[pb.JobEdit(job=KEYED)])),
            (both.writes.DeleteJobs, pb.DeleteJobsRequest(jobs=[pb.JobTarget()])),
            (both.writes.DeleteJobsBefore, pb.DeleteJobsBeforeRequest(sites=["*"])),
            (both.writes.DeleteJobsBefore, pb.DeleteJobsBeforeRequest(before=at(NOW))),  # which sites?
            (both.writes.DeleteJobs, pb.DeleteJobsRequest(jobs=[KEYED] * 1001)),
        ]
        for call, request in wrong:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request)
            assert failure_of(refused.value).reason in ("BAD_REQUEST", "LIMIT_EXCEEDED"), request
        assert not any(happened(both).values())
