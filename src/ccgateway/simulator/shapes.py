"""How each release writes a job: which keys, which are left out when zero, and whether startTime is a number.

:class:`View` is one reader's way of seeing jobs (who asks, when, with or without metadata); :meth:`View.listed` and
:meth:`View.single` give the encodable shape of a job in a list and on its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from ccgateway.simulator.gate import Principal
from ccgateway.simulator.job import NULL, Job, Tag
from ccgateway.simulator.release import Release

__all__ = ["Shape", "View", "shown_duration"]

_NO_LINKS = msgspec.Raw(b'{"items":null,"count":0}')


class ShortTag(msgspec.Struct):
    """A tag before tags had scopes."""

    id: int
    type: str
    name: str


class _Common(msgspec.Struct, omit_defaults=True, rename="camel"):
    id: int
    job_id: int
    user: str
    project: str
    cluster: str
    sub_cluster: str
    num_nodes: int
    duration: int
    start_time: int | str
    resources: msgspec.Raw
    meta_data: dict[str, str] | None
    concurrent_jobs: msgspec.Raw
    partition: str = ""
    array_job_id: int = 0
    num_hwthreads: int = 0
    num_acc: int = 0
    smt: int = 0
    monitoring_status: int = 0
    walltime: int = 0
    tags: list[Tag | ShortTag] = []  # msgspec copies it, and leaves the key out while it is empty


class Single12(_Common, kw_only=True):
    """``1.2`` single; ``exclusive`` and a zoned startTime."""

    exclusive: int
    job_state: str


class Listed13(Single12, kw_only=True):
    """``1.2`` and ``1.3`` in lists."""

    statistics: msgspec.Raw


class Single13(Single12, kw_only=True):
    """``1.3`` single: four columns nobody else shows."""

    mem_used_max: float
    flops_any_avg: float
    mem_bw_avg: float
    load_avg: float


class Single14(_Common, kw_only=True):
    """``1.4`` single."""

    exclusive: int
    job_state: str
    footprint: msgspec.Raw
    energy: float
    energy_footprint: None


class Listed14(Single14, kw_only=True):
    """``1.4`` in lists."""

    statistics: msgspec.Raw


class Job15(_Common, kw_only=True):
    """``1.5`` everywhere."""

    shared: str
    job_state: str
    footprint: msgspec.Raw
    energy: float
    statistics: msgspec.Raw
    energy_footprint: None


class HowtoJob(_Common, kw_only=True):
    """As the how-to page shows a job: ``state`` for ``jobState``."""

    shared: str
    state: str
    footprint: msgspec.Raw
    energy: float
    statistics: msgspec.Raw
    energy_footprint: None


Shape = Single12 | Listed13 | Single13 | Single14 | Listed14 | Job15 | HowtoJob


@dataclass(frozen=True, slots=True)
class View:
    """One reader's way of seeing jobs."""

    release: Release
    reader: Principal
    now: int
    zone: ZoneInfo
    metadata: bool
    told_tags: tuple[Tag, ...] | None = None  #: shown whoever reads, in place of the job's own

    def listed(self, job: Job) -> Shape:
        """*job* as an element of a list."""
        return _LISTED[self.release.name](self, job)

    def single(self, job: Job) -> Shape:
        """*job* on its own: no statistics, and a zoned startTime on the older releases."""
        return _SINGLE[self.release.name](self, job)

    def single_with(self, job: Job, tags: Iterable[Tag]) -> Shape:
        """*job* on its own, with these tags: what writes answer."""
        return dataclasses.replace(self, told_tags=tuple(tags)).single(job)

    def duration(self, job: Job) -> int:
        return shown_duration(self.release, job, self.now)

    def start_time(self, job: Job) -> int | str:
        """RFC 3339 in the site's zone, or the plain number."""
        if not self.release.zoned_single:
            return job.start_time
        stamp = datetime.fromtimestamp(job.start_time, self.zone).isoformat()
        return stamp.replace("+00:00", "Z")

    def tags(self, job: Job) -> list[Tag | ShortTag]:
        """Those the reader may see, in the release's form."""
        tags = job.tags if self.told_tags is None else self.told_tags
        if not tags:
            return []
        if not self.release.tag_scopes:
            return [ShortTag(t.id, t.type, t.name) for t in tags]
        return [t for t in tags if self.told_tags is not None or self.reader.may_read(t.scope)]

    def statistics(self, job: Job) -> msgspec.Raw:
        return job.statistics if job.monitoring_status == 3 else NULL


