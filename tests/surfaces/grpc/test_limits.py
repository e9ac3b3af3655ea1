"""What calls may take, each bound with its setting: clients that stall, messages that are large, and too many calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import grpc.aio
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from ccgateway.errors import Code, RequestError
from ccgateway.simulator import SimulatedSite
from ccgateway.surfaces.grpc import bystanders, server
from ccgateway.surfaces.grpc.bystanders import MOST_STREAMS
from ccgateway.traffic.overload import Arrival
from ccgateway.v1.jobs_service_pb2 import GetJobMetricsRequest, GetJobRequest, ListJobsRequest, StreamJobMetricsRequest
from support.faces import Faces, faces, failure_of, refused, settled
from surfaces.grpc.calling import NOW, awaited, nothing_left, running, site

# --- slow readers


MANY = 15_000


@asynccontextmanager
async def read_slowly(both: Faces) -> AsyncIterator[Any]:
    """A list of all jobs of which one message was read: with a window of 64 KB, and no reading ahead of messages."""
    options = [("grpc.http2.lookahead_bytes", 65_535), ("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(both.address, options=options) as channel:
        listing: Any = channel.unary_stream(
            "/ccgateway.v1.JobsService/ListJobs", request_serializer=ListJobsRequest.SerializeToString
        )
        call = listing(ListJobsRequest(page_size=500))
        await call.read()
        yield call


async def test_a_slow_reader_holds_no_more_than_what_is_on_the_way_and_the_sites_wait() -> None:
    many = site("aurora", count=MANY)
    async with faces(many) as both, nothing_left(both):
        async with read_slowly(both) as call:
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
        async with read_slowly(both) as call:
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
        waiting = [asyncio.ensure_future(awaited(call)) for call in eight]
        await settled(lambda: running(both) == 8)
        failure = await refused(both.jobs.GetJob(GetJobRequest(id="aurora:1")))
        assert (failure.reason, "grpc.calls" in failure.message) == ("RATE_LIMITED", True)
        for call in eight:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_one_caller_does_not_take_all_calls() -> None:
    keys = {name: "ccg_" + name[0] * 43 for name in ("crowd", "user")}
    named = {
        name: {"hash": f"sha256:{sha256(key.encode()).hexdigest()}", "subject": name, "roles": ["admin", "api"]}
        for name, key in keys.items()
    }
    crowd, user = ((("x-auth-token", keys[name]),) for name in ("crowd", "user"))
    slow = site("aurora", latency=60.0)
    async with faces(slow, grpc={"calls": 8}, api_keys=named) as both, nothing_left(both):
        asked = GetJobRequest(id="aurora:1")
        calls = [both.jobs.GetJob(asked, metadata=crowd) for _ in range(20)]
        waiting = [asyncio.ensure_future(awaited(call)) for call in calls]
        await settled(lambda: running(both) == 4)
        failure = await refused(both.jobs.GetJob(asked, metadata=crowd))
        assert (failure.reason, "share" in failure.message, failure.retry_after) == ("RATE_LIMITED", True, 1)
        for number in (5, 6):  # of four that are free, half
            calls.append(both.jobs.GetJob(asked, metadata=user))
            waiting.append(asyncio.ensure_future(awaited(calls[-1])))
            await settled(lambda number=number: running(both) == number)
        assert (await refused(both.jobs.GetJob(asked, metadata=user))).reason == "RATE_LIMITED"
        for call in calls:
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
        waiting = asyncio.ensure_future(awaited(call))
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


# --- those who prove nothing


async def test_streams_of_health_and_reflection_take_no_place_of_calls() -> None:
    request = health_pb2.HealthCheckRequest().SerializeToString()
    asked = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    async with faces(site(), grpc={"calls": 4}) as both, grpc.aio.insecure_channel(both.address) as channel:
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        reflect: Any = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        held: list[Any] = []
        for _ in range(MOST_STREAMS):
            watching, reflecting = watch(request), reflect()
            await reflecting.write(asked)
            await watching.read()
            await reflecting.read()
            held += watching, reflecting
        # the second says nothing: a call that is refused before its message has left may end as the client's own INTERNAL
        for one in (watch(request), reflect(iter(()))):
            failure = await refused(one)
            assert (failure.status, failure.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert health_pb2.HealthCheckResponse.FromString(await check(request)).status == health_pb2.HealthCheckResponse.SERVING
        assert await both.walk(limit=5)
        for one in held:
            one.cancel()
        await asyncio.sleep(0.2)
        again = watch(request)
        await again.read()
        again.cancel()


async def test_a_client_that_reads_what_can_be_called_and_says_no_more_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bystanders, "PATIENCE", 0.2)
    async with faces(site()) as both, grpc.aio.insecure_channel(both.address) as channel:
        reflect: Any = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")()
        await reflect.write(reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString())
        await reflect.read()
        async with asyncio.timeout(10):
            assert await reflect.read() is grpc.aio.EOF


async def test_a_connection_that_does_not_begin_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_WITHIN", 500)
    async with faces(site()) as both:
        host, _, port = both.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        async with asyncio.timeout(10):
            await reader.read()  # its own beginning, and then the end
        writer.close()


async def test_more_connections_than_there_may_be_are_not_let_in_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 5)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with faces(site()) as both:
        assert await both.walk(limit=5)
        idle = [await asyncio.open_connection("127.0.0.1", int(both.address.rpartition(":")[2])) for _ in range(8)]
        assert await both.walk(limit=5)
        async with grpc.aio.insecure_channel(both.address, options=options) as channel:
            call: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await call(b"", timeout=2)
            assert late.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        for _, writer in idle:
            writer.close()
