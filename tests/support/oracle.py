"""Which jobs a filter means, slowly and in SQLite's own words: contract cc-backend-graphql.md §3 as of 1.5.4."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

from ccgateway.jobs.filters import FloatRange, IntRange, JobFilter, StringInput, TimeRange
from ccgateway.jobs.model import JobRow, Resource, Tag
from support.upstream import Job

__all__ = ["matches", "row_of", "sqlite_like"]

_SQLITE = sqlite3.connect(":memory:", check_same_thread=False)


def _holds(expression: str, *values: object) -> bool:
    return bool(_SQLITE.execute(f"SELECT {expression}", values).fetchone()[0])


def sqlite_like(text: str, pattern: str) -> bool:
    return _holds("? LIKE ?", text, pattern)


def matches(job: Job, filters: Sequence[JobFilter], site: str, *, release: str = "1.5", now: int = 0) -> bool:
    """Whether a job of ``site`` fits all of ``filters``."""
    return all(_one(job, each, site, release, now) for each in filters)


def _one(job: Job, wanted: JobFilter, site: str, release: str, now: int) -> bool:
    has_footprint = release in ("1.4", "1.5")
    footprint = job.footprint if has_footprint else None
    checks = [
        _text(wanted.user, job.user),
        _text(wanted.project, job.project),
        _text(wanted.cluster, job.cluster),
        _text(wanted.sub_cluster, job.sub_cluster),
        _text(wanted.partition, job.partition),
        _text(wanted.job_name, job.name),
        _number_text(wanted.job_id, job.job_id),
        _nodes(wanted.node, job.hosts),
        _range(wanted.duration, job.lasted),
        _range(wanted.energy, job.energy if has_footprint else 0.0),
        _range(wanted.num_nodes, job.num_nodes),
        _range(wanted.num_accelerators, job.num_acc),
        _range(wanted.num_hw_threads, job.num_hw_threads),
        _time(wanted.start_time, job.start_time, now),
        wanted.array_job_id is None or job.array_job_id == wanted.array_job_id,
        wanted.state is None or job.state in wanted.state,
        wanted.shared is None or job.shared == wanted.shared,
        wanted.tags is None or any(_has_tag(job, text, site, release) for text in wanted.tags),
        wanted.db_id is None or any(text in (str(job.id), f"{site}:{job.id}") for text in wanted.db_id),
        _schedule(wanted.schedule, job.name),
    ]
    for stat in wanted.metric_stats or ():
        if not re.fullmatch("[A-Za-z0-9_]+", stat.metric_name) or footprint is None:
            return False
        value = footprint.get(stat.metric_name)
        checks.append(value is not None and (_is_open(stat.range) or _range(stat.range, value)))
    return all(checks)


def _operator(wanted: StringInput) -> tuple[str, list[Any]] | None:
    if wanted.eq is not None:
        return "= ?", [wanted.eq]
    if wanted.neq is not None:
        return "!= ?", [wanted.neq]
    if wanted.starts_with is not None:
        return "LIKE ?", [wanted.starts_with + "%"]
    if wanted.ends_with is not None:
        return "LIKE ?", ["%" + wanted.ends_with]
    if wanted.contains is not None:
        return "LIKE ?", ["%" + wanted.contains + "%"]
    if wanted.in_ is not None:
        return f"IN ({','.join('?' * len(wanted.in_))})", list(wanted.in_)
    return None


def _text(wanted: StringInput | None, value: str | None) -> bool:
    operator = _operator(wanted) if wanted else None
    return operator is None or _holds(f"? {operator[0]}", value, *operator[1])


def _number_text(wanted: StringInput | None, value: int) -> bool:
    operator = _operator(wanted) if wanted else None
    return operator is None or _holds(f"CAST(? AS INTEGER) {operator[0]}", value, *operator[1])


def _nodes(wanted: StringInput | None, hosts: list[str]) -> bool:
    operator = _operator(wanted) if wanted else None
    return operator is None or any(_text(wanted, host) for host in hosts)


def _is_open(wanted: IntRange | FloatRange) -> bool:
    low, high = wanted.from_ or 0, wanted.to or 0
    return low < 0 or high < 0 or (low == 0 and high == 0)


def _range(wanted: IntRange | FloatRange | None, value: float) -> bool:
    if wanted is None or _is_open(wanted):
        return True
    return (not wanted.from_ or value >= wanted.from_) and (not wanted.to or value <= wanted.to)


def _time(wanted: TimeRange | None, start: int, now: int) -> bool:
    if wanted is None:
        return True
    if wanted.from_ is None and wanted.to is None:
        back = {"last6h": 21600, "last24h": 86400, "last7d": 604800, "last30d": 2592000}.get(wanted.range or "")
        return back is None or start >= now - back
    return (wanted.from_ is None or start >= wanted.from_) and (wanted.to is None or start <= wanted.to)


def _schedule(wanted: str | None, name: str | None) -> bool:
    if not wanted:
        return True
    return name is not None and (name == "interactive") == (wanted == "interactive")


def _has_tag(job: Job, text: str, site: str, release: str) -> bool:
    for kind, name, scope, number in job.tags:
        shown = "global" if release in ("1.2", "1.3") else scope
        if text in (str(number), f"{site}:{number}", "/".join(quote(part, safe="") for part in (shown, kind, name))):
            return True
    return False


def row_of(job: Job, site: str = "here") -> JobRow:
    """The job as a row with every attribute."""
    tags = [Tag(*tag) for tag in job.tags] or None
    resources = [Resource(host) for host in job.hosts]
    meta_data = {"jobName": job.name} if job.name is not None else None
    plain = {
        key: value for key, value in vars(job).items() if key not in ("tags", "hosts", "name", "archive", "monitoring_status")
    }
    row = SimpleNamespace(**plain, site=site, tags=tags, resources=resources, meta_data=meta_data, smt=1)
    row.monitoring_status, row.duration = job.monitored, job.lasted
    row.key = job.key_at(site)
    return cast("JobRow", row)
