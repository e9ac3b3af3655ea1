"""Which jobs: what a caller may restrict, and how that reads in GraphQL and in the parameters of an export."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias, TypedDict, TypeVar

from ccgateway.client.values import Tag

__all__ = [
    "Filters",
    "Range",
    "Texts",
    "When",
    "instant",
    "last_second",
    "parameters",
    "seconds",
    "selection",
    "several",
    "span",
    "tag_of",
    "texts",
    "written",
]

Texts: TypeAlias = str | Sequence[str]
#: a number, a text such as ``4..``, ``..16`` or ``4..16``, or both ends, either of which may be ``None``
Range: TypeAlias = int | str | tuple[int | None, int | None]
#: a time, a day, seconds since 1970, ISO 8601, or how long ago: ``90s``, ``15m``, ``12h``, ``7d``, ``2w``
When: TypeAlias = datetime | date | timedelta | int | float | str
T = TypeVar("T")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")


class Filters(TypedDict, total=False):
    """Restrictions on jobs; all that are given must hold. Several texts mean any of them."""

    user: Texts
    project: Texts
    cluster: Texts
    sub_cluster: Texts
    partition: Texts
    site: Texts
    state: Texts
    job_id: int | str | Sequence[int | str]
    name: str
    """The job's name, exactly."""
    node: Texts
    """Names of hosts."""
    tag: Tag | str
    """A tag, as ``type:name`` or a value."""
    nodes: Range
    accelerators: Range
    duration: Range
    """Seconds, or texts such as ``1h..`` and ``30m..2h``."""
    since: When
    """Jobs that started then or later."""
    until: When
    """Jobs that started then or earlier; a day is meant as a whole."""


def texts(value: object) -> list[str]:
    """One text or several, as a list; numbers as text."""
    if isinstance(value, str | int):
        return [str(value)]
    if isinstance(value, Collection) and not isinstance(value, bytes | Mapping):
        return [str(one) for one in value]
    raise ValueError(f"{value!r} is neither a text nor several")


def several(names: Collection[str] | None) -> list[str] | None:
    """Names as a list: one text is one name, and not its letters."""
    return None if names is None else texts(names)


def seconds(value: str) -> int:
    """The seconds of ``90``, ``90s``, ``15m``, ``12h``, ``7d`` or ``2w``. Raises ``ValueError`` for anything else."""
    if value.isascii() and value.isdecimal() and len(value) < 12:
        return int(value)
    found = _SPAN.fullmatch(value)
    if found is None:
        raise ValueError(f"{value[:40]!r} is no length of time, such as 90s, 15m, 12h, 7d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def instant(value: When, *, now: float | None = None) -> datetime:
    """The time that ``value`` means, in UTC. Raises ``ValueError`` for what is none. Without a zone it is UTC."""
    try:
        match value:
            case datetime():
                return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).replace(microsecond=0)
            case date():
                return datetime(value.year, value.month, value.day, tzinfo=UTC)
            case timedelta():
                return datetime.fromtimestamp(int(time.time() if now is None else now), UTC) - value
            case int() | float():
                return datetime.fromtimestamp(int(value), UTC)
            case str() if _SPAN.fullmatch(value):
                return instant(timedelta(seconds=seconds(value)), now=now)
            case str():
                return instant(datetime.fromisoformat(value))
    except (ValueError, OverflowError, OSError):
        pass
    said = f"{str(value)[:40]!r} is no time: give 7d (how long ago), 2024-06-01, 2024-06-01T12:00:00Z or seconds since 1970"
    raise ValueError(said)


def last_second(value: When, *, now: float | None = None) -> datetime:
    """As ``instant``; of a day that is named without a time, its last second."""
    is_day = _DAY.fullmatch(value) if isinstance(value, str) else isinstance(value, date) and not isinstance(value, datetime)
    return instant(value, now=now) + (timedelta(days=1, seconds=-1) if is_day else timedelta())


