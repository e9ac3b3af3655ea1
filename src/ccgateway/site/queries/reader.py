"""Reads jobs of one site by its own GraphQL: pages, counts, and the first jobs in any order.

No release breaks ties of an order, so none is relied on: of the first jobs in an order, those before the last value are known to
be all; those that have it are listed newest first, as far down as they are needed. Every row is tested, and a site whose rows do
not pass the tests that it was asked to make is not believed: ``WRONG_RELEASE``, upon which REST is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import LATEST, Conditions, conditions_of
from ccgateway.jobs.filters import FloatRange, IntRange, JobFilter, JobOrder, MetricStat, StringInput, TimeRange
from ccgateway.jobs.model import JOB_FIELDS, JobRow
from ccgateway.jobs.ordering import Cursor, SortPlan, position_of, sort_plan
from ccgateway.site.base import JobsWanted
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.documents import BY_ID, FAR, NEWEST, Counted, Order, QueriedList, started_within
from ccgateway.site.queries.filters import RUNNING, Branch, Filter, QueryPlan, plan_for
from ccgateway.site.reading import JobStream
from ccgateway.site.releases import Dialect, ListPage, Window

if TYPE_CHECKING:
    from ccgateway.site.instance import Instance

__all__ = ["CountedBy", "FirstJobs", "QueryReader", "Tally"]

#: rows of one answer at the most, as of REST's pages; jobs that are read to be counted, or put in order, before it is given up
LARGEST, MOST_READ = 5000, 20_000

Listed = Callable[[QueriedList], Awaitable[Sequence[JobRow]]]
CountedBy = Callable[[QueriedList, CallContext], Awaitable[Counted[JobRow]]]
_Answer: TypeAlias = tuple[Counted[JobRow], Branch]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many jobs match, and how many had to be read for that."""

    jobs: int
    scanned: int


@dataclass(frozen=True, slots=True)
class FirstJobs:
    """The first jobs after a place in an order, sorted: as many as were asked for, or all; and how many were read for that."""

    rows: list[JobRow]
    scanned: int


