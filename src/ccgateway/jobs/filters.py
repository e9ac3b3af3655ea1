"""Filters and orders as values, with the names of cc-backend 1.5's GraphQL schema.

A list of ``JobFilter`` means all of them, and every field set in one of them. ``None`` (and an input without any operator)
restricts nothing. What each operator does is written where it is evaluated: ``conditions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["FloatRange", "IntRange", "JobFilter", "JobOrder", "MetricStat", "StringInput", "TimeRange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StringInput:
    """One operator counts: the first that is set, in the order of the fields."""

    eq: str | None = None
    neq: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    in_: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class IntRange:
    """Both ends inclusive; an end that is 0 or ``None`` is open; a negative end lifts the whole restriction (as 1.5.4)."""

    from_: int | None = None
    to: int | None = None


@dataclass(frozen=True, slots=True)
class FloatRange:
    """As ``IntRange``, for fractions."""

    from_: float | None = None
    to: float | None = None


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Epoch seconds, both ends inclusive, ``None`` open; ``range`` (``last6h``, ``last24h``, …) counts only without ends."""

    from_: int | None = None
    to: int | None = None
    range: str | None = None


@dataclass(frozen=True, slots=True)
class MetricStat:
    """A footprint key (``flops_any_avg``) and the range of its value."""

    metric_name: str
    range: FloatRange


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Every field of cc-backend 1.5's ``JobFilter``."""

    tags: tuple[str, ...] | None = None
    db_id: tuple[str, ...] | None = None
    job_id: StringInput | None = None
    array_job_id: int | None = None
    user: StringInput | None = None
    project: StringInput | None = None
    job_name: StringInput | None = None
    cluster: StringInput | None = None
    sub_cluster: StringInput | None = None
    partition: StringInput | None = None
    duration: IntRange | None = None
    energy: FloatRange | None = None
    num_nodes: IntRange | None = None
    num_accelerators: IntRange | None = None
    num_hw_threads: IntRange | None = None
    start_time: TimeRange | None = None
    state: tuple[str, ...] | None = None
    metric_stats: tuple[MetricStat, ...] | None = None
    shared: str | None = None
    schedule: str | None = None
    node: StringInput | None = None

    @classmethod
    def of_job(cls, job_id: int, *, cluster: str | None = None, start_time: int | None = None) -> JobFilter:
        """The jobs of that number, as far as the rest of their key is given. ``start_time``: seconds since 1970."""
        return cls(
            cluster=StringInput(eq=cluster) if cluster is not None else None,
            job_id=StringInput(eq=str(job_id)),
            start_time=TimeRange(start_time, start_time) if start_time is not None else None,
        )


@dataclass(frozen=True, slots=True)
class JobOrder:
    """``field``: a column's name; ``type``: ``col``, or anything else for a footprint key; ``direction``: ``ASC`` or ``DESC``."""

    field: str = "startTime"
    type: str = "col"
    direction: Literal["ASC", "DESC"] = "DESC"


Filters = Sequence[JobFilter]
