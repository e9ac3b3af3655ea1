"""The one exact job list: what a caller asks, planned over the sites, merged, cut into a page, and reported honestly."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, FederationError, RequestError, SiteError
from ccgateway.federation.duplicates import DuplicateSiteDetector
from ccgateway.federation.merge import Merge, push_down
from ccgateway.federation.merge_source import MergeSource, PushdownResult
from ccgateway.federation.questions import EVERYTHING, JobListAnswer, JobListQuestion, Policy, ReportStatus, SiteReport
from ccgateway.federation.readahead import ReadAheadCache
from ccgateway.federation.scatter import must_answer, patience_of
from ccgateway.identity.principal import Principal
from ccgateway.jobs.conditions import LATEST, check_sizes, conditions_of
from ccgateway.jobs.model import JOB_TEXTS, JobRow
from ccgateway.jobs.ordering import Cursor, SortPlan, before_second, digest_of, position_of, sort_plan
from ccgateway.settings import LimitSettings
from ccgateway.site.base import JobsWanted, Site
from ccgateway.site.exchange import CallStats
from ccgateway.site.reading import JobStream
from ccgateway.site.registry import Registry
from ccgateway.tasks import side_by_side
from ccgateway.telemetry.requests import note_sites

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
    duplicates: DuplicateSiteDetector
    limits: LimitSettings
    read_ahead: ReadAheadCache
    shares: dict[str, float] = field(default_factory=dict)

    async def page(self, question: JobListQuestion, caller: Principal) -> JobListAnswer:
        """One page. Raises ``RequestError``, or ``FederationError`` where the policy forbids the answer."""
        plan = sort_plan(question.order)
        check_sizes(question.filters)
        digest = digest_of(question.filters, question.order, question.sites)
        request = _ListRequest(
            question,
            caller,
            digest,
            Cursor.decode(self.registry.seal.open(question.after), digest) if question.after is not None else None,
            Deadline.of_request(self.limits.request_timeout),
            *self._extent(question),
        )
        if question.wants_count and not question.wants_jobs and question.page is None:
            answer = await self._counted_only(request)
        else:
            answer = await (self._in_total_order(request) if plan.is_total else self._sorted(request, plan))
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

    async def _in_total_order(self, request: _ListRequest) -> JobListAnswer:
        merge = await self._resumed(request)
        page_end = request.skip + request.size
        async with side_by_side() as group:
            counting = None
            if request.question.wants_count and request.cursor is not None:
                counting = group.create_task(self._count(request), name="count")
            await self._collect(request, merge, self.limits.page_jobs + 1 if request.is_oversized else page_end + 1)
        self._refuse_short_pages(request, merge)
        rows = merge.ready[request.skip : page_end]
        has_next = merge.known > page_end or merge.stopped_at is not None
        if merge.stopped_at is not None and len(merge.ready) <= request.size:
            self._note_budget(merge)
            end: Cursor | None = Cursor(request.digest, before_second(merge.stopped_at - 1))
        else:
            end = Cursor(request.digest, position_of(rows[-1])) if rows else request.cursor if has_next else None
        if counting is not None:
            count = counting.result()
        elif request.question.wants_count:
            count = await self._count_after(merge, request)
        else:
            count = _Count(None)
        answer = self._answer(request, merge, rows, end=end, has_next=has_next, count=count)
        self._learn(merge.sources, len(rows))
        if has_next and end is not None and merge.snapshot is not None and merge.is_whole:
            self._keep_open(request, merge, len(rows), end)
        return answer

    async def _collect(self, request: _ListRequest, merge: Merge, want: int) -> None:
        """Reads until there are ``want`` jobs, or all there are, of which the page's own lack nothing."""
        await merge.collect(want)
        while request.later and await merge.complete(request.later, request.skip + request.size):
            await merge.collect(want)

    async def _resumed(self, request: _ListRequest) -> Merge:
        """The merge that the cursor's page left open, or a new one from the cursor on."""
        if request.cursor is None:
            # counted is what is there now
            merge = await self._merge(request, is_shared=not request.question.wants_count)
        else:
            kept, responses = await self.read_ahead.take(request.key_of(request.cursor)), self.registry.responses
            if kept is not None and await responses.is_current(kept.snapshot) and await kept.renew(request.deadline):
                return kept
            merge = await self._merge(request, latest=-request.cursor.position[0])
            merge.after = request.cursor.position
        if request.question.page is None and self.limits.read_ahead > 0:  # it may be kept open, unless something is written
            merge.snapshot = await self.registry.responses.snapshot(source.instance.name for source in merge.sources)
        return merge

    def _keep_open(self, request: _ListRequest, merge: Merge, given: int, end: Cursor) -> None:
        merge.begin_page(given, Deadline.after(self.limits.request_timeout))
        ahead = min(request.size * 2 ** (merge.pages - 2), max(MOST_AHEAD, request.size)) if merge.pages > 2 else 0
        self.read_ahead.put(request.key_of(end), merge, read_ahead=ahead)

    def _refuse_short_pages(self, request: _ListRequest, merge: Merge) -> None:
        """A page by number, or of everything, is either right or refused."""
        self._refuse_too_many(request, merge.known)
        if request.question.page is not None and merge.stopped_at is not None:
            raise self._beyond_budget("Pages by number read everything before them; read on by cursor (first, after) instead.")

    def _refuse_too_many(self, request: _ListRequest, matching: int) -> None:
        most = self.limits.page_jobs
        if request.is_oversized and matching > most:
            message = f"More than {most} jobs match, and a page has no more than that (limits.page_jobs): read them page by page."
            raise RequestError(Code.LIMIT_EXCEEDED, message)

    # --- another order

    async def _sorted(self, request: _ListRequest, plan: SortPlan) -> JobListAnswer:
        merge = await self._merge(request, request.question.fields | plan.needs)
        page_end = request.skip + request.size
        want = self.limits.page_jobs + 1 if request.is_oversized else page_end + 1

        async def first(source: MergeSource, stream: JobStream) -> PushdownResult | None:
            answer = await source.instance.first(
                stream.context, stream.wanted, request.question.order, size=want, after=request.cursor
            )
            return None if answer is None else PushdownResult(answer.scanned, rows=answer.rows)

        await push_down(merge, first)
        await merge.collect(math.inf)
        if merge.stopped_at is not None:
            raise self._beyond_budget("Another order than startTime descending reads everything that matches; narrow the filter.")
        pushed = [source.pushed_down for source in merge.sources if source.pushed_down is not None]
        count = _Count(None)
        if request.question.wants_count:
            count = await self._count(request) if pushed else self._counted(merge)
        matching = [*merge.ready, *(row for result in pushed for row in result.rows)]
        if len(matching) <= AT_ONCE:
            ordered = _ordered(plan, matching, request.cursor)
        else:  # hundreds of thousands take longer than other requests can wait
            ordered = await asyncio.to_thread(_ordered, plan, matching, request.cursor)
        self._refuse_too_many(request, len(ordered))
        rows = ordered[request.skip : page_end]
        end = Cursor(request.digest, position_of(rows[-1]), plan.value(rows[-1])) if rows else None
        return self._answer(request, merge, rows, end=end, has_next=len(ordered) > page_end, count=count)

    # --- counting

    async def _count_after(self, merge: Merge, request: _ListRequest) -> _Count:
        if merge.exhausted and merge.after is None:
            return self._counted(merge)
        totals = [source.stream.total for source in merge.sources if source.stream is not None]
        is_whole = not any(source.duplicate_of or source.failed or source.has_gaps for source in merge.sources)
        if merge.after is None and is_whole and None not in totals:
            return _Count(sum(total for total in totals if total is not None))  # which the sites told with their first pages
        return await self._count(request)

    async def _counted_only(self, request: _ListRequest) -> JobListAnswer:
        merge = await self._counting(request)
        return self._answer(request, merge, [], end=None, has_next=False, count=self._counted(merge))

    async def _count(self, request: _ListRequest) -> _Count:
        return self._counted(await self._counting(request))

    async def _counting(self, request: _ListRequest) -> Merge:
        """All matching jobs: as their sites count them, or else read."""
        merge = await self._merge(request, frozenset())

        async def count(source: MergeSource, stream: JobStream) -> PushdownResult | None:
            tally = await source.instance.count(stream.context, stream.wanted)
            return None if tally is None else PushdownResult(tally.scanned, tally.jobs)

        await push_down(merge, count)
        await merge.count()
        return merge

    def _counted(self, merge: Merge) -> _Count:
        unread = [source.instance.name for source in merge.sources if source.has_gaps]
        gaps = [f"count: unknown, as {name} could not be read to its end." for name in unread]
        if merge.stopped_at is not None:
            gaps.append(f"count: unknown, as counting takes more than the scan budget of {self.limits.scan_budget} jobs a site.")
        if gaps:
            return _Count(None, tuple(gaps), _costs(merge))
        pushed = sum(source.pushed_down.count for source in merge.sources if source.pushed_down is not None)
        return _Count(merge.counted + len(merge.ready) + pushed, (), _costs(merge))

    # --- the merge

    async def _merge(
        self, request: _ListRequest, fields: frozenset[str] | None = None, *, latest: int = LATEST, is_shared: bool = False
    ) -> Merge:
        question = request.question
        later = request.later if fields is None else frozenset[str]()
        wanted = (question.fields if fields is None else fields) - later
        instances = self.registry.chosen(question.sites, request.caller)
        patience = None if question.waits_for_all else patience_of(question.policy, self.limits)
        sources = [MergeSource(site, request.caller, SiteReport(site.name, site.number), request.deadline) for site in instances]

        async def open_source(source: MergeSource, until: Deadline) -> None:
            source.duplicate_of = self.duplicates.original_of(source.instance, instances)
            conditions = conditions_of(question.filters, source.instance.name)
            insists = must_answer(source.instance, question.policy, len(instances))
            site = source.instance if is_shared and source.instance.shares_pages else source.instance.origin
            jobs = JobsWanted(conditions, wanted, later, by_number=question.page is not None)
            await _open(source, site, jobs, latest, until, insists=insists)

        waiting = [source for source in sources if not source.instance.context_is_local]
        for source in sources:
            if source not in waiting:
                await open_source(source, source.due)
        if waiting:
            async with side_by_side() as group:
                for source in waiting:
                    others_wait = patience is not None and len(sources) > 1 and not source.instance.settings.required
                    until = source.due.within(patience) if others_wait and patience is not None else source.due
                    group.create_task(open_source(source, until), name=f"credential for {source.instance.name}")
        self._expect(sources)
        return Merge(sources, self.duplicates, self.limits.scan_budget, patience)

    def _expect(self, sources: Sequence[MergeSource]) -> None:
        active = [source for source in sources if source.stream is not None]
        known = sum(self.shares.get(source.instance.name, 0.0) for source in active)
        for source in active:
            even = 1 / len(active)
            source.share = max(self.shares.get(source.instance.name, 0.0) / known if known else even, even / 4)

    def _learn(self, sources: Sequence[MergeSource], rows: int) -> None:
        """What a page of that many rows shows of the sites' shares: how those asked compare, not how they stand to the others."""
        given = {s.instance.name: s.report.returned for s in sources if s.stream is not None and not s.failed}
        if rows < 10 or len(given) < 2:
            return
        known = [self.shares[name] for name in given if name in self.shares]
        of_all = sum(known) if len(known) == len(given) else 1.0
        for name, returned in given.items():
            now = of_all * returned / rows
            self.shares[name] = 0.7 * self.shares.get(name, now) + 0.3 * now

    # --- the answer

    def _written(self, end: Cursor, merge: Merge) -> str:
        """``end`` as text; sealed where a spent budget made it the start of a job that the caller may not see."""
        is_sealed = merge.stopped_at is not None and any(source.hides_others for source in merge.sources)
        return self.registry.seal.close(end.encode()) if is_sealed else end.encode()

    def _note_budget(self, merge: Merge) -> None:
        for source in merge.sources:
            if source.live and source.live.scanned >= source.live.limit(merge.budget):
                message = f"{merge.budget} jobs were read, the most for one request. The cursor continues where that ended."
                source.report.note_gap(Code.SCAN_BUDGET, message, retryable=False)

    def _beyond_budget(self, remedy: str) -> RequestError:
        return RequestError(
            Code.SCAN_BUDGET, f"This takes reading more than {self.limits.scan_budget} jobs of one site. {remedy}"
        )

    def _answer(
        self, request: _ListRequest, merge: Merge, rows: list[JobRow], *, end: Cursor | None, has_next: bool, count: _Count
    ) -> JobListAnswer:
        now = asyncio.get_running_loop().time()
        returned = Counter(map(attrgetter("site"), rows))
        for source in merge.sources:
            source.settle()
            source.report.returned = returned[source.instance.name]
            if source.duplicate_of is not None and source.report.status is ReportStatus.OK and not source.report.returned:
                source.report.status = ReportStatus.SKIPPED
            stats = source.stream.context.stats if source.stream is not None else CallStats()
            if source.hides_others:
                source.report.scanned = source.report.returned
            is_from_before = source.report.returned and not stats.calls and not stats.recalled and not source.hides_others
            source.report.cache_age = now - source.read_at if is_from_before else stats.age
            source.report.notes += count.gaps
            cost = count.costs.get(source.instance.name)
            if cost is not None and cost is not source.report and not source.hides_others:
                source.report.calls += cost.calls
                source.report.scanned += cost.scanned
        reports = [source.report for source in merge.sources]
        page = request.question.page
        return JobListAnswer(
            rows=rows,
            reports=reports,
            end_cursor=self._written(end, merge) if end is not None else None,
            has_next_page=has_next,
            complete=all(report.is_complete for report in reports),
            count=count.jobs,
            offset=request.skip if page is not None else None,
            limit=page.size if page is not None else None,
        )


