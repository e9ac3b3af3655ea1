"""What callers ask the gateway and what they get back: plain values shared by every surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from ccgateway.errors import Code, RequestError, SiteError, whole_seconds
from ccgateway.identity.principal import Principal
from ccgateway.jobs.clusters import Cluster, User
from ccgateway.jobs.filters import JobFilter, JobOrder
from ccgateway.jobs.metrics import Forms, JobRef, MetricPiece
from ccgateway.jobs.model import JobRow, Tag
from ccgateway.site.breaker import BreakerState
from ccgateway.site.facts import Latency

__all__ = [
    "EVERYTHING", "Answer", "BreakerState", "JobListAnswer", "JobListQuestion", "JobMetricsAnswer", "PageRequest", "Policy",
    "ReportStatus", "SiteCluster", "SiteReads", "SiteReport", "SiteStatus", "SiteTag", "SiteUser",
]  # fmt: skip

T = TypeVar("T")

#: the size of a page that holds everything
EVERYTHING = -1


class Policy(StrEnum):
    """What to do when a site does not answer."""

    PARTIAL = "PARTIAL"
    STRICT = "STRICT"

    def of(self, caller: Principal) -> Policy:
        """What holds for ``caller``, who may be one that no part of an answer is given."""
        return Policy.STRICT if caller.refuses_parts else self


class ReportStatus(StrEnum):
    """How one site took part in an answer."""

    OK = "OK"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(slots=True)
class SiteReport:
    """What one site contributed to one answer.

    ``OK``: everything asked. ``PARTIAL``: something is missing, ``code`` and ``message`` say what. ``FAILED``: nothing (more)
    came. ``SKIPPED``: not asked, and nothing is missing because of it. ``retry_after``: seconds after which to ask again, where
    that is known; ``elapsed``: seconds spent on the site; ``calls`` counts
    HTTP requests to it, ``scanned`` jobs read from it, ``returned`` jobs of it in the answer; ``cache_age``: seconds since the
    oldest part of what was known already was read, ``None`` if nothing was.
    """

    site: str
    number: int
    status: ReportStatus = ReportStatus.OK
    code: Code | None = None
    message: str | None = None
    retryable: bool = False
    retry_after: int | None = None
    elapsed: float = 0.0
    calls: int = 0
    scanned: int = 0
    returned: int = 0
    cache_age: float | None = None
    notes: list[str] = field(default_factory=list)

    def note_failure(self, error: SiteError) -> None:
        """Marks the site as failed with ``error``."""
        self.status, self.code, self.message, self.retryable = ReportStatus.FAILED, error.code, error.message, error.retryable
        self.retry_after = whole_seconds(error.retry_after)

    def note_gap(self, code: Code, message: str, *, retryable: bool = False) -> None:
        """Marks the site's part as incomplete, unless it already failed."""
        if self.status is not ReportStatus.FAILED:
            self.status, self.code, self.message, self.retryable = ReportStatus.PARTIAL, code, message, retryable

    @property
    def failure(self) -> SiteError:
        """What is missing, as an error."""
        code, wait = self.code or Code.INTERNAL, self.retry_after
        return SiteError(code, self.site, self.message or "", retryable=self.retryable, retry_after=wait)

    @property
    def is_complete(self) -> bool:
        """Whether nothing of this site is missing from the answer."""
        return self.status in (ReportStatus.OK, ReportStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """Items of several sites and what each site came to."""

    items: list[T]
    reports: list[SiteReport]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Page number (from 1) and size; size −1 means everything."""

    number: int = 1
    size: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class JobListQuestion:
    """A question for jobs.

    ``first``/``after`` read on from a cursor; ``page`` skips instead (not both). ``fields``: the row attributes the answer
    will show (``ccgateway.jobs.model.JOB_FIELDS``). ``wants_count``: whether that is shown; ``wants_jobs``: whether the jobs
    are, or whether there are more. ``waits_for_all``: sites that are slower than others are waited for, whatever the policy.
    """

    filters: Sequence[JobFilter] = ()
    order: JobOrder = field(default_factory=JobOrder)
    first: int | None = None
    after: str | None = None
    page: PageRequest | None = None
    sites: Sequence[str] | None = None
    policy: Policy = Policy.PARTIAL
    fields: frozenset[str] = frozenset()
    wants_count: bool = False
    wants_jobs: bool = True
    waits_for_all: bool = False

    def __post_init__(self) -> None:
        if self.page is not None and (self.first is not None or self.after is not None):
            raise RequestError(Code.BAD_REQUEST, "Ask for pages by cursor (first, after) or by number (page), not both.")
        if self.first is not None and self.first < 0:
            raise RequestError(Code.BAD_REQUEST, f"first: {self.first} is below 0.")
        if self.page is not None and (self.page.number < 1 or self.page.size < EVERYTHING or self.page.size == 0):
            raise RequestError(
                Code.BAD_REQUEST, "page: the number starts at 1; itemsPerPage is at least 1, or -1 for everything."
            )


@dataclass(frozen=True, slots=True)
class JobListAnswer:
    """One page of the merged list. ``complete``: nothing that matches is missing from this page, and no site is."""

    rows: list[JobRow]
    reports: list[SiteReport]
    end_cursor: str | None
    has_next_page: bool
    complete: bool
    count: int | None = None
    offset: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class JobMetricsAnswer:
    """One job's metrics, in the order asked for, and what its site says about them (``report.notes``). ``job``: which one,
    where that is known without another question to the site; ``forms``: of pieces that are kept."""

    pieces: list[MetricPiece]
    report: SiteReport
    job: JobRef | None = None
    forms: Forms | None = None


@dataclass(frozen=True, slots=True)
class SiteCluster:
    """A cluster and the site that has it."""

    site: str
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class SiteUser:
    """A user account and the site that has it."""

    site: str
    user: User


@dataclass(frozen=True, slots=True)
class SiteTag:
    """A tag (its ``id`` is one site's own, and means nothing here) and the sites that have it, by number."""

    tag: Tag
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SiteReads:
    """How the caller's jobs of a site are read (``way``: ``query``, the site's own GraphQL where that takes less work, or
    ``rest``), and ``why``."""

    way: str
    why: str


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """One configured site as it is now.

    ``release``: as configured or found (``None``: not yet known); ``reachable``: whether it just answered; ``since``: epoch
    seconds since when that is so; ``elapsed``: seconds its answer took; ``last_error``: the newest failure, ``last_error_at``
    its time; ``latency``: how long it takes, for those who may see everything. ``page_url``: where its own pages are; that and
    ``reads`` are ``None`` where the caller is not let in. ``breaker``: whether its failures keep questions from it, since
    ``breaker_since``.
    """

    name: str
    number: int
    release: str | None
    configured_release: str
    required: bool
    reachable: bool
    since: float
    elapsed: float | None
    last_error: SiteError | None
    last_error_at: float | None
    capabilities: list[str]
    latency: Latency | None = None
    same_as: str | None = None
    page_url: str | None = None
    reads: SiteReads | None = None
    breaker: BreakerState = BreakerState.CLOSED
    breaker_since: float = 0.0
