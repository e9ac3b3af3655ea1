"""What a request asks to be exported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.federation.questions import Policy
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import IntRange, JobFilter
from ccgateway.surfaces.export.columns import LIVING
from ccgateway.surfaces.export.shards import MOST_SHARDS, PIECE, Shard
from ccgateway.surfaces.rest.calls import Call, Query
from ccgateway.surfaces.rest.howto import HowtoFormat

__all__ = ["FILTERS", "FORMATS", "JobsAsked", "UsageAsked", "asked_query", "filter_of", "policy_of"]

FORMATS = ("jsonl", "csv", "parquet")
#: what the list of ``/api`` filters by, and this too
FILTERS = (
    "jobId", "state", "cluster", "user", "project", "startTime[from]", "startTime[to]", "start-time", "numNodes[from]",
    "numNodes[to]", "jobName", "node", "duration", "duration[from]", "duration[to]",
)  # fmt: skip
_OWN_FILTERS = frozenset({"duration", "duration[from]", "duration[to]"})

PERIODS = ("all", "year", "month", "week", "day")
GROUPS = ("site", "cluster", "project", "user")


def _bad(message: str) -> RequestError:
    return RequestError(Code.BAD_REQUEST, message)


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
        running = bool(query.flag("running"))
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

    def digest(self, caller: Principal, sites: Iterable[str]) -> str:
        """What must be the same for a token to go on: the question, who asks, and the names of the sites that it goes to."""
        shard = (PIECE, self.shard.number, self.shard.of) if self.shard is not None else None
        asked = [
            caller.share,
            msgspec.to_builtins(self.filter),
            list(self.columns),
            list(self.metrics),
            shard,
            self.running,
            sorted(sites),
        ]
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


def _format(query: Query) -> str:
    found = query.first("format") or "jsonl"
    if found not in FORMATS:
        raise _bad(f"format: {found[:40]!r} is not one of {', '.join(FORMATS)}.")
    return found


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
