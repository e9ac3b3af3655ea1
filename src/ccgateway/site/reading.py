"""One site's jobs, newest first, read so that none is lost or doubled while jobs start, stop and vanish.

By start time, not by offset: a page of ``[earliest, latest]`` is read, its last second put aside (the page may have cut it),
and the next page ends with that second. A second that fills a whole page is read alone, in one page large enough for all of
it. After each step the stream is complete down to ``floor``: every matching job that started in ``floor`` or later is known.

One job whose archive entry the site cannot read fails every page that holds it (HTTP 500). What is newer is read first: down to
the job that the site's error names, or else by halving the page until it is found. Then its second is read job by job, and
it is left out and remembered in ``unreadable``.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import EARLIEST, END_OF_TIME, LATEST
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.site.base import JobsWanted, PageFailedError, Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.outage import RememberedFailureError
from ccgateway.site.releases import ListPage, Window
from ccgateway.tasks import side_by_side
from ccgateway.traffic.scopes import hold, rows_at_once

__all__ = ["JobStream", "Unreadable"]

#: rows of one page at the most: a real site needs about 0.1 ms for each and cuts the connection after 10 or 20 s
LARGEST_PAGE = 5000
#: rows of one second that are still read in one page, so that nothing can shift between two
LARGEST_SECOND = 40_000
#: jobs of one second at the most: more are no cluster's
MOST_OF_A_SECOND = 200_000
#: jobs of a second that are read one by one
MOST_SINGLES = 2000
#: unreadable jobs, and pages that failed because of them, after which the site counts as broken
MOST_UNREADABLE, MOST_FAILED_PAGES = 200, 500

#: into how many steps the eighth of a budget that may be left is divided
STEPS = 1 << 12

#: what a job that is kept takes of memory, roughly
ROW_BYTES = 512


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A job that the site lists but cannot read: its start second, and its key where the site's error names it."""

    second: int
    key: JobKey | None = None

    @property
    def is_beyond(self) -> bool:
        """Whether its start time is one that no job can have."""
        return self.second > LATEST

    def __str__(self) -> str:
        if self.key is None and self.is_beyond:
            return "jobs that the site cannot list"
        if self.key is None:
            return f"a job started at {self.second}"
        return f"job {self.key.job_id} of {self.key.cluster}, started at {self.key.start_time}"


