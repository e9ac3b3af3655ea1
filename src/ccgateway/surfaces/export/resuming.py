"""What an export is of, so that one that was cut goes on with the same: the moment it began at, and where it was."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.conditions import RECENT
from ccgateway.jobs.filters import JobFilter, TimeRange

__all__ = ["VERSION", "Resume", "until"]

#: of the form of tokens
VERSION = 2
#: the last second that has a date, and more rows than any export has: beyond, a token is none of ours
END_OF_TIME, MOST_ROWS = 253_402_300_799, 1 << 53


class Resume(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where an export goes on: after ``rows`` rows, at ``cursor`` (``None``: at its beginning), as of ``as_of`` (epoch seconds).

    ``digest``: of the question that it belongs to. ``missing``: sites of which something was missing before. ``latest``: of a
    slice, the second from which on, backwards, its pieces are still to be read.
    """

    version: int
    digest: str
    as_of: int
    rows: int
    cursor: str | None
    missing: tuple[str, ...]
    latest: int | None = None

    def encode(self) -> str:
        """The opaque text that clients hand back."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str | None, digest: str) -> Resume:
        """The token in ``text``, or the beginning of an export that begins now; ``INVALID_CURSOR`` if it is no token, or one of
        another question."""
        if text is None:
            return cls(VERSION, digest, int(time.time()), 0, None, ())
        try:
            packed = base64.b64decode(text[:8192] + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            found = msgspec.msgpack.decode(packed, type=cls)
        except (ValueError, msgspec.MsgspecError):
            raise RequestError(Code.INVALID_CURSOR, "resume: this is no token of an export. Start without one.") from None
        is_sound = 0 <= found.rows <= MOST_ROWS and 0 <= found.as_of <= END_OF_TIME and abs(found.latest or 0) <= END_OF_TIME
        if found.version != VERSION or found.digest != digest or not is_sound:
            message = (
                "resume: this token belongs to another export: filters, columns, shard, running or sites differ, or who asks; or "
                "the gateway has other sites, or another version, than it had then. Start without one."
            )
            raise RequestError(Code.INVALID_CURSOR, message)
        return found


def until(filters: Sequence[JobFilter], as_of: int) -> tuple[JobFilter, ...]:
    """``filters``, of what had started at ``as_of`` (epoch seconds), from which times that are a while ago are counted."""
    return (*(_fixed(one, as_of) for one in filters), JobFilter(start_time=TimeRange(None, as_of)))


def _fixed(wanted: JobFilter, as_of: int) -> JobFilter:
    window = wanted.start_time
    if window is None or window.range not in RECENT or (window.from_, window.to) != (None, None):
        return wanted
    return replace(wanted, start_time=TimeRange(as_of - RECENT[window.range], None))
