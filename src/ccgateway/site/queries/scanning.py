"""Every job of one site that matches, handed on page by page, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import Conditions
from ccgateway.jobs.model import JobRow
from ccgateway.site.base import JobsWanted, Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.reading import JobStream
from ccgateway.traffic.scopes import current_scope

__all__ = ["Scan"]

#: rows of the first page: each page has four times as many, up to what a page may have
FIRST_PAGE, LARGEST_PAGE = 500, 5000
#: jobs beyond which a scan is one of those of which only so many may run at a time
DEEP = 10_000


@dataclass(slots=True)
class Scan:
    """``budget``: jobs that may be read. ``scanned``: those that were. ``missed``: those that the site cannot read."""

    site: Site
    context: CallContext
    conditions: Conditions
    attributes: frozenset[str]
    budget: int
    scanned: int = 0
    missed: int = 0

    async def pages(self) -> AsyncIterator[list[JobRow]]:
        """The matching jobs. Raises ``SCAN_BUDGET`` where more would have to be read than may."""
        stream = JobStream(self.site.origin, self.context, JobsWanted(self.conditions, self.attributes))
        size, most = FIRST_PAGE, stream.limit(self.budget)
        while not stream.done:
            if stream.scanned >= most:
                raise beyond_budget(self.site.name, self.budget)
            scope = current_scope()
            if scope is not None and stream.scanned > DEEP:
                await scope.owner.deepen(self.context.deadline)
            await stream.read(min(size, most - stream.scanned + 1))
            size = min(size * 4, LARGEST_PAGE)
            rows, stream.rows = stream.rows, []
            yield rows
        hidden = self.site.hides_others(self.context.credential)
        self.scanned = stream.matched if hidden else stream.scanned
        self.missed = len(stream.unreadable)


def beyond_budget(site: str, budget: int) -> SiteError:
    """The error where counting takes more jobs than may be read."""
    message = f"Counting takes reading more than {budget} jobs of this site (limits.scan_budget); narrow the filter."
    return SiteError(Code.SCAN_BUDGET, site, message)
