"""The same is counted on every face, of a whole gateway over simulated sites; and how quiet it is about a site that is down."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import grpc
import pytest

from ccgateway.simulator import GeneratedJobs, SimulatedSite, serve
from ccgateway.v1.jobs_service_pb2 import GetJobRequest
from support.faces import Faces, faces, faces_over

JOBS = "{ jobs(first: 2) { items { id } complete } }"


def site(name: str = "aurora") -> SimulatedSite:
    return SimulatedSite(name, "1.5", GeneratedJobs(20, cluster=name, seed=len(name)))


def requests_of(both: Faces) -> Counter[tuple[str, ...]]:
    """Requests by face, kind and outcome."""
    samples = [one for one in both.app.meter.samples() if one.metric == "ccgateway_requests_total"]
    return Counter({tuple(map(str, one.labels)): int(one.value) for one in samples})


def total(both: Faces, metric: str) -> float:
    return sum(one.value for one in both.app.meter.samples() if one.metric == metric)


async def test_every_face_counts_a_list_a_refusal_and_a_job_that_is_not_there() -> None:
    async with faces(site()) as both:
        await both.data(JOBS)
        assert "errors" in await both.ask("{ nonsense }")
        assert "errors" in await both.ask('{ job(id: "aurora:999999") { id } }')
        for path in ("/api/jobs/", "/api/jobs/?state=nonsense", "/api/jobs/999999001"):
            await both.http.get(path)
        await both.walk(page_size=2)
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await both.jobs.GetJob(GetJobRequest(id="aurora:999999"), metadata=[("x-request-id", "my-1")])
        async with asyncio.timeout(20):
            while total(both, "ccgateway_requests_in_flight"):  # noqa: ASYNC110 - gRPC's callers hear of the end first
                await asyncio.sleep(0.01)
        counted = requests_of(both)
    assert ("x-request-id", "my-1") in [(name, value) for name, value in missing.value.trailing_metadata() or ()]
    assert counted == {
        ("graphql", "jobs", "ok"): 1, ("graphql", "none", "refused"): 1, ("graphql", "job", "refused"): 1,
        ("rest", "jobs", "ok"): 1, ("rest", "none", "refused"): 1, ("rest", "job", "refused"): 1,
        ("grpc", "jobs", "ok"): 1, ("grpc", "job", "refused"): 1,
    }  # fmt: skip


async def test_rows_of_exports_are_counted_by_format() -> None:
    async with faces(site()) as both:
        jobs = await both.http.get("/export/jobs", params={"format": "csv"})
        usage = await both.http.get("/export/usage", params={"by": "user"})
        told = {one.labels: one.value for one in both.app.meter.samples() if one.metric == "ccgateway_export_rows_total"}
    rows = [line for line in jobs.text.splitlines()[1:] if not line.startswith("# ")]
    groups = usage.text.count('"jobs":')
    assert rows and groups and told == {("csv",): len(rows), ("jsonl",): groups}


async def test_a_site_that_is_gone_is_a_gap_on_every_face_and_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    aurora = site()
    gone = {"number": 9, "url": "http://127.0.0.1:9", "token": aurora.token("demo"), "retries": 0}
    async with serve(aurora) as running:
        here = {"number": 1, "url": running["aurora"].url, "token": aurora.token("demo")}
        async with faces_over({}, sites={"aurora": here, "gone": gone}) as both:
            with caplog.at_level(logging.WARNING):
                for _ in range(30):
                    await both.ask(JOBS)
                    await both.http.get("/api/jobs/")
                    await both.walk(page_size=2)
            counted = requests_of(both)
            missing = total(both, "ccgateway_incomplete_answers_total")
    assert set(counted) == {(face, "jobs", "incomplete") for face in ("graphql", "rest", "grpc")}
    assert counted.total() == missing == 90
    assert [line for line in caplog.messages if "gone" in line] == [
        "site gone is down: No connection to the site: connection refused."
    ]


async def test_requests_at_the_same_time_leave_nothing_in_flight_and_wait_is_not_our_own() -> None:
    aurora = site()
    async with faces(aurora, cache={"memory_bytes": 0}) as both:
        await both.data(JOBS)
        before = total(both, "ccgateway_request_overhead_seconds")
        aurora.latency = 0.6  # a site that takes a second is looked at by itself
        await asyncio.gather(*(both.data(JOBS) for _ in range(4)))
        own = total(both, "ccgateway_request_overhead_seconds") - before
        assert total(both, "ccgateway_requests_in_flight") == total(both, "ccgateway_site_calls_in_flight") == 0
        assert total(both, "ccgateway_request_duration_seconds") - own >= 1.8  # of 2.4 seconds and more of waiting
