"""The first jobs of one site in an order of its own, by the site's own GraphQL.

No release breaks ties of an order, so none is relied on: of the first jobs in an order, those before the last value are known to
be all; those that have it are listed newest first, as far down as they are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ccgateway.jobs.conditions import LATEST, Conditions, conditions_of
from ccgateway.jobs.filters import FloatRange, IntRange, JobFilter, JobOrder, MetricStat, StringInput, TimeRange
from ccgateway.jobs.model import JOB_FIELDS, JobRow
from ccgateway.jobs.ordering import Cursor, SortPlan, position_of, sort_plan
from ccgateway.site.base import JobsWanted
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.documents import NEWEST, Counted, Order, QueriedList, started_within
from ccgateway.site.queries.filters import RUNNING, Branch, Filter, QueryPlan, plan_for
from ccgateway.site.queries.reader import LARGEST, MOST_READ, QueryReader
from ccgateway.site.reading import JobStream
from ccgateway.site.releases import Dialect, Window

__all__ = ["FirstJobs", "first_jobs"]

#: jobs of an order among which one more than another of a value is common
TIES = 8

_Answer: TypeAlias = tuple[Counted[JobRow], Branch]


@dataclass(frozen=True, slots=True)
class FirstJobs:
    """The first jobs after a place in an order, sorted: as many as were asked for, or all; and how many were read for that."""

    rows: list[JobRow]
    scanned: int


async def first_jobs(
    reader: QueryReader,
    dialect: Dialect,
    context: CallContext,
    wanted: JobsWanted,
    order: JobOrder,
    *,
    size: int,
    after: Cursor | None,
) -> FirstJobs | None:
    """The first ``size`` jobs after ``after`` in that order; ``None`` where all of them have to be read for that."""
    sort = sort_plan(order)
    by = _order_of(dialect, order, sort)
    if by is None:
        return None
    if wanted.conditions.latest >= LATEST and await reader.holds_far_ones(dialect, context, reader.site.counted):
        return None
    search = _Search(
        reader, dialect, context, replace(wanted, attributes=wanted.attributes | sort.needs), order, sort, size, after
    )
    if next(iter(sort.needs)) in _facts(dialect).wire.absent:
        return await search.newest()  # one value for all
    if sort.needs == {"duration"}:
        return await search.with_running(by)
    return await search.settled(by)


def _facts(dialect: Dialect) -> Any:
    assert dialect.query is not None  # noqa: S101 - it is asked only where there is one
    return dialect.query


def _order_of(dialect: Dialect, order: JobOrder, sort: SortPlan) -> Order | None:
    """The order in the release's words; ``None`` where it has none that is the gateway's."""
    facts, attribute = _facts(dialect), next(iter(sort.needs))
    if attribute in facts.wire.absent:
        return NEWEST
    if attribute == "footprint":
        # its names are made lower case on the way
        is_key = order.field.isascii() and order.field.replace("_", "a").isalnum() and order.field == order.field.lower()
        return Order(order.field, order.direction, "foot") if is_key and len(order.field) <= 100 else None
    column = facts.columns.get(attribute)
    return Order(column, order.direction) if column is not None else None


@dataclass(slots=True)
class _Search:
    """The search for the first ``size`` jobs after ``after``."""

    reader: QueryReader
    dialect: Dialect
    context: CallContext
    wanted: JobsWanted
    order: JobOrder
    sort: SortPlan
    size: int
    after: Cursor | None
    scanned: int = 0

    async def newest(self) -> FirstJobs | None:
        """As all have one value, the default: in the total order."""
        latest = LATEST
        if self.after is not None and self.after.value == JOB_FIELDS[next(iter(self.sort.needs))].default:
            latest = -self.after.position[0]
        rows = await self._listed(self.wanted, self.size, latest=latest)
        return FirstJobs(rows[: self.size], self.scanned) if rows is not None else None

    async def with_running(self, by: Order) -> FirstJobs | None:
        """By a value that the site knows of jobs that have ended only: those that run are read, all of them."""
        runs = self._with(JobFilter(state=(RUNNING,)))
        stream = JobStream(self.reader.site, self.context, runs)
        while not stream.done:
            await stream.read(LARGEST)
            if stream.scanned > MOST_READ:
                return None
        self.scanned += stream.scanned
        if stream.unreadable:
            return None
        ended = await self.settled(by, ended=True)  # last: whoever ends meanwhile is found twice, not lost
        if ended is None:
            return None
        rows = self._sorted({row.id: row for row in (*stream.rows, *ended.rows)}.values())
        return FirstJobs(rows[: self.size], self.scanned)

    async def settled(self, by: Order, *, ended: bool = False) -> FirstJobs | None:
        """By a value that the site orders by; of jobs that have ended only, where it knows that of no others."""
        bounded, credential = self._bounded(), self.context.credential
        if ended:
            bounded = replace(bounded, attributes=bounded.attributes | {"state"})
        plan = plan_for(self.dialect, bounded, credential, settled=True if ended else None)
        if plan is None:
            return None
        if not plan.branches:
            return FirstJobs([], self.scanned)
        look = self._first_look(plan, bounded) if ended else plan
        conditions = bounded.conditions
        window = Window(max(0, conditions.earliest), min(conditions.latest, LATEST))
        more: list[Filter] = [] if window == Window(0, LATEST) else [started_within(window)]
        if by.type == "foot":
            more.append(_has_value(plan, self.order.field))
        if self.size >= LARGEST:
            return None
        # some more than are wanted: else those that have the last value are always a question of their own
        size = min(LARGEST, self.size + 1 + self.size // TIES)
        proved = by.type != "foot"
        while True:
            parts = await self._top(look, by, more, size)
            self.scanned += sum(len(counted.items) for counted, _ in parts)
            if not all(0 <= row.start_time <= LATEST for counted, _ in parts for row in counted.items):
                return None  # it came since they were looked for
            proved = proved or await self._has_all(look, by, more, parts)
            if not proved:
                return None
            found = await self._of_parts(look, parts, size, ended=ended)
            if found is not None:
                if by.type == "foot" and len(found) < self.size:
                    return None  # jobs without a value come next
                return FirstJobs(found[: self.size], self.scanned)
            size *= 4 if look is plan else 1
            look = plan
            if size > MOST_READ:
                return None

    def _first_look(self, plan: QueryPlan, bounded: JobsWanted) -> QueryPlan:
        """At all jobs, to pass over those that run: sites read an order off an index, unless they are told which states the jobs
        may have, or when they started. At those of ``plan`` where running jobs come first or are a question of their own."""
        all_jobs = plan_for(self.dialect, bounded, self.context.credential) if self.sort.descending else None
        return all_jobs if all_jobs is not None and len(all_jobs.branches) == 1 else plan

    async def _top(self, plan: QueryPlan, by: Order, more: Sequence[Filter], size: int) -> list[_Answer]:
        """The first rows of each branch in the site's own order."""
        found = []
        for branch in plan.branches:
            filters = (*branch.filters, *more)
            query = QueriedList.of(plan.facts, plan.attributes, filters, order=by, size=size)
            found.append((await self.reader.ask(query, self.context, branch), branch))
        return found

    async def _has_all(self, plan: QueryPlan, by: Order, more: Sequence[Filter], parts: Sequence[_Answer]) -> bool:
        """Whether as many jobs are in the site's order as it counts: up to 1.5.0 those without metadata are in no order of
        footprints."""
        for counted, branch in parts:
            if counted.count > len(counted.items):
                filters = (*branch.filters, *more)
                last = QueriedList.of(plan.facts, plan.attributes, filters, order=by, size=1, page=counted.count)
                if not (await self.reader.ask(last, self.context, branch)).items:
                    return False
        return True

    async def _of_parts(self, plan: QueryPlan, parts: list[_Answer], size: int, *, ended: bool) -> list[JobRow] | None:
        """Sorted, what is certain of the parts, if that is enough; ``None`` if more must be read."""
        sure: list[JobRow] = []
        edges: list[Any] = []
        for counted, _ in parts:
            rows = [row for row in counted.items if not (ended and row.state == RUNNING)]
            values = [self.sort.value(row) for row in rows]
            if any(value is None for value in values) or values != sorted(values, reverse=self.sort.descending):
                raise self.reader.misfit("sends jobs in another order than was asked for")
            if len(counted.items) < size:
                sure += rows
                continue
            if not rows:
                return None
            edges.append(values[-1])
            sure += [row for row, value in zip(rows, values, strict=True) if value != values[-1]]
        if edges:
            # what lies beyond the nearest edge may not be all
            edge = (max if self.sort.descending else min)(edges)
            sure = [row for row in sure if self._is_before(self.sort.value(row), edge)]
        rows = self._sorted(plan.matching(sure))
        if not edges or len(rows) >= self.size:
            return rows
        tied = _tied(self.order, self.sort, edge)
        if tied is None:
            return None
        if ended:
            tied = replace(tied, state=tuple(sorted(self.dialect.states - {RUNNING})))
        if self.after is not None and self.after.value is not None and self._is_before(edge, self.after.value):
            return None  # the edge itself lies before the cursor: all of this was given already
        latest = -self.after.position[0] if self.after is not None and self.after.value == edge else LATEST
        lacking = self.size - len(rows)
        group = await self._listed(self._with(tied), lacking, latest=latest)
        if group is None:
            return None
        rows = self._sorted([*rows, *(row for row in group if self.sort.value(row) == edge)])
        return rows if len(rows) >= self.size else None

    def _is_before(self, value: Any, edge: Any) -> bool:
        return bool(value > edge if self.sort.descending else value < edge)

    def _sorted(self, rows: Iterable[JobRow]) -> list[JobRow]:
        """In order, and after the cursor."""
        ordered = self.sort.sort(rows)
        return ordered if self.after is None else self.sort.after(ordered, self.after)

    async def _listed(self, wanted: JobsWanted, size: int, *, latest: int = LATEST) -> list[JobRow] | None:
        """At least ``size`` jobs after the cursor in the total order, or all there are, sorted; ``None`` where too many have to
        be read for that, or one cannot be."""
        stream = JobStream(self.reader.site, self.context, wanted, latest=latest)
        rows: list[JobRow] = []
        while True:
            done = [row for row in stream.rows if stream.done or row.start_time >= stream.floor]
            rows = sorted(done, key=position_of)
            if self.after is not None:
                rows = self.sort.after(rows, self.after)
            if stream.unreadable or stream.scanned > MOST_READ:
                return None
            if len(rows) >= size or stream.done:
                break
            await stream.read(min(LARGEST, max(32, size - len(rows) + 10)))
        self.scanned += stream.scanned
        return rows

    def _with(self, filter_: JobFilter) -> JobsWanted:
        """What is wanted, of those jobs."""
        wanted, more = self.wanted.conditions, conditions_of((filter_,), self.reader.site.name)
        conditions = Conditions(
            [*wanted.items, *more.items],
            max(wanted.earliest, more.earliest),
            min(wanted.latest, more.latest),
            wanted.db_ids,
            never=wanted.never or more.never,
        )
        conditions.never = conditions.never or conditions.earliest > conditions.latest
        return replace(self.wanted, conditions=conditions)

    def _bounded(self) -> JobsWanted:
        """What is wanted, without what comes before the cursor, where that can be said."""
        mark = self.after.value if self.after is not None else None
        attribute = next(iter(self.sort.needs))
        if mark is None or isinstance(mark, str) or mark < 1:
            return self.wanted
        ends, whole = ((None, mark), (None, int(mark))) if self.sort.descending else ((mark, None), (int(mark), None))
        if attribute == "start_time":
            return self._with(JobFilter(start_time=TimeRange(*whole)))
        if attribute in _RANGES and (attribute == "energy" or isinstance(mark, int)):
            bounds = FloatRange(*ends) if attribute == "energy" else IntRange(*whole)
            return self._with(JobFilter(**{_RANGES[attribute]: bounds}))  # type: ignore[arg-type]
        return self.wanted


