"""What a request asks to be exported, and the token by which an export is taken up again."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.federation.questions import Policy
from ccgateway.jobs.filters import IntRange, JobFilter, TimeRange
from ccgateway.jobs.model import JobKey
from ccgateway.surfaces.export.columns import LIVING
from ccgateway.surfaces.rest.calls import Call, Query
from ccgateway.surfaces.rest.howto import HowtoFormat

__all__ = ["FILTERS", "FORMATS", "JobsAsked", "Resume", "Shard", "UsageAsked", "asked_query", "filter_of", "policy_of"]

FORMATS = ("jsonl", "csv", "parquet")
#: what the list of ``/api`` filters by, and this too
FILTERS = (
    "jobId", "state", "cluster", "user", "project", "startTime[from]", "startTime[to]", "start-time", "numNodes[from]",
    "numNodes[to]", "jobName", "node", "duration", "duration[from]", "duration[to]",
)  # fmt: skip
_OWN_FILTERS = frozenset({"duration", "duration[from]", "duration[to]"})
_OF_ALL = ("format", "policy", "site")
_OF_JOBS = (*_OF_ALL, "columns", "metrics", "shard", "running", "resume")
_OF_USAGE = (*_OF_ALL, "period", "by", "resume")
#: shards of one export at the most
MOST_SHARDS = 1024

PERIODS = ("all", "year", "month", "week", "day")
GROUPS = ("site", "cluster", "project", "user")


def _bad(message: str) -> RequestError:
    return RequestError(Code.BAD_REQUEST, message)


@dataclass(frozen=True, slots=True)
class Shard:
    """The jobs of slice ``number`` (from 1) of ``of``: each job is in exactly one."""

    number: int
    of: int

    def has(self, key: JobKey) -> bool:
        """Whether the job with that key is in this slice."""
        text = f"{key.site}\0{key.cluster}\0{key.job_id}\0{key.start_time}".encode()
        return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") % self.of == self.number - 1


class Resume(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where an export goes on: after ``rows`` rows, at ``cursor`` (``None``: at its beginning), as of ``as_of`` (epoch seconds).

    ``digest``: of the question that it belongs to. ``missing``: sites of which something was missing before.
    """

    version: int
    digest: str
    as_of: int
    rows: int
    cursor: str | None
    missing: tuple[str, ...]

    def encode(self) -> str:
        """The opaque text that clients hand back."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, digest: str) -> Resume:
        """The token in ``text``; ``INVALID_CURSOR`` if it is none, or one of another question."""
        try:
            packed = base64.b64decode(text[:8192] + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            found = msgspec.msgpack.decode(packed, type=cls)
        except (ValueError, msgspec.MsgspecError):
            raise RequestError(Code.INVALID_CURSOR, "resume: this is no token of an export. Start without one.") from None
        if found.version != 1 or found.digest != digest or found.rows < 0 or not 0 <= found.as_of < 1 << 40:
            message = "resume: this token belongs to another export (filters, columns, shard, running or sites differ)."
            raise RequestError(Code.INVALID_CURSOR, message)
        return found


@dataclass(frozen=True, slots=True)
class JobsAsked:
    """Jobs to be exported. ``resume``: the text of the token, ``None`` from the start."""

    format: str
    policy: Policy
    filter: JobFilter
    columns: Sequence[str]
    metrics: Sequence[str]
    shard: Shard | None
    running: bool
    sites: Sequence[str] | None
    resume: str | None

    @classmethod
    def of(cls, call: Call) -> JobsAsked:
        """What ``call`` asks for. ``BAD_REQUEST`` for what cannot be."""
        query = call.query
        _refuse_unknown(query, _OF_JOBS)
        running = _flag(query, "running")
        wanted = filter_of(query, lists_living=running)
        shard = query.first("shard")
        return cls(
            _format(query),
            policy_of(call),
            wanted,
            _names(query, "columns"),
            _names(query, "metrics"),
            _shard(shard) if shard else None,
            running,
            call.sites,
            query.first("resume") or None,
        )

    @property
    def digest(self) -> str:
        """What must be the same for a token to go on."""
        shard = (self.shard.number, self.shard.of) if self.shard is not None else None
        sites = sorted(set(self.sites)) if self.sites is not None else None
        asked = [msgspec.to_builtins(self.filter), list(self.columns), list(self.metrics), shard, self.running, sites]
        return blake2b(msgspec.msgpack.encode(asked), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class UsageAsked:
    """Hours to be summed up: of each ``period`` in which jobs started, by each of ``by``."""

    format: str
    policy: Policy
    filter: JobFilter
    period: str
    by: Sequence[str]
    sites: Sequence[str] | None

    @classmethod
    def of(cls, call: Call) -> UsageAsked:
        """What ``call`` asks for. ``BAD_REQUEST`` for what cannot be."""
        query = call.query
        _refuse_unknown(query, _OF_USAGE)
        if query.first("resume"):
            raise RequestError(Code.INVALID_CURSOR, "resume: sums have no middle to go on from. Ask for them anew.")
        period, by = query.first("period") or "month", _names(query, "by") or list(GROUPS)
        if period not in PERIODS:
            raise _bad(f"period: {period[:40]!r} is not one of {', '.join(PERIODS)}.")
        wrong = next((name for name in by if name not in GROUPS), None)
        if wrong is not None:
            raise _bad(f"by: {wrong[:40]!r} is not one of {', '.join(GROUPS)}.")
        wanted = filter_of(query, lists_living=False)
        return cls(_format(query), policy_of(call), wanted, period, list(dict.fromkeys(by)), call.sites)


def asked_query(query: Query) -> dict[str, str | list[str]]:
    """The parameters as they came, but for the token."""
    return {key: values[0] if len(values := query.all(key)) == 1 else values for key in query.keys if key != "resume"}


def policy_of(call: Call) -> Policy:
    """What holds when a site does not answer: ``STRICT``, unless the request says otherwise and may."""
    return call.policy if call.query.first("policy") else Policy.STRICT


def filter_of(query: Query, *, lists_living: bool) -> JobFilter:
    """The filter that ``query`` writes as the list of ``/api`` does. ``lists_living``: whether jobs that have not ended are asked
    for."""
    listed = Query("")
    listed.pairs = [(key, value) for key, value in query.pairs if key in FILTERS and key not in _OWN_FILTERS]
    wanted = HowtoFormat().list_query(listed).filter
    living = sorted(LIVING.intersection(wanted.state or ()))
    if living and not lists_living:
        raise _bad(
            f"state: jobs that are {living[0]} have not ended. Add running=true to an export of jobs to have them, marked."
        )
    return replace(wanted, duration=_duration(query))


def until(wanted: JobFilter, as_of: int) -> JobFilter:
    """``wanted``, of what had started at ``as_of`` (epoch seconds)."""
    window = wanted.start_time or TimeRange()
    latest = as_of if window.to is None else min(window.to, as_of)
    return replace(wanted, start_time=TimeRange(window.from_, latest))


def _refuse_unknown(query: Query, own: Sequence[str]) -> None:
    known = (*own, *FILTERS)
    unknown = next((key for key in query.keys if key not in known), None)
    if unknown is not None:
        raise _bad(f"invalid query parameter: {unknown[:60]}. Known are {', '.join(known)}.")


def _format(query: Query) -> str:
    found = query.first("format") or "jsonl"
    if found not in FORMATS:
        raise _bad(f"format: {found[:40]!r} is not one of {', '.join(FORMATS)}.")
    return found


def _flag(query: Query, name: str) -> bool:
    return (query.first(name) or "false").lower() not in ("false", "0")


def _names(query: Query, name: str) -> list[str]:
    return [one for text in query.all(name) for one in text.split(",") if one]


def _shard(text: str) -> Shard:
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text, re.ASCII)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= MOST_SHARDS:
        raise _bad(f"shard: {text[:20]!r} is not of the form 2/8, the second of eight, of at most {MOST_SHARDS}.")
    return Shard(int(found[1]), int(found[2]))


def _duration(query: Query) -> IntRange | None:
    whole = query.first("duration")
    ends = whole.split("-") if whole is not None else [query.first("duration[from]"), query.first("duration[to]")]
    if whole is not None and len(ends) != 2:
        raise _bad("duration: it has the form FROM-TO, in seconds.")
    least, most = (None if end is None else _seconds(end) for end in ends)
    return None if least is None and most is None else IntRange(least, most)


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise _bad(f"duration: {text[:40]!r} is not a whole number of seconds.")
    return int(text)
