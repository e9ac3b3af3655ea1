"""Large jobs are ordinary: 128 nodes of 128 threads, and 3,000 nodes of 96, pass every face; only time limits are raised."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from acceptance.hostile import TOKEN
from acceptance.recorded import serving
from acceptance.test_rest_sites import RELEASED, make_site
from ccgateway.settings import Settings
from ccgateway.simulator import serve
from support.raw_server import raw_server
from support.raw_sites import serving as answering
from support.upstream import Job, Upstream

FACES = pytest.mark.parametrize("face", ["/api", f"{RELEASED}/api"])
#: the machine that tests run on may be slow
SLOW = {"request_timeout": 100, "patience": 0}
METRICS = ("cpu_load", "flops_any", "mem_bw")


def nodes(count: int) -> list[str]:
    return [f"n{number:04}" for number in range(count)]


def core_metrics(hosts: list[str], threads: int, samples: int) -> list[dict[str, Any]]:
    """One series for each thread of each host."""
    series = [
        {"hostname": host, "id": str(thread), "statistics": {"avg": 1.5, "min": 1.0, "max": 2.0}, "data": [1.25] * samples}
        for host in hosts
        for thread in range(threads)
    ]
    metric = {"unit": {"base": "F/s", "prefix": "G"}, "timestep": 60, "series": series}
    return [{"name": name, "scope": "core", "metric": metric} for name in METRICS]


async def test_metrics_of_128_nodes_of_128_threads_come_by_graphql() -> None:
    upstream = Upstream([Job(7, 1_700_000_000, num_nodes=128, hosts=nodes(128), num_hw_threads=128 * 128)])
    upstream.metrics[1] = core_metrics(nodes(128), 128, samples=5)
    fields = "name scope metric { unit { base } timestep series { hostname id statistics { avg min max } data } }"
    alone = f'{{ jobMetrics(id: "aurora:1", metrics: {json.dumps(METRICS)}, scopes: [core]) {{ {fields} }} }}'
    listed = (
        f"{{ jobs(first: 1) {{ items {{ jobId resources {{ hostname hwthreads }} metrics(scopes: [core]) {{ {fields} }} }} }} }}"
    )
    async with raw_server(answering(upstream)) as server:
        settings = {
            "sites": {"aurora": {"number": 1, "url": server.url, "token": TOKEN, "release": "1.5", "timeout": 100}},
            "limits": SLOW,
        }
        async with serving(Settings.model_validate(settings)) as client:
            for query in (alone, listed):
                answer = (await client.post("/graphql", json={"query": query}, timeout=110)).json()
                assert "errors" not in answer, answer["errors"]
                data = answer["data"]
                found = data["jobMetrics"] if "jobMetrics" in data else data["jobs"]["items"][0]["metrics"]
                assert [(one["name"], len(one["metric"]["series"])) for one in found] == [(name, 128 * 128) for name in METRICS]


def large_job() -> dict[str, Any]:
    """As a scheduler starts it."""
    threads = list(range(96))
    return {
        "jobId": 4242, "user": "alice", "project": "p_a", "cluster": "aurora", "subCluster": "main", "partition": "main",
        "numNodes": 3000, "numHwthreads": 3000 * 96, "numAcc": 0, "smt": 1, "shared": "none", "jobState": "running",
        "startTime": 1_759_999_000, "walltime": 86_400, "resources": [{"hostname": h, "hwthreads": threads} for h in nodes(3000)],
        "metaData": {"jobName": "all of it"},
    }  # fmt: skip


@FACES
async def test_a_job_of_3000_nodes_of_96_threads_is_started_listed_and_shown(face: str) -> None:
    aurora = make_site("aurora", count=20)
    async with serve(aurora) as running:
        site = {"number": 1, "url": running["aurora"].url, "token": aurora.token("demo"), "timeout": 100}
        settings = Settings.model_validate({"sites": {"aurora": site}, "limits": SLOW})
        async with serving(settings) as client:
            await started_and_shown(client, face)


async def started_and_shown(client: httpx.AsyncClient, face: str) -> None:
    size = "items-per-page" if face.startswith(RELEASED) else "items_per_page"
    started = await client.post(f"{face}/jobs/start_job/", json=large_job(), timeout=110)
    assert started.status_code in (200, 201, 202), started.text[:500]
    listed = shown(await client.get(f"{face}/jobs/?state=running&{size}=100", timeout=110))
    [job] = [one for one in listed["jobs"] if one["jobId"] == 4242]
    assert job["resources"] == large_job()["resources"]
    alone = shown(await client.get(f"{face}/jobs/{job['id']}", timeout=110))
    assert alone["Meta"]["resources"] == large_job()["resources"]
    metrics = shown(await client.get(f"{face}/jobs/metrics/{job['id']}?metric=cpu_load&scope=node", timeout=110))
    [found] = metrics["metrics"] if face == "/api" else [one["metric"] for one in metrics["data"]["jobMetrics"]]
    assert [series["hostname"] for series in found["series"]] == nodes(3000)


def shown(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text[:500]
    return answer.json()
