"""Every error of a response: ``{message, path?, locations?, extensions {code, retryable, site?}}``.

A ``GatewayError`` speaks for itself; a ``FederationError`` is followed by one entry per site that caused it; a gap (a site that
is missing from an answer that stands) is an entry too. Whatever else happens is ours: it is logged with its traceback under the
request's id, and the caller is told that id and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from graphql import GraphQLError

from ccgateway.errors import CODES, Code, FederationError, GatewayError
from ccgateway.jobs.statistics.figures import Exactness
from ccgateway.surfaces.graphql.context import Gap
from ccgateway.telemetry.requests import note_error

__all__ = [
    "Entry",
    "Refusal",
    "exactness_entry",
    "field_entries",
    "gap_entry",
    "gateway_entries",
    "internal_entry",
    "request_entries",
]

Entry: TypeAlias = dict[str, Any]

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 1000


class Refusal(Exception):  # noqa: N818 - not a fault of the program
    """A request that is not executed: its error entries, the first one's code, and the HTTP status that goes with it."""

    def __init__(self, code: Code, entries: Sequence[Entry], *, status: int | None = None) -> None:
        super().__init__(code)
        self.code, self.entries = code, list(entries)
        self.retry_after: int | None = self.entries[0]["extensions"].get("retryAfter") if self.entries else None
        self.status = CODES[code].http if status is None else status

    @classmethod
    def of(cls, error: GatewayError) -> Refusal:
        """The refusal that ``error`` comes to."""
        return cls(error.code, gateway_entries(error))

    @classmethod
    def because(cls, code: Code, message: str, *, status: int | None = None) -> Refusal:
        """The refusal with one entry."""
        return cls(code, [_entry(code, message)], status=status)


def exactness_entry(path: Sequence[str | int], one: Exactness) -> Entry:
    """How far one figure of a field can be trusted; ``offBy``: how much the true value may differ, if that is known."""
    off_by = None if one.at_least is None or one.at_most is None else one.at_most - one.at_least
    return {"path": list(path), "figure": one.figure, "quality": one.quality.value, "offBy": off_by, "reason": one.reason}


def request_entries(code: Code, errors: Iterable[GraphQLError]) -> list[Entry]:
    """What graphql-core says about a document or its variables, before anything is executed."""
    return [_entry(code, _shortened(error.message), where=error) for error in errors]


def _shortened(message: str) -> str:
    """graphql-core repeats whole values in its messages."""
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…"


def gateway_entries(error: GatewayError, where: GraphQLError | None = None) -> list[Entry]:
    """``error``, and behind a ``FederationError`` its causes."""
    causes = error.causes if isinstance(error, FederationError) else ()
    return [_located(one.as_entry(), where) for one in (error, *causes)]


def field_entries(error: GraphQLError, request_id: str) -> list[Entry]:
    """What a field's execution ended with."""
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, GatewayError):
        return gateway_entries(cause, error)
    # graphql-core raises its own errors without a cause, or, about arguments, with the nodes that are wrong;
    # without nodes they are about our values, such as an integer that does not fit its type.
    if cause is None or (isinstance(cause, GraphQLError) and cause.nodes):
        return [_entry(Code.BAD_REQUEST, _shortened(error.message), where=error)]
    return [_located(internal_entry(cause, request_id), error)]


def gap_entry(gap: Gap) -> Entry:
    """A site that is missing, wholly or in part, from an answer that stands."""
    report = gap.report
    entry = _entry(report.code or Code.INTERNAL, report.message or "incomplete", retryable=report.retryable, site=report.site)
    if report.retry_after is not None:
        entry["extensions"]["retryAfter"] = report.retry_after
    return {**entry, "path": list(gap.path)}


def internal_entry(cause: BaseException, request_id: str) -> Entry:
    """Logs ``cause`` with its traceback and gives the entry that tells the caller no more than where to look."""
    note_error(Code.INTERNAL)
    log.error("request %s: internal error", request_id, exc_info=cause)
    return _entry(Code.INTERNAL, f"internal error, request id {request_id}")


def _entry(
    code: Code, message: str, *, retryable: bool | None = None, site: str | None = None, where: GraphQLError | None = None
) -> Entry:
    error = GatewayError(code, message, site=site, retryable=retryable)
    return _located({"message": message, "extensions": error.extensions()}, where)


def _located(entry: Entry, where: GraphQLError | None) -> Entry:
    if where is not None and where.path is not None:
        entry["path"] = list(where.path)
    if where is not None and where.locations:
        entry["locations"] = [{"line": spot.line, "column": spot.column} for spot in where.locations]
    return entry
