"""A cc-backend in memory, behind the ``Exchange`` seam: as strict and as vague as the real one, and never standing still.

Ties come in another order with every request, unknown parameters are refused, a page that holds an unreadable job fails as a
whole, and ``before_each`` may start, end and delete jobs between any two requests.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec
from pydantic import SecretStr

from ccgateway.errors import SiteError
from ccgateway.jobs.model import JobKey
from ccgateway.settings import SiteSettings
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.credentials import Credential, OneToken
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.instance import Instance
from ccgateway.site.registry import Registry

__all__ = ["ADMIN", "Job", "Sites", "Upstream", "piece", "site_of", "user_credential"]

ADMIN = Credential(SecretStr("token-of-admin"), "demo", frozenset({"admin", "api"}), "/api")

OLD_STATES = {"running", "completed", "failed", "cancelled", "stopped", "timeout", "preempted", "out_of_memory"}
NEW_STATES = (OLD_STATES - {"stopped"}) | {"boot_fail", "deadline", "node_fail", "pending", "suspended"}
EXCLUSIVE = {"multi_user": 0, "none": 1, "single_user": 2}

Reading = Literal["yes", "named", "silent"]


def user_credential(name: str) -> Credential:
    return Credential(SecretStr(f"token-of-{name}"), name, frozenset({"user", "api"}), "/userapi")


@dataclass
class Job:
    """One row of the upstream's table. ``archive``: whether its entry can be read, and what the error says if not."""

    job_id: int
    start_time: int
    cluster: str = "alex"
    id: int = 0
    user: str = "alice"
    project: str = "p_a"
    sub_cluster: str = "main"
    partition: str = "main"
    array_job_id: int = 0
    num_nodes: int = 1
    num_hw_threads: int = 0
    num_acc: int = 0
    shared: str = "none"
    state: str = "completed"
    duration: int = 600
    walltime: int = 86400
    energy: float = 0.0
    tags: list[tuple[str, str, str, int]] = field(default_factory=list)
    hosts: list[str] = field(default_factory=lambda: ["n001"])
    footprint: dict[str, float] | None = None
    name: str | None = None
    archive: Reading = "yes"
    monitoring_status: int | None = None

    @property
    def monitored(self) -> int:
        """1 while it runs, 3 once it is archived, unless it is said otherwise."""
        return (1 if self.state == "running" else 3) if self.monitoring_status is None else self.monitoring_status

    @property
    def local_key(self) -> tuple[str, int, int]:
        return self.cluster, self.job_id, self.start_time

    def key_at(self, site: str) -> JobKey:
        return JobKey(site, *self.local_key)


