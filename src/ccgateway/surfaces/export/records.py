"""The records of an export beside its rows: what was asked, where it can be taken up again, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from ccgateway.errors import FederationError, GatewayError
from ccgateway.federation.questions import SiteReport

__all__ = ["VERSION", "Begin", "End", "Failure", "Mark", "SiteEnd", "SiteRelease", "failure_of", "moment", "site_end", "written"]

#: of the format; a reader refuses one that it does not know
VERSION = 1

_ENCODER = msgspec.json.Encoder()


class SiteRelease(msgspec.Struct):
    """A site that is asked, and its release; null while that is not known."""

    name: str
    release: str | None


class Begin(msgspec.Struct, rename="camel"):
    """The first record. ``resumed_at``: rows that were given before, where this goes on with an export."""

    export: str
    version: int
    query: Mapping[str, str | Sequence[str]]
    columns: Sequence[str]
    as_of: str
    policy: str
    sites: Sequence[SiteRelease]
    resumed_at: int = 0


class Mark(msgspec.Struct):
    """Between rows: with ``resume`` the export goes on from here. ``rows``: given so far in all, earlier answers included."""

    resume: str
    rows: int


class SiteEnd(msgspec.Struct):
    """What one site came to. ``rows``: of it in this answer."""

    site: str
    status: str
    rows: int
    code: str | None = None
    message: str | None = None
    retryable: bool = False
    notes: Sequence[str] = ()


class Failure(msgspec.Struct):
    """Why the export ended before its end. ``retryable``: going on with the last token may help, a little later."""

    code: str
    message: str
    site: str | None
    retryable: bool


class End(msgspec.Struct, rename="camel", kw_only=True):
    """The last record. ``rows`` and ``sha256`` (of the row lines, line ends included) are those of this answer, and come after
    ``resumed_at`` others. ``resume``: where an export that failed goes on. ``notes``: what its reader should know of it."""

    end: bool = True
    rows: int
    sha256: str | None
    complete: bool
    sites: Sequence[SiteEnd]
    error: Failure | None = None
    resumed_at: int = 0
    resume: str | None = None
    notes: Sequence[str] = ()


def written(record: Begin | Mark | End) -> bytes:
    """A record as one line, without its end."""
    return _ENCODER.encode(record)


def moment(seconds: int) -> str:
    """Epoch seconds as ``…Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def site_end(report: SiteReport, rows: int) -> SiteEnd:
    """What ``report`` says."""
    code = report.code.value if report.code is not None else None
    return SiteEnd(report.site, report.status.value, rows, code, report.message, report.retryable, report.notes)


def failure_of(error: GatewayError) -> Failure:
    """What ``error`` says, with the words of the sites that caused it."""
    causes = error.causes if isinstance(error, FederationError) else ()
    message = " ".join([error.message, *(f"{one.site}: {one.code.value}: {one.message}" for one in causes)])
    site = error.site or (causes[0].site if len(causes) == 1 else None)
    return Failure(error.code.value, message, site, error.retryable)
