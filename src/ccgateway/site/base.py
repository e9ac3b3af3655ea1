"""The protocol by which sites are asked: questions in the gateway's words, answers in the gateway's words.

::

    Site    what can be asked of a site ── Instance (of ``instance``) asks it, CachingSite (of ``caching``) stands before one
    JobsWanted, MetricsFound, PageFailedError    what questions are about, and how they end
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ccgateway.deadline import Deadline
from ccgateway.errors import SiteError
from ccgateway.identity.principal import Principal
from ccgateway.jobs.clusters import Cluster, User
from ccgateway.jobs.conditions import Conditions
from ccgateway.jobs.metrics import Forms, JobRef, MetricPiece, MetricsWanted
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.statistics.counting import SiteStatistics, StatisticsWanted
from ccgateway.jobs.statistics.footprints import Footprints, FootprintsWanted, HeatmapWanted, JobSummaries, SummariesWanted
from ccgateway.settings import SiteSettings
from ccgateway.site.credentials import Credential, Proofs
from ccgateway.site.exchange import CallContext
from ccgateway.site.health import SiteHealth
from ccgateway.site.releases import ListPage, Window

if TYPE_CHECKING:
    from ccgateway.jobs.filters import JobOrder
    from ccgateway.jobs.ordering import Cursor
    from ccgateway.site.instance import Instance
    from ccgateway.site.queries.completing import Completed
    from ccgateway.site.queries.first_jobs import FirstJobs
    from ccgateway.site.queries.reader import Tally
    from ccgateway.site.queries.ways import ReadingWay

__all__ = ["JobsWanted", "MetricsFound", "PageFailedError", "Site"]


class PageFailedError(SiteError):
    """The site failed on a page of its list (HTTP 500), as it does when it cannot read one job's archive entry.

    ``entry``: (cluster, job number, start second) of that job, where the site's own words name it.
    """

    def __init__(self, failure: SiteError, body: bytes) -> None:
        super().__init__(failure.code, failure.site, failure.message)
        match = _ENTRY.search(body[:4096])
        self.entry = (match[1].decode(), int(match[2]) * 1000 + int(match[3]), int(match[4])) if match else None


#: the end of an archive entry's path: ``/<cluster>/<jobId / 1000>/<jobId % 1000>/<startTime>/meta.json``
_ENTRY = re.compile(rb"/([\w.@+-]{1,100})/(\d{1,15})/(\d{3})/(\d{1,12})/meta\.json")


@dataclass(frozen=True, slots=True)
class JobsWanted:
    """Which jobs of one site, and which attributes of them (beyond what the conditions need themselves).

    ``by_number``: whether the page is one by its number, so that whatever else is read has to be read the same way.
    ``later``: attributes that rows may lack where they take reading a job another way, to be completed in those that are shown.
    """

    conditions: Conditions
    attributes: frozenset[str]
    later: frozenset[str] = frozenset()
    by_number: bool = False


@dataclass(frozen=True, slots=True)
class MetricsFound:
    """A job's metrics as the site gave them, in the order asked for, and what callers should know about them. ``job``: which one,
    where it was looked up; ``forms``: of pieces that are kept."""

    pieces: list[MetricPiece]
    notes: tuple[str, ...] = ()
    job: JobRef | None = None
    forms: Forms | None = None


class Site(Protocol):
    """One site. Every question raises ``SiteError`` if it comes to nothing."""

    name: str
    number: int
    settings: SiteSettings
    health: SiteHealth
    proofs: Proofs

    @property
    def origin(self) -> Instance:
        """The site itself, past every layer that answers in its stead: for what has to be known as it is now, and for writes."""
        ...

    @property
    def shares_pages(self) -> bool:
        """Whether those who ask for the same page at about the same time get the same one."""
        ...

    @property
    def release(self) -> str | None:
        """The release as configured or found; ``None`` while it is not known."""
        ...

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the site's release can do; empty while it is not known."""
        ...

    @property
    def context_is_local(self) -> bool:
        """Whether ``context`` asks nobody, so that it takes no time."""
        ...

    async def context(self, caller: Principal, deadline: Deadline, *, insists: bool = True) -> CallContext:
        """What calls on behalf of ``caller`` are made in. Raises ``NO_CREDENTIAL`` if there is no token for that
        caller, or the caller is bound to another site. ``insists``: the site is asked also while it is known to be down."""
        ...

    def known_failure(self, context: CallContext) -> SiteError | None:
        """What a list comes to for sure, in a context that does not insist: the site is known to be down, and nothing that was
        listed before is remembered."""
        ...

    async def page(self, context: CallContext, wanted: JobsWanted, window: Window, *, size: int, page: int = 1) -> ListPage:
        """One page of the site's list, newest first, and which of its rows match. ``PageFailedError`` on HTTP 500."""
        ...

    async def job(self, context: CallContext, db_id: int, attributes: frozenset[str]) -> JobRow | None:
        """The job with that database id, or ``None`` if there is none that the credential may see."""
        ...

    async def metrics(self, context: CallContext, job: JobRef, wanted: MetricsWanted) -> MetricsFound:
        """The metrics of that job, at the scopes that the site has them at, also where others were asked for.

        ``NOT_FOUND`` if there is no such job that the credential may see; ``SITE_UNAUTHORIZED`` if it may see the job, but not
        its metrics; ``SITE_ERROR`` if the site cannot read them. Neither says anything about the site's health.
        """
        ...

    async def known_metrics(
        self, context: CallContext, jobs: Sequence[JobRef], wanted: MetricsWanted
    ) -> Mapping[JobRef, MetricsFound]:
        """The metrics of those of the jobs for which the site need not be asked."""
        ...

    async def clusters(self, context: CallContext, *, with_partitions: bool) -> list[Cluster]:
        """The site's clusters; their partitions only if asked for, as they take a request of their own."""
        ...

    async def users(self, context: CallContext) -> list[User]:
        """The site's user table; needs an admin's token."""
        ...

    async def statistics(self, context: CallContext, wanted: StatisticsWanted, *, budget: int) -> SiteStatistics:
        """Figures of the jobs that match. ``budget``: jobs that may be read for it; ``SCAN_BUDGET`` where that takes more."""
        ...

    async def footprints(self, context: CallContext, wanted: FootprintsWanted, *, budget: int) -> Footprints:
        """Averages of metrics of every job that matches; ``SCAN_BUDGET`` for more jobs than ``budget``."""
        ...

    async def heatmap(self, context: CallContext, wanted: HeatmapWanted, *, budget: int) -> list[list[float]]:
        """Samples of every job that matches; ``UNSUPPORTED`` where the site tells none, ``SCAN_BUDGET`` as ``footprints``."""
        ...

    async def summaries(self, context: CallContext, wanted: SummariesWanted, *, budget: int) -> JobSummaries:
        """Statistics of metrics of every job that matches, oldest first; ``SCAN_BUDGET`` as ``footprints``."""
        ...

    async def greet(self, context: CallContext) -> None:
        """Reads at most one job, to see that the site answers and its release fits."""
        ...

    async def count(self, context: CallContext, wanted: JobsWanted) -> Tally | None:
        """How many jobs match now, exactly; ``None`` where only reading them tells."""
        ...

    async def first(
        self, context: CallContext, wanted: JobsWanted, order: JobOrder, *, size: int, after: Cursor | None
    ) -> FirstJobs | None:
        """The first ``size`` jobs after ``after`` in that order, which is not the total one; ``None`` where only reading all of
        them tells."""
        ...

    async def complete(self, context: CallContext, rows: Sequence[JobRow], attributes: frozenset[str]) -> Completed:
        """The jobs of these rows, read again with all of the attributes."""
        ...

    def drops_rows(self, credential: Credential, wanted: JobsWanted) -> bool:
        """Whether pages may hold many rows that do not match, as far as is known."""
        ...

    def reads(self, credential: Credential) -> ReadingWay:
        """How jobs are read with that credential, and why."""
        ...

    def lacking(self, wanted: JobsWanted) -> list[str]:
        """Notes on conditions that need what the site's release does not keep."""
        ...

    def hides_others(self, credential: Credential) -> bool:
        """Whether other people's jobs come from the site and are dropped here: then nothing about them may be told."""
        ...
