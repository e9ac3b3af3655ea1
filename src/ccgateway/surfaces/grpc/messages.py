"""Job rows, site reports and results as messages.

A job is written for each row of a list, so that what it takes counts: which fields a mask asks for, and from which attributes
of a row they come, is worked out once for a call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from ccgateway.federation.questions import SiteReport
from ccgateway.jobs.conditions import encode_tag_id
from ccgateway.jobs.model import ALWAYS, JobKey, JobRow, Tag
from ccgateway.surfaces.grpc.requests import SHARED_BY_NUMBER, STATE_BY_NUMBER
from ccgateway.v1 import job_pb2, report_pb2

__all__ = ["ALL_FIELDS", "IN_LIST", "JobWriter", "key_message", "report_message", "tag_message", "unreachable_in"]

ALL_FIELDS = frozenset(job_pb2.Job.DESCRIPTOR.fields_by_name)
#: what a list shows unless it is asked for other fields
IN_LIST = ALL_FIELDS - {"meta_data"}

Fill: TypeAlias = Callable[[Any, JobRow], None]

_STATE_NUMBERS = {word: number for number, word in STATE_BY_NUMBER.items()}
_SHARED_NUMBERS = {word: number for number, word in SHARED_BY_NUMBER.items()}
_STATUSES = {name.removeprefix("SITE_STATUS_"): number for name, number in report_pb2.SiteStatus.items()}
_JSON = msgspec.json.Encoder()

#: fields that are the row's attribute of that name
_PLAIN: Mapping[str, str] = {
    "user": "user",
    "project": "project",
    "sub_cluster": "sub_cluster",
    "partition": "partition",
    "duration_seconds": "duration",
    "walltime_seconds": "walltime",
    "num_nodes": "num_nodes",
    "num_hw_threads": "num_hw_threads",
    "num_acc": "num_acc",
    "smt": "smt",
    "array_job_id": "array_job_id",
    "monitoring_status": "monitoring_status",
    "energy_kwh": "energy",
}


def _state(job: job_pb2.Job, row: JobRow) -> None:
    job.state = _STATE_NUMBERS.get(row.state, 0)  # type: ignore[assignment]


def _shared(job: job_pb2.Job, row: JobRow) -> None:
    job.shared = _SHARED_NUMBERS.get(row.shared, 0)  # type: ignore[assignment]


def _tags(job: job_pb2.Job, row: JobRow) -> None:
    job.tags.extend(map(tag_message, row.tags or ()))


def _resources(job: job_pb2.Job, row: JobRow) -> None:
    for one in row.resources or ():
        added = job.resources.add(hostname=one.hostname, hwthreads=one.hwthreads or (), accelerators=one.accelerators or ())
        if one.configuration is not None:
            added.configuration = one.configuration


def _footprint(job: job_pb2.Job, row: JobRow) -> None:
    kept: Mapping[str, float | None] = row.footprint or {}
    job.footprint.update({key: value for key, value in kept.items() if value is not None})


def _meta_data(job: job_pb2.Job, row: JobRow) -> None:
    job.meta_data.update({key: _as_text(value) for key, value in (row.meta_data or {}).items() if value is not None})


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else _JSON.encode(value).decode()


#: fields that are made of an attribute
_MADE: Mapping[str, tuple[str, Fill]] = {
    "state": ("state", _state),
    "shared": ("shared", _shared),
    "tags": ("tags", _tags),
    "resources": ("resources", _resources),
    "footprint": ("footprint", _footprint),
    "meta_data": ("meta_data", _meta_data),
}


class JobWriter:
    """Writes rows as jobs with those fields. ``needs``: the attributes that the rows must have."""

    def __init__(self, fields: Collection[str]) -> None:
        self._plain = [(name, own) for name, own in _PLAIN.items() if name in fields]
        made = [pair for name, pair in _MADE.items() if name in fields]
        self._made = [fill for _, fill in made]
        self.needs = frozenset({own for _, own in self._plain} | {own for own, _ in made}) | ALWAYS

    def write(self, rows: Iterable[JobRow], add: Callable[[], job_pb2.Job]) -> None:
        """Each row as a job that ``add`` gives."""
        plain, made = self._plain, self._made
        for row in rows:
            job: Any = add()
            job.id = f"{row.site}:{row.id}"
            job.site = row.site
            job.cluster = row.cluster
            job.job_id = row.job_id
            job.start_time.seconds = row.start_time
            for name, own in plain:
                setattr(job, name, getattr(row, own))
            for fill in made:
                fill(job, row)

    def one(self, row: JobRow) -> job_pb2.Job:
        """One row as a job."""
        job = job_pb2.Job()
        self.write((row,), lambda: job)
        return job


def tag_message(tag: Tag) -> job_pb2.Tag:
    """A tag."""
    return job_pb2.Tag(type=tag.type, name=tag.name, scope=tag.scope, id=encode_tag_id(tag))


def key_message(key: JobKey) -> job_pb2.JobKey:
    """A job's key."""
    start = Timestamp(seconds=key.start_time)
    return job_pb2.JobKey(site=key.site, cluster=key.cluster, job_id=key.job_id, start_time=start)


def report_message(report: SiteReport) -> report_pb2.SiteReport:
    """A site's report."""
    return report_pb2.SiteReport(
        site=report.site,
        number=report.number,
        status=_STATUSES[report.status.value],  # type: ignore[arg-type]
        code=report.code.value if report.code is not None else "",
        message=report.message or "",
        retryable=report.retryable,
        elapsed_seconds=report.elapsed,
        calls=report.calls,
        scanned=report.scanned,
        returned=report.returned,
        cache_age_seconds=report.cache_age,
        notes=report.notes,
        retry_after_seconds=report.retry_after,
    )


def unreachable_in(reports: Sequence[SiteReport]) -> list[str]:
    """The sites of which something is missing."""
    return [report.site for report in reports if not report.is_complete]
