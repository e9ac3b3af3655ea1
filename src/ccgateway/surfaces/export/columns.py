"""The columns of an exported job: cc-backend 1.5's own names, ``site``, and what tools want flat.

A column's value is plain data of its kind; ``None`` is unknown. Names within a value are sorted, so that the same job is the same
bytes whichever way its site was asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.model import JobRow
from ccgateway.surfaces.ids import Ids

__all__ = ["DEFAULT", "NAMES", "RUNS_BY", "Column", "Get", "Kind", "columns_of", "is_running", "values_of"]

Get: TypeAlias = Callable[[Any], Any]


class Kind(Enum):
    """What the values of a column are; the last four are nested."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    TAGS = "tags"
    RESOURCES = "resources"
    NUMBERS = "numbers by name"
    VALUES = "values by name"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, kind, the row attributes that it is made of, and how. ``attribute``: the one that it simply is."""

    name: str
    kind: Kind
    needs: frozenset[str]
    get: Get
    attribute: str | None = None


def values_of(columns: Sequence[Column]) -> Callable[[Any], Sequence[Any]]:
    """Makes the values of a row's columns, in their order: plain attributes all at once, which takes a third of the time."""
    attributes = [one.attribute for one in columns if one.attribute is not None]
    if len(attributes) == len(columns) > 1:
        return attrgetter(*attributes)
    gets = [one.get for one in columns]
    return lambda row: [get(row) for get in gets]


#: states of jobs that have not ended
LIVING = frozenset({"running", "pending", "suspended"})
#: metrics of one export at the most: each has three columns
MOST_METRICS = 64
_METRIC = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


#: attributes by which ``is_running`` tells
RUNS_BY = frozenset({"state", "duration"})


def is_running(row: JobRow, as_of: int) -> bool:
    """Whether the job had not ended at ``as_of`` (epoch seconds). Needs ``RUNS_BY``."""
    return row.state in LIVING or row.start_time + row.duration > as_of


def _plain(name: str, kind: Kind, attribute: str) -> Column:
    return Column(name, kind, frozenset({attribute}), attrgetter(attribute), attribute)


def _tags(row: JobRow) -> list[dict[str, str]]:
    return [{"type": one.type, "name": one.name, "scope": one.scope} for one in sorted(row.tags or (), key=lambda tag: tag.key)]


def _resources(row: JobRow) -> list[dict[str, Any]]:
    return [
        {
            "hostname": one.hostname,
            "hwthreads": one.hwthreads,
            "accelerators": one.accelerators,
            "configuration": one.configuration,
        }
        for one in row.resources or ()
    ]


def _footprint(row: JobRow) -> dict[str, float | None] | None:
    return None if row.footprint is None else dict(sorted(row.footprint.items()))


def _meta_data(row: JobRow) -> dict[str, Any] | None:
    return None if row.meta_data is None else dict(sorted(row.meta_data.items()))


def _job_name(row: JobRow) -> str | None:
    name = (row.meta_data or {}).get("jobName")
    return name if isinstance(name, str) else None


