"""One site in a merge: its stream of jobs, the time it took, and the report on what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError
from ccgateway.federation.questions import SiteReport
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import JobRow
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallStats
from ccgateway.site.reading import JobStream, Unreadable

__all__ = ["MergeSource", "PushdownResult"]

#: seconds that one page may take a site, by the pace it showed so far, and rows that a page has at least
PAGE_SECONDS, LEAST_PAGE = 1.0, 20


@dataclass(frozen=True, slots=True)
class PushdownResult:
    """What a site worked out itself: how many of its jobs match, or which come first in the order asked for.

    ``scanned``: jobs that it sent for that.
    """

    scanned: int
    count: int = 0
    rows: Sequence[JobRow] = ()


@dataclass(slots=True)
class MergeSource:
    """One site in a merge.

    ``deadline``: of the request; the site itself has its own timeout for the time that it is asked (``spent``, s). ``stream`` is
    ``None`` if the site could not even be asked. ``share``: which part of the list's newest jobs are expected to be this site's.
    ``notes``: on the question as such, for this site. ``pushed_down``: what the site itself worked out, so that its jobs need
    not be read.
    """

    instance: Site
    caller: Principal
    report: SiteReport
    deadline: Deadline
    stream: JobStream | None = None
    share: float = 1.0
    failed: bool = False
    last_size: int = 0
    duplicate_of: Site | None = None
    looks_like: Site | None = None
    notes: Sequence[str] = ()
    spent: float = 0.0
    read_at: float = 0.0
    pushed_down: PushdownResult | None = None

    @property
    def live(self) -> JobStream | None:
        """The stream, while more has to be read from it."""
        is_over = self.stream is None or self.failed or self.stream.done or self.pushed_down is not None
        return None if is_over else self.stream

    @property
    def has_gaps(self) -> bool:
        """Whether what the site gave is known to be incomplete."""
        return bool(self.stream and self.stream.unreadable) or not self.report.is_complete

    @property
    def hides_others(self) -> bool:
        """Whether the gateway drops other people's jobs from what the site sends: then nothing about them may be told."""
        return self.stream is not None and self.instance.hides_others(self.stream.context.credential)

    def for_next_page(self, deadline: Deadline) -> MergeSource:
        """The same site in the next page of the same merge."""
        report = SiteReport(self.instance.name, self.instance.number)
        source = replace(self, report=report, deadline=deadline, failed=False, last_size=0, spent=0.0, pushed_down=None)
        if self.stream is not None:
            self.stream.begin(replace(self.stream.context, deadline=deadline, stats=CallStats()))
            self.stream.site = self.instance.origin  # who comes this far reads alone
        return source

    async def renew_credential(self, stream: JobStream) -> bool:
        """Whether the caller is proved to be whom it was when ``stream``, this source's own, began. A new token takes the old
        one's place."""
        try:
            credential = (await self.instance.context(self.caller, self.due)).credential
        except SiteError:
            return False
        before = stream.context.credential
        if credential is not before:
            stream.context = replace(stream.context, credential=credential)
        return self.instance.proofs.holds(credential) and credential.stands_as(before)

    @property
    def due(self) -> Deadline:
        """By when the site must answer now: what others took does not count against it."""
        return self.deadline.within(max(0.0, self.instance.settings.timeout - self.spent))

    async def read(self, stream: JobStream, size: int, down_to: int) -> bool:
        """Reads on in ``stream``, this source's own, on this site's time. Whether anything had to be read for that."""
        clock, stats = asyncio.get_running_loop().time, stream.context.stats
        begun, calls, recalled = clock(), stats.calls, stats.recalled
        stream.context = replace(stream.context, deadline=self.due)
        try:
            await stream.read(size, down_to=down_to)
        finally:
            self.spent += clock() - begun
            self.read_at = clock() if stats.oldest is None else stats.oldest
        return stats.calls > calls or stats.recalled > recalled

    def at_pace(self, rows: int) -> int:
        """``rows``, or as many as the site gives in ``PAGE_SECONDS``: one long page would run into the time limits."""
        scanned = self.stream.scanned if self.stream is not None else 0
        if not scanned or not self.spent:
            return rows
        return min(rows, max(int(scanned / self.spent * PAGE_SECONDS), LEAST_PAGE))

    def fail(self, error: SiteError) -> None:
        """Ends the source with ``error``; what was read before stays."""
        self.failed = True
        self.report.note_failure(error)

    def settle(self) -> None:
        """Writes what the stream went through into the report."""
        if self.stream is None:
            return
        way = self.instance.reads(self.stream.context.credential)
        self.report.notes = [*self.notes, *([f"reads: by REST. {way.why}"] if way.gave_way else [])]
        if self.looks_like is not None:
            both = f"{self.looks_like.name} and {self.instance.name}"
            message = f"sites {both} give the same jobs, and nothing proves that they are one instance: both are listed."
            self.report.notes.append(f"{Code.DUPLICATE_SITE}: {message}")
        if self.duplicate_of is not None:
            self.report.code = Code.DUPLICATE_SITE
            self.report.message = (
                f"The same instance as site {self.duplicate_of.name}: jobs that both give are listed once, there."
            )
        hidden, calls = self.hides_others, self.stream.context.stats.calls
        self.report.elapsed = round(self.spent, 6)
        # how many pages there were, and how many jobs on them, would tell by halving when other people's jobs began
        self.report.calls = 1 if hidden else calls
        given = self.pushed_down.scanned if self.pushed_down is not None else 0
        self.report.scanned = 0 if hidden else self.stream.scanned + given
        if missed := self.stream.unreadable:
            what = "1 job was" if len(missed) == 1 else f"{len(missed)} jobs were"
            shown = "; ".join(str(job) for job in missed[:5]) + ("; …" if len(missed) > 5 else "")
            if any(job.is_beyond and job.key is None for job in missed):
                what = "Some jobs were"
            if hidden:  # somebody else's, for all that is known
                what, shown = "Some jobs may have been", "whose they are is not known"
            self.report.note_gap(Code.UNREADABLE_JOBS, f"{what} left out, as {_why(missed)}: {shown}.")


def _why(missed: Sequence[Unreadable]) -> str:
    beyond = sum(job.is_beyond for job in missed)
    archive, time = "the site cannot read the archive entry", "no job starts at such a time (is it in milliseconds?)"
    return time if beyond == len(missed) else f"{archive}, or {time}" if beyond else archive
