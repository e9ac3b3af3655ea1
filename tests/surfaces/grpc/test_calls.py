"""Calls that go wrong: nonsense, errors told in details, clients that cannot wait or leave, and a gateway that stops."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ccgateway.surfaces.grpc import calls
from ccgateway.v1.jobs_service_pb2 import (
    CountJobsRequest,
    GetJobRequest,
    GetStatisticsRequest,
    ListJobsRequest,
    StreamJobMetricsRequest,
)
from ccgateway.v1.report_pb2 import POLICY_STRICT
from support.faces import faces, ids_in, refused, settled
from surfaces.grpc.calling import awaited, nothing_left, running, site

SERVICES = ("ccgateway.v1.JobsService", "ccgateway.v1.WritesService", "ccgateway.v1.DirectoryService")


async def test_what_is_no_message_is_refused_in_words() -> None:
    async with faces(site()) as found, nothing_left(found):
        for method in ("JobsService/GetJob", "WritesService/StartJobs", "DirectoryService/ListSites"):
            call: Any = found.channel.unary_unary(f"/ccgateway.v1.{method}")
            for body in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"<html>"):
                failure = await refused(call(body))
                assert (failure.status, failure.reason) == ("INVALID_ARGUMENT", "BAD_REQUEST")
        stream: Any = found.channel.unary_stream("/ccgateway.v1.JobsService/ListJobs")
        assert (await refused(stream(b"\x0a\xff"))).reason == "BAD_REQUEST"
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            nonsense: Any = found.channel.unary_unary("/ccgateway.v1.JobsService/Nonsense")
            await nonsense(b"")
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_details_say_why_where_and_when_to_come_again() -> None:
    async with faces(site("aurora"), site("borealis"), limits={"request_timeout": 60.0, "patience": 0}) as both:
        failure = await refused(both.jobs.GetJob(GetJobRequest(id="aurora:999999")))
        assert (failure.status, failure.reason, failure.retryable, failure.retry_after) == ("NOT_FOUND", "NOT_FOUND", False, None)
        await both.sites["borealis"].stop()
        failure = await refused(both.jobs.GetJob(GetJobRequest(id="borealis:1")))
        assert (failure.status, failure.reason, failure.site) == ("UNAVAILABLE", "UNREACHABLE", "borealis")
        assert failure.retryable and failure.retry_after is not None and failure.retry_after > 0
        failure = await refused(both.jobs.CountJobs(CountJobsRequest(policy=POLICY_STRICT)))
        assert (failure.status, failure.reason, failure.causes) == ("UNAVAILABLE", "INCOMPLETE", (("borealis", "UNREACHABLE"),))
        await both.sites["aurora"].stop()
        failure = await refused(both.jobs.ListJobs(ListJobsRequest()))
        assert failure.reason == "ALL_SITES_FAILED" and {name for name, _ in failure.causes} == {"aurora", "borealis"}


async def test_an_internal_error_tells_its_id_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with faces(site()) as both:

        async def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("secret")

        monkeypatch.setattr(both.app.gateway, "job", broken)
        failure = await refused(both.jobs.GetJob(GetJobRequest(id="aurora:1")))
        assert (failure.status, failure.reason) == ("INTERNAL", "INTERNAL")
        assert "request id" in failure.message and "secret" not in failure.message


# --- deadlines, and clients that leave


async def test_a_deadline_of_the_caller_is_the_requests() -> None:
    slow = site("aurora", latency=30.0)
    async with faces(slow) as both, nothing_left(both):
        for call in (
            both.jobs.GetJob(GetJobRequest(id="aurora:1"), timeout=0.05),
            both.jobs.CountJobs(CountJobsRequest(), timeout=0.05),
            both.jobs.ListJobs(ListJobsRequest(), timeout=0.05),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                if hasattr(call, "__aiter__"):
                    assert [one async for one in call]
                else:
                    await call
            assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_caller_who_does_not_wait_says_nothing_of_the_sites() -> None:
    one = site()
    async with faces(one) as both:
        assert await both.walk(limit=5)
        health = both.app.parts.registry.one("aurora").health
        before = health.since
        one.latency = 0.5
        for call in (
            both.jobs.CountJobs(CountJobsRequest(), timeout=0.05),
            both.jobs.GetJob(GetJobRequest(id="aurora:7"), timeout=0.05),
            both.jobs.GetStatistics(GetStatisticsRequest(), timeout=0.05),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call
            assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.sleep(1.0)
        assert (health.reachable, health.since, health.last_error) == (True, before, None)


async def test_within_the_callers_deadline_comes_what_the_quick_sites_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MARGIN", 0.6)  # a busy machine is no fault
    monkeypatch.setattr(calls, "LARGEST_MARGIN", 8.0)
    quick, slow = site("aurora"), site("borealis")
    async with faces(quick, slow) as both, nothing_left(both):
        assert len(ids_in(await both.walk())) == 80
        slow.latency = 60.0
        found = [one async for one in both.jobs.ListJobs(ListJobsRequest(limit=50), timeout=8.0)]
        assert {one.split(":")[0] for one in ids_in(found)} == {"aurora"}
        assert not found[-1].complete and "borealis" in found[-1].unreachable
        (report,) = [one for one in found[-1].site_reports if one.site == "borealis"]
        assert report.code == "TIMEOUT"


async def test_a_client_that_leaves_ends_the_question_to_the_site() -> None:
    slow = site("aurora", latency=60.0)
    async with faces(slow) as both, nothing_left(both):
        asked = [
            both.jobs.GetJob(GetJobRequest(id="aurora:1")),
            both.jobs.ListJobs(ListJobsRequest()),
            both.jobs.StreamJobMetrics(StreamJobMetricsRequest(ids=["aurora:1"])),
        ]
        waiting = [asyncio.ensure_future(anext(aiter(one)) if hasattr(one, "__aiter__") else awaited(one)) for one in asked]
        await settled(lambda: running(both) == 3)
        for call in asked:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


# --- health, reflection, and the end


def reflection_of(channel: Any) -> Any:
    """Stubs are typed for channels that are not asynchronous."""
    return reflection_pb2_grpc.ServerReflectionStub(channel)


async def test_health_and_reflection_tell_every_service_without_a_token() -> None:
    async with faces(site()) as both:
        stub: Any = health_pb2_grpc.HealthStub(both.channel)
        for name in ("", *SERVICES):
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == 1
        told = reflection_of(both.channel)
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        async for answer in told.ServerReflectionInfo(iter([question])):
            names = {one.name for one in answer.list_services_response.service}
            assert names >= {*SERVICES, "grpc.health.v1.Health"}
            break


async def test_reflection_can_be_switched_off() -> None:
    async with faces(site(), grpc={"reflection": False}) as both:
        told = reflection_of(both.channel)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            # nothing is sent: a call that is refused before its message has left may end as the client's own INTERNAL
            async for _ in told.ServerReflectionInfo(iter(())):
                pass
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_stop_in_the_middle_of_a_stream_is_told_and_the_stream_goes_on_elsewhere() -> None:
    sites = [site("aurora", 2000), site("borealis", 2000, "1.4")]
    async with faces(*sites) as both:
        wanted = ids_in(await both.walk())
        assert len(wanted) == 4000
    async with faces(*sites, grpc={"drain": 4.0, "stalled_after": 300.0}) as both:
        options = [("grpc.http2.lookahead_bytes", 65_535), ("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(both.address, options=options) as channel:
            stream = type(both)(both.app, both.http, channel, both.sites).jobs.ListJobs(ListJobsRequest(page_size=100))
            got = [await stream.read()]
            health: Any = health_pb2_grpc.HealthStub(both.channel)
            both.app.stop(1.0)
            await settled(lambda: both.app.grpc is not None and both.app.grpc.calls.is_stopping)
            assert (await health.Check(health_pb2.HealthCheckRequest())).status == 2  # NOT_SERVING
            failure = await refused(both.jobs.GetJob(GetJobRequest(id="aurora:1")))
            assert (failure.status, failure.reason, failure.retryable) == ("UNAVAILABLE", "STOPPING", True)
            await settled(lambda: running(both) == 0, 120)  # what is left is cut, as nobody takes it
            with pytest.raises(grpc.aio.AioRpcError) as cut:
                while (message := await stream.read()) is not grpc.aio.EOF:
                    got.append(message)
                await stream
                raise AssertionError("it came whole")
            assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
            assert not any(one.HasField("complete") for one in got)
    async with faces(*sites) as both:
        rest = await both.walk(page_token=got[-1].resume_token)
        assert ids_in([*got, *rest]) == wanted and rest[-1].complete


async def test_a_stop_without_calls_is_quick_and_frees_the_port() -> None:
    async with faces(site(), grpc={"drain": 300.0}) as both:
        port = int(both.address.rpartition(":")[2])
        await both.walk()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
    gc.collect()
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith(("request ", "stop gRPC"))] == []
