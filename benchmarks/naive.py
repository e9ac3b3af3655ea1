"""The baseline: the gateway as one would write it in an afternoon.

Strawberry resolves field by field in its own ASGI view; the sites are asked one after the other through httpx2's client, page by
page by number from the first page on; answers are decoded with ``json`` into dataclasses, sorted and cut.
``python -m benchmarks.naive`` serves it with uvicorn for the sites in ``NAIVE_SITES``.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import httpx2
import strawberry
import uvicorn
from strawberry.asgi import GraphQL
from strawberry.scalars import JSON

SITES: list[dict[str, str]] = json.loads(os.environ.get("NAIVE_SITES", "[]"))
CLIENT = httpx2.AsyncClient(timeout=60, headers={"Accept-Encoding": "identity"})
SHARED = {0: "multi_user", 1: "none", 2: "single_user"}


@strawberry.enum
class Scope(Enum):
    node = "node"
    socket = "socket"
    core = "core"
    hwthread = "hwthread"


@strawberry.type
@dataclass
class Resource:
    hostname: str
    hwthreads: list[int] | None


@strawberry.type
@dataclass
class Tag:
    type: str
    name: str
    scope: str


@strawberry.type
@dataclass
class Unit:
    prefix: str | None
    base: str


@strawberry.type
@dataclass
class Statistics:
    avg: float
    min: float
    max: float


@strawberry.type
@dataclass
class Series:
    hostname: str
    id: str | None
    statistics: Statistics | None
    data: list[float | None]


@strawberry.type
@dataclass
class Metric:
    unit: Unit | None
    timestep: int
    series: list[Series]


@strawberry.type
@dataclass
class NamedMetric:
    name: str
    scope: Scope
    metric: Metric


@strawberry.type
class Job:
    id: strawberry.ID
    site: str
    job_id: int
    user: str
    project: str
    cluster: str
    sub_cluster: str
    partition: str
    start_time: str
    duration: int
    walltime: int
    num_nodes: int
    state: str
    shared: str
    energy: float
    resources: list[Resource]
    tags: list[Tag]
    meta_data: JSON | None
    start: strawberry.Private[int]

    @strawberry.field
    async def metrics(self, metrics: list[str] | None = None, scopes: list[Scope] | None = None) -> list[NamedMetric]:
        return await metrics_of(self.id, metrics, scopes)


@strawberry.type
@dataclass
class JobResultList:
    items: list[Job]
    has_next_page: bool


@strawberry.input
class PageRequest:
    items_per_page: int
    page: int


def job_of(site: str, row: dict[str, Any]) -> Job:
    """A row of any release."""
    return Job(
        id=strawberry.ID(f"{site}:{row['id']}"),
        site=site,
        job_id=row["jobId"],
        user=row["user"],
        project=row["project"],
        cluster=row["cluster"],
        sub_cluster=row["subCluster"],
        partition=row.get("partition", ""),
        start_time=datetime.fromtimestamp(row["startTime"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        duration=row["duration"],
        walltime=row.get("walltime", 0),
        num_nodes=row["numNodes"],
        state=row["jobState"],
        shared=row["shared"] if "shared" in row else SHARED[row["exclusive"]],
        energy=row.get("energy", 0.0),
        resources=[Resource(hostname=host["hostname"], hwthreads=host.get("hwthreads")) for host in row["resources"]],
        tags=[Tag(type=tag["type"], name=tag["name"], scope=tag.get("scope", "global")) for tag in row.get("tags", ())],
        meta_data=row.get("metaData"),
        start=row["startTime"],
    )


def metric_of(row: dict[str, Any]) -> NamedMetric:
    """One metric as a site sends it."""
    metric = row["metric"]
    series = [
        Series(
            hostname=one["hostname"],
            id=one.get("id"),
            statistics=Statistics(**one["statistics"]) if "statistics" in one else None,
            data=one["data"],
        )
        for one in metric["series"]
    ]
    unit = Unit(prefix=metric["unit"].get("prefix"), base=metric["unit"]["base"])
    return NamedMetric(name=row["name"], scope=Scope(row["scope"]), metric=Metric(unit, metric["timestep"], series))


async def metrics_of(job_id: str, names: list[str] | None, scopes: list[Scope] | None) -> list[NamedMetric]:
    """The metrics of a job."""
    name, _, number = job_id.partition(":")
    site = next(site for site in SITES if site["name"] == name)
    query = {"metric": names or [], "scope": [scope.value for scope in scopes or ()]}
    answer = await CLIENT.get(f"{site['url']}/api/jobs/metrics/{number}", params=query, headers={"X-Auth-Token": site["token"]})
    return [metric_of(row) for row in json.loads(answer.content)["data"]["jobMetrics"]]


async def newest(site: dict[str, str], count: int, size: int) -> list[Job]:
    """The newest ``count`` jobs of a site, in pages of ``size``."""
    jobs: list[Job] = []
    page = 1
    while len(jobs) < count:
        answer = await CLIENT.get(
            f"{site['url']}/api/jobs/?items-per-page={size}&page={page}", headers={"X-Auth-Token": site["token"]}
        )
        rows = json.loads(answer.content)["jobs"]
        jobs += [job_of(site["name"], row) for row in rows]
        if len(rows) < size:
            break
        page += 1
    return jobs


@strawberry.type
class Query:
    @strawberry.field
    async def jobs(self, page: PageRequest, sites: list[str] | None = None) -> JobResultList:
        end, size = page.page * page.items_per_page, page.items_per_page
        found: list[Job] = []
        for site in SITES:
            if sites is None or site["name"] in sites:
                found += await newest(site, end, size)
        found.sort(key=lambda job: (-job.start, job.site, job.cluster, job.job_id))
        return JobResultList(items=found[end - size : end], has_next_page=len(found) > end)

    @strawberry.field
    async def job_metrics(
        self,
        id: strawberry.ID,  # noqa: A002
        metrics: list[str] | None = None,
        scopes: list[Scope] | None = None,
    ) -> list[NamedMetric]:
        return await metrics_of(id, metrics, scopes)


def main() -> None:
    """Serves it on a free port and says which."""
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stderr.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stderr.flush()
    app: Any = GraphQL(strawberry.Schema(Query))
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")).run(sockets=[listener])


if __name__ == "__main__":
    main()