_CommonValues = tuple[
    int, int, str, str, str, str, int, int, int | str, msgspec.Raw, dict[str, str] | None, msgspec.Raw,
    str, int, int, int, int, int, int, list[Tag | ShortTag],
]  # fmt: skip


def shown_duration(release: Release, job: Job, now: int) -> int:
    """The seconds that ``release`` shows at ``now``."""
    return job.duration if job.duration and release.stored_duration_wins else job.lasted(now)


def _common(view: View, job: Job, start: int | str) -> _CommonValues:
    """The values of :class:`_Common`, in its order."""
    return (
        job.id,
        job.job_id,
        job.user,
        job.project,
        job.cluster,
        job.sub_cluster,
        job.num_nodes,
        view.duration(job),
        start,
        job.resources,
        job.meta_data if view.metadata else None,
        _NO_LINKS,
        job.partition,
        job.array_job_id,
        job.num_hwthreads,
        job.num_acc,
        job.smt,
        job.monitoring_status,
        job.walltime,
        view.tags(job),
    )


def _listed13(view: View, job: Job) -> Shape:
    return Listed13(
        *_common(view, job, job.start_time),
        exclusive=job.exclusive,
        job_state=job.state,
        statistics=view.statistics(job),
    )


def _listed14(view: View, job: Job) -> Shape:
    return Listed14(
        *_common(view, job, job.start_time),
        exclusive=job.exclusive,
        job_state=job.state,
        footprint=job.footprint,
        energy=job.energy,
        energy_footprint=None,
        statistics=view.statistics(job),
    )


def _listed15(view: View, job: Job) -> Shape:
    return Job15(
        *_common(view, job, job.start_time),
        shared=job.shared,
        job_state=job.state,
        footprint=job.footprint,
        energy=job.energy,
        energy_footprint=None,
        statistics=view.statistics(job),
    )


def _listed_howto(view: View, job: Job) -> Shape:
    return HowtoJob(
        *_common(view, job, job.start_time),
        shared=job.shared,
        state=job.state,
        footprint=job.footprint,
        energy=job.energy,
        energy_footprint=None,
        statistics=view.statistics(job),
    )


def _single12(view: View, job: Job) -> Shape:
    return Single12(*_common(view, job, view.start_time(job)), exclusive=job.exclusive, job_state=job.state)


def _single13(view: View, job: Job) -> Shape:
    return Single13(
        *_common(view, job, view.start_time(job)),
        exclusive=job.exclusive,
        job_state=job.state,
        mem_used_max=job.kept("mem_used", "max"),
        flops_any_avg=job.kept("flops_any", "avg"),
        mem_bw_avg=job.kept("mem_bw", "avg"),
        load_avg=job.kept("cpu_load", "avg"),
    )


def _single14(view: View, job: Job) -> Shape:
    return Single14(
        *_common(view, job, view.start_time(job)),
        exclusive=job.exclusive,
        job_state=job.state,
        footprint=job.footprint,
        energy=job.energy,
        energy_footprint=None,
    )


def _single15(view: View, job: Job) -> Shape:
    return _listed15(view, replace(job, statistics=NULL))


def _single_howto(view: View, job: Job) -> Shape:
    return _listed_howto(view, replace(job, statistics=NULL))


_LISTED: dict[str, Callable[[View, Job], Shape]] = {
    "1.2": _listed13,
    "1.3": _listed13,
    "1.4": _listed14,
    "1.5": _listed15,
    "howto": _listed_howto,
}
_SINGLE: dict[str, Callable[[View, Job], Shape]] = {
    "1.2": _single12,
    "1.3": _single13,
    "1.4": _single14,
    "1.5": _single15,
    "howto": _single_howto,
}
