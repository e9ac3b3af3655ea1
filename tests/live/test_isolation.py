"""Whatever is counted, summed up, measured or exported: each person gets by it what the release shows that person's own token, by
every face, and learns of no other job."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import grpc.aio
import pytest

from acceptance.exports import read_lines
from acceptance.test_front_end import GUARDED, QUESTIONS, is_told, value_in
from ccgateway.identity.ed25519 import mint
from ccgateway.v1.jobs_service_pb2 import (
    CountJobsRequest,
    GetJobMetricsRequest,
    GetJobRequest,
    GetStatisticsRequest,
    ListJobsRequest,
)
from ccgateway.v1.jobs_service_pb2_grpc import JobsServiceStub
from ccgateway.v1.statistics_pb2 import STATISTICS_GROUP_USER
from live import upstream
from live.farm import Site
from live.test_identities import ROLES, SEES_ALL, Gate, everybody, gate, shown_by, skip_without  # noqa: F401
from live.truth import Job

STATISTICS = """query($sites: [String!], $m: [String!]!) {
  jobsStatistics(sites: $sites, groupBy: USER, exact: true) { id totalJobs totalNodes totalUsers }
  jobsFootprints(sites: $sites, metrics: $m) { timeWeights { nodeHours } }
  jobsMetricStats(sites: $sites, metrics: $m) { jobId } }"""
HEATMAP = """query($sites: [String!], $f: [JobFilter!]!) {
  rooflineHeatmap(sites: $sites, filter: $f, rows: 4, cols: 4, minX: 0.001, minY: 0.001, maxX: 100000, maxY: 100000) }"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


def seen(site: Site, name: str, farm_jobs: list[Job]) -> list[Job] | None:
    """The jobs that the instance shows that person."""
    ids = shown_by(site, name)
    return None if ids is None else [job for job in farm_jobs if job["site"] == site.name and job["dbId"] in ids]


def token(gate: Gate, name: str) -> str:  # noqa: F811
    return mint(gate.key, name, ROLES[name], now=time.time(), lifetime=300).get_secret_value()


@everybody
async def test_statistics_are_of_the_jobs_that_the_person_is_shown(gate: Gate, name: str, farm_jobs: list[Job]) -> None:  # noqa: F811
    for site in gate.farm:
        skip_without(site, name)
        jobs = seen(site, name, farm_jobs)
        told = await gate.ask(name, STATISTICS, sites=[site.name], m=["flops_any"])
        cells = await gate.ask(name, HEATMAP, sites=[site.name], f=[])
        if jobs is None:
            codes = {one["extensions"]["code"] for one in (*told["errors"], *cells["errors"])}
            assert not any((told["data"] or {}).values()) and codes <= {"ALL_SITES_FAILED", "SITE_UNAUTHORIZED"}, (
                site.name,
                told,
            )
            continue
        found = told["data"]
        assert {one["id"]: one["totalJobs"] for one in found["jobsStatistics"]} == Counter(job["user"] for job in jobs)
        assert sum(one["totalNodes"] for one in found["jobsStatistics"]) == sum(job["numNodes"] for job in jobs)
        assert all(one["totalUsers"] == 1 for one in found["jobsStatistics"])
        assert len(found["jobsFootprints"]["timeWeights"]["nodeHours"]) == len(jobs)
        assert sorted(int(one["jobId"]) for one in found["jobsMetricStats"]) == sorted(job["jobId"] for job in jobs)
        own = [] if name in SEES_ALL else [{"user": {"eq": name}}]
        whole = await gate.ask("demo", HEATMAP, sites=[site.name], f=own)
        if "errors" not in cells:  # 1.5's support has no samples of others there either
            assert cells["data"] == whole["data"] or not any(map(sum, cells["data"]["rooflineHeatmap"]))


