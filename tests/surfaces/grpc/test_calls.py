"""Calls that go wrong: nonsense, clients that leave, stall or cannot wait, too many of them, and a gateway that stops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ccgateway.errors import Code, RequestError
from ccgateway.simulator import GeneratedJobs, SimulatedSite
from ccgateway.surfaces.grpc import calls
from ccgateway.traffic.overload import Arrival
from ccgateway.v1.jobs_service_pb2 import (
    CountJobsRequest,
    GetJobMetricsRequest,
    GetJobRequest,
    ListJobsRequest,
    StreamJobMetricsRequest,
)
from ccgateway.v1.report_pb2 import POLICY_STRICT
from support.faces import Faces, faces, failure_of, ids_in, settled

NOW = 1_760_000_000
SERVICES = ("ccgateway.v1.JobsService", "ccgateway.v1.WritesService", "ccgateway.v1.DirectoryService")


def site(name: str = "aurora", count: int = 40, release: str = "1.5", **options: Any) -> SimulatedSite:
    jobs = GeneratedJobs(count, cluster=name, seed=len(name), until=NOW)
    return SimulatedSite(name, release, jobs, clock=lambda: float(NOW), **options)


def running(both: Faces) -> int:
    assert both.app.grpc is not None
    return both.app.grpc.calls.running


@contextlib.asynccontextmanager
async def nothing_left(both: Faces) -> AsyncIterator[None]:
    """Whatever is done inside leaves no call, and no task of one, behind."""
    before = {task for task in asyncio.all_tasks() if task.get_name().startswith("request ")}
    yield
    await settled(lambda: running(both) == 0)
    await settled(lambda: {one for one in asyncio.all_tasks() if one.get_name().startswith("request ")} <= before)


async def refused(call: Any) -> Any:
    """How a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        if hasattr(call, "__aiter__"):
            assert [one async for one in call]
        else:
            await call
    return failure_of(failed.value)


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
        waiting = [asyncio.ensure_future(anext(aiter(one)) if hasattr(one, "__aiter__") else _awaited(one)) for one in asked]
        await settled(lambda: running(both) == 3)
        for call in asked:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _awaited(call: Any) -> Any:
    return await call


# --- slow readers


MANY = 15_000


