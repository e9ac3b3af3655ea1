"""How far a call is: what can be said of each of its commands at any time, also when the gateway has to stop."""

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
    """What a command is about, as far as it is known, and what the audit log says of it."""

    detail: str
    site: str | None = None
    key: JobKey | None = None
    db_id: int | None = None
    tag: Tag | None = None


@dataclass(slots=True)
class Progress:
    """The commands of one call by their numbers: which were begun (``begun``), and what those came to that have ended."""

    subjects: list[Subject]
    begun: dict[int, str | None] = field(default_factory=dict)
    results: dict[int, WriteResult] = field(default_factory=dict)

    def begin(self, number: int, site: str) -> None:
        """The command is being executed at ``site``."""
        self.begun[number] = site

    @property
    def is_begun(self) -> bool:
        """Whether anything may have been sent."""
        return bool(self.begun)

    def under_way(self) -> list[int]:
        """The commands that were begun and have not ended."""
        return [number for number in self.begun if number not in self.results]

    def so_far(self) -> Sequence[WriteResult]:
        """One result for each command: its own, ``UNKNOWN`` if it is under way, else that nothing was sent."""
        return [self.results.get(number) or self._cut(number) for number in range(len(self.subjects))]

    def _cut(self, number: int) -> WriteResult:
        about = self.subjects[number]
        unsent = WriteResult(
            outcome=WriteOutcome.FAILED, site=about.site, key=about.key, db_id=about.db_id, tag=about.tag, code=Code.STOPPING,
            message=NOT_SENT, retryable=True,
        )  # fmt: skip
        if number not in self.begun:
            return unsent
        return replace(unsent, outcome=WriteOutcome.UNKNOWN, site=self.begun[number], message=CUT)
