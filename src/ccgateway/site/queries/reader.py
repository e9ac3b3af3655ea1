"""Reads jobs of one site by its own GraphQL: pages and counts.

Every row is tested, and a site whose rows do not pass the tests that it was asked to make is not believed: ``WRONG_RELEASE``,
upon which REST is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import LATEST, Conditions
from ccgateway.jobs.model import JobRow
from ccgateway.site.base import JobsWanted
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.documents import BY_ID, FAR, NEWEST, Counted, QueriedList, started_within
from ccgateway.site.queries.filters import Branch, QueryPlan, plan_for
from ccgateway.site.releases import Dialect, ListPage, Window

if TYPE_CHECKING:
    from ccgateway.site.instance import Instance

__all__ = ["CountedBy", "QueryReader", "Tally"]

#: rows of one answer at the most, as of REST's pages; jobs that are read to be counted, or put in order, before it is given up
LARGEST, MOST_READ = 5000, 20_000

Listed = Callable[[QueriedList], Awaitable[Sequence[JobRow]]]
CountedBy = Callable[[QueriedList, CallContext], Awaitable[Counted[JobRow]]]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many jobs match, and how many had to be read for that."""

    jobs: int
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
            self.site.health.note_read(len(given), is_residual=not branch.is_exact)
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

    async def ask(self, query: QueriedList, context: CallContext, branch: Branch) -> Counted[JobRow]:
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
        if not is_sorted and await self.holds_far_ones(dialect, context, counted):
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

    async def holds_far_ones(self, dialect: Dialect, context: CallContext, counted: CountedBy) -> bool:
        """Whether there are jobs of times that no job can have: they are in no order, and to be told of."""
        plan = plan_for(dialect, JobsWanted(Conditions(), frozenset()), context.credential)
        if plan is None:
            return True
        for branch in plan.branches:
            query = QueriedList.of(plan.facts, plan.attributes, [*branch.filters, FAR], order=NEWEST, size=1)
            reply = await counted(query, context)
            self._check(reply.items, branch)
            if reply.count:
                return True
        return False

    def misfit(self, words: str) -> SiteError:
        """The failure of a site that is not to be believed."""
        return SiteError(Code.WRONG_RELEASE, self.site.name, f"The site's own GraphQL {words}.")
