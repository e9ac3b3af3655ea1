"""The scalars: how times, large integers, states and free JSON are written in answers and read from questions.

Inside, a time is epoch seconds (UTC) as an ``int``. Parsers raise ``GraphQLError`` with a sentence for the caller; serializers
raise ``TypeError`` for values that our own code must not produce.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import isfinite
from typing import Any, NewType

import strawberry
from graphql import GraphQLError, ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

from ccgateway.jobs.metrics import SCOPES
from ccgateway.jobs.model import STATES

__all__ = [
    "NO_TIME",
    "SCALARS",
    "AnyValue",
    "Int64",
    "JobState",
    "MetricScope",
    "MonitoringState",
    "NullableFloat",
    "SchedulerState",
    "Time",
]

Time = NewType("Time", int)
Int64 = NewType("Int64", int)
JobState = NewType("JobState", str)
MetricScope = NewType("MetricScope", str)
SchedulerState = NewType("SchedulerState", str)
MonitoringState = NewType("MonitoringState", str)
NullableFloat = NewType("NullableFloat", float)
AnyValue = NewType("AnyValue", object)

#: what an empty text means where a time is expected: no restriction
NO_TIME = Time(-(1 << 62))

#: what can be written with a year of four digits
FIRST_SECOND = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
LAST_SECOND = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())

_MINUTES = tuple(f"{minute // 60:02}:{minute % 60:02}:" for minute in range(24 * 60))
_SECONDS = tuple(f"{second:02}Z" for second in range(60))

_INT64 = range(-(1 << 63), 1 << 63)
_PLAIN_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.\d{1,30})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def write_time(value: object) -> str:
    """Epoch seconds → ``2024-06-01T12:00:00Z``; fractions are cut off, and times outside of the years 1 to 9999 at their ends."""
    if type(value) is not int:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
            raise TypeError(f"not epoch seconds: {type(value).__name__}")
        value = int(value)
    return _written(value)


# whoever lists jobs lists them again and again
@lru_cache(maxsize=8192)
def _written(value: int) -> str:
    if not FIRST_SECOND <= value <= LAST_SECOND:
        value = FIRST_SECOND if value < FIRST_SECOND else LAST_SECOND
    minute, second = divmod(value, 60)
    day, minute = divmod(minute, 1440)
    return _date(day) + _MINUTES[minute] + _SECONDS[second]


# of a page of jobs many start on the same day, and a day has few minutes: most of a time is written already
@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(day)).isoformat() + "T"


def read_time(value: object) -> Time:
    """A time as cc-backend 1.5 reads it → epoch seconds; ``""`` → ``NO_TIME``."""
    if value == "":
        return NO_TIME
    if isinstance(value, str):
        if _PLAIN_TIME.fullmatch(value):
            parsed = _from_iso(value.replace(" ", "T") + "+00:00")
        elif found := _RFC3339.fullmatch(value):
            zone = "+00:00" if found[3] in "Zz" else found[3]
            parsed = _from_iso(f"{found[1]}T{found[2]}{zone}")
        else:
            parsed = None
        if parsed is not None:
            return Time(int(parsed.timestamp()))
    raise GraphQLError(
        f"Time cannot represent {_shown(value)}: write 2024-06-01T12:00:00Z, an offset instead of the Z, "
        "or 2024-06-01 12:00:00 (taken as UTC)."
    )


def _from_iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # the 31st of February
        return None


def write_int64(value: object) -> int:
    """An integer of up to 64 bits, as a JSON number."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in _INT64:
        raise TypeError(f"not a 64-bit integer: {type(value).__name__}")
    return value


def read_int64(value: object) -> Int64:
    """An integer, or a text of digits, of up to 64 bits."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,20}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value in _INT64:
        return Int64(value)
    raise GraphQLError(f"Int64 cannot represent {_shown(value)}: write an integer of up to 64 bits, or its digits as text.")


def read_state(value: object) -> JobState:
    """A job state that some release of cc-backend knows."""
    if isinstance(value, str) and value in STATES:
        return JobState(value)
    raise GraphQLError(f"JobState cannot represent {_shown(value)}: it is one of {', '.join(STATES)}.")


def read_scope(value: object) -> MetricScope:
    """A metric scope of cc-backend."""
    if isinstance(value, str) and value in SCOPES:
        return MetricScope(value)
    raise GraphQLError(f"MetricScope cannot represent {_shown(value)}: it is one of {', '.join(SCOPES)}.")


def read_word(value: object) -> str:
    """A word that some site may know."""
    if isinstance(value, str):
        return value
    raise GraphQLError(f"A state cannot be {_shown(value)}: write a word.")


def write_word(value: object) -> str:
    """A word as the site said it; a release newer than this gateway may know words that it does not."""
    if not isinstance(value, str):
        raise TypeError(f"not a text: {type(value).__name__}")
    return str(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _literal(read: Callable[[object], object]) -> Callable[[ValueNode, dict[str, Any] | None], object]:
    """``read`` for what stands in a document; what is wrong with it says where."""

    def parse(node: ValueNode, variables: dict[str, Any] | None = None) -> object:
        try:
            return read(value_from_ast_untyped(node, variables))
        except GraphQLError as error:
            raise GraphQLError(error.message, node) from None

    return parse


SCALARS: dict[object, ScalarDefinition] = {
    Time: strawberry.scalar(
        name="Time",
        description="A time in whole seconds. Answers are always UTC (`2024-06-01T12:00:00Z`). Questions may use RFC 3339 "
        "with `Z` or an offset (fractions of a second are cut off), or `2024-06-01 12:00:00`, taken as UTC. An "
        "empty text means no restriction.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=write_time,
        parse_value=read_time,
        parse_literal=_literal(read_time),
    ),
    Int64: strawberry.scalar(
        name="Int64",
        description="An integer of up to 64 bits, written as a JSON number. As an argument, its digits as text work too.",
        serialize=write_int64,
        parse_value=read_int64,
        parse_literal=_literal(read_int64),
    ),
    JobState: strawberry.scalar(
        name="JobState",
        description=f"What became of a job: {', '.join(f'`{state}`' for state in STATES)}. Written as a word or as text. "
        "`stopped` comes from releases up to 1.4 only, `deadline`, `node_fail`, `boot_fail`, `pending` and `suspended` from 1.5 "
        "on; a state that a site's release does not know matches no job there.",
        serialize=write_word,
        parse_value=read_state,
        parse_literal=_literal(read_state),
    ),
    MetricScope: strawberry.scalar(
        name="MetricScope",
        description=f"What one series of a metric measures: {', '.join(f'`{scope}`' for scope in SCOPES)}.",
        serialize=write_word,
        parse_value=read_scope,
        parse_literal=_literal(read_scope),
    ),
    SchedulerState: strawberry.scalar(
        name="SchedulerState",
        description="What the scheduler says of a node: `allocated`, `reserved`, `idle`, `mixed`, `down` or `unknown`.",
        serialize=write_word,
        parse_value=read_word,
        parse_literal=_literal(read_word),
    ),
    MonitoringState: strawberry.scalar(
        name="MonitoringState",
        description="How much of what is to be measured on a node comes: `full`, `partial` or `failed`.",
        serialize=write_word,
        parse_value=read_word,
        parse_literal=_literal(read_word),
    ),
    NullableFloat: strawberry.scalar(
        name="NullableFloat",
        description="A measured value: a number as the site wrote it, with two decimals, or null where there is none.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
    AnyValue: strawberry.scalar(
        name="Any",
        description="Any JSON value, as the site sent it.",
        serialize=lambda value: value,
        parse_value=lambda value: value,
    ),
}
