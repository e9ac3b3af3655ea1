"""One page of a site's list: how the site is asked for it, and what its answer says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ccgateway.jobs.model import JobRow
from ccgateway.site.base import JobsWanted
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.health import SiteHealth
from ccgateway.site.releases import Dialect, ListPage, ReadPlan, Window

__all__ = ["ListQuery"]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """``request``: all that decides the site's answer, beside the credential; not to be sent if ``plan.never``. ``size``: rows
    that the answer has at the most."""

    dialect: Dialect
    plan: ReadPlan
    request: SiteRequest
    size: int

    share: ClassVar[float] = 1.0

    @property
    def name(self) -> str:
        """What tells it from other lists of the site."""
        return f"{self.dialect.name} {self.request.path}"

    @property
    def attributes(self) -> frozenset[str]:
        """What rows have."""
        return self.plan.attributes

    @classmethod
    def of(
        cls, dialect: Dialect, credential: Credential, wanted: JobsWanted, window: Window, *, size: int, page: int
    ) -> ListQuery:
        """How a site of that dialect is asked."""
        plan = dialect.plan(wanted.conditions, wanted.attributes | wanted.later, credential)
        return cls(dialect, plan, dialect.list_request(dialect.root(credential), plan, window, size, page), size)

    def rows(self, answer: SiteAnswer, site: str) -> list[JobRow]:
        """Every row of the answer. Raises ``SiteError`` for what is no list."""
        return self.dialect.list_rows(answer, site, self.plan.attributes)

    def page(self, rows: Sequence[JobRow], health: SiteHealth) -> ListPage:
        """The rows, and those that match; counted in ``health``."""
        read = list(rows)
        health.note_read(len(read), is_residual=bool(self.plan.residual))
        return ListPage(read, self.plan.matching(read) if self.plan.residual else read)