class Upstream:
    """One instance's answers to ``Exchange.exchange``. ``before_each(upstream)`` runs before every request."""

    def __init__(
        self,
        jobs: Iterable[Job] = (),
        *,
        release: str = "1.5",
        seed: int = 0,
        before_each: Callable[[Upstream], None] | None = None,
        stable_ties: bool = False,
    ) -> None:
        self.jobs: dict[tuple[str, int, int], Job] = {}
        self.release = release
        self.random = random.Random(seed)
        self.before_each = before_each
        self.stable_ties = stable_ties
        self.requests: list[SiteRequest] = []
        self.credentials: list[Credential] = []
        self.rows_sent = 0
        self.fails: Callable[[SiteRequest], SiteAnswer | SiteError | None] = lambda _: None
        self.hangs = False
        self.clusters: list[dict[str, Any]] = [{"name": "alex"}]
        self.users: list[dict[str, Any]] = [{"username": "alice", "roles": ["user"]}]
        self.metrics: dict[int, list[dict[str, Any]]] = {}
        self._last_id = 0
        for job in jobs:
            self.add(job)

    def add(self, job: Job) -> None:
        """Starts a job; one with the same key is refused, as the real one's constraint does."""
        if job.local_key in self.jobs:
            return
        if not job.id:
            self._last_id += 1
            job.id = self._last_id
        self._last_id = max(self._last_id, job.id)
        self.jobs[job.local_key] = job

    def remove(self, key: tuple[str, int, int]) -> None:
        self.jobs.pop(key, None)

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        self.requests.append(request)
        self.credentials.append(context.credential)
        context.stats.calls += 1
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.sleep(3600)
        if self.before_each is not None:
            self.before_each(self)
        failure = self.fails(request)
        if isinstance(failure, SiteError):
            raise failure
        return failure if failure is not None else self._answer(request, context.credential)

    # --- routes

    def _answer(self, request: SiteRequest, credential: Credential) -> SiteAnswer:
        url = urlsplit(request.path)
        query = parse_qsl(url.query, keep_blank_values=True)
        root, _, rest = url.path[1:].partition("/")
        if root == "userapi" and self.release in ("1.2", "1.3"):
            return SiteAnswer(404, "text/plain", b"404 page not found\n")
        if root == "api" and not self._may_use_api(credential):
            return _json(401, {"error": "unauthorized", "status": "Unauthorized"})
        if rest == "jobs/" and request.method == "GET":
            return self._list(query, credential)
        if (found := re.fullmatch(r"jobs/(\d+)", rest)) and (
            request.body == b'["-"]' if self.release == "1.2" else request.method == "GET"
        ):
            return self._single(int(found[1]), credential)
        if found := re.fullmatch(r"jobs/metrics/(\d+)", rest):
            return self._metrics(int(found[1]), query, credential)
        if (found := re.fullmatch(r"jobs/(\d+)", rest)) and request.method == "POST":
            return self._single_with_metrics(int(found[1]), request.body or b"", credential)
        if rest == "clusters/" and self.release != "1.2":
            return _json(200, {"clusters": self.clusters})
        if rest == "users/":
            return SiteAnswer(200, "text/plain", msgspec.json.encode(self.users))
        if url.path == "/query":
            return _json(200, {"data": {"clusters": [{**c, "partitions": ["main", "gpu"]} for c in self.clusters]}})
        return SiteAnswer(404, "text/plain", b"404 page not found\n")

    def _may_use_api(self, credential: Credential) -> bool:
        roles = credential.roles or frozenset()
        return self.release in ("1.2", "1.3") or roles == {"api"} or {"admin", "api"} <= roles

    def _visible(self, credential: Credential) -> list[Job]:
        if self.release in ("1.2", "1.3") or credential.sees_all:
            return list(self.jobs.values())
        return [job for job in self.jobs.values() if job.user == credential.user]

    def _list(self, query: list[tuple[str, str]], credential: Credential) -> SiteAnswer:
        low, high, size, page, clusters, projects = 0, 1 << 62, 25, 1, [], []
        states: set[str] = set()
        for key, value in query:
            if key == "start-time" and (span := re.fullmatch(r"(\d+)-(\d+)", value)):
                low, high = int(span[1]), int(span[2])
            elif key == "items-per-page" and value.isdigit():
                size = int(value)
            elif key == "page" and value.isdigit() and value != "0":
                page = int(value)
            elif key == "state" and value in (NEW_STATES if self.release == "1.5" else OLD_STATES):
                states.add(value)
            elif key == "cluster":
                clusters.append(value)
            elif key == "project" and self.release == "1.5":
                projects.append(value)
            elif key != "with-metadata":
                return _json(400, {"status": "Bad Request", "error": f"invalid query parameter: {key}"})
        found = [
            job
            for job in self._visible(credential)
            if low <= job.start_time <= high
            and (not states or job.state in states)
            and (not clusters or job.cluster == clusters[0])
            and (not projects or job.project == projects[0])
        ]
        if self.stable_ties:
            found.sort(key=lambda job: job.id, reverse=True)
        else:
            self.random.shuffle(found)
        found.sort(key=lambda job: -job.start_time)
        found = found[(page - 1) * size : page * size]
        for job in found:
            if job.archive == "named":
                number = f"{job.job_id // 1000}/{job.job_id % 1000:03d}"
                path = f"./var/job-archive/{job.cluster}/{number}/{job.start_time}/meta.json"
                return _json(500, {"status": "Internal Server Error", "error": f"open {path}: no such file or directory"})
            if job.archive == "silent":
                return SiteAnswer(500, "", b"")
        self.rows_sent += len(found)
        with_metadata = any(key == "with-metadata" for key, _ in query)
        rows = [self._row(job, with_metadata=with_metadata) for job in found]
        return _json(200, {"jobs": rows, "items": size, "page": page})

    def _single(self, db_id: int, credential: Credential) -> SiteAnswer:
        found = next((job for job in self._visible(credential) if job.id == db_id), None)
        if found is None:
            message = f"finding job with db id {db_id} failed: sql: no rows in result set"
            return _json(422, {"status": "Unprocessable Entity", "error": message})
        row = self._row(found, with_metadata=self.release != "1.2")
        if self.release == "1.2":
            row.pop("tags", None)
        if self.release != "1.5":
            row["startTime"] = msgspec.to_builtins(_moment(found.start_time))
        return _json(200, {"Meta": row, "Data": None})

    def _pieces(self, job: Job, names: list[str] | None) -> list[dict[str, Any]]:
        """In another order with every request."""
        pieces = self.metrics.get(job.id, [piece("cpu_load"), piece("mem_bw", "socket"), piece("mem_bw")])
        found = [one for one in pieces if not names or one["name"] in names]
        self.random.shuffle(found)
        return found

    def _metrics(self, db_id: int, query: list[tuple[str, str]], credential: Credential) -> SiteAnswer:
        job = next((job for job in self._visible(credential) if job.id == db_id), None)
        if job is None:
            return _json(200, {"data": None, "error": {"message": "sql: no rows in result set"}})
        roles = credential.roles or frozenset()
        if job.user != credential.user and not roles & {"admin", "support", "manager"}:
            return _json(200, {"data": None, "error": {"message": "you are not allowed to see this job"}})
        found = self._pieces(job, [value for key, value in query if key == "metric"])
        return _json(200, {"data": {"jobMetrics": found}, "error": None})

    def _single_with_metrics(self, db_id: int, body: bytes, credential: Credential) -> SiteAnswer:
        job = next((job for job in self._visible(credential) if job.id == db_id), None)
        if job is None:
            return _json(422, {"status": "Unprocessable Entity", "error": "finding job failed: sql: no rows in result set"})
        found = [one for one in self._pieces(job, msgspec.json.decode(body)) if one["scope"] == "node"]
        return _json(200, {"Meta": self._row(job, with_metadata=True), "Data": found})

    def _row(self, job: Job, *, with_metadata: bool) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": job.id, "jobId": job.job_id, "user": job.user, "project": job.project, "cluster": job.cluster,
            "subCluster": job.sub_cluster, "partition": job.partition, "numNodes": job.num_nodes, "jobState": job.state,
            "duration": job.duration, "resources": [{"hostname": host} for host in job.hosts], "metaData": None,
            "concurrentJobs": {"items": None, "count": 0}, "startTime": job.start_time, "statistics": None,
            "monitoringStatus": job.monitored,
        }  # fmt: skip
        omitted = {
            "arrayJobId": job.array_job_id, "numHwthreads": job.num_hw_threads, "numAcc": job.num_acc, "walltime": job.walltime,
        }  # fmt: skip
        row |= {key: value for key, value in omitted.items() if value}
        if job.tags:
            scoped = self.release not in ("1.2", "1.3")
            row["tags"] = [{"type": t, "name": n, "id": i} | ({"scope": s} if scoped else {}) for t, n, s, i in job.tags]
        if with_metadata and job.name is not None:
            row["metaData"] = {"jobName": job.name}
        if self.release == "1.5":
            row["shared"] = job.shared
        else:
            row["exclusive"] = EXCLUSIVE[job.shared]
        if self.release in ("1.4", "1.5"):
            row |= {"energy": job.energy, "energyFootprint": None, "footprint": job.footprint}
        return row


