"""A job as the faces write it: in cc-backend 1.5's form, whatever release it comes from, and with what the how-to page adds.

What is only passed on (resources, footprint, metadata, statistics, energy) is the text that the site wrote.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE, JobRow, Tag
from ccgateway.surfaces.ids import Ids

__all__ = ["IN_LIST", "SINGLE", "DocumentedJob", "Job", "documented_job", "job"]


#: attributes of a row that a job alone is written from, and one in a list
SINGLE = frozenset({
    "sub_cluster", "partition", "project", "user", "shared", "state", "tags", "resources_json", "footprint_json",
    "meta_data_json", "energy_json", "array_job_id", "walltime", "duration", "smt", "monitoring_status", "num_acc",
    "num_hw_threads", "num_nodes",
})  # fmt: skip
IN_LIST = (SINGLE - {"meta_data_json"}) | {"statistics_json"}

Json = msgspec.Raw


def _text(kind: str, description: str, **more: Any) -> msgspec.Meta:
    return msgspec.Meta(description=description, extra_json_schema={"type": [kind, "null"], **more})


_NUMBERS = {"type": ["number", "null"]}
ResourcesText = Annotated[Json, _text("array", "Its hosts, each with what it uses there.", items={"type": "object"})]
FootprintText = Annotated[Json, _text("object", "Averages and the like, by metric and statistic.", additionalProperties=_NUMBERS)]
MetadataText = Annotated[Json, _text("object", "In lists only where asked for.", additionalProperties=True)]
StatisticsText = Annotated[Json, _text("object", "By metric; of archived jobs, in lists.", additionalProperties=True)]
EnergyText = Annotated[Json, _text("number", "In kWh.")]
LinksText = Annotated[Json, _text("object", "Never filled.", additionalProperties=True)]

_NULL = msgspec.Raw(b"null")
_NO_JOBS = msgspec.Raw(b'{"items":null,"count":0}')

EXCLUSIVE_BY_SHARED = {word: number for number, word in SHARED_BY_EXCLUSIVE.items()}


class Job(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """The keys of 1.5.4 in its order; what it leaves out when it is zero or empty is left out."""

    cluster: str
    sub_cluster: str
    partition: str = ""
    project: str
    user: str
    shared: str
    job_state: str
    tags: list[Tag] = []
    resources: ResourcesText
    energy_footprint: None
    footprint: FootprintText
    meta_data: MetadataText
    concurrent_jobs: LinksText
    energy: EnergyText
    array_job_id: int = 0
    walltime: int = 0
    job_id: int
    duration: int
    smt: int = 0
    monitoring_status: int = 0
    num_acc: int = 0
    num_hwthreads: int = 0
    num_nodes: int
    statistics: StatisticsText
    id: int
    start_time: int


class DocumentedJob(msgspec.Struct, kw_only=True, rename="camel", gc=False):
    """Every key, whether the how-to page has it (``state``), 1.5 (``jobState``, ``shared``) or older releases (``exclusive``);
    and the ``site``."""

    id: int
    site: str
    job_id: int
    user: str
    project: str
    cluster: str
    sub_cluster: str
    partition: str
    state: str
    job_state: str
    start_time: int
    duration: int
    walltime: int
    num_nodes: int
    num_hwthreads: int
    num_acc: int
    smt: int
    array_job_id: int
    shared: str
    exclusive: int
    monitoring_status: int
    tags: list[Tag]
    resources: ResourcesText
    energy: EnergyText
    energy_footprint: None
    footprint: FootprintText
    meta_data: MetadataText
    concurrent_jobs: LinksText
    statistics: StatisticsText


def job(row: JobRow, ids: Ids, *, meta_data: msgspec.Raw | None = None, statistics: msgspec.Raw | None = None) -> Job:
    """``row`` in 1.5's form; ``meta_data`` and ``statistics`` are shown where given."""
    return Job(
        cluster=row.cluster,
        sub_cluster=row.sub_cluster,
        partition=row.partition,
        project=row.project,
        user=row.user,
        shared=row.shared,
        job_state=row.state,
        tags=row.tags or [],
        resources=row.resources_json,
        energy_footprint=None,
        footprint=row.footprint_json,
        meta_data=meta_data or _NULL,
        concurrent_jobs=_NO_JOBS,
        energy=row.energy_json,
        array_job_id=row.array_job_id,
        walltime=row.walltime,
        job_id=row.job_id,
        duration=row.duration,
        smt=row.smt,
        monitoring_status=row.monitoring_status,
        num_acc=row.num_acc,
        num_hwthreads=row.num_hw_threads,
        num_nodes=row.num_nodes,
        statistics=statistics or _NULL,
        id=ids.of(row.site, row.id),
        start_time=row.start_time,
    )


def documented_job(
    row: JobRow, ids: Ids, *, meta_data: msgspec.Raw | None = None, statistics: msgspec.Raw | None = None
) -> DocumentedJob:
    """``row`` with every key; ``meta_data`` and ``statistics`` as in ``job``."""
    return DocumentedJob(
        id=ids.of(row.site, row.id),
        site=row.site,
        job_id=row.job_id,
        user=row.user,
        project=row.project,
        cluster=row.cluster,
        sub_cluster=row.sub_cluster,
        partition=row.partition,
        state=row.state,
        job_state=row.state,
        start_time=row.start_time,
        duration=row.duration,
        walltime=row.walltime,
        num_nodes=row.num_nodes,
        num_hwthreads=row.num_hw_threads,
        num_acc=row.num_acc,
        smt=row.smt,
        array_job_id=row.array_job_id,
        shared=row.shared,
        exclusive=EXCLUSIVE_BY_SHARED.get(row.shared, 1),
        monitoring_status=row.monitoring_status,
        tags=row.tags or [],
        resources=row.resources_json,
        energy=row.energy_json,
        energy_footprint=None,
        footprint=row.footprint_json,
        meta_data=meta_data or _NULL,
        concurrent_jobs=_NO_JOBS,
        statistics=statistics or _NULL,
    )
