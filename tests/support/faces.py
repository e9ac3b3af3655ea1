"""A whole gateway with two of its faces: GraphQL without a socket, and gRPC on a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc.aio
import httpx
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from ccgateway.app import Application, create_app
from ccgateway.settings import Settings
from ccgateway.simulator import SimulatedSite, serve
from ccgateway.simulator.serve import Address
from ccgateway.v1 import (
    directory_service_pb2_grpc,
    job_pb2,
    jobs_service_pb2,
    jobs_service_pb2_grpc,
    report_pb2,
    writes_service_pb2_grpc,
)

__all__ = [
    "JOB", "Faces", "Failure", "faces", "faces_over", "failure_of", "ids_in", "job_fields", "job_of", "refused", "settled",
]  # fmt: skip


#: a busy machine is no fault
PATIENT = {"timeout": 300.0, "connect_timeout": 60.0}


@dataclass
class Faces:
    """The gateway; ``jobs``, ``writes`` and ``directory`` are stubs on one channel."""

    app: Application
    http: httpx.AsyncClient
    channel: grpc.aio.Channel
    sites: Mapping[str, Address]

    def __post_init__(self) -> None:
        self.jobs: Any = jobs_service_pb2_grpc.JobsServiceStub(self.channel)
        self.writes: Any = writes_service_pb2_grpc.WritesServiceStub(self.channel)
        self.directory: Any = directory_service_pb2_grpc.DirectoryServiceStub(self.channel)

    @property
    def address(self) -> str:
        """Where gRPC is."""
        assert self.app.grpc is not None
        return f"127.0.0.1:{self.app.grpc.port}"

    async def ask(self, query: str, **variables: Any) -> Any:
        """The whole response to a GraphQL request."""
        response = await self.http.post("/graphql", json={"query": query, "variables": variables})
        return response.json()

    async def data(self, query: str, **variables: Any) -> Any:
        """The data of one that has no errors."""
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def walk(self, **request: Any) -> list[jobs_service_pb2.ListJobsResponse]:
        """All messages of a list."""
        return [one async for one in self.jobs.ListJobs(jobs_service_pb2.ListJobsRequest(**request))]


@asynccontextmanager
async def faces(*sites: SimulatedSite, each: Mapping[str, Any] | None = None, **sections: Any) -> AsyncIterator[Faces]:
    """A gateway over running ``sites``; ``each``: settings of every site."""
    async with serve(*sites) as running, faces_over(running, each=each, **sections) as both:
        yield both


@asynccontextmanager
async def faces_over(
    running: Mapping[str, Address], *, each: Mapping[str, Any] | None = None, **sections: Any
) -> AsyncIterator[Faces]:
    """A gateway over sites that run already."""
    named = {
        name: {"number": number, "url": one.url, "token": one.site.token("demo"), **PATIENT, **(each or {})}
        for number, (name, one) in enumerate(running.items(), start=1)
    }
    sections = {"limits": {"request_timeout": 300.0, "patience": 0}, **sections}
    settings = Settings(**{"sites": named, **sections, "grpc": {"port": 0, **sections.get("grpc", {})}})
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        assert app.grpc is not None
        transport = httpx.ASGITransport(app)
        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as http,
            grpc.aio.insecure_channel(f"127.0.0.1:{app.grpc.port}", options=options) as channel,
        ):
            yield Faces(app, http, channel, running)


@dataclass(frozen=True)
class Failure:
    """How a call ended: its status, and what its details say."""

    status: str
    message: str
    reason: str
    site: str | None
    retryable: bool
    retry_after: float | None
    causes: tuple[tuple[str, str], ...]


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """What a call that failed tells."""
    packed = dict(error.trailing_metadata()).get("grpc-status-details-bin")
    assert isinstance(packed, bytes), (error.code(), error.details())
    status = status_pb2.Status.FromString(packed)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    infos = [_unpacked(one, error_details_pb2.ErrorInfo()) for one in status.details]
    (info,) = [one for one in infos if one is not None]
    assert info.domain == "ccgateway"
    retries = [one for each in status.details if (one := _unpacked(each, error_details_pb2.RetryInfo())) is not None]
    causes = [one for each in status.details if (one := _unpacked(each, report_pb2.SiteErrors())) is not None]
    return Failure(
        error.code().name,
        error.details() or "",
        info.reason,
        info.metadata.get("site"),
        info.metadata["retryable"] == "true",
        retries[0].retry_delay.ToMilliseconds() / 1000 if retries else None,
        tuple((cause.site, cause.code) for one in causes for cause in one.errors),
    )


async def refused(call: Any) -> Any:
    """How a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        if hasattr(call, "__aiter__"):
            assert [one async for one in call]
        else:
            await call
    return failure_of(failed.value)


def _unpacked(packed: AnyMessage, message: Any) -> Any:
    return message if packed.Unpack(message) else None


#: all that GraphQL tells of a job and gRPC, too
JOB = """
    id site cluster jobId startTime user project subCluster partition state duration walltime numNodes numHWThreads numAcc SMT
    shared arrayJobId monitoringStatus energy tags { type name scope id }
    resources { hostname hwthreads accelerators configuration } footprint { name stat value } metaData
"""


def job_fields(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job of GraphQL's (``JOB``), as ``job_of`` gives one of gRPC's."""
    footprint = {f"{one['name']}_{one['stat']}": one["value"] for one in job["footprint"] or ()}
    resources = [
        {**one, "hwthreads": one["hwthreads"] or [], "accelerators": one["accelerators"] or []} for one in job["resources"]
    ]
    start = int(datetime.fromisoformat(job["startTime"]).timestamp())
    return {**job, "startTime": start, "footprint": footprint, "metaData": job["metaData"] or {}, "resources": resources}


def job_of(job: job_pb2.Job) -> dict[str, Any]:
    """A job of gRPC's, with GraphQL's names."""
    return {
        "id": job.id,
        "site": job.site,
        "cluster": job.cluster,
        "jobId": job.job_id,
        "startTime": job.start_time.seconds,
        "user": job.user,
        "project": job.project,
        "subCluster": job.sub_cluster,
        "partition": job.partition,
        "state": job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_").lower(),
        "duration": job.duration_seconds,
        "walltime": job.walltime_seconds,
        "numNodes": job.num_nodes,
        "numHWThreads": job.num_hw_threads,
        "numAcc": job.num_acc,
        "SMT": job.smt,
        "shared": job_pb2.NodeSharing.Name(job.shared).removeprefix("NODE_SHARING_").lower(),
        "arrayJobId": job.array_job_id,
        "monitoringStatus": job.monitoring_status,
        "energy": job.energy_kwh,
        "tags": [{"type": tag.type, "name": tag.name, "scope": tag.scope, "id": tag.id} for tag in job.tags],
        "resources": [
            {
                "hostname": one.hostname,
                "hwthreads": list(one.hwthreads),
                "accelerators": list(one.accelerators),
                "configuration": one.configuration if one.HasField("configuration") else None,
            }
            for one in job.resources
        ],
        "footprint": dict(job.footprint),
        "metaData": dict(job.meta_data),
    }


async def settled(check: Any, seconds: float = 20.0) -> None:
    """Waits until ``check()`` holds."""
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


def ids_in(messages: Sequence[Message]) -> list[str]:
    """The ids of the jobs in the messages of a list."""
    return [job.id for one in messages for job in one.jobs]  # type: ignore[attr-defined]