class JobStream:
    """The matching jobs of one site that started at ``latest`` or earlier, step by step.

    ``site``: who is asked for pages that need not be of the same moment as others; its ``origin`` is for all else.

    ``rows``: matching rows read and not yet taken, in no particular order. ``floor``: complete down to this second.
    ``done``: there is nothing below. ``scanned``: rows read, matching or not. ``goes_on``: matching rows just below ``floor``
    were seen, and put aside.
    """

    def __init__(self, site: Site, context: CallContext, wanted: JobsWanted, *, latest: int = LATEST) -> None:
        self.site = site
        self.context = context
        self.rows: list[JobRow] = []
        self.unreadable: list[Unreadable] = []
        self.scanned = 0
        self.goes_on = False
        self._seen = self._matched = self._failed_pages = 0
        self._total: int | None = None
        self._failure: SiteError | None = None
        self._wanted = wanted
        self._earliest = max(EARLIEST, wanted.conditions.earliest)
        self._next = min(latest, wanted.conditions.latest, LATEST)
        self._page_limit = LARGEST_PAGE
        self._began = False
        self._left = secrets.randbelow(STEPS)

    @property
    def done(self) -> bool:
        """Whether everything that can match has been read."""
        return self._next < self._earliest or self._wanted.conditions.never

    @property
    def wanted(self) -> JobsWanted:
        """Which jobs, and what of them."""
        return self._wanted

    @property
    def total(self) -> int | None:
        """How many jobs match in all, where it is known: from the first page, or as all have been read."""
        if self.done:
            return self._matched
        return self._total if self._total is not None and self._total >= self._matched else None

    @property
    def floor(self) -> int:
        """The second down to which everything is known."""
        return self._next + 1

    @cached_property
    def is_filtered(self) -> bool:
        """Whether the gateway may have to drop many of the rows that it reads."""
        return self.site.origin.drops_rows(self.context.credential, self._wanted)

    @property
    def matched(self) -> int:
        """Rows that matched, since the stream began."""
        return self._matched

    @property
    def selectivity(self) -> float:
        """The share of rows read so far that matched; 1 while nothing was read."""
        return self._matched / self._seen if self._seen else 1.0

    def begin(self, context: CallContext) -> None:
        """Goes on under another context, counting rows from 0 again."""
        self.context, self.scanned = context, 0
        self._left = secrets.randbelow(STEPS)

    def limit(self, budget: int) -> int:
        """How many of the ``budget`` jobs may be read. Where other people's are dropped that is another number each time, up to
        an eighth less: else halving a window until it fits the budget would tell when those began.
        """
        if not self.site.origin.hides_others(self.context.credential):
            return budget
        return budget - budget * self._left // (8 * STEPS)

    async def read(self, size: int, *, down_to: int = EARLIEST) -> None:
        """Reads one page of about ``size`` rows, none of them from before ``down_to``. Lowers ``floor``, unless ``done``."""
        ids = self._wanted.conditions.db_ids
        self.goes_on = False
        if self.done:
            return
        if ids is not None:
            await self._read_ids(ids)
            return
        window = Window(max(self._earliest, down_to), self._next)
        if window.earliest > window.latest:
            return
        size = max(1, min(rows_at_once(self.site.name, size), self._page_limit))
        if window.latest == LATEST and not self._began and not await self._begin(window, size):
            return
        while True:
            try:
                page = await self._page(window, size, of=self.site)
            except PageFailedError as failure:
                named = self._named(failure)
                if named is not None and window.earliest <= named.start_time <= window.latest:
                    if named.start_time == window.latest:
                        await self._read_singly(named.start_time, failure)
                        return
                    window = Window(named.start_time + 1, window.latest)
                elif size > 1:
                    size = self._page_limit = max(1, size // 2)
                else:
                    await self._pass_unreadable(window, failure)
                    return
                continue
            break
        self._page_limit = min(LARGEST_PAGE, self._page_limit * 4)
        await self._take(page, window, size)

    async def _begin(self, window: Window, size: int) -> bool:
        """Reads the newest page without an upper end: what starts at times that no job can have is counted, and comes first.

        Whether the newest page has still to be read.
        """
        self._began = True
        if not self.site.health.lists_all_times:
            self.unreadable.append(Unreadable(LATEST + 1))
            return True
        whole = Window(window.earliest, END_OF_TIME)
        try:
            page = await self._page(whole, size, of=self.site)
        except PageFailedError as failure:
            named = self._named(failure)
            if named is not None and named.start_time <= LATEST:
                return True
            try:
                page = await self._page(window, size, of=self.site)
            except PageFailedError:
                return True  # what it cannot read is not beyond, or not only
            self.site.health.note_bounded()
            self.unreadable.append(Unreadable(named.start_time if named is not None else LATEST + 1, named))
            await self._take(page, window, size)
            return False
        beyond = [row for row in page.matching if row.start_time > LATEST]
        if not page.rows or page.rows[0].start_time <= LATEST:
            await self._take(page, whole, size)
            return False
        self.unreadable += [Unreadable(row.start_time, row.key) for row in beyond]
        return True

    async def _page(self, window: Window, size: int, page: int = 1, *, of: Site | None = None) -> ListPage:
        try:
            found = await (of or self.site.origin).page(self.context, self._wanted, window, size=size, page=page)
        except RememberedFailureError:
            if self._failure is not None:  # this very question was among those that the site failed
                raise self._failure from None
            raise
        except PageFailedError as failure:
            self._failure = SiteError(failure.code, failure.site, failure.message)
            self._failed_pages += 1
            if self._failed_pages > MOST_FAILED_PAGES:
                raise self._failure from None
            raise
        self.scanned += len(found.rows)
        self._seen += len(found.rows)
        return found

    async def _take(self, page: ListPage, window: Window, size: int) -> None:
        self._check_order(page.rows, window)
        if not self._seen - len(page.rows) and window.earliest == self._earliest:
            self._total = page.total  # of all that there is
        if len(page.rows) < size:
            self._keep(page.matching)
            self._next = window.earliest - 1
            return
        last = page.rows[-1].start_time
        if page.rows[0].start_time > last:
            final = [row for row in page.matching if row.start_time > last]
            self.goes_on = len(final) < len(page.matching)
            self._keep(final)
            self._next = last
            return
        await self._read_second(last, size * 4)

    def _check_order(self, rows: list[JobRow], window: Window) -> None:
        starts = [row.start_time for row in rows]
        is_within = not starts or (starts[0] <= window.latest and starts[-1] >= window.earliest)
        if not is_within or starts != sorted(starts, reverse=True):
            message = "The site's list is not what was asked for: start times are not in order or not in the window."
            raise SiteError(Code.WRONG_RELEASE, self.site.name, message)

    def _keep(self, rows: list[JobRow]) -> None:
        hold(ROW_BYTES * len(rows))
        self._matched += len(rows)
        self.rows += rows

    async def _read_second(self, second: int, size: int) -> None:
        """Every job of one second, in one page; in several, without doubles, if they are too many for one."""
        window = Window(second, second)
        try:
            page = await self._page(window, size)
            while len(page.rows) == size < LARGEST_SECOND:
                size = min(size * 4, LARGEST_SECOND)
                page = await self._page(window, size)
            seen = {row.key for row in page.rows}
            found = {row.key: row for row in page.matching}
            number = 1
            while len(page.rows) == size:
                number += 1
                page = await self._page(window, size, number)
                known = len(seen)
                seen.update(row.key for row in page.rows)
                if len(seen) == known and page.rows:
                    message = "The site's pages repeat themselves: it does not heed which page was asked for."
                    raise SiteError(Code.WRONG_RELEASE, self.site.name, message)
                if len(seen) > MOST_OF_A_SECOND:
                    message = f"More than {MOST_OF_A_SECOND} jobs of the site started in one second."
                    raise SiteError(Code.ANSWER_TOO_LARGE, self.site.name, message)
                found.update((row.key, row) for row in page.matching)
        except PageFailedError as failure:
            await self._read_singly(second, failure)
            return
        self._keep(list(found.values()))
        self._next = second - 1

    # --- jobs that cannot be read

    async def _pass_unreadable(self, window: Window, failure: PageFailedError) -> None:
        """The newest job of ``window`` cannot be read: finds its second and reads the others of that second."""
        # a site that fails on an empty window as well is broken altogether
        try:
            await self.site.origin.page(self.context, self._wanted, Window(1, 0), size=1)
        except PageFailedError:
            raise failure from None
        low, high = window.earliest, window.latest
        while low < high:
            middle = (low + high + 1) // 2
            try:
                upper = await self._page(Window(middle, high), 1)
            except PageFailedError:
                low = middle
                continue
            if upper.rows:  # the newest job can be read now: another of its second came first, or it is a new one
                await self._read_second(upper.rows[0].start_time, 4)
                return
            high = middle - 1
        await self._read_singly(low, failure)

    async def _read_singly(self, second: int, failure: PageFailedError) -> None:
        found: dict[JobKey, JobRow] = {}
        missed: list[Unreadable] = []
        number = 1
        while True:
            try:
                page = await self._page(Window(second, second), 1, number)
            except PageFailedError as single:
                missed.append(Unreadable(second, self._named(single)))
                if len(self.unreadable) + len(missed) > MOST_UNREADABLE:
                    raise failure from None
            else:
                if not page.rows:
                    break
                found.update((row.key, row) for row in page.matching)
            number += 1
            if number > MOST_SINGLES:
                raise failure from None
        self.unreadable += missed
        self._keep(list(found.values()))
        self._next = second - 1

    def _named(self, failure: PageFailedError) -> JobKey | None:
        """The job whose archive entry the site's own error names."""
        return JobKey(self.site.name, *failure.entry) if failure.entry is not None else None

    # --- jobs asked for by database id

    async def _read_ids(self, ids: frozenset[int]) -> None:
        tests = self._wanted.conditions.items
        attributes = self._wanted.attributes.union(*(condition.needs for condition in tests))
        rows: list[JobRow | None] = []
        left = iter(sorted(ids))

        async def work_off() -> None:
            for db_id in left:  # shared by all who work
                rows.append(await self.site.job(self.context, db_id, attributes))  # noqa: PERF401 - as they come

        async with side_by_side() as group:
            for _ in range(min(len(ids), self.site.settings.concurrency)):
                group.create_task(work_off())
        found = [row for row in rows if row is not None]
        self.scanned += len(found)
        self._seen += len(found)
        within = [row for row in found if self._earliest <= row.start_time <= self._next]
        self._keep([row for row in within if all(condition.test(row) for condition in tests)])
        self._next = self._earliest - 1
