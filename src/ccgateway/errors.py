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
    "redact",
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
    SCAN_BUDGET = "SCAN_BUDGET"
    # one site
    NO_CREDENTIAL = "NO_CREDENTIAL"
    TIMEOUT = "TIMEOUT"
    UNREACHABLE = "UNREACHABLE"
    CONNECTION_LOST = "CONNECTION_LOST"
    SITE_UNAUTHORIZED = "SITE_UNAUTHORIZED"
    SITE_REFUSED = "SITE_REFUSED"
    SITE_BUSY = "SITE_BUSY"
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
    """How one code shows on each surface: HTTP status, gRPC status name, and whether asking again may help."""

    http: int
    grpc: str
    retryable: bool = False


CODES: dict[Code, CodeRow] = {
    Code.BAD_REQUEST: CodeRow(400, "INVALID_ARGUMENT"),
    Code.GRAPHQL_PARSE_FAILED: CodeRow(400, "INVALID_ARGUMENT"),
    Code.GRAPHQL_VALIDATION_FAILED: CodeRow(400, "INVALID_ARGUMENT"),
    Code.PERSISTED_QUERY_NOT_FOUND: CodeRow(200, "NOT_FOUND"),  # the client sends the text then: nothing went wrong
    Code.INVALID_CURSOR: CodeRow(400, "INVALID_ARGUMENT"),
    Code.LIMIT_EXCEEDED: CodeRow(400, "RESOURCE_EXHAUSTED"),
    Code.BODY_TOO_LARGE: CodeRow(413, "RESOURCE_EXHAUSTED"),
    Code.UNAUTHENTICATED: CodeRow(401, "UNAUTHENTICATED"),
    Code.ISSUER_UNAVAILABLE: CodeRow(503, "UNAVAILABLE", retryable=True),
    Code.FORBIDDEN: CodeRow(403, "PERMISSION_DENIED"),
    Code.NOT_FOUND: CodeRow(404, "NOT_FOUND"),
    Code.UNKNOWN_SITE: CodeRow(404, "NOT_FOUND"),
    Code.UNKNOWN_CLUSTER: CodeRow(404, "NOT_FOUND"),
    Code.AMBIGUOUS_CLUSTER: CodeRow(409, "FAILED_PRECONDITION"),
    Code.AMBIGUOUS_JOB: CodeRow(409, "FAILED_PRECONDITION"),
    Code.CONFLICT: CodeRow(409, "FAILED_PRECONDITION"),
    Code.READ_ONLY: CodeRow(403, "PERMISSION_DENIED"),
    Code.RATE_LIMITED: CodeRow(429, "RESOURCE_EXHAUSTED", retryable=True),
    Code.SCAN_BUDGET: CodeRow(422, "RESOURCE_EXHAUSTED"),
    Code.NO_CREDENTIAL: CodeRow(403, "PERMISSION_DENIED"),
    Code.TIMEOUT: CodeRow(504, "DEADLINE_EXCEEDED", retryable=True),
    Code.UNREACHABLE: CodeRow(502, "UNAVAILABLE", retryable=True),
    Code.CONNECTION_LOST: CodeRow(502, "UNAVAILABLE", retryable=True),
    Code.SITE_UNAUTHORIZED: CodeRow(502, "PERMISSION_DENIED"),
    Code.SITE_REFUSED: CodeRow(502, "FAILED_PRECONDITION"),
    Code.SITE_BUSY: CodeRow(503, "UNAVAILABLE", retryable=True),
    Code.SITE_ERROR: CodeRow(502, "UNAVAILABLE", retryable=True),
    Code.BAD_ANSWER: CodeRow(502, "UNAVAILABLE"),
    Code.ANSWER_TOO_LARGE: CodeRow(502, "RESOURCE_EXHAUSTED"),
    Code.WRONG_RELEASE: CodeRow(502, "FAILED_PRECONDITION"),
    Code.UNSUPPORTED: CodeRow(501, "UNIMPLEMENTED"),
    Code.UNREADABLE_JOBS: CodeRow(502, "DATA_LOSS"),
    Code.DUPLICATE_SITE: CodeRow(409, "FAILED_PRECONDITION"),
    Code.ALL_SITES_FAILED: CodeRow(502, "UNAVAILABLE", retryable=True),
    Code.INCOMPLETE: CodeRow(503, "UNAVAILABLE", retryable=True),
    Code.SETTINGS: CodeRow(500, "FAILED_PRECONDITION"),
    Code.STOPPING: CodeRow(503, "UNAVAILABLE", retryable=True),
    Code.INTERNAL: CodeRow(500, "INTERNAL"),
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

    def forget_frames(self) -> None:
        """Lets go of where the error was raised and what it was made of. Their frames hold whatever was at hand there, an answer
        of megabytes for one, as long as somebody holds the error."""
        self.__traceback__ = self.__context__ = self.__cause__ = None

    def extensions(self) -> dict[str, str | bool | int]:
        """What a GraphQL error carries beside its message: ``{code, retryable, site?}``."""
        found: dict[str, str | bool | int] = {"code": self.code.value, "retryable": self.retryable}
        if self.site is not None:
            found["site"] = self.site
        return found


class FederationError(GatewayError):
    """No answer that may be given: all sites failed, or one that must not. ``causes`` are the sites' own errors."""

    def __init__(self, code: Code, message: str, causes: Sequence[SiteError]) -> None:
        super().__init__(code, message)
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
        found = super().extensions()
        return found if self.retry_after is None else {**found, "retryAfter": max(1, math.ceil(self.retry_after))}


class SiteError(GatewayError):
    """What asking one site came to, when it came to nothing."""

    site: str

    def __init__(
        self, code: Code, site: str, message: str, *, retryable: bool | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(code, message, site=site, retryable=retryable)
        self.retry_after = retry_after


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
