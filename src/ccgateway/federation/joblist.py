"""The one exact job list: what a caller asks, planned over the sites, walked, cut into a page, and reported honestly."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, FederationError, RequestError, SiteError
from ccgateway.federation.questions import Caller, JobListAnswer, JobListQuestion, Policy, ReportStatus, SiteReport
from ccgateway.federation.readahead import ParkedWalks
from ccgateway.federation.twins import Twins
from ccgateway.federation.walk import Part, Walk, skip_twin
from ccgateway.jobs.conditions import LATEST, conditions_of
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.ordering import Cursor, SortPlan, before_second, digest_of, position_of, sort_plan
from ccgateway.settings import LimitSettings
from ccgateway.site.instance import Instance, JobsWanted
from ccgateway.site.reading import JobStream
from ccgateway.site.registry import Registry

__all__ = ["JobList", "judge"]

DEFAULT_PAGE = 50
#: jobs read ahead of a caller who keeps asking
MOST_AHEAD = 2000


@dataclass(slots=True)
class JobList:
    """The use case. ``shares`` remembers which part of the list each site usually gives, to ask for no more than is needed."""

    registry: Registry
    twins: Twins
    limits: LimitSettings
    parked: ParkedWalks
    shares: dict[str, float] = field(default_factory=dict)

    async def page(self, question: JobListQuestion, caller: Caller) -> JobListAnswer:
        """One page. Raises ``RequestError``, or ``FederationError`` where the policy forbids the answer."""
        plan = sort_plan(question.order)
        digest = digest_of(question.filters, question.order, question.sites)
        cursor = Cursor.decode(question.after, digest) if question.after is not None else None
        deadline = Deadline.after(self.limits.request_timeout)
        if plan.is_total:
            answer = await self._in_total_order(question, caller, digest, cursor, deadline)
        else:
            answer = await self._sorted(question, plan, digest, cursor, deadline)
        judge(answer.reports, self.registry, question.policy)
        return answer

    # --- the total order

    async def _in_total_order(
        self, question: JobListQuestion, caller: Caller, digest: str, cursor: Cursor | None, deadline: Deadline
    ) -> JobListAnswer:
        skip, size = self._extent(question)
        position = cursor.position if cursor else None
        walk = await self.parked.take(self._parking_place(question, caller, cursor))
        if walk is None:
            walk = self._walk(question, question.fields, deadline, latest=-position[0] if position else LATEST)
            walk.after = position
        else:
            walk.renew(deadline)
        async with asyncio.TaskGroup() as group:
            counting = None
            if question.wants_count and cursor is not None:
                counting = group.create_task(self._count(question, deadline), name="count")
            await walk.collect(skip + size + 1)
        if walk.stopped_at is not None and question.page is not None:
            raise self._beyond_budget("Pages by number read everything before them; read on by cursor (first, after) instead.")
        rows = walk.ready[skip : skip + size]
        if question.page is not None and question.page.size == -1 and len(walk.ready) > size:
            raise RequestError(Code.LIMIT_EXCEEDED, f"More than {size} jobs match: read them page by page (first, after).")
        self._learn(walk.parts, rows)
        has_next = len(walk.ready) > skip + size or walk.stopped_at is not None
        end = None
        if walk.stopped_at is not None and len(walk.ready) <= size:
            end = Cursor(digest, before_second(walk.stopped_at - 1)).encode()
            self._note_budget(walk)
        elif rows:
            end = Cursor(digest, position_of(rows[-1])).encode()
        if counting is not None:
            count, gaps = counting.result()
        elif question.wants_count:
            count, gaps = await self._count_after(walk, question, deadline)
        else:
            count, gaps = None, []
        answer = self._answer(question, walk, rows, end=end, has_next=has_next, count=count, count_gaps=gaps)
        if has_next and rows and question.page is None and walk.is_whole:
            walk.begin_page(len(rows), Deadline.after(self.limits.request_timeout))
            ahead = min(size * 2 ** (walk.pages - 2), max(MOST_AHEAD, size)) if walk.pages > 2 else 0
            self.parked.park(self._parking_place(question, caller, Cursor(digest, position_of(rows[-1]))), walk, read_ahead=ahead)
        return answer

    def _parking_place(self, question: JobListQuestion, caller: Caller, cursor: Cursor | None) -> Hashable:
        """Only the same caller, with the same question and shown attributes, goes on with a parked walk."""
        return caller, question.policy, question.fields, cursor

    def _extent(self, question: JobListQuestion) -> tuple[int, int]:
        """How many jobs to pass over, and how many to give. ``LIMIT_EXCEEDED`` for a larger page than the settings allow."""
        most, page = self.limits.page_jobs, question.page
        if page is not None and page.size == -1:
            return 0, most
        size = page.size if page is not None else question.first if question.first is not None else DEFAULT_PAGE
        if size > most:
            raise RequestError(Code.LIMIT_EXCEEDED, f"A page has {most} jobs at the most, not {size}.")
        return ((page.number - 1) * size if page is not None else 0), size

    # --- another order

    async def _sorted(
        self, question: JobListQuestion, plan: SortPlan, digest: str, cursor: Cursor | None, deadline: Deadline
    ) -> JobListAnswer:
        walk = self._walk(question, question.fields | plan.needs, deadline)
        await walk.collect(math.inf)
        if walk.stopped_at is not None:
            raise self._beyond_budget("Another order than startTime descending reads everything that matches; narrow the filter.")
        ordered = plan.sort(walk.ready)
        count = None if any(part.has_gaps for part in walk.parts) else len(ordered)
        if cursor is not None:
            ordered = plan.after(ordered, cursor)
        skip, size = self._extent(question)
        rows = ordered[skip : skip + size]
        end = None
        if rows:
            end = Cursor(digest, position_of(rows[-1]), plan.value(rows[-1])).encode()
        gaps = [] if count is not None else ["count: unknown, as not every site could be read to its end."]
        return self._answer(question, walk, rows, end=end, has_next=len(ordered) > skip + size, count=count, count_gaps=gaps)

    # --- counting

    async def _count_after(self, walk: Walk, question: JobListQuestion, deadline: Deadline) -> tuple[int | None, list[str]]:
        if walk.exhausted and walk.after is None and not any(part.has_gaps for part in walk.parts):
            return len(walk.ready), []
        return await self._count(question, deadline)

    async def _count(self, question: JobListQuestion, deadline: Deadline) -> tuple[int | None, list[str]]:
        """All matching jobs, counted by reading them; ``None`` and the reasons where that does not come to an exact number."""
        walk = self._walk(question, frozenset(), deadline)
        await walk.collect(math.inf)
        gaps = []
        for part in walk.parts:
            part.settle()
            if not part.report.is_complete:
                gaps.append(f"count: unknown, as {part.instance.name} could not be read to its end.")
        if walk.stopped_at is not None:
            gaps.append(f"count: unknown, as counting takes more than the scan budget of {self.limits.scan_budget} jobs a site.")
        return (None, gaps) if gaps else (len(walk.ready), [])

    # --- parts

    def _walk(self, question: JobListQuestion, fields: frozenset[str], deadline: Deadline, *, latest: int = LATEST) -> Walk:
        instances = self.registry.chosen(question.sites)
        parts = [self._part(instance, instances, question, fields, deadline, latest) for instance in instances]
        active = [part for part in parts if part.stream is not None]
        known = sum(self.shares.get(part.instance.name, 0.0) for part in active)
        for part in active:
            even = 1 / len(active)
            part.share = max(self.shares.get(part.instance.name, 0.0) / known if known else even, even / 4)
        patience = self.limits.patience if question.policy is Policy.PARTIAL and self.limits.patience > 0 else None
        return Walk(parts, self.twins, self.limits.scan_budget, patience)

    def _part(  # noqa: PLR0917 - one caller, which has all of it at hand
        self,
        instance: Instance,
        others: Sequence[Instance],
        question: JobListQuestion,
        fields: frozenset[str],
        deadline: Deadline,
        latest: int,
    ) -> Part:
        part = Part(instance, SiteReport(instance.name, instance.number), deadline)
        if (twin := self.twins.known(instance, others)) is not None:
            skip_twin(part, twin)
            return part
        wanted = JobsWanted(conditions_of(question.filters, instance.name), fields)
        try:
            part.stream = JobStream(instance, instance.visit(part.due), wanted, latest=latest)
        except SiteError as error:
            part.fail(error)
        else:
            part.report.notes += instance.lacking(wanted)
        return part

    def _learn(self, parts: Sequence[Part], rows: Sequence[JobRow]) -> None:
        if len(rows) < 10:
            return
        for part in parts:
            if part.stream is not None and not part.failed:
                name = part.instance.name
                now = sum(row.site == name for row in rows) / len(rows)
                self.shares[name] = 0.7 * self.shares.get(name, now) + 0.3 * now

    # --- the answer

    def _note_budget(self, walk: Walk) -> None:
        for part in walk.parts:
            if part.live and part.live.scanned >= walk.budget:
                message = f"{part.live.scanned} jobs were read, the most for one request. The cursor continues where that ended."
                part.report.note_gap(Code.SCAN_BUDGET, message, retryable=False)

    def _beyond_budget(self, remedy: str) -> RequestError:
        return RequestError(
            Code.SCAN_BUDGET, f"This takes reading more than {self.limits.scan_budget} jobs of one site. {remedy}"
        )

    def _answer(
        self,
        question: JobListQuestion,
        walk: Walk,
        rows: list[JobRow],
        *,
        end: str | None,
        has_next: bool,
        count: int | None,
        count_gaps: list[str],
    ) -> JobListAnswer:
        now = asyncio.get_running_loop().time()
        for part in walk.parts:
            part.settle()
            part.report.returned = sum(row.site == part.instance.name for row in rows)
            if part.report.returned and not part.report.calls:
                part.report.cache_age = now - part.read_at
            part.report.notes += count_gaps
        reports = [part.report for part in walk.parts]
        skip, size = self._extent(question)
        return JobListAnswer(
            rows=rows,
            reports=reports,
            end_cursor=end,
            has_next_page=has_next,
            complete=all(report.is_complete for report in reports),
            count=count,
            offset=skip if question.page is not None else None,
            limit=size if question.page is not None else None,
        )


def judge(reports: Sequence[SiteReport], registry: Registry, policy: Policy) -> None:
    """Raises ``FederationError`` if the answer that ``reports`` belong to may not be given."""
    failed = [report for report in reports if report.status is ReportStatus.FAILED]
    if failed and all(report.status in (ReportStatus.FAILED, ReportStatus.SKIPPED) for report in reports):
        raise FederationError(Code.ALL_SITES_FAILED, "No site answered.", [_error(report) for report in failed])
    gaps = [report for report in reports if not report.is_complete and report.code is not Code.SCAN_BUDGET]
    if policy is Policy.STRICT and gaps:
        names = ", ".join(report.site for report in gaps)
        raise FederationError(
            Code.INCOMPLETE, f"Not complete without {names}, and STRICT was asked for.", [_error(g) for g in gaps]
        )
    needed = [report for report in gaps if registry.one(report.site).settings.required]
    if needed:
        names = ", ".join(report.site for report in needed)
        raise FederationError(Code.INCOMPLETE, f"Not complete without {names}, which is required.", [_error(n) for n in needed])


def _error(report: SiteReport) -> SiteError:
    return SiteError(report.code or Code.INTERNAL, report.site, report.message or "", retryable=report.retryable)
