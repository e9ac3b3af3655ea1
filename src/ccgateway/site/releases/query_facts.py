"""How a release's own GraphQL, ``POST /query``, lists jobs: facts, as values.

::

    QueryFacts                  what it calls things, which filters it evaluates rightly, and how it writes a job
    StatisticsFacts             what it tells of many jobs at once
    QUERY_KEYS, QUERY_KINDS     how every release writes a job there, but for what a release has otherwise
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from msgspec.structs import force_setattr

from ccgateway.jobs.model import JobRow
from ccgateway.site.decoding import Wire

__all__ = ["QUERY_KEYS", "QUERY_KINDS", "QueryFacts", "StatisticsFacts", "read_kind"]


class _Converted(type):
    """Of a type that stands for what ``read_kind`` makes, which is of a plain one: msgspec asks whether it is one of its own."""

    def __instancecheck__(cls, instance: object) -> bool:
        return True


class QuerySecond(metaclass=_Converted):
    """A moment in RFC 3339, in the site's zone → ``int``, epoch seconds."""


class _FootprintValue(msgspec.Struct, gc=False):
    name: str
    stat: str
    value: float


#: the keys of GraphQL's ``Job`` where they differ from camel case, and the types of what it writes in another form
QUERY_KEYS: Mapping[str, str] = {"num_hw_threads": "numHWThreads", "smt": "SMT"}
QUERY_KINDS: Mapping[str, Any] = {
    "start_time": QuerySecond,
    "footprint": tuple[_FootprintValue, ...] | None,
}

_MOMENT = re.compile(r"(-?\d{4,9})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|([+-])(\d\d):(\d\d)(?::(\d\d))?)")
#: days in which the calendar repeats itself, and the years
_ERA_DAYS, _ERA_YEARS = 146_097, 400


def read_kind(kind: type, value: object) -> object:
    """The hook of decoders: a value of ``QUERY_KINDS`` made of what was sent. Raises ``ValueError`` or
    ``TypeError`` for what is none."""
    if kind is QuerySecond:
        return _second(value)
    raise NotImplementedError(kind)


def _second(value: object) -> int:
    if not isinstance(value, str):
        raise TypeError("a time is no text")
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return _far_second(value)
    if moment.tzinfo is None:
        raise ValueError("a time says no zone")
    return int(moment.timestamp() // 1)


def _far_second(text: str) -> int:
    """Of years that ``datetime`` does not have: no job starts then, but sites hold such times."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError("a time is not written as RFC 3339 has it")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    eras, year = divmod(year, _ERA_YEARS)
    days = dt.date(year + 2000, month, day).toordinal() - dt.date(1970, 1, 1).toordinal() + (eras - 5) * _ERA_DAYS
    offset = int(match[8] or 0) * 3600 + int(match[9] or 0) * 60 + int(match[10] or 0)
    return days * 86400 + hour * 3600 + minute * 60 + second - (-offset if match[7] == "-" else offset)


_SELECTIONS = {
    "tags": "tags{id type name scope}",
    "resources": "resources{hostname hwthreads accelerators configuration}",
    "footprint": "footprint{name stat value}",
}
_COLUMNS = {
    "id": "id", "job_id": "jobId", "cluster": "cluster", "sub_cluster": "subcluster", "project": "project",
    "start_time": "startTime", "duration": "duration", "walltime": "walltime", "num_nodes": "numNodes",
    "num_hw_threads": "numHwthreads", "num_acc": "numAcc", "smt": "smt", "state": "jobState",
    "monitoring_status": "monitoringStatus", "array_job_id": "arrayJobId", "user": "hpcUser", "partition": "clusterPartition",
    "shared": "exclusive", "energy": "energy",
}  # fmt: skip
#: conditions on text columns → fields of ``JobFilter``
_TEXTS = {"user": "user", "project": "project", "cluster": "cluster", "partition": "partition"}


Compared = Literal["alone", "in text", "either"]


@dataclass(frozen=True, eq=False, kw_only=True)
class QueryFacts:
    """What one release's ``jobs(filter, page, order)`` is like. A fact with a default has the value of most releases."""

    wire: Wire
    #: what is selected for an attribute, where that is more than its key
    selections: Mapping[str, str] = field(default_factory=lambda: _SELECTIONS)
    #: attributes by which it orders rightly → the field of ``OrderByInput``; all of them stay as they are while a job runs but
    #: ``duration``
    columns: Mapping[str, str] = field(default_factory=lambda: _COLUMNS)
    #: whether ``OrderByInput`` has a ``type``
    types_orders: bool = True
    texts: Mapping[str, str] = field(default_factory=lambda: _TEXTS)
    #: whether both ends of a range are meant as they are, 0 too; if not, 0 is open, and so may be 1 below (some of the series)
    literal_ranges: bool = True
    #: whether it filters by who shares nodes
    filters_shared: bool = False
    #: whether names of jobs, and of nodes, are compared by themselves or with all the text in which they stand, or either, by the
    #: patch release
    names: Compared = "alone"
    hosts: Compared = "alone"
    #: whether it sorts all jobs that match for the newest of them: a count takes a fraction of that without an order
    sorts_to_count: bool = False

    def finish(self, rows: Sequence[JobRow], attributes: frozenset[str]) -> None:
        """Makes what was decoded of ``attributes`` what rows have. In place: a hook of the decoder would have it built twice."""
        sent = attributes - self.wire.absent
        if "footprint" in sent:
            for row in rows:
                listed: Any = row.footprint or ()  # an empty list stands for a job that has none
                row.footprint = {f"{one.name}_{one.stat}" if one.name else one.stat: one.value for one in listed} or None
        if "resources" in sent:
            for one in [one for row in rows for one in row.resources or () if one.configuration == ""]:
                force_setattr(one, "configuration", None)


@dataclass(frozen=True, kw_only=True, slots=True)
class StatisticsFacts:
    """What one release tells of many jobs at once.

    ``columns``: what its job table keeps of metrics instead of footprints: key → field of its filter. ``subclusters``: whether
    jobs can be grouped by sub-cluster. ``summaries``: whether it tells the statistics of many jobs. ``fixed_bins``: whether
    histograms have the bins that are asked for. ``finds_ids``: whether it filters by database ids. ``takes_turns``: whether
    it may be asked for jobs by user once at a time only (``site/queries/costly.py``).
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    subclusters: bool = False
    summaries: bool = False
    fixed_bins: bool = True
    finds_ids: bool = False
    takes_turns: bool = False


def selections(**others: str) -> Mapping[str, str]:
    """What is selected, but for ``others``."""
    return {**_SELECTIONS, **others}


def columns(**others: str) -> Mapping[str, str]:
    """The columns, but for ``others``."""
    return {**_COLUMNS, **others}


def texts(**others: str) -> Mapping[str, str]:
    """The conditions on texts, and ``others``."""
    return {**_TEXTS, **others}