_PLAIN = (
    _plain("site", Kind.TEXT, "site"),
    _plain("jobId", Kind.INTEGER, "job_id"),
    _plain("cluster", Kind.TEXT, "cluster"),
    _plain("subCluster", Kind.TEXT, "sub_cluster"),
    _plain("partition", Kind.TEXT, "partition"),
    _plain("project", Kind.TEXT, "project"),
    _plain("user", Kind.TEXT, "user"),
    _plain("jobState", Kind.TEXT, "state"),
    _plain("startTime", Kind.INTEGER, "start_time"),
    _plain("duration", Kind.INTEGER, "duration"),
    _plain("walltime", Kind.INTEGER, "walltime"),
    _plain("numNodes", Kind.INTEGER, "num_nodes"),
    _plain("numHwthreads", Kind.INTEGER, "num_hw_threads"),
    _plain("numAcc", Kind.INTEGER, "num_acc"),
    _plain("shared", Kind.TEXT, "shared"),
    _plain("smt", Kind.INTEGER, "smt"),
    _plain("arrayJobId", Kind.INTEGER, "array_job_id"),
    _plain("monitoringStatus", Kind.INTEGER, "monitoring_status"),
    _plain("energy", Kind.NUMBER, "energy"),
)
_MADE = (
    Column("tags", Kind.TAGS, frozenset({"tags"}), _tags),
    Column("resources", Kind.RESOURCES, frozenset({"resources"}), _resources),
    Column("footprint", Kind.NUMBERS, frozenset({"footprint"}), _footprint),
    Column("metaData", Kind.VALUES, frozenset({"meta_data"}), _meta_data),
    Column("jobName", Kind.TEXT, frozenset({"meta_data"}), _job_name),
)
#: what an export has that names no columns
DEFAULT = tuple(one.name for one in _PLAIN)
#: all there are, but for those of metrics
NAMES = (*DEFAULT, *(one.name for one in _MADE), "id", "running")


class _Statistics(msgspec.Struct, gc=False):
    min: float | None = None
    avg: float | None = None
    max: float | None = None


_STATISTICS = msgspec.json.Decoder(dict[str, _Statistics | None] | None)
_NONE = _Statistics()


def columns_of(names: Sequence[str], metrics: Sequence[str], ids: Ids, *, as_of: int, marks_running: bool) -> tuple[Column, ...]:
    """The columns of those names (none: ``DEFAULT``), and three of each metric. ``marks_running``: and one that says which job
    had not ended at ``as_of``. ``BAD_REQUEST`` for what is none."""
    known = {one.name: one for one in (*_PLAIN, *_MADE)}
    known["id"] = Column("id", Kind.INTEGER, frozenset({"id"}), lambda row: ids.of(row.site, row.id))
    known["running"] = Column("running", Kind.FLAG, RUNS_BY, lambda row: is_running(row, as_of))
    wanted = [*dict.fromkeys(names or DEFAULT)]
    if marks_running and "running" not in wanted:
        wanted.append("running")
    unknown = next((name for name in wanted if name not in known), None)
    if unknown is not None:
        raise RequestError(Code.BAD_REQUEST, f"columns: {unknown[:40]!r} is none of {', '.join(known)}.")
    return (*(known[name] for name in wanted), *_of_metrics([*dict.fromkeys(metrics)]))


def _of_metrics(metrics: Sequence[str]) -> list[Column]:
    wrong = next((one for one in metrics if not _METRIC.fullmatch(one)), None)
    if wrong is not None:
        raise RequestError(Code.BAD_REQUEST, f"metrics: {wrong[:40]!r} is no name of a metric.")
    if len(metrics) > MOST_METRICS:
        raise RequestError(Code.LIMIT_EXCEEDED, f"metrics: {len(metrics)} are named; the most is {MOST_METRICS}.")
    if not metrics:
        return []
    read = _reader()
    needs = frozenset({"statistics_json"})
    return [
        Column(f"{metric}_{which}", Kind.NUMBER, needs, _statistic(read, metric, which))
        for metric in metrics
        for which in ("min", "avg", "max")
    ]


def _reader() -> Callable[[JobRow], Mapping[str, _Statistics | None]]:
    """Decodes a row's statistics once, however many columns are made of them."""
    last: tuple[JobRow | None, Mapping[str, _Statistics | None]] = (None, {})

    def read(row: JobRow) -> Mapping[str, _Statistics | None]:
        nonlocal last
        if last[0] is not row:
            try:
                last = row, _STATISTICS.decode(row.statistics_json) or {}
            except msgspec.MsgspecError:  # of a stranger: as if there were none
                last = row, {}
        return last[1]

    return read


def _statistic(read: Callable[[JobRow], Mapping[str, _Statistics | None]], metric: str, which: str) -> Get:
    of = attrgetter(which)
    return lambda row: of(read(row).get(metric) or _NONE)
