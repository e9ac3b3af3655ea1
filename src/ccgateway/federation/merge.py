"""The k-way merge of the sites' lists: their streams, read side by side, cut where all of them are complete."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ccgateway.cache.facade import TagSnapshot
from ccgateway.deadline import Deadline
from ccgateway.errors import SiteError
from ccgateway.federation.duplicates import DuplicateSiteDetector
from ccgateway.federation.merge_source import MergeSource, PushdownResult
from ccgateway.federation.scatter import Ask, scatter
from ccgateway.jobs.conditions import EARLIEST
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.jobs.ordering import Position, in_total_order, position_of, take_through
from ccgateway.site.queries.completing import Completed
from ccgateway.site.reading import ROW_BYTES, JobStream
from ccgateway.traffic.scopes import RequestScope, current_scope, give_way, let_go

__all__ = ["Merge", "push_down"]

#: the first page when everything is wanted
FIRST_PAGE = 1000
#: rows asked for beyond those of interest, as a page's last second is put aside: of large pages so many, else one in sixteen
CUT_OFF = 10
#: the first page of a scan, when nothing is known of how many rows will match
FIRST_SCAN = 100
#: jobs that are in hand while all are counted
COUNTED_AT_ONCE = 20_000
#: jobs read beyond which a request is a deep one
DEEP = 10_000


@dataclass(slots=True)
class Merge:
    """The sites' streams as one list, read until ``want`` jobs are final, everything is read, or a site's ``budget`` is spent.

    ``after``: where the list begins. ``ready``: final jobs in total order. ``stopped_at``: the second down to which the answer is
    complete when the budget ended it, else ``None``. ``answered``: whether any site has answered yet. ``pages``: which page of
    the list this is, from 1. ``snapshot``: a moment before its first row was read; ``None`` if it must not be kept open.
    ``counted``: jobs that were ready, and are no longer there (``count``).
    """

    sources: list[MergeSource]
    duplicates: DuplicateSiteDetector
    budget: int
    patience: float | None
    after: Position | None = None
    ready: list[JobRow] = field(default_factory=list)
    answered: bool = False
    stopped_at: int | None = None
    pages: int = 1
    snapshot: TagSnapshot | None = None
    counted: int = 0

    async def collect(self, want: float) -> None:
        """Reads until ``want`` jobs are known, all but the last of them ready (``math.inf``: until all are)."""
        while True:
            live = [source for source in self.sources if source.live]
            floor = max((source.live.floor for source in live if source.live), default=EARLIEST)
            self._finish(floor)
            if self.known >= want or not live:
                return
            readable = [source for source in live if source.live and source.live.scanned < source.live.limit(self.budget)]
            if any(source.live and source.live.floor == floor and source not in readable for source in live):
                self.stopped_at = floor
                return
            scope = current_scope()
            if isinstance(scope, RequestScope) and sum(source.live.scanned for source in live if source.live) > DEEP:
                await scope.deepen(self.sources[0].deadline)
            await self._read(readable, want)
            await give_way()

    async def count(self) -> None:
        """Reads everything, and lets go of it as soon as it is counted."""
        while not self.exhausted and self.stopped_at is None:
            await self.collect(COUNTED_AT_ONCE)
            self.counted += len(self.ready)
            let_go(ROW_BYTES * len(self.ready))
            self.ready = []

    async def complete(self, attributes: frozenset[str], size: int) -> bool:
        """Completes the first ``size`` of the ready jobs where they lack some of the attributes. Whether any of them is gone."""
        lacking: dict[str, list[JobRow]] = {}
        shown = self.ready[:size]
        short = {kind for kind in set(map(type, shown)) if not all(hasattr(kind, name) for name in attributes)}
        for row in shown if short else ():
            if type(row) in short:
                lacking.setdefault(row.site, []).append(row)
        if not lacking:
            return False
        sources = {source.instance.name: source for source in self.sources}
        questions = [
            Ask(source.instance, _completing(source, source.stream, rows, attributes), source.due, patient=True)
            for name, rows in lacking.items()
            if (source := sources[name]).stream is not None
        ]
        completed: dict[JobKey, JobRow] = {}
        for name, outcome in (await scatter(questions, patience=None)).items():
            if isinstance(outcome, SiteError):
                sources[name].fail(outcome)
            else:
                completed |= outcome.rows
        before = len(self.ready)
        gone = {row.key for rows in lacking.values() for row in rows} - completed.keys()
        self.ready = [completed.get(row.key, row) for row in self.ready if row.key not in gone]
        return len(self.ready) < before

    @property
    def exhausted(self) -> bool:
        """Whether every site has been read to its end."""
        return not any(source.live for source in self.sources)

    @property
    def is_whole(self) -> bool:
        """Whether nothing went wrong so far: no site failed, no job was left out, no budget was spent."""
        return self.stopped_at is None and not any(source.failed or source.has_gaps for source in self.sources)

    @property
    def known(self) -> int:
        """The ready jobs, and one more where it is known that others come after them: to tell that, nothing has to be read."""
        held = (
            source.stream is not None and (source.stream.rows or (source.live and source.stream.goes_on))
            for source in self.sources
        )
        return len(self.ready) + (bool(self.ready) and any(held))

    @property
    def held_rows(self) -> int:
        """Rows in memory: final ones and those still waiting."""
        return len(self.ready) + sum(len(source.stream.rows) for source in self.sources if source.stream)

    def begin_page(self, given: int, deadline: Deadline) -> None:
        """Goes on to the next page after ``given`` jobs: new reports, new deadlines, budgets from the start."""
        self.pages += 1
        self.answered = False
        self.ready = self.ready[given:]
        self.sources = [source.for_next_page(deadline) for source in self.sources]

    async def renew(self, deadline: Deadline) -> bool:
        """Takes over the deadline of the request that now reads, and its credentials: whether they still stand for the same."""
        for source in self.sources:
            source.deadline, source.spent = deadline, 0.0
            if source.stream is not None and not await source.renew_credential(source.stream):
                return False
        return True

    async def _read(self, readable: list[MergeSource], want: float) -> None:
        lacking = want - self.held_rows
        if lacking <= 0:
            # enough is known: read the others just down to where the page will end
            down_to, most = self._start_of(int(want)), want - len(self.ready)
            asks = [
                (source, _span_size(source, most), down_to) for source in readable if source.live and source.live.floor > down_to
            ]
        else:
            shares = sum(source.share for source in readable)  # of those that have been read to their end nothing more comes
            asks = [(source, _size(source, lacking, source.share / shares), EARLIEST) for source in readable]
        await self._round(asks)

    def _start_of(self, rank: int) -> int:
        """The start second of the job of that rank (from 1) among all that are held."""
        starts = [row.start_time for row in self.ready]
        starts += [row.start_time for source in self.sources if source.stream for row in source.stream.rows]
        return sorted(starts, reverse=True)[rank - 1]

    async def _round(self, asks: Iterable[tuple[MergeSource, int, int]]) -> None:
        questions: list[Ask[bool]] = []
        sources = {source.instance.name: source for source in self.sources}
        for source, size, down_to in asks:
            stream, required, due = source.live, source.instance.settings.required, source.due
            if stream is not None:
                source.last_size = min(
                    size, stream.limit(self.budget) - stream.scanned + 1
                )  # one more tells whether that was all
                if self.answered and self.patience is not None and not required and len(self.sources) > 1:
                    due = due.within(self.patience)  # others wait for this page already
                questions.append(Ask(source.instance, _reading(source, stream, source.last_size, down_to), due, patient=required))
        outcomes = await scatter(questions, patience=self.patience, is_answer=bool)
        for name, outcome in outcomes.items():
            if isinstance(outcome, SiteError):
                sources[name].fail(outcome)
            elif outcome:
                self.answered = True

    def _finish(self, floor: int) -> None:
        """Moves what has become final to ``ready``, in order."""
        batch: list[JobRow] = []
        given: list[tuple[MergeSource, list[JobRow]]] = []
        for source in self.sources:
            if source.stream is not None and source.stream.rows:
                final, source.stream.rows = take_through(source.stream.rows, floor)
                batch += final
                given.append((source, final))
        clusters = [(source, {row.cluster for row in final}) for source, final in given] if len(given) > 1 else []
        for i, (first, names) in enumerate(clusters):
            for second, others in clusters[i + 1 :]:
                if names & others and (doubled := _doubled(batch, first, second)):
                    batch = self._without_doubles(batch, doubled, first, second)
        batch = in_total_order(batch)
        if self.after is not None:  # only now: a job is given twice also where its first giving was on the page before
            batch = batch[bisect_right(batch, self.after, key=position_of) :]
        self.ready += batch

    def _without_doubles(
        self, batch: list[JobRow], doubled: set[JobKey], first: MergeSource, second: MergeSource
    ) -> list[JobRow]:
        """``batch`` without the jobs that ``second`` gives again, if the two sites are one and the same instance."""
        if not self.duplicates.are_one(first.instance, second.instance):
            self.duplicates.suspect(first.instance, second.instance)
            second.looks_like = first.instance
            return batch
        second.duplicate_of = first.instance
        return [row for row in batch if row.key not in doubled]


async def push_down(merge: Merge, ask: Callable[[MergeSource, JobStream], Awaitable[PushdownResult | None]]) -> None:
    """Has every site answer for itself that can: the others are still to be read. Not those that are one and the same instance as
    another, whose jobs must be seen to be listed, and counted, once."""
    if any(source.duplicate_of is not None for source in merge.sources):
        return
    sources = {source.instance.name: source for source in merge.sources}
    questions = [
        Ask(source.instance, _pushing_down(source, stream, ask), source.due, patient=source.instance.settings.required)
        for source in merge.sources
        if (stream := source.live) is not None
    ]
    outcomes = await scatter(questions, patience=merge.patience, is_answer=lambda pushed_down: pushed_down is not None)
    for name, outcome in outcomes.items():
        if isinstance(outcome, SiteError):
            sources[name].fail(outcome)
        else:
            sources[name].pushed_down = outcome
            merge.answered = merge.answered or outcome is not None


def _completing(
    source: MergeSource, stream: JobStream, rows: Sequence[JobRow], attributes: frozenset[str]
) -> Callable[[], Awaitable[Completed]]:
    async def run() -> Completed:
        begun = asyncio.get_running_loop().time()
        stream.context = replace(stream.context, deadline=source.due)
        try:
            completed = await source.instance.complete(stream.context, rows, attributes)
        finally:
            source.spent += asyncio.get_running_loop().time() - begun
        stream.unreadable += completed.unreadable
        if not source.hides_others:
            stream.scanned += completed.scanned
        return completed

    return run


def _pushing_down(
    source: MergeSource, stream: JobStream, ask: Callable[[MergeSource, JobStream], Awaitable[PushdownResult | None]]
) -> Callable[[], Awaitable[PushdownResult | None]]:
    async def run() -> PushdownResult | None:
        begun = asyncio.get_running_loop().time()
        stream.context = replace(stream.context, deadline=source.due)
        try:
            return await ask(source, stream)
        finally:
            source.spent += asyncio.get_running_loop().time() - begun

    return run


def _reading(source: MergeSource, stream: JobStream, size: int, down_to: int) -> Callable[[], Awaitable[bool]]:
    return lambda: source.read(stream, size, down_to)


def _size(source: MergeSource, lacking: float, share: float) -> int:
    """Rows to ask of a site that gives about that share of what is lacking: a little more than expected; of a filtered list twice
    as many as the last time, as there is no telling where matches stand. Rounded up where pages are shared: shares differ a
    little from question to question, and so would the pages."""
    stream = source.live
    if stream is None:
        return 0
    if math.isinf(lacking):
        return source.at_pace(max(FIRST_PAGE, source.last_size * 2))
    expected = lacking * min(1.0, share * 1.25) / max(stream.selectivity, 0.01)
    least = FIRST_SCAN if stream.scanned == 0 and stream.is_filtered else 0
    before = source.last_size * 2 if stream.is_filtered else source.last_size // 2
    size = max(math.ceil(expected) + min(2 + int(expected / 16), CUT_OFF), least, before)
    return source.at_pace(_rounded(size) if stream.site.shares_pages else size)


def _rounded(size: int) -> int:
    """Up to a number with three leading binary digits, at most a quarter more."""
    step = 1 << max(size.bit_length() - 3, 0)
    return -(-size // step) * step


def _span_size(source: MergeSource, most: float) -> int:
    """Rows to ask of a site that has ``most`` of interest at the most, in a span that may hold many more."""
    return source.at_pace(math.ceil(most / max(source.live.selectivity if source.live else 1.0, 0.01)) + CUT_OFF)


def _doubled(batch: list[JobRow], first: MergeSource, second: MergeSource) -> set[JobKey]:
    """The jobs of ``second`` that ``first`` has as well: same cluster, number, start and database id."""
    keys = {(row.key[1:], row.id) for row in batch if row.site == first.instance.name}
    return {row.key for row in batch if row.site == second.instance.name and (row.key[1:], row.id) in keys}