_RANGES = {
    "duration": "duration", "num_nodes": "num_nodes", "num_acc": "num_accelerators", "num_hw_threads": "num_hw_threads",
    "energy": "energy",
}  # fmt: skip
_TEXTS = frozenset({"user", "project", "cluster", "sub_cluster", "partition"})


def _tied(order: JobOrder, sort: SortPlan, value: Any) -> JobFilter | None:
    """The jobs that have that value; ``None`` where a filter cannot say so."""
    attribute = next(iter(sort.needs))
    if attribute in _TEXTS:
        return JobFilter(**{attribute: StringInput(eq=value)})  # type: ignore[arg-type]
    if attribute == "job_id":
        return JobFilter(job_id=StringInput(eq=str(value))) if value >= 0 else None
    if attribute == "state":
        return JobFilter(state=(value,))
    if attribute == "shared":
        return JobFilter(shared=value) if value in ("none", "single_user", "multi_user") else None
    if attribute == "array_job_id":
        return JobFilter(array_job_id=value)
    if attribute == "start_time":
        return JobFilter(start_time=TimeRange(value, value))
    if attribute in _RANGES and value > 0:  # 0 is open
        span = FloatRange(value, value) if attribute == "energy" else IntRange(value, value)
        return JobFilter(**{_RANGES[attribute]: span})  # type: ignore[arg-type]
    if attribute == "footprint" and value > 0:
        return JobFilter(metric_stats=(MetricStat(order.field, FloatRange(value, value)),))
    return None


def _has_value(plan: QueryPlan, key: str) -> Filter:
    """The jobs whose footprint has that key."""
    span = {"from": -1e308, "to": 1e308} if plan.facts.literal_ranges else {"from": 0, "to": 1e308}
    return {"metricStats": [{"metricName": key, "range": span}]}
