"""Every error the gateway can report, drawn once.

::

    GatewayError                 has a Code; the table below gives its HTTP and gRPC status
    ├── SettingsError            the operator's file: which key, what is wrong, what to do
    ├── RequestError             the caller's question cannot be answered as asked
    ├── FederationError          no answer may be given: every site failed, or one that must not
    └── SiteError                what asking one site came to (never takes the other sites down)

Foreign exceptions (HTTP library, JSON, GraphQL, Redis) are turned into these at the one place where that library is used.
Messages are written for the person who reads them and never hold a token or a key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

__all__ = [
    "CODES",
    "Code",
    "CodeRow",
    "FederationError",
    "GatewayError",
    "RequestError",
    "SettingsError",
    "SiteError",
    "clean",
    "forget_frames",
    "redact",
    "whole_seconds",
    "without_tokens",
]


class Code(StrEnum):
    """Stable error codes, as clients see them in ``extensions.code``."""

    # the caller
    BAD_REQUEST = "BAD_REQUEST"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    INVALID_CURSOR = "INVALID_CURSOR"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    ISSUER_UNAVAILABLE = "ISSUER_UNAVAILABLE"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    UNKNOWN_SITE = "UNKNOWN_SITE"
    UNKNOWN_CLUSTER = "UNKNOWN_CLUSTER"
    AMBIGUOUS_CLUSTER = "AMBIGUOUS_CLUSTER"
    AMBIGUOUS_JOB = "AMBIGUOUS_JOB"
    CONFLICT = "CONFLICT"
    READ_ONLY = "READ_ONLY"
    RATE_LIMITED = "RATE_LIMITED"
    OVERLOADED = "OVERLOADED"
    SCAN_BUDGET = "SCAN_BUDGET"
    # one site
    NO_CREDENTIAL = "NO_CREDENTIAL"
    TIMEOUT = "TIMEOUT"
    UNREACHABLE = "UNREACHABLE"
    CONNECTION_LOST = "CONNECTION_LOST"
    SITE_UNAUTHORIZED = "SITE_UNAUTHORIZED"
    SITE_REFUSED = "SITE_REFUSED"
    SITE_BUSY = "SITE_BUSY"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    SITE_ERROR = "SITE_ERROR"
    BAD_ANSWER = "BAD_ANSWER"
    ANSWER_TOO_LARGE = "ANSWER_TOO_LARGE"
    WRONG_RELEASE = "WRONG_RELEASE"
    UNSUPPORTED = "UNSUPPORTED"
    UNREADABLE_JOBS = "UNREADABLE_JOBS"
    DUPLICATE_SITE = "DUPLICATE_SITE"
    # all of them, and us
    ALL_SITES_FAILED = "ALL_SITES_FAILED"
    INCOMPLETE = "INCOMPLETE"
    SETTINGS = "SETTINGS"
    STOPPING = "STOPPING"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class CodeRow:
    """How one code shows on each surface: HTTP status, gRPC status name, what it means to people, and whether asking again may
    help."""

    http: int
    grpc: str
    meaning: str
    retryable: bool = False


CODES: dict[Code, CodeRow] = {
    Code.BAD_REQUEST: CodeRow(400, "INVALID_ARGUMENT", "an argument, a parameter or the body cannot be used as it is"),
    Code.GRAPHQL_PARSE_FAILED: CodeRow(400, "INVALID_ARGUMENT", "the document is not GraphQL"),
    Code.GRAPHQL_VALIDATION_FAILED: CodeRow(400, "INVALID_ARGUMENT", "the document does not fit the schema"),
    # 200: the client sends the text then, nothing went wrong
    Code.PERSISTED_QUERY_NOT_FOUND: CodeRow(
        200, "NOT_FOUND", "no text with this hash was sent before by this caller to this process: send it together with the hash"
    ),
    Code.INVALID_CURSOR: CodeRow(
        400, "INVALID_ARGUMENT", "`after` is not a cursor, or one of another filter, order or choice of sites"
    ),
    Code.LIMIT_EXCEEDED: CodeRow(
        400, "RESOURCE_EXHAUSTED", "the query is too deep, too long, too costly, lists too much, or asks for too large a page"
    ),
    Code.BODY_TOO_LARGE: CodeRow(413, "RESOURCE_EXHAUSTED", "the request's body is larger than `limits.body_bytes`"),
    Code.UNAUTHENTICATED: CodeRow(401, "UNAUTHENTICATED", "the caller has to say who it is, or what it shows is not accepted"),
    Code.ISSUER_UNAVAILABLE: CodeRow(
        503,
        "UNAVAILABLE",
        "the issuer cannot be asked now: for the keys to check the caller's token with, or to sign somebody in",
        retryable=True,
    ),
    Code.FORBIDDEN: CodeRow(
        403,
        "PERMISSION_DENIED",
        "the caller may not do that, or the request came under a foreign host name or from a foreign page",
    ),
    Code.NOT_FOUND: CodeRow(404, "NOT_FOUND", "there is no such job, or the site does not show it"),
    Code.UNKNOWN_SITE: CodeRow(404, "NOT_FOUND", "no site of that name is configured"),
    Code.UNKNOWN_CLUSTER: CodeRow(404, "NOT_FOUND", "no site has a cluster of that name"),
    Code.AMBIGUOUS_CLUSTER: CodeRow(409, "FAILED_PRECONDITION", "several sites have a cluster of that name: name the site"),
    Code.AMBIGUOUS_JOB: CodeRow(409, "FAILED_PRECONDITION", "several sites have a job with that key: name the site"),
    Code.CONFLICT: CodeRow(
        409,
        "FAILED_PRECONDITION",
        "what is there already does not allow it: a job that was stopped otherwise, a tag of that type and name in "
        "another scope, an idempotency key that was used for something else",
    ),
    Code.READ_ONLY: CodeRow(403, "PERMISSION_DENIED", "the settings let nothing be written at that site"),
    Code.RATE_LIMITED: CodeRow(
        429,
        "RESOURCE_EXHAUSTED",
        "the caller writes too much at once, or its answers and requests under way fill its share: later (`Retry-After`)",
        retryable=True,
    ),
    Code.OVERLOADED: CodeRow(
        503, "UNAVAILABLE", "the gateway has more to do than it can, so it did nothing: later (`Retry-After`)", retryable=True
    ),
    Code.SCAN_BUDGET: CodeRow(
        422,
        "RESOURCE_EXHAUSTED",
        "more jobs would have to be read than `limits.scan_budget`; in a page, the cursor goes on where reading stopped",
    ),
    Code.NO_CREDENTIAL: CodeRow(
        403, "PERMISSION_DENIED", "the gateway has no token for this caller at the site, so it was not asked"
    ),
    Code.TIMEOUT: CodeRow(504, "DEADLINE_EXCEEDED", "the site did not answer in time", retryable=True),
    Code.UNREACHABLE: CodeRow(502, "UNAVAILABLE", "no connection to the site could be made", retryable=True),
    Code.CONNECTION_LOST: CodeRow(502, "UNAVAILABLE", "the connection broke before the answer was complete", retryable=True),
    Code.SITE_UNAUTHORIZED: CodeRow(
        502, "PERMISSION_DENIED", "the site refuses the gateway's token, or what that token asks for"
    ),
    Code.SITE_REFUSED: CodeRow(502, "FAILED_PRECONDITION", "the site refuses the question"),
    Code.SITE_BUSY: CodeRow(503, "UNAVAILABLE", "the site, or the proxy in front of it, says it is too busy", retryable=True),
    Code.CIRCUIT_OPEN: CodeRow(
        503, "UNAVAILABLE", "the site failed a moment ago and was not asked now; later (`retryAfter`)", retryable=True
    ),
    Code.SITE_ERROR: CodeRow(502, "UNAVAILABLE", "the site failed while answering", retryable=True),
    Code.BAD_ANSWER: CodeRow(
        502, "UNAVAILABLE", "what the site sent is not an answer: a web page, nothing, broken JSON, a redirect"
    ),
    Code.ANSWER_TOO_LARGE: CodeRow(502, "RESOURCE_EXHAUSTED", "the site's answer is larger than `sites.NAME.answer_bytes`"),
    Code.WRONG_RELEASE: CodeRow(502, "FAILED_PRECONDITION", "the site's answer does not fit the release it is configured for"),
    Code.UNSUPPORTED: CodeRow(501, "UNIMPLEMENTED", "the site's release cannot do that"),
    Code.UNREADABLE_JOBS: CodeRow(502, "DATA_LOSS", "the site cannot read some of its own jobs; they were left out"),
    Code.DUPLICATE_SITE: CodeRow(
        409,
        "FAILED_PRECONDITION",
        "the site is the same instance as another one, by its address or `sites.NAME.same_as`; that one stands for both",
    ),
    Code.ALL_SITES_FAILED: CodeRow(502, "UNAVAILABLE", "no site answered", retryable=True),
    Code.INCOMPLETE: CodeRow(
        503, "UNAVAILABLE", "a site is missing that must not be (`STRICT`, or a required one)", retryable=True
    ),
    Code.SETTINGS: CodeRow(500, "FAILED_PRECONDITION", "the gateway's settings cannot be used"),
    Code.STOPPING: CodeRow(
        503,
        "UNAVAILABLE",
        "the gateway is stopping: nothing was sent, or (with the outcome `UNKNOWN`) it may have taken effect",
        retryable=True,
    ),
    Code.INTERNAL: CodeRow(500, "INTERNAL", "a mistake in the gateway; its log has the details under the id in the message"),
}


#: what moves a terminal's cursor, hides text or turns it around: controls (C0 and C1), bidirectional and invisible marks, line
#: ends of Unicode, tag letters; and halves of characters, which cannot be written at all
_UNSEEN = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f"
    "\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\ud800-\\udfff\\U000e0000-\\U000e0fff]"
)
_SPACES = frozenset("\t\n\v\f\r\x85\u2028\u2029")


def clean(text: str) -> str:
    """``text`` as it may reach a terminal, a log, an audit line or a message: on one line, without characters that nobody sees
    but that change what is seen. Line ends and tabs become spaces, the others the replacement character."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: " " if found[0] in _SPACES else "\ufffd", text)


