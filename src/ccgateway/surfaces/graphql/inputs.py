"""What callers write: the input types, named as cc-backend names them, and their translation into the gateway's values.

Every input has ``to_value()``. Absent and ``null`` mean the same everywhere: no restriction.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

import strawberry

from ccgateway.federation.questions import PageRequest as PageValue
from ccgateway.federation.questions import Policy as PolicyValue
from ccgateway.jobs import filters as values
from ccgateway.surfaces.graphql.scalars import NO_TIME, JobState, Time
from ccgateway.surfaces.ids import Ids

__all__ = [
    "FloatRange", "IntRange", "JobFilter", "MetricStatItem", "OrderByInput", "PageRequest", "Policy", "SortDirection",
    "StringInput", "TimeRange", "filter_values", "time_value",
]  # fmt: skip


@strawberry.enum(description="What to do when a site does not answer.")
class Policy(Enum):
    PARTIAL = strawberry.enum_value(
        "PARTIAL", description="Give what the other sites answered; `errors` and the site reports say what is missing."
    )
    STRICT = strawberry.enum_value("STRICT", description="Give nothing unless every site answered in full.")

    def to_value(self) -> PolicyValue:
        return PolicyValue[self.name]


@strawberry.enum(name="SortDirectionEnum", description="In which direction a list is sorted.")
class SortDirection(Enum):
    DESC = strawberry.enum_value("DESC", description="Largest or newest first.")
    ASC = strawberry.enum_value("ASC", description="Smallest or oldest first.")


def time_value(time: Time | None) -> int | None:
    """Epoch seconds, or ``None`` for what was left out or written as an empty text."""
    return None if time is None or time == NO_TIME else int(time)


@strawberry.input(
    description="A restriction on a text. One operator counts: the first that is set, in the order eq, neq, startsWith, "
    "endsWith, contains, in. `eq`, `neq` and `in` compare exactly; the others without regard to ASCII case, with `%` and `_` as "
    "wildcards."
)
class StringInput:
    eq: str | None = strawberry.field(default=None, description="Exactly this text.")
    neq: str | None = strawberry.field(default=None, description="Any other text than this.")
    contains: str | None = strawberry.field(default=None, description="This text somewhere in it.")
    starts_with: str | None = strawberry.field(default=None, description="This text at its beginning.")
    ends_with: str | None = strawberry.field(default=None, description="This text at its end.")
    in_: list[str] | None = strawberry.field(
        default=None, name="in", description="One of these texts; an empty list matches nothing."
    )

    def to_value(self) -> values.StringInput:
        return values.StringInput(
            eq=self.eq,
            neq=self.neq,
            contains=self.contains,
            starts_with=self.starts_with,
            ends_with=self.ends_with,
            in_=None if self.in_ is None else tuple(self.in_),
        )


@strawberry.input(
    description="A range of integers, both ends included. An end that is left out, null or 0 is open; an end below 0 lifts the "
    "whole restriction (as in cc-backend 1.5)."
)
class IntRange:
    from_: int | None = strawberry.field(default=None, name="from", description="At least this.")
    to: int | None = strawberry.field(default=None, description="At most this.")

    def to_value(self) -> values.IntRange:
        return values.IntRange(self.from_, self.to)


@strawberry.input(description="A range of numbers, with the same ends as `IntRange`.")
class FloatRange:
    from_: float | None = strawberry.field(default=None, name="from", description="At least this.")
    to: float | None = strawberry.field(default=None, description="At most this.")

    def to_value(self) -> values.FloatRange:
        return values.FloatRange(self.from_, self.to)


@strawberry.input(description="A range of times, both ends included; an end that is left out, null or an empty text is open.")
class TimeRange:
    range: str | None = strawberry.field(
        default=None, description="`last6h`, `last24h`, `last7d` or `last30d`; counts only if neither end is given."
    )
    from_: Time | None = strawberry.field(default=None, name="from", description="Not before this.")
    to: Time | None = strawberry.field(default=None, description="Not after this.")

    def to_value(self) -> values.TimeRange:
        return values.TimeRange(time_value(self.from_), time_value(self.to), self.range)


@strawberry.input(description="A restriction on a job's footprint, the averages and the like that its site keeps with it.")
class MetricStatItem:
    metric_name: str = strawberry.field(
        description="A key of the footprint: metric and statistic, such as `flops_any_avg`. Jobs without it do not match."
    )
    range: FloatRange = strawberry.field(description="The range of its value.")

    def to_value(self) -> values.MetricStat:
        return values.MetricStat(self.metric_name, self.range.to_value())


@strawberry.input(
    description="Restrictions on jobs: all fields that are set must hold. A list of filters means all of them. They mean the "
    "same at every site, also where a release of cc-backend ignores or lacks one: then the gateway evaluates it."
)
class JobFilter:
    tags: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="Any of these tags, by `Tag.id`. A site's own tag number works as `site:7`, or as `7` at every site.",
    )
    db_id: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description="One of these jobs, by `Job.id` (`site:7`), or by its number as the REST faces give it (`7001`).",
    )
    job_id: StringInput | None = strawberry.field(default=None, description="The scheduler's job number, as text.")
    array_job_id: int | None = strawberry.field(default=None, description="Exactly this array job; 0 means jobs outside arrays.")
    user: StringInput | None = strawberry.field(default=None, description="Name of the user who owns the job.")
    project: StringInput | None = strawberry.field(default=None, description="Project or account the job is charged to.")
    job_name: StringInput | None = strawberry.field(
        default=None, description="The job's name in its meta data; jobs without one never match."
    )
    cluster: StringInput | None = strawberry.field(default=None, description="Name of the cluster.")
    sub_cluster: StringInput | None = strawberry.field(default=None, description="Name of the sub-cluster.")
    partition: StringInput | None = strawberry.field(
        default=None, description="Partition of the scheduler; empty if it had none."
    )
    duration: IntRange | None = strawberry.field(default=None, description="Seconds of run time so far.")
    energy: FloatRange | None = strawberry.field(default=None, description="Energy used, in kWh.")
    num_nodes: IntRange | None = strawberry.field(default=None, description="Number of nodes.")
    num_accelerators: IntRange | None = strawberry.field(default=None, description="Number of accelerators.")
    num_hw_threads: IntRange | None = strawberry.field(
        default=None, name="numHWThreads", description="Number of hardware threads; 0 at jobs started without it."
    )
    start_time: TimeRange | None = strawberry.field(default=None, description="When the job started.")
    state: list[JobState] | None = strawberry.field(
        default=None, description="One of these states; an empty list matches nothing."
    )
    metric_stats: list[MetricStatItem] | None = strawberry.field(default=None, description="All of these footprint restrictions.")
    shared: str | None = strawberry.field(
        default=None, description="How the job shares its nodes: `none`, `single_user` or `multi_user`."
    )
    schedule: str | None = strawberry.field(
        default=None, description="`interactive` (jobs with the name interactive) or `batch` (jobs with another name)."
    )
    node: StringInput | None = strawberry.field(default=None, description="Name of at least one of the job's hosts.")

    def to_value(self, ids: Ids) -> values.JobFilter:
        texts = {name: None if one is None else one.to_value() for name, one in self._texts().items()}
        return values.JobFilter(
            **texts,
            tags=None if self.tags is None else tuple(self.tags),
            db_id=None if self.db_id is None else ids.all_named(self.db_id),
            array_job_id=self.array_job_id,
            duration=None if self.duration is None else self.duration.to_value(),
            energy=None if self.energy is None else self.energy.to_value(),
            num_nodes=None if self.num_nodes is None else self.num_nodes.to_value(),
            num_accelerators=None if self.num_accelerators is None else self.num_accelerators.to_value(),
            num_hw_threads=None if self.num_hw_threads is None else self.num_hw_threads.to_value(),
            start_time=None if self.start_time is None else self.start_time.to_value(),
            state=None if self.state is None else tuple(self.state),
            metric_stats=None if self.metric_stats is None else tuple(item.to_value() for item in self.metric_stats),
            shared=self.shared,
            schedule=self.schedule,
        )

    def _texts(self) -> dict[str, StringInput | None]:
        names = ("job_id", "user", "project", "job_name", "cluster", "sub_cluster", "partition", "node")
        return {name: getattr(self, name) for name in names}


def filter_values(filters: list[JobFilter] | None, ids: Ids) -> tuple[values.JobFilter, ...]:
    """The filters of an argument as values; none for ``null``."""
    return tuple(one.to_value(ids) for one in filters or ())


@strawberry.input(description="In which order jobs come.")
class OrderByInput:
    field: str = strawberry.field(
        description="A column of cc-backend's job table (`startTime`, `duration`, `numNodes`, …), or a key of the footprint. "
        "Orders other than `startTime` read every job that matches, and are refused when those are too many."
    )
    type: str = strawberry.field(default="col", description="`col` for a column; anything else for a key of the footprint.")
    order: SortDirection = strawberry.field(default=SortDirection.ASC, description="The direction.")

    def to_value(self) -> values.JobOrder:
        direction: Literal["ASC", "DESC"] = "ASC" if self.order is SortDirection.ASC else "DESC"
        return values.JobOrder(self.field, self.type, direction)


@strawberry.input(description="One page by its number.")
class PageRequest:
    items_per_page: int = strawberry.field(
        description="Jobs on a page; -1 means every job that matches, and is refused if those are more than the largest page."
    )
    page: int = strawberry.field(description="Number of the page, from 1.")

    def to_value(self) -> PageValue:
        return PageValue(self.page, self.items_per_page)
