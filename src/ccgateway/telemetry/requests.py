"""What is known of the request that the running task works for: who, what, what it came to, and how long it only waited.

The record travels in a context variable, as ``traffic.scopes`` does, so that every task of a request has it. Where there is none
(the commands, looks after sites) whatever is noted is noted nowhere.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum

from ccgateway.errors import CODES, Code, without_tokens

__all__ = [
    "Outcome", "Question", "RequestRecord", "Surface", "TraceContext", "asked_for", "current_request", "new_request_id",
    "note_caller", "note_cost", "note_error", "note_joined", "note_sites", "recorded", "request_id_in", "waiting",
]  # fmt: skip


class Surface(StrEnum):
    """The faces."""

    GRAPHQL = "graphql"
    REST = "rest"
    GRPC = "grpc"
    WEB = "web"


class Question(StrEnum):
    """What a request asks for first."""

    JOBS = "jobs"
    JOB = "job"
    METRICS = "metrics"
    STATISTICS = "statistics"
    CLUSTERS = "clusters"
    USERS = "users"
    TAGS = "tags"
    NODES = "nodes"
    SITES = "sites"
    CONFIGURATION = "configuration"
    WRITE = "write"
    NONE = "none"


class Outcome(StrEnum):
    """What a request comes to."""

    OK = "ok"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: traces of others that one request remembers
MOST_JOINED = 16
#: what a caller may call its request; anything else is not taken over
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+=@-]{0,63}")
_TRACE = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


def new_request_id() -> str:
    """A new one."""
    return secrets.token_hex(6)


def request_id_in(value: str) -> str | None:
    """The id that a caller gives its request; ``None`` for what is none, or looks like a token."""
    return value if _ID.fullmatch(value) and without_tokens(value, limit=64) == value else None


class TraceContext:
    """The trace that a request belongs to (W3C ``traceparent``): ``trace_id`` and ``parent_id`` are the caller's, ``span_id`` the
    gateway's own."""

    __slots__ = ("flags", "parent_id", "span_id", "trace_id")

    def __init__(self, trace_id: str, parent_id: str, flags: str, span_id: str | None = None) -> None:
        self.trace_id, self.parent_id, self.flags = trace_id, parent_id, flags
        self.span_id = span_id or secrets.token_hex(8)

    @classmethod
    def of(cls, value: str) -> TraceContext | None:
        """The one that a caller sends; ``None`` for what is none."""
        found = _TRACE.fullmatch(value)
        return None if found is None else cls(found[1], found[2], found[3])

    @property
    def header(self) -> str:
        """As it is handed on."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


class RequestRecord:
    """One request while it is being answered.

    ``client``: the address it came from; ``code``: of the error that is the answer; ``sites``: what each site that was asked
    came to (``None``: well); ``lacking``: why parts of the answer are missing, where no site is to blame; ``cut``: sites
    given up because others were faster; ``cost``: as estimated; ``joined``: traces of others whose fetches it waited for;
    ``span``: the tracer's own; ``waited`` (s): the time in which at least one part of the request waited for a site, for
    Redis or for the caller.
    """

    __slots__ = (
        "_depth", "_since", "began", "caller", "client", "code", "cost", "cut", "is_cancelled", "joined", "kind",
        "lacking", "request_id", "sites", "span", "status", "surface", "trace", "waited",
    )  # fmt: skip

    def __init__(self, surface: Surface, request_id: str, trace: TraceContext | None = None) -> None:
        self.surface, self.request_id, self.trace = surface, request_id, trace
        self.kind = Question.NONE
        self.code: Code | None = None
        self.sites: dict[str, Code | None] = {}
        self.lacking: list[Code] = []
        self.cut: list[str] = []
        self.caller: str | None = None
        self.client: str | None = None
        self.cost: int | None = None
        self.status: int | None = None
        self.is_cancelled = False
        self.joined: list[TraceContext] = []
        self.span: object = None
        self.began = time.perf_counter()
        self.waited = 0.0
        self._depth, self._since = 0, 0.0

    def begin_waiting(self) -> None:
        """One more part of the request waits."""
        if not self._depth:
            self._since = time.perf_counter()
        self._depth += 1

    def end_waiting(self) -> None:
        """One less."""
        self._depth -= 1
        if not self._depth:
            self.waited += time.perf_counter() - self._since

    def waited_by(self, now: float) -> float:
        """``waited`` as of ``now``, also while something still waits."""
        return self.waited + (now - self._since if self._depth else 0.0)

    def note_error(self, code: Code, site: str | None = None) -> None:
        """That error is the answer; the first one counts."""
        self.code = self.code or code
        if site is not None:
            self.note_site(site, code)

    def note_site(self, site: str, code: Code | None) -> None:
        """What a site came to; no later success takes back a failure."""
        if code is not None or site not in self.sites:
            self.sites[site] = code

    @property
    def gaps(self) -> list[Code]:
        """Why parts of the answer are missing, one reason for each site that failed."""
        return [*self.lacking, *(code for code in self.sites.values() if code is not None)]

    def outcome(self) -> Outcome:
        """What it came to."""
        if self.is_cancelled or self.status == 499:
            return Outcome.CANCELLED
        if self.code is not None:
            return Outcome.FAILED if CODES[self.code].http >= 500 else Outcome.REFUSED
        if self.status is not None and self.status >= 400:
            return Outcome.FAILED if self.status >= 500 else Outcome.REFUSED
        return Outcome.INCOMPLETE if self.gaps else Outcome.OK


_current: ContextVar[RequestRecord | None] = ContextVar("request record", default=None)


def current_request() -> RequestRecord | None:
    """The record of the request that the running task works for."""
    return _current.get()


def note_caller(subject: str) -> None:
    """Who asks."""
    record = _current.get()
    if record is not None:
        record.caller = subject


def note_cost(cost: int) -> None:
    """What the question is estimated to cost."""
    record = _current.get()
    if record is not None:
        record.cost = cost


def note_error(code: Code, site: str | None = None) -> None:
    """See ``RequestRecord.note_error``."""
    record = _current.get()
    if record is not None:
        record.note_error(code, site)


def note_sites(outcomes: Iterable[tuple[str, Code | None]]) -> None:
    """What sites came to: see ``RequestRecord.note_site``."""
    record = _current.get()
    if record is not None:
        for site, code in outcomes:
            record.note_site(site, code)


def note_joined(trace: TraceContext) -> None:
    """The current request waits for what another one's, of that trace, is fetching."""
    record = _current.get()
    if record is not None and len(record.joined) < MOST_JOINED:
        record.joined.append(trace)


def asked_for(kind: Question) -> None:
    """The current request asks for that; what it asks for first is its kind."""
    record = _current.get()
    if record is not None and record.kind is Question.NONE:
        record.kind = kind


@contextmanager
def recorded(record: RequestRecord) -> Iterator[None]:
    """Makes ``record`` that of the running task and of the tasks it starts."""
    token = _current.set(record)
    try:
        yield
    finally:
        _current.reset(token)


class waiting:  # noqa: N801 - used as a function is, and cheaper than a generator's context manager
    """For the length of a wait for somebody else: that time is not the gateway's own."""

    __slots__ = ("_record",)

    def __enter__(self) -> None:
        self._record = record = _current.get()
        if record is not None:
            record.begin_waiting()

    def __exit__(self, *_: object) -> None:
        if self._record is not None:
            self._record.end_waiting()
