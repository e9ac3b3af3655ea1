"""The one exact job list: what a caller asks, planned over the sites, walked, cut into a page, and reported honestly."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, FederationError, RequestError, SiteError
from ccgateway.federation.part import Part, Told
from ccgateway.federation.questions import EVERYTHING, JobListAnswer, JobListQuestion, Policy, ReportStatus, SiteReport
from ccgateway.federation.readahead import ParkedWalks
from ccgateway.federation.scatter import must_answer, patience_of
from ccgateway.federation.twins import DuplicateSiteDetector
from ccgateway.federation.walk import Walk, have_told
from ccgateway.identity.principal import Principal
from ccgateway.jobs.conditions import LATEST, check_patterns, conditions_of
from ccgateway.jobs.model import JOB_TEXTS, JobRow
from ccgateway.jobs.ordering import Cursor, SortPlan, before_second, digest_of, position_of, sort_plan
from ccgateway.settings import LimitSettings
from ccgateway.site.base import JobsWanted, Site
from ccgateway.site.exchange import CallStats
from ccgateway.site.reading import JobStream
from ccgateway.site.registry import Registry
from ccgateway.tasks import side_by_side

__all__ = ["JobList", "judge"]

DEFAULT_PAGE = 50
#: jobs that are put into another order on the spot: a few milliseconds
AT_ONCE = 5000
#: jobs read ahead of a caller who keeps asking
MOST_AHEAD = 2000


@dataclass(slots=True)
class JobList:
    """The use case. ``shares`` remembers which part of the list each site usually gives, to ask for no more than is needed."""

    registry: Registry
    twins: DuplicateSiteDetector
    limits: LimitSettings
    parked: ParkedWalks
    shares: dict[str, float] = field(default_factory=dict)

    async def page(self, question: JobListQuestion, caller: Principal) -> JobListAnswer:
        """One page. Raises ``RequestError``, or ``FederationError`` where the policy forbids the answer."""
        plan = sort_plan(question.order)
        check_patterns(question.filters)
        digest = digest_of(question.filters, question.order, question.sites)
        asked = _Asked(
            question,
            caller,
            digest,
            Cursor.decode(self.registry.seal.open(question.after), digest) if question.after is not None else None,
            Deadline.of_request(self.limits.request_timeout),
            *self._extent(question),
        )
        if question.wants_count and not question.wants_jobs and question.page is None:
            answer = await self._counted_only(asked)
        else:
            answer = await (self._in_total_order(asked) if plan.is_total else self._sorted(asked, plan))
        judge(answer.reports, self.registry, question.policy, is_empty=not answer.rows)
        return answer

    def _extent(self, question: JobListQuestion) -> tuple[int, int, bool]:
        """How many jobs to pass over, how many to give, and whether the page is larger than pages may be.

        Such a page is given where no more jobs match than a page may have, as clients ask for everything by a large number.
        """
        most, page = self.limits.page_jobs, question.page
        if page is None:
            first = DEFAULT_PAGE if question.first is None else question.first
            return 0, first, first > most
        if page.size == EVERYTHING:
            return 0, most, True
        return (page.number - 1) * page.size, page.size, page.size > most

    # --- the total order

    async def _in_total_order(self, asked: _Asked) -> JobListAnswer:
        walk = await self._resumed(asked)
        page_end = asked.skip + asked.size
        async with side_by_side() as group:
            counting = None
            if asked.question.wants_count and asked.cursor is not None:
                counting = group.create_task(self._count(asked), name="count")
            await self._collect(asked, walk, self.limits.page_jobs + 1 if asked.is_oversized else page_end + 1)
        self._refuse_short_pages(asked, walk)
        rows = walk.ready[asked.skip : page_end]
        has_next = walk.known > page_end or walk.stopped_at is not None
        if walk.stopped_at is not None and len(walk.ready) <= asked.size:
            self._note_budget(walk)
            end: Cursor | None = Cursor(asked.digest, before_second(walk.stopped_at - 1))
        else:
            end = Cursor(asked.digest, position_of(rows[-1])) if rows else None
        if counting is not None:
            count = counting.result()
        elif asked.question.wants_count:
            count = await self._count_after(walk, asked)
        else:
            count = _Count(None)
        answer = self._answer(asked, walk, rows, end=end, has_next=has_next, count=count)
        self._learn(walk.parts, len(rows))
        if has_next and end is not None and walk.mark is not None and walk.is_whole:
            self._keep_open(asked, walk, len(rows), end)
        return answer

    async def _collect(self, asked: _Asked, walk: Walk, want: int) -> None:
        """Reads until there are ``want`` jobs, or all there are, of which the page's own lack nothing."""
        await walk.collect(want)
        while asked.later and await walk.complete(asked.later, asked.skip + asked.size):
            await walk.collect(want)

    async def _resumed(self, asked: _Asked) -> Walk:
        """The walk that the cursor's page left open, or a new one from the cursor on."""
        if asked.cursor is None:
            # counted is what is there now
            walk = await self._walk(asked, is_shared=not asked.question.wants_count)
        else:
            parked = await self.parked.take(asked.place(asked.cursor))
            if parked is not None and await self.registry.responses.holds(parked.mark) and await parked.renew(asked.deadline):
                return parked
            walk = await self._walk(asked, latest=-asked.cursor.position[0])
            walk.after = asked.cursor.position
        if asked.question.page is None and self.limits.read_ahead > 0:  # it may be kept open, unless something is written
            walk.mark = await self.registry.responses.mark(part.instance.name for part in walk.parts)
        return walk

    def _keep_open(self, asked: _Asked, walk: Walk, given: int, end: Cursor) -> None:
        walk.begin_page(given, Deadline.after(self.limits.request_timeout))
        ahead = min(asked.size * 2 ** (walk.pages - 2), max(MOST_AHEAD, asked.size)) if walk.pages > 2 else 0
        self.parked.park(asked.place(end), walk, read_ahead=ahead)

    def _refuse_short_pages(self, asked: _Asked, walk: Walk) -> None:
        """A page by number, or of everything, is either right or refused."""
        self._refuse_too_many(asked, walk.known)
        if asked.question.page is not None and walk.stopped_at is not None:
            raise self._beyond_budget("Pages by number read everything before them; read on by cursor (first, after) instead.")

    def _refuse_too_many(self, asked: _Asked, matching: int) -> None:
        most = self.limits.page_jobs
        if asked.is_oversized and matching > most:
            message = f"More than {most} jobs match, and a page has no more than that (limits.page_jobs): read them page by page."
            raise RequestError(Code.LIMIT_EXCEEDED, message)

    # --- another order

    async def _sorted(self, asked: _Asked, plan: SortPlan) -> JobListAnswer:
        walk = await self._walk(asked, asked.question.fields | plan.needs)
        page_end = asked.skip + asked.size
        want = self.limits.page_jobs + 1 if asked.is_oversized else page_end + 1

        async def first(part: Part, stream: JobStream) -> Told | None:
            found = await part.instance.first(stream.context, stream.wanted, asked.question.order, size=want, after=asked.cursor)
            return None if found is None else Told(found.scanned, rows=found.rows)

        await have_told(walk, first)
        await walk.collect(math.inf)
        if walk.stopped_at is not None:
            raise self._beyond_budget("Another order than startTime descending reads everything that matches; narrow the filter.")
        told = [row for part in walk.parts if part.told is not None for row in part.told.rows]
        if asked.question.wants_count:
            count = await self._count(asked) if any(part.told is not None for part in walk.parts) else self._counted(walk)
        else:
            count = _Count(None)
        found = [*walk.ready, *told]
        if len(found) <= AT_ONCE:
            ordered = _ordered(plan, found, asked.cursor)
        else:  # hundreds of thousands take longer than other requests can wait
            ordered = await asyncio.to_thread(_ordered, plan, found, asked.cursor)
        self._refuse_too_many(asked, len(ordered))
        rows = ordered[asked.skip : page_end]
        end = Cursor(asked.digest, position_of(rows[-1]), plan.value(rows[-1])) if rows else None
        return self._answer(asked, walk, rows, end=end, has_next=len(ordered) > page_end, count=count)

    # --- counting

    async def _count_after(self, walk: Walk, asked: _Asked) -> _Count:
        if walk.exhausted and walk.after is None:
            return self._counted(walk)
        totals = [part.stream.total for part in walk.parts if part.stream is not None]
        if (
            walk.after is None
            and not any(part.twin or part.failed or part.has_gaps for part in walk.parts)
            and None not in totals
        ):
            return _Count(sum(total for total in totals if total is not None))  # which the sites told with their first pages
        return await self._count(asked)

    async def _counted_only(self, asked: _Asked) -> JobListAnswer:
        walk = await self._counting(asked)
        return self._answer(asked, walk, [], end=None, has_next=False, count=self._counted(walk))

    async def _count(self, asked: _Asked) -> _Count:
        return self._counted(await self._counting(asked))

    async def _counting(self, asked: _Asked) -> Walk:
        """All matching jobs: as their sites count them, or else read."""
        walk = await self._walk(asked, frozenset())

        async def count(part: Part, stream: JobStream) -> Told | None:
            found = await part.instance.count(stream.context, stream.wanted)
            return None if found is None else Told(found.scanned, found.jobs)

        await have_told(walk, count)
        await walk.collect(math.inf)
        return walk

    def _counted(self, walk: Walk) -> _Count:
        gaps = [f"count: unknown, as {part.instance.name} could not be read to its end." for part in walk.parts if part.has_gaps]
        if walk.stopped_at is not None:
            gaps.append(f"count: unknown, as counting takes more than the scan budget of {self.limits.scan_budget} jobs a site.")
        if gaps:
            return _Count(None, tuple(gaps), _costs(walk))
        told = sum(part.told.count for part in walk.parts if part.told is not None)
        return _Count(len(walk.ready) + told, (), _costs(walk))

    # --- parts

    async def _walk(
        self, asked: _Asked, fields: frozenset[str] | None = None, *, latest: int = LATEST, is_shared: bool = False
    ) -> Walk:
        question = asked.question
        later = asked.later if fields is None else frozenset[str]()
        wanted = (question.fields if fields is None else fields) - later
        instances = self.registry.chosen(question.sites, asked.caller)
        patience = patience_of(question.policy, self.limits)
        parts = [Part(one, asked.caller, SiteReport(one.name, one.number), asked.deadline) for one in instances]

        async def open_part(part: Part, until: Deadline) -> None:
            part.twin = self.twins.known(part.instance, instances)
            conditions = conditions_of(question.filters, part.instance.name)
            insists = must_answer(part.instance, question.policy, len(instances))
            site = part.instance if is_shared and part.instance.shares_pages else part.instance.origin
            await _open(part, site, JobsWanted(conditions, wanted, later), latest, until, insists=insists)

        waiting = [part for part in parts if not part.instance.context_is_local]
        for part in parts:
            if part not in waiting:
                await open_part(part, part.due)
        if waiting:
            async with side_by_side() as group:
                for part in waiting:
                    others_wait = patience is not None and len(parts) > 1 and not part.instance.settings.required
                    until = part.due.within(patience) if others_wait and patience is not None else part.due
                    group.create_task(open_part(part, until), name=f"credential for {part.instance.name}")
        self._expect(parts)
        return Walk(parts, self.twins, self.limits.scan_budget, patience)

    def _expect(self, parts: Sequence[Part]) -> None:
        active = [part for part in parts if part.stream is not None]
        known = sum(self.shares.get(part.instance.name, 0.0) for part in active)
        for part in active:
            even = 1 / len(active)
            part.share = max(self.shares.get(part.instance.name, 0.0) / known if known else even, even / 4)

    def _learn(self, parts: Sequence[Part], rows: int) -> None:
        """What a page of that many rows shows of the sites' shares: how those asked compare, not how they stand to the others."""
        given = {part.instance.name: part.report.returned for part in parts if part.stream is not None and not part.failed}
        if rows < 10 or len(given) < 2:
            return
        known = [self.shares[name] for name in given if name in self.shares]
        of_all = sum(known) if len(known) == len(given) else 1.0
        for name, returned in given.items():
            now = of_all * returned / rows
            self.shares[name] = 0.7 * self.shares.get(name, now) + 0.3 * now

    # --- the answer

    def _written(self, end: Cursor, walk: Walk) -> str:
        """``end`` as text; sealed where a spent budget made it the start of a job that the caller may not see."""
        is_sealed = walk.stopped_at is not None and any(part.hides_others for part in walk.parts)
        return self.registry.seal.close(end.encode()) if is_sealed else end.encode()

    def _note_budget(self, walk: Walk) -> None:
        for part in walk.parts:
            if part.live and part.live.scanned >= walk.budget:
                message = f"{walk.budget} jobs were read, the most for one request. The cursor continues where that ended."
                part.report.note_gap(Code.SCAN_BUDGET, message, retryable=False)

    def _beyond_budget(self, remedy: str) -> RequestError:
        return RequestError(
            Code.SCAN_BUDGET, f"This takes reading more than {self.limits.scan_budget} jobs of one site. {remedy}"
        )

    def _answer(
        self, asked: _Asked, walk: Walk, rows: list[JobRow], *, end: Cursor | None, has_next: bool, count: _Count
    ) -> JobListAnswer:
        now = asyncio.get_running_loop().time()
        returned = Counter(map(attrgetter("site"), rows))
        for part in walk.parts:
            part.settle()
            part.report.returned = returned[part.instance.name]
            if part.twin is not None and part.report.status is ReportStatus.OK and not part.report.returned:
                part.report.status = ReportStatus.SKIPPED
            stats = part.stream.context.stats if part.stream is not None else CallStats()
            is_from_before = part.report.returned and not stats.calls and not stats.recalled
            part.report.cache_age = now - part.read_at if is_from_before else stats.age
            part.report.notes += count.gaps
            cost = count.costs.get(part.instance.name)
            if cost is not None and cost is not part.report and not part.hides_others:
                part.report.calls += cost.calls
                part.report.scanned += cost.scanned
        reports = [part.report for part in walk.parts]
        page = asked.question.page
        return JobListAnswer(
            rows=rows,
            reports=reports,
            end_cursor=self._written(end, walk) if end is not None else None,
            has_next_page=has_next,
            complete=all(report.is_complete for report in reports),
            count=count.jobs,
            offset=asked.skip if page is not None else None,
            limit=page.size if page is not None else None,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with what follows from it: its digest, its cursor, its deadline, the jobs to pass over and to give, and whether
    those are more than a page may have."""

    question: JobListQuestion
    caller: Principal
    digest: str
    cursor: Cursor | None
    deadline: Deadline
    skip: int
    size: int
    is_oversized: bool

    @property
    def later(self) -> frozenset[str]:
        """Attributes that only those jobs need to have that are shown: all, where some are REST's. Where jobs are passed over by
        number, those that cannot be read must be known for that, too."""
        fields = self.question.fields
        is_short = not self.skip and not self.is_oversized
        return fields if is_short and not fields.isdisjoint(JOB_TEXTS) else frozenset()

    def place(self, cursor: Cursor) -> Hashable:
        """Where a walk waits for its next page: only the same caller with the same question and attributes goes on with it."""
        return self.caller, self.question.policy, self.question.fields, cursor


@dataclass(frozen=True, slots=True)
class _Count:
    """How many jobs match, or ``None`` and the reasons why that is not known exactly."""

    jobs: int | None
    gaps: tuple[str, ...] = ()
    costs: Mapping[str, SiteReport] = field(default_factory=dict)


def _costs(walk: Walk) -> Mapping[str, SiteReport]:
    """What a walk took of each site."""
    for part in walk.parts:
        part.settle()
    return {part.instance.name: part.report for part in walk.parts}


def _ordered(plan: SortPlan, rows: Sequence[JobRow], cursor: Cursor | None) -> list[JobRow]:
    ordered = plan.sort(rows)
    return ordered if cursor is None else plan.after(ordered, cursor)


async def _open(part: Part, site: Site, wanted: JobsWanted, latest: int, until: Deadline, *, insists: bool) -> None:
    try:
        context = await part.instance.context(part.caller, until, insists=insists)
        part.stream = JobStream(site, context, wanted, latest=latest)
    except SiteError as error:
        part.fail(error)
    else:
        part.notes = part.instance.lacking(wanted)


def judge(reports: Sequence[SiteReport], registry: Registry, policy: Policy, *, is_empty: bool) -> None:
    """Raises ``FederationError`` if the answer that ``reports`` belong to may not be given; ``is_empty``: it has no items."""
    failed = [report for report in reports if report.status is ReportStatus.FAILED]
    if is_empty and failed and all(report.status in (ReportStatus.FAILED, ReportStatus.SKIPPED) for report in reports):
        raise FederationError(Code.ALL_SITES_FAILED, "No site answered.", [_error(report) for report in failed])
    gaps = [report for report in reports if not report.is_complete and report.code is not Code.SCAN_BUDGET]
    if policy is Policy.STRICT and gaps:
        names = ", ".join(report.site for report in gaps)
        raise FederationError(
            Code.INCOMPLETE, f"Not complete without {names}, and STRICT was asked for.", [_error(g) for g in gaps]
        )
    # a job that its own site cannot read is reported, but keeps nobody from reading on
    needed = [r for r in gaps if r.code is not Code.UNREADABLE_JOBS and registry.one(r.site).settings.required]
    if needed:
        names = ", ".join(report.site for report in needed)
        raise FederationError(Code.INCOMPLETE, f"Not complete without {names}, which is required.", [_error(n) for n in needed])


def _error(report: SiteReport) -> SiteError:
    return SiteError(report.code or Code.INTERNAL, report.site, report.message or "", retryable=report.retryable)