def span(value: Range, read: Callable[[str], int] = int) -> tuple[int | None, int | None]:
    """Both ends of a range, inclusive; ``None`` for an open one. Raises ``ValueError`` for what is none."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple | list) and len(value) == 2:
        low, high = value
        return low, high
    first, dots, last = value.partition("..") if isinstance(value, str) else ("", "", "")
    try:
        ends = [read(text) if text else None for text in ((first, last) if dots else (first, first))]
    except ValueError:
        example = "4, 4.., ..16 or 4..16" if read is int else "30m, 1h.., ..2d or 30m..2h"
        raise ValueError(f"{str(value)[:40]!r} is no range, such as {example}") from None
    low, high = ends
    if low is None and high is None:
        raise ValueError(f"{str(value)[:40]!r} is no range, such as 4, 4.., ..16 or 4..16")
    if low is not None and high is not None and low > high:
        raise ValueError(f"{str(value)[:40]!r} is an empty range")
    return low, high


def tag_of(value: Tag | str) -> Tag:
    """The tag that ``type:name`` or ``type:name@scope`` means. Raises ``ValueError`` for what is none."""
    if isinstance(value, Tag):
        return value
    kind, colon, rest = value.partition(":")
    name, _, scope = rest.partition("@")
    if not (kind and colon and name):
        raise ValueError(f"{value[:60]!r} is no tag: write type:name, or type:name@scope")
    return Tag(type=kind, name=name, scope=scope or "global")


def written(moment: datetime) -> str:
    """A time as the gateway reads it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _ends(value: Range, *, least: int = 1, read: Callable[[str], int] = int) -> dict[str, int]:
    """A range as GraphQL has it, where 0 is an open end and one below 0 no restriction at all."""
    low, high = span(value, read)
    if (low is not None and low < 0) or (high is not None and high < least):
        raise ValueError(f"{value!r} is no range of that kind: the least is {least}")
    return {key: end for key, end in (("from", low), ("to", high)) if end}


def _one_of(value: object) -> dict[str, object]:
    found = texts(value)
    return {"eq": found[0]} if len(found) == 1 else {"in": found}


_TEXTS = {
    "user": "user", "project": "project", "cluster": "cluster", "sub_cluster": "subCluster", "partition": "partition",
    "job_id": "jobId", "node": "node",
}  # fmt: skip


def selection(filters: Filters, *, now: float | None = None) -> dict[str, Any]:
    """``filters`` as one ``JobFilter``, but for sites and tags. ``ValueError`` or ``TypeError`` for what makes no sense."""
    given: Mapping[str, Any] = _known(filters)
    found: dict[str, Any] = {name: _one_of(given[key]) for key, name in _TEXTS.items() if key in given}
    if "state" in given:
        found["state"] = [one.lower() for one in texts(given["state"])]
    if "name" in given:
        found["jobName"] = {"eq": given["name"]}
    for key, name in (("nodes", "numNodes"), ("accelerators", "numAccelerators")):
        if key in given:
            found[name] = _ends(given[key])
    if "duration" in given:
        found["duration"] = _ends(given["duration"], read=seconds)
    window = _window(given, now)
    if window:
        found["startTime"] = {key: written(moment) for key, moment in window.items()}
    return found


def _known(filters: Filters) -> Mapping[str, Any]:
    unknown = sorted(set(filters) - set(Filters.__annotations__))
    if unknown:
        raise TypeError(f"there is no filter {', '.join(unknown)}; there are {', '.join(Filters.__annotations__)}")
    return {key: value for key, value in filters.items() if value is not None}


def _window(given: Mapping[str, Any], now: float | None) -> dict[str, datetime]:
    ends = (("from", "since", instant), ("to", "until", last_second))
    return {key: read(given[name], now=now) for key, name, read in ends if name in given}


_PARAMETERS = {
    "user": "user", "project": "project", "cluster": "cluster", "state": "state", "job_id": "jobId", "node": "node",
    "site": "site",
}  # fmt: skip
_RANGES: Mapping[str, tuple[str, Callable[[str], int]]] = {"nodes": ("numNodes", int), "duration": ("duration", seconds)}


def parameters(filters: Filters, *, now: float | None = None) -> list[tuple[str, str]]:
    """``filters`` as parameters of an export. Raises ``ValueError`` for those that exports do not have."""
    given = _known(filters)
    found = [(name, text) for key, name in _PARAMETERS.items() if key in given for text in texts(given[key])]
    found = [(name, text.lower() if name == "state" else text) for name, text in found]
    if "name" in given:
        found.append(("jobName", given["name"]))
    for key, (name, read) in _RANGES.items():
        if key in given:
            low, high = span(given[key], read)
            found += [(f"{name}[{end}]", str(value)) for end, value in (("from", low), ("to", high)) if value is not None]
    found += [(f"startTime[{end}]", str(int(moment.timestamp()))) for end, moment in _window(given, now).items()]
    taken = {*_PARAMETERS, *_RANGES, "name", "since", "until"}
    if left := sorted(set(given) - taken):
        raise ValueError(f"exports cannot be restricted by {', '.join(left)}")
    return found
