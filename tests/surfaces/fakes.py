"""A gateway that answers from memory, and jobs to fill it with: what the surface is tested against."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, RequestError, SiteError
from ccgateway.federation.details import Details
from ccgateway.federation.footprints import FootprintsAnswer, MetricsQuestion
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget, Outcome
from ccgateway.federation.questions import (
    Answer,
    JobListAnswer,
    JobListQuestion,
    JobMetricsAnswer,
    Policy,
    ReportStatus,
    SiteCluster,
    SiteReport,
    SiteStatus,
    SiteUser,
)  # fmt: skip
from ccgateway.federation.statistics import StatisticsAnswer, StatisticsQuestion
from ccgateway.identity.principal import Principal
from ccgateway.jobs import clusters as cluster_values
from ccgateway.jobs.clusters import User
from ccgateway.jobs.details import EnergyPart, JobLinks
from ccgateway.jobs.metrics import JobRef, MetricPiece, MetricsWanted
from ccgateway.jobs.model import JobKey, JobRow, Resource, Tag, parse_job_id
from ccgateway.jobs.statistics.footprints import Footprints

__all__ = ["FakeGateway", "aurora", "borealis_is_down", "make_cluster", "make_piece", "make_row", "make_status", "make_user"]

CALLER = Principal("tester", frozenset({"admin"}))


class Row(SimpleNamespace):
    """A job row with every attribute."""

    @property
    def key(self) -> JobKey:
        return JobKey(self.site, self.cluster, self.job_id, self.start_time)


def make_row(number: int = 1, site: str = "aurora", **changes: Any) -> JobRow:
    values: dict[str, Any] = {
        "site": site,
        "id": number,
        "job_id": 1_000_000 + number,
        "cluster": "alex",
        "start_time": 1_700_000_000 - 60 * number,
        "user": "alice",
        "project": "proj",
        "sub_cluster": "a40",
        "partition": "gpu",
        "array_job_id": 0,
        "num_nodes": 2,
        "num_hw_threads": 128,
        "num_acc": 8,
        "smt": 1,
        "shared": "none",
        "state": "completed",
        "monitoring_status": 3,
        "duration": 3600,
        "walltime": 86_400,
        "energy": 1.5,
        "tags": [Tag("app", "gromacs", "global", 7)],
        "resources": [Resource("a0001", (0, 1), ("0000:01:00.0",)), Resource("a0002")],
        "footprint": {"flops_any_avg": 12.5, "mem_used_max": None, "odd": 1.0},
        "meta_data": {"jobName": "run", "jobScript": "#!/bin/sh"},
    }
    return cast(JobRow, Row(**{**values, **changes}))


def make_user(username: str = "alice", site: str = "aurora") -> SiteUser:
    return SiteUser(site, cluster_values.User(username, "Alice A.", "alice@example.org", ["user"], ["proj"]))


def make_cluster(name: str = "alex", site: str = "aurora", **changes: Any) -> SiteCluster:
    values: dict[str, Any] = {
        "metric_config": [
            cluster_values.MetricConfig(
                "flops_any", cluster_values.Unit("F/s", "G"), "core", "sum", 60, 100.0, 50.0, 10.0, 5.0,
                sub_clusters=[cluster_values.SubClusterConfig("a100", peak=200.0, alert=7.0)],
            ),
            cluster_values.MetricConfig(
                "ib_recv", cluster_values.Unit("B/s"), "node", "sum", 60, 8.0, None, 2.0, 1.0,
                sub_clusters=[cluster_values.SubClusterConfig("a100", remove=True)],
            ),
        ],
        "sub_clusters": [
            cluster_values.SubCluster("a40", "a[001-004]", "Milan", 2, 64, 1),
            cluster_values.SubCluster("a100", "b[01-02],c7", "Rome", 2, 64, 1),
        ],
    }  # fmt: skip
    return SiteCluster(site, cluster_values.Cluster(name, **{**values, **changes}))


LOAD = (
    b'{"unit":{"base":""},"series":[{"hostname":"a0001","statistics":{"min":1.00,"avg":2.50,"max":4.00},"data":[1.00,null,4.00]},'
    b'{"hostname":"a0002","id":"1","statistics":{"min":0.50,"avg":3.50,"max":5.00},"data":[0.50]}],"timestep":60,'
    b'"statisticsSeries":{"mean":null,"median":[0.75],"min":[0.50],"max":[1.00]}}'
)


def make_piece(name: str = "cpu_load", scope: str = "node", text: bytes = LOAD) -> MetricPiece:
    return MetricPiece.from_json(name, scope, text)


def make_status(name: str = "aurora", **changes: Any) -> SiteStatus:
    values: dict[str, Any] = {
        "number": 1,
        "release": "1.5",
        "configured_release": "auto",
        "required": False,
        "reachable": True,
        "since": 1_700_000_000.75,
        "elapsed": 0.01,
        "last_error": None,
        "last_error_at": None,
        "capabilities": ["clusters"],
    }
    return SiteStatus(name, **{**values, **changes})


def aurora(**changes: Any) -> SiteReport:
    return SiteReport("aurora", 1, **changes)


def borealis_is_down() -> SiteReport:
    report = SiteReport("borealis", 2)
    report.note_failure(SiteError(Code.TIMEOUT, "borealis", "no answer within 10 s"))
    return report


@dataclass
class FakeGateway(Gateway):
    """Answers from its fields; ``questions`` holds what it was asked; ``pieces`` by job id (``make_piece()`` where there are
    none). ``fault`` is raised by every use case, ``hang`` makes them wait for ever (``hanging`` tells that one does,
    ``cancelled`` that it was ended)."""

    rows: list[JobRow] = field(default_factory=lambda: [make_row(1), make_row(2)])
    reports: list[SiteReport] = field(default_factory=lambda: [aurora()])
    accounts: list[SiteUser] = field(default_factory=lambda: [make_user()])
    lists: list[SiteCluster] = field(default_factory=lambda: [make_cluster()])
    pieces: dict[str, list[MetricPiece] | GatewayError] = field(default_factory=dict)
    metric_notes: list[str] = field(default_factory=list)
    statuses: list[SiteStatus] = field(default_factory=lambda: [make_status()])
    fault: Exception | None = None
    users_fault: GatewayError | None = None
    hang: bool = False
    users_hang: bool = False
    end_cursor: str | None = "cursor"
    has_next_page: bool = False
    questions: list[Any] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def numbers(self) -> Mapping[str, int]:
        return {"aurora": 1, "borealis": 2}

    async def _meet(self, question: Any) -> None:
        self.questions.append(question)
        if self.hang:
            await self._hang()
        if self.fault is not None:
            raise self.fault

    async def _hang(self) -> None:
        self.hanging.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def jobs(self, question: JobListQuestion, caller: Principal) -> JobListAnswer:
        assert caller.subject == CALLER.subject
        await self._meet(question)
        complete = all(report.status is ReportStatus.OK for report in self.reports)
        return JobListAnswer(
            self.rows, self.reports, self.end_cursor, self.has_next_page, complete, 42 if question.wants_count else None
        )

    async def job(self, job_id: str, caller: Principal, *, fields: frozenset[str]) -> JobRow:
        await self._meet((job_id, fields))
        site, number = parse_job_id(job_id)
        for row in self.rows:
            if row.site == site and row.id == number:
                return row
        raise RequestError(Code.NOT_FOUND, f"{site} has no job {number}.", site=site)

    async def job_by_key(
        self, caller: Principal, *, cluster: str, job_id: int, start_time: int | None, site: str | None, fields: frozenset[str]
    ) -> JobRow:
        await self._meet((cluster, job_id, start_time, site, fields))
        return self.rows[0]

    async def job_metrics(
        self, job_id: str, wanted: MetricsWanted, caller: Principal, *, budget: MetricsBudget
    ) -> JobMetricsAnswer:
        await self._meet((job_id, wanted))
        outcome = self._outcome(job_id)
        if isinstance(outcome, GatewayError):
            raise outcome
        return outcome

    async def metrics_of(
        self, jobs: Sequence[JobRef], wanted: MetricsWanted, caller: Principal, *, budget: MetricsBudget
    ) -> list[Outcome]:
        await self._meet((tuple(jobs), wanted))
        return [self._outcome(f"{job.site}:{job.db_id}") for job in jobs]

    def _outcome(self, job_id: str) -> Outcome:
        pieces = self.pieces.get(job_id, [make_piece()])
        return pieces if isinstance(pieces, GatewayError) else JobMetricsAnswer(pieces, aurora(notes=list(self.metric_notes)))

    async def clusters(
        self, caller: Principal, *, sites: Sequence[str] | None, policy: Policy, with_partitions: bool
    ) -> Answer[SiteCluster]:
        await self._meet((sites, policy, with_partitions))
        return Answer(self.lists, self.reports)

    async def users(self, caller: Principal, *, sites: Sequence[str] | None, policy: Policy) -> Answer[SiteUser]:
        return Answer(await self.listed((sites, policy)), self.reports)

    async def listed(self, question: Any) -> list[SiteUser]:
        """The accounts, for a question about them."""
        await self._meet(question)
        if self.users_hang:
            await self._hang()
        if self.users_fault is not None:
            raise self.users_fault
        return self.accounts

    async def statistics(
        self, questions: Sequence[StatisticsQuestion], caller: Principal
    ) -> list[StatisticsAnswer | GatewayError]:
        await self._meet(tuple(questions))
        return [StatisticsAnswer([], self.reports) for _ in questions]

    async def footprints(self, question: MetricsQuestion, metrics: Sequence[str], caller: Principal) -> FootprintsAnswer:
        await self._meet((question, tuple(metrics)))
        return FootprintsAnswer(Footprints(metrics={name: [] for name in metrics}), {}, self.reports)

    @property
    def details(self) -> Details:
        return FakeDetails(self)

    async def sites(self, caller: Principal, *, sites: Sequence[str] | None = None) -> list[SiteStatus]:
        await self._meet(sites)
        return self.statuses


class FakeDetails(Details):
    """The accounts of a fake gateway by name, and of its jobs what a site without such details says."""

    def __init__(self, gateway: FakeGateway) -> None:
        object.__setattr__(self, "gateway", gateway)

    gateway: FakeGateway

    async def concurrent_jobs(
        self, jobs: Sequence[JobRef], caller: Principal, *, deadline: Deadline
    ) -> list[JobLinks | GatewayError | None]:
        return [None for _ in jobs]

    async def energy_footprints(
        self, jobs: Sequence[JobRef], caller: Principal, *, deadline: Deadline
    ) -> list[list[EnergyPart] | GatewayError | None]:
        return [None for _ in jobs]

    async def accounts(
        self, site: str, names: Sequence[str], caller: Principal, *, deadline: Deadline
    ) -> dict[str, User | SiteError | None]:
        found = await self.gateway.listed((site, tuple(names)))
        known: dict[str, User] = {one.user.username: one.user for one in found if one.site == site}
        return {name: known.get(name) for name in names}
