"""The port: what layers report of their work, to whoever counts it."""

from __future__ import annotations

from enum import StrEnum

from ccgateway.telemetry.requests import RequestRecord

__all__ = ["CallOutcome", "Observer"]


class CallOutcome(StrEnum):
    """How one HTTP request to a site ends."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"
    BUSY = "busy"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    LOST = "lost"
    BAD = "bad"
    CANCELLED = "cancelled"

    @classmethod
    def of_status(cls, status: int) -> CallOutcome:
        """By the status of an answer."""
        if status < 300:
            return cls.OK
        if status in (429, 502, 503, 504):
            return cls.BUSY
        return cls.REFUSED if status < 500 else cls.FAILED


class Observer:
    """Takes in what happened; this one keeps nothing. Methods neither block nor raise."""

    def request_began(self) -> None:
        """A request is being answered."""

    def request_ended(self, record: RequestRecord, seconds: float) -> None:
        """It has its answer, or none any more."""

    def call_began(self, site: str) -> None:
        """An HTTP request goes to a site."""

    def call_ended(self, site: str, outcome: CallOutcome, seconds: float) -> None:
        """It ended."""

    def site_changed(self, site: str, failure: str | None) -> None:
        """A site is not asked any more, for that reason; ``None``: it is asked again."""

    def place_waited_for(self, site: str, seconds: float) -> None:
        """A request had to wait for one of the places at a site."""

    def redis_called(self, seconds: float) -> None:
        """One exchange with Redis ended."""

    def loop_came_round(self, seconds: float) -> None:
        """The event loop took so long to come round. Called from another thread than the other methods."""

    def written(self, operation: str, outcome: str) -> None:
        """A write came to ``outcome`` (of ``WriteOutcome``)."""

    def rows_exported(self, format_name: str, rows: int) -> None:
        """So many rows were written by an export."""