def forget_frames(error: BaseException) -> None:
    """Lets go of where ``error`` was raised and what it was made of. Their frames hold whatever was at hand there, an answer of
    megabytes for one, as long as somebody holds the error, which one of them may do itself."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    original = getattr(error, "original_error", None)  # graphql-core's
    if isinstance(original, BaseException):
        forget_frames(original)


class GatewayError(Exception):
    """An error with a code of the table above.

    ``code``: the stable code; ``message``: for people; ``site``: the site it concerns, if one; ``retryable``: whether
    the same question may be answered a little later.
    """

    def __init__(self, code: Code, message: str, *, site: str | None = None, retryable: bool | None = None) -> None:
        message = clean(message)
        super().__init__(message)
        self.code = code
        self.message = message
        self.site = site
        self.retryable = CODES[code].retryable if retryable is None else retryable

    @property
    def row(self) -> CodeRow:
        """The code's row of the table."""
        return CODES[self.code]

    def again(self) -> Self:
        """The same for one more who waited for what came to it: with frames of its own, none of which knows it."""
        same = self.__class__.__new__(self.__class__, *self.args)
        same.__dict__.update(self.__dict__)
        return same

    def extensions(self) -> dict[str, str | bool | int]:
        """What a GraphQL error carries beside its message: ``{code, retryable, site?}``."""
        found: dict[str, str | bool | int] = {"code": self.code.value, "retryable": self.retryable}
        if self.site is not None:
            found["site"] = self.site
        return found

    def as_entry(self) -> dict[str, object]:
        """The error as one of ``errors`` in a body."""
        return {"message": self.message, "extensions": self.extensions()}