@dataclass(frozen=True, slots=True)
class _ListRequest:
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

    def key_of(self, cursor: Cursor) -> Hashable:
        """The key of the merge that goes on at ``cursor``: only the same caller with the same question has it."""
        return self.caller, self.question.policy, self.question.waits_for_all, self.question.fields, cursor


@dataclass(frozen=True, slots=True)
class _Count:
    """How many jobs match, or ``None`` and the reasons why that is not known exactly."""

    jobs: int | None
    gaps: tuple[str, ...] = ()
    costs: Mapping[str, SiteReport] = field(default_factory=dict)


def _costs(merge: Merge) -> Mapping[str, SiteReport]:
    """What a merge took of each site."""
    for source in merge.sources:
        source.settle()
    return {source.instance.name: source.report for source in merge.sources}


def _ordered(plan: SortPlan, rows: Sequence[JobRow], cursor: Cursor | None) -> list[JobRow]:
    ordered = plan.sort(rows)
    return ordered if cursor is None else plan.after(ordered, cursor)


async def _open(source: MergeSource, site: Site, wanted: JobsWanted, latest: int, until: Deadline, *, insists: bool) -> None:
    try:
        context = await source.instance.context(source.caller, until, insists=insists)
        if (failure := source.instance.known_failure(context)) is not None:
            raise failure
        source.stream = JobStream(site, context, wanted, latest=latest)
    except SiteError as error:
        source.fail(error)
    else:
        source.notes = source.instance.lacking(wanted)


def judge(reports: Sequence[SiteReport], registry: Registry, policy: Policy, *, is_empty: bool) -> None:
    """Raises ``FederationError`` if the answer that ``reports`` belong to may not be given; ``is_empty``: it has no items."""
    note_sites((report.site, None if report.is_complete else report.code or Code.INTERNAL) for report in reports)
    failed = [report for report in reports if report.status is ReportStatus.FAILED]
    if is_empty and failed and all(report.status in (ReportStatus.FAILED, ReportStatus.SKIPPED) for report in reports):
        raise FederationError(Code.ALL_SITES_FAILED, "No site answered.", [report.failure for report in failed])
    gaps = [report for report in reports if not report.is_complete and report.code is not Code.SCAN_BUDGET]
    needed, why = gaps, "and STRICT was asked for"
    if policy is not Policy.STRICT:
        # a job that its own site cannot read is reported, but keeps nobody from reading on
        needed = [r for r in gaps if r.code is not Code.UNREADABLE_JOBS and registry.one(r.site).settings.required]
        why = "which is required"
    if needed:
        names = ", ".join(report.site for report in needed)
        raise FederationError(Code.INCOMPLETE, f"Not complete without {names}, {why}.", [one.failure for one in needed])