async def test_a_slow_reader_holds_no_more_than_what_is_on_the_way_and_the_sites_wait() -> None:
    many = site("aurora", count=MANY)
    async with faces(many) as both, nothing_left(both):
        # with a window of 64 KB, and no reading ahead of messages by the client
        options = [("grpc.http2.lookahead_bytes", 65_535), ("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(both.address, options=options) as channel:
            call: Any = channel.unary_stream(
                "/ccgateway.v1.JobsService/ListJobs",
                request_serializer=ListJobsRequest.SerializeToString,
            )(ListJobsRequest(page_size=500))
            await call.read()
            asked = await _at_rest(many)
            held = both.app.grpc.calls.traffic.budget.used  # type: ignore[union-attr]
            assert held < 1 << 20
            messages = 1
            while await call.read() is not grpc.aio.EOF:
                messages += 1
            assert messages == MANY / 500 and asked < len(many.requests) / 2
        assert both.app.grpc.calls.traffic.budget.used == 0  # type: ignore[union-attr]


async def _at_rest(one: SimulatedSite) -> int:
    """How many requests a site got, once it gets no more."""
    before = -1
    while before != (asked := len(one.requests)):
        before = asked
        await asyncio.sleep(1.5)
    return asked


async def test_a_reader_that_takes_nothing_is_let_go() -> None:
    many = site("aurora", count=20_000)
    async with faces(many, grpc={"stalled_after": 1.0}) as both:
        options = [("grpc.http2.lookahead_bytes", 65_535), ("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(both.address, options=options) as channel:
            call: Any = channel.unary_stream(
                "/ccgateway.v1.JobsService/ListJobs",
                request_serializer=ListJobsRequest.SerializeToString,
            )(ListJobsRequest(page_size=500))
            await call.read()
            await settled(lambda: running(both) == 0)
            call.cancel()
        assert both.app.grpc.calls.traffic.budget.used == 0  # type: ignore[union-attr]


# --- sizes


async def test_a_request_that_is_too_large_is_refused_with_the_setting() -> None:
    async with faces(site(), limits={"body_bytes": 4096}) as both, nothing_left(both):
        failure = await refused(both.jobs.StreamJobMetrics(StreamJobMetricsRequest(ids=["aurora:1"] * 600)))
        assert (failure.status, failure.reason) == ("RESOURCE_EXHAUSTED", "BODY_TOO_LARGE")
        assert "limits.body_bytes" in failure.message
        with pytest.raises(grpc.aio.AioRpcError) as failed:  # twice as much is not even read
            await both.jobs.GetJob(GetJobRequest(id="x" * 20_000))
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def large(points: int) -> SimulatedSite:
    job = {
        "id": 1, "jobId": 1001, "user": "alice", "project": "p_a", "cluster": "aurora", "subCluster": "main", "numNodes": 12,
        "startTime": NOW - points * 60, "duration": points * 60, "walltime": points * 60, "jobState": "completed",
        "resources": [{"hostname": f"an{number:03}"} for number in range(1, 13)], "monitoringStatus": 3,
    }  # fmt: skip
    return SimulatedSite("aurora", "1.5", [job], clock=lambda: float(NOW))


async def test_metrics_of_more_than_4_mb_come_whole_and_in_small_messages() -> None:
    async with faces(large(20_000)) as both, nothing_left(both):
        request = GetJobMetricsRequest(id="aurora:1")
        whole = await both.jobs.GetJobMetrics(request)
        assert whole.ByteSize() > 4 << 20
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(both.address, options=options) as channel:  # takes 4 MB, as every client
            plain = type(both)(both.app, both.http, channel, both.sites)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await plain.jobs.GetJobMetrics(request)
            assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            parts = [one async for one in plain.jobs.StreamJobMetrics(StreamJobMetricsRequest(ids=["aurora:1"]))]
        assert len(parts) > 4 and max(one.ByteSize() for one in parts) <= 1 << 20
        series: dict[tuple[str, str], list[Message]] = {}
        for part in parts:
            for metric in part.metrics:
                series.setdefault((metric.name, metric.scope), []).extend(metric.series)
        assert series == {(metric.name, metric.scope): list(metric.series) for metric in whole.metrics}


async def test_an_answer_beyond_the_setting_is_refused_with_it() -> None:
    async with faces(large(20_000), grpc={"message_bytes": 1 << 20}) as both, nothing_left(both):
        failure = await refused(both.jobs.GetJobMetrics(GetJobMetricsRequest(id="aurora:1")))
        assert (failure.status, failure.reason) == ("RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED")
        assert "grpc.message_bytes" in failure.message


# --- how many


async def test_more_streams_than_one_caller_may_have_are_refused_with_the_setting() -> None:
    slow = site("aurora", latency=60.0)
    async with faces(slow, grpc={"streams_per_caller": 5}) as both, nothing_left(both):
        streams = [both.jobs.ListJobs(ListJobsRequest()) for _ in range(200)]
        failed = await asyncio.gather(*(_failure(call) for call in streams[5:]))
        assert {one.reason for one in failed if one is not None} == {"RATE_LIMITED"}
        assert all("grpc.streams_per_caller" in one.message and one.retry_after for one in failed if one is not None)
        assert 195 >= len([one for one in failed if one is not None]) >= 190
        for call in streams:
            call.cancel()


async def test_more_calls_than_a_process_takes_are_refused_with_the_setting() -> None:
    slow = site("aurora", latency=60.0)
    async with faces(slow, grpc={"calls": 8}) as both, nothing_left(both):
        eight = [both.jobs.GetJob(GetJobRequest(id="aurora:1")) for _ in range(8)]
        waiting = [asyncio.ensure_future(_awaited(call)) for call in eight]
        await settled(lambda: running(both) == 8)
        failure = await refused(both.jobs.GetJob(GetJobRequest(id="aurora:1")))
        assert (failure.reason, "grpc.calls" in failure.message) == ("RATE_LIMITED", True)
        for call in eight:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_process_that_has_too_much_to_do_says_so_and_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Arrival:
        raise RequestError(Code.OVERLOADED, "Too much.", retry_after=2)

    async with faces(site()) as both, nothing_left(both):
        monkeypatch.setattr(both.app.overload, "arrive", full)
        for call in (both.jobs.GetJob(GetJobRequest(id="aurora:1")), both.jobs.ListJobs(ListJobsRequest())):
            failure = await refused(call)
            assert (failure.status, failure.reason, failure.retry_after) == ("UNAVAILABLE", "OVERLOADED", 2)


async def test_a_call_counts_among_those_under_way_and_a_stream_until_it_sends() -> None:
    slow = site("aurora", latency=60.0)
    async with faces(slow) as both, nothing_left(both):
        call = both.jobs.GetJob(GetJobRequest(id="aurora:1"))
        waiting = asyncio.ensure_future(_awaited(call))
        await settled(lambda: both.app.overload.under_way == 1)
        call.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await settled(lambda: both.app.overload.under_way == 0)
    async with faces(site(count=5000)) as both, nothing_left(both):
        stream = both.jobs.ListJobs(ListJobsRequest())
        await stream.read()
        await settled(lambda: both.app.overload.under_way == 0)
        stream.cancel()


async def _failure(call: Any) -> Any:
    """How a stream fails; ``None`` if it does not do so soon."""
    try:
        async with asyncio.timeout(15):
            await anext(aiter(call))
    except grpc.aio.AioRpcError as error:
        return failure_of(error)
    except TimeoutError:
        return None
    raise AssertionError("it was answered")


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
            async for _ in told.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")])):
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