class FederationError(GatewayError):
    """No answer that may be given: all sites failed, or one that must not. ``causes``: the sites' own errors; it may pass where
    one of them may."""

    def __init__(self, code: Code, message: str, causes: Sequence[SiteError]) -> None:
        super().__init__(code, message, retryable=any(cause.retryable for cause in causes) if causes else None)
        self.causes = tuple(causes)


class SettingsError(GatewayError):
    """The settings cannot be used: names the key, what is wrong with its value, and the remedy."""

    def __init__(self, key: str, problem: str, remedy: str) -> None:
        super().__init__(Code.SETTINGS, f"{key}: {problem}. {remedy}")
        self.key, self.problem, self.remedy = key, problem, remedy


class RequestError(GatewayError):
    """The caller's question cannot be answered as it was asked. ``retry_after``: seconds after which it may be asked again."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        site: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message, site=site, retryable=retryable)
        self.retry_after = retry_after

    def extensions(self) -> dict[str, str | bool | int]:
        """As ``GatewayError``, and ``retryAfter`` (s)."""
        return _with_wait(super().extensions(), self.retry_after)


class SiteError(GatewayError):
    """What asking one site came to, when it came to nothing."""

    site: str

    def __init__(
        self, code: Code, site: str, message: str, *, retryable: bool | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(code, message, site=site, retryable=retryable)
        self.retry_after = retry_after

    def extensions(self) -> dict[str, str | bool | int]:
        """As ``GatewayError``, and ``retryAfter`` (s) where that is known."""
        return _with_wait(super().extensions(), self.retry_after)


def _with_wait(found: dict[str, str | bool | int], seconds: float | None) -> dict[str, str | bool | int]:
    wait = whole_seconds(seconds)
    return found if wait is None else {**found, "retryAfter": wait}


def whole_seconds(seconds: float | None) -> int | None:
    """``retry_after`` as callers are told it: whole seconds, 1 at least; ``None`` where it is not known."""
    return None if seconds is None else max(1, math.ceil(seconds))


#: what of a site's text is looked at: nothing beyond is shown, and patterns cost time
_LOOKED_AT = 2000
_JOIN = r"(?:\.|%2[eE]|\s{0,3}\.\s{0,3})"
_TOKEN = re.compile(
    rf"(?<![\w-])[\w-]{{8,1024}}{_JOIN}[\w-]{{8,1024}}{_JOIN}[\w-]{{8,1024}}|(?i:bearer)\s+\S{{1,2000}}|ccg_[\w-]{{20,1024}}"
)
_SQL_VERB = re.compile(r"\b(?:select|insert|update|delete)\b", re.IGNORECASE)
_SQL_PART = re.compile(r"\b(?:from|into|set|where|values)\b", re.IGNORECASE)
_PLACE = re.compile(
    r"(?<![\w/])(?:\.{0,2}/[\w.@+-]{1,200}){2,20}/?"  # a path of the site's machine
    r"|\b\d{1,3}(?:\.\d{1,3}){3}:\d{1,5}\b|\[[0-9a-fA-F:]{3,39}\]:\d{1,5}\b"  # an address of its network
)


def without_tokens(text: str, *, limit: int) -> str:
    """One line of at most ``limit`` characters, everything in it that looks like a token replaced."""
    line = _TOKEN.sub("[redacted]", " ".join(clean(text[: limit + 1]).split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def redact(text: str, *, limit: int = 300) -> str:
    """A site's own words, fit to be shown: one line of at most ``limit`` characters without tokens, SQL statements, or paths and
    addresses of the site's inside."""
    line = without_tokens(text, limit=_LOOKED_AT)
    verb = _SQL_VERB.search(line)
    if verb is not None and _SQL_PART.search(line, verb.end()):
        return "the site answered with a database error (its SQL is not shown)"
    line = _PLACE.sub("[…]", line)
    return line if len(line) <= limit else line[: limit - 1] + "…"