class Sites(Registry):
    """A registry over instances that were put together elsewhere."""

    def __init__(self, instances: Iterable[Instance], responses: ResponseCache | None = None) -> None:
        super().__init__([], responses=responses)
        self.replace(instances)

    def replace(self, instances: Iterable[Instance]) -> None:
        """As if the settings had been read again."""
        self._sites.clear()
        for instance in sorted(instances, key=lambda one: one.number):
            self.add(instance)


def site_of(
    upstream: Upstream,
    name: str,
    number: int = 1,
    *,
    credential: Credential | None = ADMIN,
    release: str | None = None,
    **settings: Any,
) -> Instance:
    """An instance that asks ``upstream``; its release as the settings of an operator who knows it."""
    values = {
        "name": name,
        "number": number,
        "url": f"http://{name}.upstream",
        "release": release or upstream.release,
        "reads": "rest",  # all that it knows of jobs
        **settings,
    }
    return Instance(SiteSettings.model_validate(values), upstream, OneToken(credential))


def piece(
    name: str, scope: str = "node", values: tuple[float | None, ...] = (1.0, None, 2.5), timestep: int = 60
) -> dict[str, Any]:
    """One metric at one scope, as the JSON of ``jobMetrics`` has it."""
    statistics = {"min": 1.0, "avg": 2.5, "max": 4.0}
    series: dict[str, Any] = {"hostname": "n001", "statistics": statistics, "data": values}
    if scope != "node":
        series["id"] = "0"
    return {"name": name, "scope": scope, "metric": {"unit": {"base": ""}, "series": [series], "timestep": timestep}}


def _json(status: int, value: Any) -> SiteAnswer:
    return SiteAnswer(status, "application/json", msgspec.json.encode(value))


def _moment(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.timezone(dt.timedelta(hours=2)))
