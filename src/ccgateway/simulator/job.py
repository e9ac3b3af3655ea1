"""One job, independent of any release's wire shape.

:class:`Job` is what the store holds and the shapes encode; its heavy parts (resources, statistics, footprint) are kept as
encoded JSON, because thousands of generated jobs share them. :func:`job_from` reads any release's dict, :func:`job_to`
writes the plain 1.5-shaped dict that oracles work with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

__all__ = ["NULL", "SHARED", "Job", "Tag", "job_from", "job_to", "seconds_between"]

NULL = msgspec.Raw(b"null")

SHARED = ("multi_user", "none", "single_user")  #: indexed by ``exclusive``
_encode = msgspec.json.Encoder().encode


class Tag(msgspec.Struct, frozen=True):
    """A tag as it hangs on a job."""

    id: int
    type: str
    name: str
    scope: str = "global"


class Job(msgspec.Struct, frozen=True, gc=False):
    """A row of the ``job`` table, with what the archive knows about it."""

    id: int
    job_id: int
    user: str
    project: str
    cluster: str
    sub_cluster: str
    partition: str
    num_nodes: int
    num_hwthreads: int
    num_acc: int
    smt: int
    exclusive: int
    monitoring_status: int
    state: str
    start_time: int
    duration: int  #: as stored: 0 while the job runs
    walltime: int
    energy: float
    hosts: tuple[str, ...]
    resources: msgspec.Raw
    statistics: msgspec.Raw = NULL
    footprint: msgspec.Raw = NULL
    meta_data: dict[str, str] | None = None
    array_job_id: int = 0
    tags: tuple[Tag, ...] = ()

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def archived(self) -> bool:
        return self.monitoring_status == 3

    @property
    def shared(self) -> str:
        return SHARED[self.exclusive]

    def lasted(self, now: int) -> int:
        """Its duration as seen at *now*."""
        return seconds_between(self.start_time, now) if self.state == "running" else self.duration

    def kept(self, metric: str, statistic: str) -> float:
        """What the job table of releases up to 1.3 keeps of a metric; 0 for jobs that are not archived."""
        summary = (msgspec.json.decode(self.statistics) if self.archived else None) or {}
        return float(summary.get(metric, {}).get(statistic, 0))


def seconds_between(start: int, end: int) -> int:
    """A duration as cc-backend stores it: of what does not fit 32 bits, only these."""
    return (max(0, end - start) + (1 << 31)) % (1 << 32) - (1 << 31)


def job_from(row: Mapping[str, Any], db_id: int | None = None) -> Job:
    """Read a job as any release lists it; *db_id* overrides (or supplies) the database id."""
    state = row.get("jobState", row.get("state", "running"))
    running = state == "running"
    resources: Sequence[Mapping[str, Any]] = row.get("resources", ())
    exclusive = row["exclusive"] if "exclusive" in row else SHARED.index(row.get("shared", "none"))
    return Job(
        id=row["id"] if db_id is None else db_id,
        job_id=row["jobId"],
        user=row.get("user", ""),
        project=row.get("project", ""),
        cluster=row["cluster"],
        sub_cluster=row.get("subCluster", "main"),
        partition=row.get("partition", ""),
        num_nodes=row.get("numNodes", max(1, len(resources))),
        num_hwthreads=row.get("numHwthreads", 0),
        num_acc=row.get("numAcc", 0),
        smt=row.get("smt", 0),
        exclusive=exclusive,
        monitoring_status=row.get("monitoringStatus", 1 if running else 3),
        state=state,
        start_time=row["startTime"],
        duration=0 if running else row.get("duration", 0),
        walltime=row.get("walltime", 0),
        energy=row.get("energy", 0.0),
        hosts=tuple(r["hostname"] for r in resources),
        resources=msgspec.Raw(_encode(resources)),
        statistics=msgspec.Raw(_encode(row.get("statistics"))),
        footprint=msgspec.Raw(_encode(row.get("footprint"))),
        meta_data=row.get("metaData"),
        array_job_id=row.get("arrayJobId", 0),
        tags=tuple(msgspec.convert(t, Tag) for t in row.get("tags", ())),
    )


def job_to(job: Job, now: int) -> dict[str, Any]:
    """Write a job in 1.5's shape, metadata and all tags included."""
    return {
        "id": job.id,
        "jobId": job.job_id,
        "user": job.user,
        "project": job.project,
        "cluster": job.cluster,
        "subCluster": job.sub_cluster,
        "partition": job.partition,
        "arrayJobId": job.array_job_id,
        "numNodes": job.num_nodes,
        "numHwthreads": job.num_hwthreads,
        "numAcc": job.num_acc,
        "smt": job.smt,
        "shared": job.shared,
        "monitoringStatus": job.monitoring_status,
        "jobState": job.state,
        "startTime": job.start_time,
        "duration": job.lasted(now),
        "walltime": job.walltime,
        "energy": job.energy,
        "energyFootprint": None,
        "footprint": msgspec.json.decode(job.footprint),
        "metaData": job.meta_data,
        "resources": msgspec.json.decode(job.resources),
        "tags": [msgspec.to_builtins(t) for t in job.tags],
        "statistics": msgspec.json.decode(job.statistics),
    }
