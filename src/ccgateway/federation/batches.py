"""Answers that are read piece by piece: the whole job list in batches, and the metrics of many jobs.

A batch is asked for when the one before it has been taken: a slow reader costs what one batch holds, and no site is asked
meanwhile but for what is read ahead of any page.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ccgateway.errors import Code, GatewayError
from ccgateway.federation.joblist import JobList
from ccgateway.federation.metrics import JobMetrics, MetricsBudget, Outcome
from ccgateway.federation.questions import JobListAnswer, JobListQuestion, ReportStatus, SiteReport
from ccgateway.identity.principal import Principal
from ccgateway.jobs.metrics import JobRef, MetricsWanted
from ccgateway.jobs.model import JobRow, parse_job_id
from ccgateway.jobs.ordering import Cursor, SortPlan, digest_of, position_of, sort_plan
from ccgateway.jobs.provisional import is_provisional
from ccgateway.settings import LimitSettings

__all__ = ["JobBatch", "JobBatches", "MetricsBatches", "together"]

#: jobs of another order than newest first that are kept, once everything was read and sorted, for the batches to come
SORTED_AHEAD = 5000
#: jobs whose metrics are asked for at once, and bytes of samples that they should have together
JOBS_AT_ONCE, BYTES_AT_ONCE = 16, 16 << 20


@dataclass(frozen=True, slots=True)
class JobBatch:
    """Jobs that follow one another.

    ``resume``: the cursor that goes on after them; ``None`` where no job was found at all. ``missing``: the sites of which jobs
    may be missing here. ``is_last``: whether this ends the stream; ``has_more``: whether more jobs match nevertheless.
    """

    rows: Sequence[JobRow]
    resume: str | None
    missing: tuple[str, ...]
    is_last: bool
    has_more: bool = False


@dataclass(slots=True)
class JobBatches:
    """The jobs that ``question`` asks for, from its cursor on, ``size`` at a time and ``most`` in all (``None``: all of them).

    ``reports``: what each site contributed so far. Reading on where a scan's budget ended is no gap.
    """

    joblist: JobList
    question: JobListQuestion
    caller: Principal
    size: int
    most: int | None = None
    _plan: SortPlan = field(init=False)
    _after: str | None = field(init=False)
    _reports: dict[str, SiteReport] = field(default_factory=dict)
    _given: int = 0
    _sorted: deque[JobBatch] = field(default_factory=deque)
    _is_done: bool = False

    def __post_init__(self) -> None:
        self._plan, self._after = sort_plan(self.question.order), self.question.after

    @property
    def reports(self) -> list[SiteReport]:
        """One report for each site asked, by number."""
        return sorted(self._reports.values(), key=lambda report: report.number)

    async def next(self) -> JobBatch | None:
        """The next batch, which may be empty; ``None`` after the last. Raises as ``JobList.page``; what was given stays good."""
        if self._sorted:
            return self._sorted.popleft()
        if self._is_done:
            return None
        left = None if self.most is None else self.most - self._given
        size = self.size if self._plan.is_total else min(SORTED_AHEAD, self.joblist.limits.page_jobs)
        size = min(size, self.joblist.limits.page_jobs)
        first = size if left is None else min(size, left)
        fields = self.question.fields if self._plan.is_total else self.question.fields | self._plan.needs
        page = await self.joblist.page(replace(self.question, first=first, after=self._after, fields=fields), self.caller)
        self._after = page.end_cursor or self._after
        self._given += len(page.rows)
        missing = self._note(page)
        is_last = not page.has_next_page or (left is not None and len(page.rows) >= left)
        self._is_done = is_last
        batch = JobBatch(page.rows, self._after, missing, is_last, page.has_next_page)
        if len(page.rows) <= self.size:
            return batch
        self._sorted.extend(self._cut(batch))
        return self._sorted.popleft()

    def _cut(self, whole: JobBatch) -> Iterable[JobBatch]:
        question = self.question
        digest = digest_of(question.filters, question.order, question.sites)
        for start in range(0, len(whole.rows), self.size):
            rows = whole.rows[start : start + self.size]
            if start + self.size >= len(whole.rows):
                yield replace(whole, rows=rows)
            else:
                resume = Cursor(digest, position_of(rows[-1]), self._plan.value(rows[-1])).encode()
                yield JobBatch(rows, resume, whole.missing, is_last=False)

    def _note(self, page: JobListAnswer) -> tuple[str, ...]:
        missing = []
        for report in page.reports:
            if report.code is Code.SCAN_BUDGET and page.has_next_page:
                report.status, report.code, report.message = ReportStatus.OK, None, None
            if not report.is_complete:
                missing.append(report.site)
            known = self._reports.get(report.site)
            self._reports[report.site] = report if known is None else together(known, report)
        return tuple(missing)


_WEIGHT = (ReportStatus.SKIPPED, ReportStatus.OK, ReportStatus.PARTIAL, ReportStatus.FAILED)


def together(one: SiteReport, two: SiteReport) -> SiteReport:
    """What a site contributed to two parts of one answer."""
    worse = max(one, two, key=lambda report: _WEIGHT.index(report.status))
    ages = [age for age in (one.cache_age, two.cache_age) if age is not None]
    return replace(
        worse,
        elapsed=one.elapsed + two.elapsed,
        calls=one.calls + two.calls,
        scanned=one.scanned + two.scanned,
        returned=one.returned + two.returned,
        cache_age=max(ages, default=None),
        notes=list(dict.fromkeys((*one.notes, *two.notes))),
    )


@dataclass(slots=True)
class MetricsBatches:
    """The same metrics of many jobs, some jobs at a time, in the order of ``ids`` (``"site:dbid"``)."""

    metrics: JobMetrics
    limits: LimitSettings
    ids: Sequence[str]
    wanted: MetricsWanted
    caller: Principal
    _place: int = 0
    _at_once: int = JOBS_AT_ONCE

    async def next(self) -> list[tuple[str, Outcome]] | None:
        """What the next jobs came to, each an answer or its own error; ``None`` after the last."""
        ids = self.ids[self._place : self._place + self._at_once]
        if not ids:
            return None
        self._place += len(ids)
        budget = MetricsBudget(self.limits)
        refs: dict[int, JobRef] = {}
        outcomes: dict[int, Outcome] = {}
        for place, job_id in enumerate(ids):
            try:
                site, db_id = parse_job_id(job_id)
            except GatewayError as error:
                outcomes[place] = error
            else:
                if is_provisional(db_id):
                    outcomes[place] = await self._provisional(job_id, budget)
                else:
                    refs[place] = JobRef(site, db_id)
        found = await self.metrics.many(list(refs.values()), self.wanted, self.caller, budget)
        outcomes.update(zip(refs, found, strict=True))
        self._learn(outcomes.values())
        await asyncio.sleep(0)
        return [(job_id, outcomes[place]) for place, job_id in enumerate(ids)]

    async def _provisional(self, job_id: str, budget: MetricsBudget) -> Outcome:
        try:
            return await self.metrics.one(job_id, self.wanted, self.caller, budget)
        except GatewayError as error:
            return error

    def _learn(self, outcomes: Iterable[Outcome]) -> None:
        """As many jobs at once as their samples allow."""
        sizes = [sum(piece.size for piece in one.pieces) for one in outcomes if not isinstance(one, GatewayError)]
        if sizes:
            self._at_once = max(1, min(JOBS_AT_ONCE, BYTES_AT_ONCE // max(1, *sizes)))