@everybody
async def test_what_sites_tell_beside_jobs_is_told_to_whom_they_tell_it(gate: Gate, name: str, farm_jobs: list[Job]) -> None:  # noqa: F811
    for site in gate.farm:
        skip_without(site, name)
        here = [job for job in farm_jobs if job["site"] == site.name]
        owned = [next(job for job in here if job["user"] == user) for user in ("alice", "bob")]
        for question, document in QUESTIONS.items():
            if question == "globalMetrics":  # what metrics there are is no secret
                continue
            texts = []
            for number in (0, site.number):
                text = document.replace("$c", site.cluster).replace('"cn00', f'"{site.cluster[0]}n00')
                for place, job in zip(("$1", "$2"), owned, strict=True):
                    text = text.replace(place, str(job["dbId"] * 1000 + number if number else job["dbId"]))
                texts.append(text)
            shown = _in_order(value_in(await gate.ask(name, texts[1])))
            if not is_told(shown):
                continue
            assert name in SEES_ALL or question not in GUARDED, (site.name, question)
            places = gate.farm if "user(" in document else [site]  # names no site
            asked = [upstream.call(place, "POST", "/query", {"query": texts[0]}, user=name)[1] for place in places]
            own = [_in_order(value_in(answer)) for answer in asked]
            assert shown in own, (site.name, question, shown, own)


def _in_order(value: Any) -> Any:
    """The value with lists of values in one order, which releases give in any."""
    if isinstance(value, dict):
        return {key: _in_order(one) for key, one in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted((_in_order(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    return value


@everybody
async def test_exports_are_of_the_jobs_that_the_person_is_shown(gate: Gate, name: str, farm_jobs: list[Job]) -> None:  # noqa: F811
    headers = {"Authorization": f"Bearer {token(gate, name)}", "Accept-Encoding": "identity"}
    for site in gate.farm:
        skip_without(site, name)
        jobs = seen(site, name, farm_jobs)
        listed, usage = [
            await gate.client.get(f"/export/{kind}&site={site.name}&policy=PARTIAL", headers=headers, timeout=60)
            for kind in ("jobs?columns=jobId,startTime", "usage?by=user&period=all")
        ]
        if jobs is None:
            assert (listed.status_code, usage.status_code) == (502, 502) and "SITE_UNAUTHORIZED" in listed.text + usage.text
            continue
        rows = read_lines(listed.content).rows
        assert Counter((row["jobId"], row["startTime"]) for row in rows) == Counter(
            (job["jobId"], job["startTime"]) for job in jobs
        )
        assert {row["user"]: row["jobs"] for row in read_lines(usage.content).rows} == Counter(job["user"] for job in jobs)


@everybody
async def test_grpc_shows_what_the_release_shows_the_person(gate: Gate, name: str, farm_jobs: list[Job]) -> None:  # noqa: F811
    metadata = (("authorization", f"Bearer {token(gate, name)}"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gate.grpc_port}") as channel:
        stub: Any = JobsServiceStub(channel)
        for site in gate.farm:
            skip_without(site, name)
            jobs = seen(site, name, farm_jobs)
            listing = stub.ListJobs(ListJobsRequest(sites=[site.name]), metadata=metadata)
            counting = stub.CountJobs(CountJobsRequest(sites=[site.name]), metadata=metadata)
            grouping = stub.GetStatistics(
                GetStatisticsRequest(sites=[site.name], group_by=STATISTICS_GROUP_USER), metadata=metadata
            )
            if jobs is None:
                for call in (counting, grouping):
                    with pytest.raises(grpc.aio.AioRpcError):
                        await call
                listing.cancel()
                continue
            ids = [job.id async for batch in listing for job in batch.jobs]
            assert sorted(ids) == sorted(f"{site.name}:{job['dbId']}" for job in jobs)
            assert (await counting).count == len(jobs)
            users = {one.id: one.total_jobs for one in (await grouping).statistics}
            assert users == Counter(job["user"] for job in jobs)
            hidden = [job for job in farm_jobs if job["site"] == site.name and job not in jobs][:3]
            for job in hidden:
                ident = f"{site.name}:{job['dbId']}"
                for call in (
                    stub.GetJob(GetJobRequest(id=ident), metadata=metadata),
                    stub.GetJobMetrics(GetJobMetricsRequest(id=ident), metadata=metadata),
                ):
                    with pytest.raises(grpc.aio.AioRpcError) as refused:
                        await call
                    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
