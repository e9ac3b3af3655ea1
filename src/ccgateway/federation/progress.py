"""How far a call is: what can be said of each of its orders at any time, also when the gateway has to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ccgateway.errors import Code
from ccgateway.federation.closing import NOT_SENT
from ccgateway.jobs.model import JobKey, Tag
from ccgateway.jobs.writes import WriteOutcome, WriteResult

__all__ = ["Progress", "Subject"]

CUT = "The gateway stopped while this was under way: it may have taken effect."


@dataclass(frozen=True, slots=True)
class Subject:
    """What an order is about, as far as it is known, and what the audit log says of it."""

    detail: str
    site: str | None = None
    key: JobKey | None = None
    db_id: int | None = None
    tag: Tag | None = None


@dataclass(slots=True)
class Progress:
    """The orders of one call by their numbers: which were begun (``begun``), and what those came to that have ended."""

    subjects: list[Subject]
    begun: dict[int, str | None] = field(default_factory=dict)
    results: dict[int, WriteResult] = field(default_factory=dict)

    def begin(self, place: int, site: str) -> None:
        """The order is being carried out at ``site``."""
        self.begun[place] = site

    @property
    def is_begun(self) -> bool:
        """Whether anything may have been sent."""
        return bool(self.begun)

    def under_way(self) -> list[int]:
        """Orders that were begun and have not ended."""
        return [place for place in self.begun if place not in self.results]

    def so_far(self) -> Sequence[WriteResult]:
        """One result for each order: its own, ``UNKNOWN`` if it is under way, else that nothing was sent."""
        return [self.results.get(place) or self._cut(place) for place in range(len(self.subjects))]

    def _cut(self, place: int) -> WriteResult:
        about = self.subjects[place]
        unsent = WriteResult(
            outcome=WriteOutcome.FAILED, site=about.site, key=about.key, db_id=about.db_id, tag=about.tag, code=Code.STOPPING,
            message=NOT_SENT, retryable=True,
        )  # fmt: skip
        if place not in self.begun:
            return unsent
        return replace(unsent, outcome=WriteOutcome.UNKNOWN, site=self.begun[place], message=CUT)