class QueryReader:
    """Asks one instance, in a dialect that has ``POST /query``. Raises ``SiteError`` where that comes to nothing."""

    def __init__(self, site: Instance) -> None:
        self.site = site

    # --- pages, newest first

    async def page(self, plan: QueryPlan, window: Window, listed: Listed, *, size: int, page: int) -> ListPage:
        """One page of the list; ``listed`` has it from the site, or remembers it. ``total`` is not ``None`` where the sum of what
        the lists say is how many jobs match."""
        # of one second all rows have the same place, so that pages of it need an order of their own
        order = BY_ID if window.earliest == window.latest else NEWEST
        is_one = len(plan.branches) == 1
        found: list[JobRow] = []
        for branch in plan.branches:
            filters = (*branch.filters, started_within(window))
            rows, number = (size, page) if is_one else (size * page, 1)
            query = QueriedList.of(plan.facts, plan.attributes, filters, order=order, size=rows, page=number)
            given = await listed(query)
            self._check(given, branch)
            found += given
        if not is_one:
            found = sorted({row.id: row for row in found}.values(), key=lambda row: (-row.start_time, -row.id))
            found = found[size * (page - 1) : size * page]
        return ListPage(found, plan.matching(found), 0 if plan.is_exact else None)

    def _check(self, rows: Sequence[JobRow], branch: Branch) -> None:
        """Every row must be one that was asked for."""
        for condition in branch.promised:
            if not all(map(condition.test, rows)):
                raise self.misfit(f"sends jobs that do not match what was asked for ({condition.name})")

    async def _ask(self, query: QueriedList, context: CallContext, branch: Branch) -> Counted[JobRow]:
        counted = await self.site.counted(query, context)
        self._check(counted.items, branch)
        return counted

    # --- counts

    async def count(self, dialect: Dialect, context: CallContext, wanted: JobsWanted, counted: CountedBy) -> Tally | None:
        """How many jobs match; ``None`` where that takes reading more than a few of them. ``counted`` asks, or has the answer."""
        plan = plan_for(dialect, JobsWanted(wanted.conditions, frozenset()), context.credential)
        if plan is None:
            return None
        conditions, tally = wanted.conditions, Tally(0, 0)
        # without an end, the newest job tells whether there are some of times that no job can have
        window = Window(max(0, conditions.earliest), conditions.latest if conditions.latest < LATEST else LATEST + 1)
        is_sorted = not (plan.facts.sorts_to_count and plan.is_exact and window == Window(0, LATEST + 1))
        if not is_sorted and await self._holds_far_ones(dialect, context):
            return None
        for branch in plan.branches:
            filters = (*branch.filters, started_within(window)) if is_sorted else branch.filters
            size, order = 1 if branch.is_exact else LARGEST, NEWEST if is_sorted else None
            reply = await counted(QueriedList.of(plan.facts, plan.attributes, filters, order=order, size=size), context)
            self._check(reply.items, branch)
            matching = len(plan.matching(reply.items))
            is_far = any(row.start_time > LATEST for row in reply.items[:1])
            if is_far or (matching < len(reply.items) if branch.is_exact else reply.count > len(reply.items)):
                return None
            tally = Tally(tally.jobs + (reply.count if branch.is_exact else matching), tally.scanned + len(reply.items))
        return tally

    # --- other orders

    async def first(
        self, dialect: Dialect, context: CallContext, wanted: JobsWanted, order: JobOrder, *, size: int, after: Cursor | None
    ) -> FirstJobs | None:
        """The first ``size`` jobs after ``after`` in that order; ``None`` where all of them have to be read for that."""
        sort = sort_plan(order)
        by = _order_of(dialect, order, sort)
        if by is None:
            return None
        if wanted.conditions.latest >= LATEST and await self._holds_far_ones(dialect, context):
            return None
        search = _Search(
            self, dialect, context, JobsWanted(wanted.conditions, wanted.attributes | sort.needs), order, sort, size, after
        )
        if next(iter(sort.needs)) in _facts(dialect).wire.absent:
            return await search.newest()  # one value for all
        if sort.needs == {"duration"}:
            return await search.with_running(by)
        return await search.settled(by)

    async def _holds_far_ones(self, dialect: Dialect, context: CallContext) -> bool:
        """Whether there are jobs of times that no job can have: they are in no order, and to be told of."""
        plan = plan_for(dialect, JobsWanted(Conditions(), frozenset()), context.credential)
        if plan is None:
            return True
        for branch in plan.branches:
            query = QueriedList.of(plan.facts, plan.attributes, [*branch.filters, FAR], order=NEWEST, size=1)
            if (await self._ask(query, context, branch)).count:
                return True
        return False

    async def top(self, plan: QueryPlan, context: CallContext, by: Order, more: Sequence[Filter], size: int) -> list[_Answer]:
        """The first rows of each branch in the site's own order."""
        found = []
        for branch in plan.branches:
            filters = (*branch.filters, *more)
            query = QueriedList.of(plan.facts, plan.attributes, filters, order=by, size=size)
            found.append((await self._ask(query, context, branch), branch))
        return found

    async def has_all(
        self, plan: QueryPlan, context: CallContext, by: Order, more: Sequence[Filter], parts: Sequence[_Answer]
    ) -> bool:
        """Whether as many jobs are in the site's order as it counts: up to 1.5.0 those without metadata are in no order of
        footprints."""
        for counted, branch in parts:
            if counted.count > len(counted.items):
                filters = (*branch.filters, *more)
                last = QueriedList.of(plan.facts, plan.attributes, filters, order=by, size=1, page=counted.count)
                if not (await self._ask(last, context, branch)).items:
                    return False
        return True

    def misfit(self, words: str) -> SiteError:
        """The failure of a site that is not to be believed."""
        return SiteError(Code.WRONG_RELEASE, self.site.name, f"The site's own GraphQL {words}.")


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
        # sites read an order off an index, unless they are told which states the jobs may have, or when they started: so the
        # first look is at all jobs, and passes over those that run
        all_jobs = plan_for(self.dialect, bounded, credential) if ended and self.sort.descending else None
        looks = [one for one in (all_jobs, plan) if one is not None and (one is plan or len(one.branches) == 1)]
        conditions = bounded.conditions
        window = Window(max(0, conditions.earliest), min(conditions.latest, LATEST))
        more: list[Filter] = [] if window == Window(0, LATEST) else [started_within(window)]
        if by.type == "foot":
            more.append(_has_value(plan, self.order.field))
        size = self.size + 1
        if size > LARGEST:
            return None
        proved = by.type != "foot"
        while True:
            plan = looks.pop(0) if len(looks) > 1 else looks[0]
            parts = await self.reader.top(plan, self.context, by, more, size)
            self.scanned += sum(len(counted.items) for counted, _ in parts)
            if any(row.start_time > LATEST for counted, _ in parts for row in counted.items):
                return None  # it came since they were looked for
            proved = proved or await self.reader.has_all(plan, self.context, by, more, parts)
            if not proved:
                return None
            found = await self._of_parts(plan, parts, size, ended=ended)
            if found is not None:
                if by.type == "foot" and len(found) < self.size:
                    return None  # jobs without a value come next
                return FirstJobs(found[: self.size], self.scanned)
            size *= 1 if plan is all_jobs else 4
            if size > MOST_READ:
                return None

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
        return JobsWanted(conditions, self.wanted.attributes)

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
