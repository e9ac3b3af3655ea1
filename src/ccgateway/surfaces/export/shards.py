"""One of several slices of an export, which parallel readers share out: of the time, so that each reads its own part only.

Time is cut into pieces at moments that never change, and a job is where it started. So it is in one slice, and stays there,
whoever asks, as of whenever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ccgateway.federation.batches import JobBatch, JobBatches, together
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion, SiteReport
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import JobFilter, TimeRange
from ccgateway.jobs.model import ALWAYS

__all__ = ["MOST_SHARDS", "PIECE", "Shard", "ShardBatches"]

#: seconds of a piece of time, some five hours: small beside a week, so that slices are alike; large beside what a question costs;
#: and no simple part of a day, so that none has the nights and another the mornings
PIECE = 19_000
#: slices of one export at the most
MOST_SHARDS = 1024


@dataclass(frozen=True, slots=True)
class Shard:
    """Slice ``number`` (from 1) of ``of``: of as many pieces in a row, it has one."""

    number: int
    of: int

    def has(self, second: int) -> bool:
        """Whether jobs that start in that second (since 1970) are in this slice."""
        return second // PIECE % self.of == self.number - 1

    def newest(self, second: int) -> tuple[int, int]:
        """The first and the last second of the slice's newest piece that begins at ``second`` or before."""
        piece = second // PIECE
        piece -= (piece - self.number + 1) % self.of
        return piece * PIECE, piece * PIECE + PIECE - 1


@dataclass(slots=True)
class ShardBatches:
    """The jobs of one slice as ``JobBatches`` gives all of them: newest first, some at a time.

    ``latest``: the second from which on, backwards, pieces are read, none later than the question's own window; with the cursor
    of a batch it tells where to go on. Where a piece is empty, the next job of any slice is looked for, so that a time without
    jobs costs one question, however long it is.
    """

    gateway: Gateway
    question: JobListQuestion
    caller: Principal
    size: int
    shard: Shard
    latest: int
    _earliest: int | None = field(init=False)
    _piece: JobBatches | None = None
    _look: JobBatches | None = None
    _first: int = 0
    _is_empty: bool = True
    _reports: dict[str, SiteReport] = field(default_factory=dict)

    def __post_init__(self) -> None:
        windows = [one.start_time for one in self.question.filters if one.start_time is not None]
        self._earliest = max((one.from_ for one in windows if one.from_ is not None), default=None)

    @property
    def reports(self) -> Sequence[SiteReport]:
        """One report for each site asked, by number."""
        found = dict(self._reports)
        _add(found, self._piece)
        _add(found, self._look)
        return sorted(found.values(), key=lambda report: report.number)

    async def next(self) -> JobBatch | None:
        """The next batch, which may be empty; ``None`` after the last."""
        if self._look is not None:
            return await self._looked(self._look)
        if self._piece is None:
            self._first, last = self.shard.newest(self.latest)
            if self._earliest is not None and last < self._earliest:
                return None
            self.latest, self._is_empty = last, self.question.after is None
            self._piece = self._asked(self._first, last, self.size)
            self.question = replace(self.question, after=None)
        batch = await self._piece.next()
        if batch is None:
            raise AssertionError("a list has ended that was not over")
        self._is_empty = self._is_empty and not batch.rows
        if not batch.is_last:
            return batch
        _add(self._reports, self._piece)
        self._piece, self.latest = None, self._first - 1
        if self._is_empty:
            self._look = self._asked(None, self.latest, 1)
        return replace(batch, resume=None, is_last=False)

    async def _looked(self, look: JobBatches) -> JobBatch | None:
        batch = await look.next()
        if batch is None:
            raise AssertionError("a look has ended that was not over")
        if batch.rows or batch.is_last:
            _add(self._reports, look)
            self._look = None
        if batch.rows:
            self.latest = batch.rows[0].start_time
        elif batch.is_last:
            return replace(batch, resume=None)
        return replace(batch, rows=(), resume=None, is_last=False)

    def _asked(self, first: int | None, last: int, size: int) -> JobBatches:
        """The jobs that start in those seconds; of one that is only looked for, when it started."""
        window = JobFilter(start_time=TimeRange(first, last))
        question = replace(self.question, filters=(*self.question.filters, window))
        if first is None:
            question = replace(question, fields=ALWAYS)
        return self.gateway.job_batches(question, self.caller, size=size, most=None if first is not None else 1)


def _add(found: dict[str, SiteReport], batches: JobBatches | None) -> None:
    for report in batches.reports if batches is not None else ():
        known = found.get(report.site)
        found[report.site] = report if known is None else together(known, report)
