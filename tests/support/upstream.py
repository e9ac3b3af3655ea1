"""Simulated sites without a network that never stand still: their jobs start, end and go between any two requests."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec
from pydantic import SecretStr

from ccgateway.errors import SiteError
from ccgateway.jobs.model import JobKey
from ccgateway.settings import SiteSettings
from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.archive import entry
from ccgateway.simulator.backend import Backend
from ccgateway.simulator.clusters import synthetic_cluster
from ccgateway.simulator.job import job_from
from ccgateway.simulator.release import Tie, Ties
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.credentials import Credential, OneToken
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.instance import Instance
from ccgateway.site.registry import Registry
from support.simulated import answer_of, response_of

__all__ = ["ADMIN", "Job", "Sites", "Upstream", "piece", "site_of", "user_credential"]

ADMIN = Credential(SecretStr("token-of-admin"), "demo", frozenset({"admin", "api"}), "/api")

#: what time it is at all of them
NOW = 1_760_000_000

Reading = Literal["yes", "named", "silent"]


def user_credential(name: str) -> Credential:
    return Credential(SecretStr(f"token-of-{name}"), name, frozenset({"user", "api"}), "/userapi")


@dataclass
class Job:
    """One job of the site. ``archive``: whether its entry can be read, and what the error says if not."""

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
    def row(self) -> dict[str, Any]:
        """The job as release 1.5 lists it."""
        return {
            "id": self.id, "jobId": self.job_id, "user": self.user, "project": self.project, "cluster": self.cluster,
            "subCluster": self.sub_cluster, "partition": self.partition, "arrayJobId": self.array_job_id,
            "numNodes": self.num_nodes, "numHwthreads": self.num_hw_threads, "numAcc": self.num_acc, "shared": self.shared,
            "jobState": self.state, "startTime": self.start_time, "duration": self.duration, "walltime": self.walltime,
            "energy": self.energy, "footprint": self.footprint, "monitoringStatus": self.monitored,
            "metaData": None if self.name is None else {"jobName": self.name},
            "resources": [{"hostname": host} for host in self.hosts],
            "tags": [{"type": kind, "name": name, "scope": scope, "id": number} for kind, name, scope, number in self.tags],
        }  # fmt: skip

    @property
    def lasted(self) -> int:
        """Seconds, as the site shows them."""
        return NOW - self.start_time if self.state == "running" else self.duration

    @property
    def local_key(self) -> tuple[str, int, int]:
        return self.cluster, self.job_id, self.start_time

    def key_at(self, site: str) -> JobKey:
        return JobKey(site, *self.local_key)


class Upstream:
    """A simulated site that is never standing still, behind the ``Exchange`` seam. It holds what is in ``jobs`` at any moment;
    ``before_each(upstream)`` runs before every request, and ties come in another order with every list, unless ``stable_ties``.

    ``clusters``: as the site lists them; ``None``: those of its jobs. ``metrics``: of jobs by database id, what is measured of
    them, instead of some that are the same for all. ``fails``: what becomes of a request instead of its answer.
    """

    def __init__(
        self,
        jobs: Iterable[Job] = (),
        *,
        release: str = "1.5",
        before_each: Callable[[Upstream], None] | None = None,
        stable_ties: bool = False,
    ) -> None:
        self.jobs: dict[tuple[str, int, int], Job] = {}
        self.release = release
        self.before_each = before_each
        self.stable_ties = stable_ties
        self.requests: list[SiteRequest] = []
        self.credentials: list[Credential] = []
        self.rows_sent = 0
        self.fails: Callable[[SiteRequest], SiteAnswer | SiteError | None] = lambda _: None
        self.hangs = False
        self.clusters: list[dict[str, Any]] | None = None
        self.users: dict[str, tuple[str, ...]] = {"alice": ("user",)}
        self.metrics: dict[int, list[dict[str, Any]]] = {}
        self._last_id = 0
        self._site = SimulatedSite("upstream", release, [])
        self._tokens: dict[tuple[str | None, tuple[str, ...]], str] = {}
        self._held: list[object] = []
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

    def _answer(self, request: SiteRequest, credential: Credential) -> SiteAnswer:
        self._settle()
        path, _, query = request.path.partition("?")
        response = response_of(self._site, request, self._token_of(credential))
        if path.endswith("/jobs/"):
            self.rows_sent += response.jobs
        if response.status == 500 and self._is_silent(response.body):
            return SiteAnswer(500, "", b"")
        return self._with_metrics(answer_of(response), path, parse_qs(query, keep_blank_values=True).get("metric"), request)

    def _token_of(self, credential: Credential) -> str:
        user, roles = credential.user, tuple(sorted(credential.roles or ()))
        if (user, roles) not in self._tokens:
            self._tokens[user, roles] = self._site.mint(user, roles)
        return self._tokens[user, roles]

    def _settle(self) -> None:
        """Gives the site the jobs as they are now."""
        jobs = list(self.jobs.values())
        held: list[object] = [self.release, repr(self.clusters), self.users, *([*vars(job).values()] for job in jobs)]
        if held == self._held:
            return
        self._held = held
        if self._site.release.name != self.release:
            self._site = SimulatedSite("upstream", self.release, [], private=self._site.keys.private)
        release = self._site.release if self.stable_ties else replace(self._site.release, ties=Ties(*[Tie.ANY] * 5))
        named = [{"name": name} for name in sorted({job.cluster for job in jobs})] if self.clusters is None else self.clusters
        clusters = [{**synthetic_cluster(one["name"], release), **one} for one in named]
        self._site.backend = Backend(
            release, [job.row for job in jobs], clusters=clusters, users=self.users, zone="UTC",
            clock=lambda: float(NOW), commit=0.0, archiving=0.0, resampling=0,
        )  # fmt: skip
        self._site.backend.clusters = clusters  # none, too
        self._site.backend.archive.lost = {job.id for job in jobs if job.archive != "yes"}

    def _is_silent(self, body: bytes) -> bool:
        """Whether what the site cannot read is a job of which it does not say so."""
        return any(entry(job_from(job.row)).encode() in body for job in self.jobs.values() if job.archive == "silent")

    def _with_metrics(self, answer: SiteAnswer, path: str, names: list[str] | None, request: SiteRequest) -> SiteAnswer:
        """The answer with what is measured of the job, in another order with every request."""
        asked = re.fullmatch(r"/\w+/jobs/(metrics/)?(\d+)", path)
        if asked is None or answer.status != 200 or (not asked[1] and request.body in (None, b'["-"]')):
            return answer
        found = msgspec.json.decode(answer.body)
        pieces = self.metrics.get(int(asked[2]), [piece("cpu_load"), piece("mem_bw", "socket"), piece("mem_bw")])
        if not asked[1]:
            names = msgspec.json.decode(request.body or b"null") or None
            pieces = [one for one in pieces if one["scope"] == "node"]
        shown = random.sample(pieces, len(pieces))
        shown = [one for one in shown if names is None or one["name"] in names]
        if not asked[1]:
            found["Data"] = shown
        elif found.get("data") is not None:
            found["data"]["jobMetrics"] = shown
        return SiteAnswer(200, answer.media_type, msgspec.json.encode(found))


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
        "reads": "rest",
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
