"""A filter taken apart: conditions, each of which a site evaluates (pushed down) or the gateway does (residual).

The meaning is that of cc-backend 1.5.4's schema for every site, also where a release ignores or breaks a filter:
``in`` works for job names and nodes, ``startsWith`` for nodes, sub-clusters can be asked of releases that cannot.
Text is compared as SQLite does: ``eq``, ``neq`` and ``in`` exactly, the others without regard to ASCII case and with ``%``
and ``_`` as wildcards.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote, unquote

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.filters import FloatRange, IntRange, JobFilter, MetricStat, StringInput, TimeRange
from ccgateway.jobs.model import JobRow, Tag
from ccgateway.jobs.patterns import checked, like
from ccgateway.jobs.provisional import is_provisional, provisional_id

__all__ = [
    "END_OF_TIME",
    "RECENT",
    "Condition",
    "Conditions",
    "Push",
    "Test",
    "Wanted",
    "check_sizes",
    "conditions_of",
    "decode_tag_id",
    "encode_tag_id",
    "range_test",
    "text_test",
]

Test = Callable[[JobRow], bool]
#: the part of a filter that a condition stands for
Wanted = StringInput | IntRange | FloatRange | MetricStat | frozenset[str] | str | int
PushKind = Literal["state", "cluster", "project", "user", "min_nodes"]

#: start times a site may be asked for; upstream parses unsigned decimal seconds
EARLIEST, LATEST = 0, 99_999_999_999
#: the end of all time at a site: whatever starts between ``LATEST`` and here is no job's start, and can only be counted
END_OF_TIME = 2**63 - 1
#: characters of all ids of tags, and of jobs, in the filters of one question. Each of a tag's takes a microsecond to unquote,
#: several times for each site, each of a job's a tenth of that
MOST_OF_TAGS, MOST_OF_IDS = 50_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Push:
    """What a site can be asked to evaluate: ``state`` (one of a set), exact ``cluster``, ``project``, ``user``; ``min_nodes``."""

    kind: PushKind
    value: Any


@dataclass(frozen=True, slots=True)
class Condition:
    """One restriction: the row attributes that it needs, its test, and how a site may be asked for it, if at all.

    ``push``: in words of REST. ``wanted``: what of the filter it stands for, where that is all there is to it.
    """

    name: str
    needs: frozenset[str]
    test: Test
    push: Push | None = None
    wanted: Wanted | None = None


@dataclass(slots=True)
class Conditions:
    """All restrictions of a filter, for one site.

    ``earliest`` and ``latest`` bound the start time; ``db_ids``, when not ``None``, are the only database ids that can match;
    ``never`` says that nothing can.
    """

    items: list[Condition] = field(default_factory=list)
    earliest: int = EARLIEST
    latest: int = LATEST
    db_ids: frozenset[int] | None = None
    never: bool = False

    def split(self, accepts: Callable[[Push], bool]) -> tuple[list[Push], list[Condition]]:
        """What the site evaluates (at most one of a kind, of what it ``accepts``), and what the gateway must.

        ``min_nodes`` is only part of its condition, so that stays with the gateway as well.
        """
        pushed: dict[str, Push] = {}
        residual: list[Condition] = []
        for condition in self.items:
            push = condition.push
            if push is None or push.kind in pushed or not accepts(push):
                residual.append(condition)
                continue
            pushed[push.kind] = push
            if push.kind == "min_nodes":
                residual.append(condition)
        return list(pushed.values()), residual


def conditions_of(filters: Sequence[JobFilter], site: str, *, now: float | None = None) -> Conditions:
    """The conditions that ``filters`` put on the jobs of ``site``; ``now`` (epoch seconds) is what ``last24h`` counts from.

    Raises ``BAD_REQUEST`` for words that no release documents (``shared``, ``schedule``, ``range``).
    """
    found = Conditions()
    for one in filters:
        for name, column in _TEXTS.items():
            _add_text(found, name, column, getattr(one, name))
        for name, column in _RANGES.items():
            _add_range(found, name, column, getattr(one, name))
        _add_job_id(found, one.job_id)
        _add_job_name(found, one.job_name)
        _add_node(found, one.node)
        _add_start_time(found, one.start_time, time.time() if now is None else now)
        _add_ids(found, one, site)
        _add_words(found, one)
        for stat in one.metric_stats or ():
            _add_metric_stat(found, stat)
    found.never = found.never or found.earliest > found.latest
    return found


# --- text


def check_sizes(filters: Sequence[JobFilter]) -> None:
    """Raises ``LIMIT_EXCEEDED`` where a pattern of the filters, or the ids in all of them, are over their bounds: before any site
    is asked, for each of which they are read anew."""
    for name, most, listed in (
        ("tags", MOST_OF_TAGS, [one.tags for one in filters]),
        ("dbId", MOST_OF_IDS, [one.db_id for one in filters]),
    ):
        if sum(len(text) for ids in listed for text in ids or ()) > most:
            words = f"JobFilter.{name}: the ids have more than {most} characters together. Ask for fewer at once."
            raise RequestError(Code.LIMIT_EXCEEDED, words)
    for one in filters:
        for wanted in (*(getattr(one, name) for name in _TEXTS), one.job_id, one.job_name, one.node):
            if wanted is not None:
                text_test(wanted)


def text_test(wanted: StringInput) -> Callable[[str], bool] | None:
    """The test of the first operator that is set; ``None`` if none is."""
    if wanted.eq is not None:
        return wanted.eq.__eq__
    if wanted.neq is not None:
        return wanted.neq.__ne__
    if wanted.starts_with is not None:
        return like(checked(wanted.starts_with) + "%")
    if wanted.ends_with is not None:
        return like("%" + checked(wanted.ends_with))
    if wanted.contains is not None:
        return like(f"%{checked(wanted.contains)}%")
    if wanted.in_ is not None:
        return frozenset(wanted.in_).__contains__
    return None


_TEXTS = {
    "user": "user",
    "project": "project",
    "cluster": "cluster",
    "sub_cluster": "sub_cluster",
    "partition": "partition",
}


def _add_text(found: Conditions, name: str, column: str, wanted: StringInput | None) -> None:
    test = text_test(wanted) if wanted else None
    if wanted is None or test is None:
        return
    push: Push | None = None
    if column in ("cluster", "project", "user"):
        only = wanted.eq if wanted.eq is not None else _single(wanted)
        push = Push(column, only) if only else None  # type: ignore[arg-type]
    get = _getter(column)
    found.items.append(Condition(name, frozenset({column}), lambda row: test(get(row)), push, wanted))


def _single(wanted: StringInput) -> str | None:
    others = (wanted.neq, wanted.starts_with, wanted.ends_with, wanted.contains)
    if all(other is None for other in others) and wanted.in_ is not None and len(set(wanted.in_)) == 1:
        return wanted.in_[0]
    return None


def _getter(column: str) -> Callable[[JobRow], Any]:
    return lambda row: getattr(row, column)


def _add_job_id(found: Conditions, wanted: StringInput | None) -> None:
    """``jobId`` is a number upstream: ``eq``, ``neq`` and ``in`` compare numbers (``"0100003"`` is 100003), the others digits."""
    if wanted is None:
        return
    if wanted.eq is not None:
        number = _number(wanted.eq)
        test: Test = lambda row: row.job_id == number  # noqa: E731
    elif wanted.neq is not None:
        other = _number(wanted.neq)
        test = lambda row: row.job_id != other  # noqa: E731
    elif (
        text := text_test(StringInput(starts_with=wanted.starts_with, ends_with=wanted.ends_with, contains=wanted.contains))
    ) is not None:
        test = lambda row: text(str(row.job_id))  # noqa: E731
    elif wanted.in_ is not None:
        numbers = frozenset(map(_number, wanted.in_))
        test = lambda row: row.job_id in numbers  # noqa: E731
    else:
        return
    found.items.append(Condition("job_id", frozenset({"job_id"}), test, wanted=wanted))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,30}", text) else None


def _add_job_name(found: Conditions, wanted: StringInput | None) -> None:
    test = text_test(wanted) if wanted else None
    if test is None:
        return

    def named(row: JobRow) -> bool:
        name = (row.meta_data or {}).get("jobName")
        return isinstance(name, str) and test(name)

    found.items.append(Condition("job_name", frozenset({"meta_data"}), named, wanted=wanted))


def _add_node(found: Conditions, wanted: StringInput | None) -> None:
    test = text_test(wanted) if wanted else None
    if test is not None:
        found.items.append(
            Condition(
                "node", frozenset({"resources"}), lambda row: any(test(r.hostname) for r in row.resources or ()), wanted=wanted
            )
        )


# --- numbers and times

_RANGES = {
    "duration": "duration", "energy": "energy", "num_nodes": "num_nodes",
    "num_accelerators": "num_acc", "num_hw_threads": "num_hw_threads",
}  # fmt: skip


def range_test(wanted: IntRange | FloatRange) -> Callable[[float], bool] | None:
    """Inclusive ends, 0 and ``None`` open; ``None`` if nothing is restricted (both open, or an end below 0)."""
    low, high = wanted.from_ or None, wanted.to or None
    if (low is None and high is None) or (low or 0) < 0 or (high or 0) < 0:
        return None
    if high is None:
        return lambda value: value >= low  # type: ignore[operator]
    if low is None:
        return lambda value: value <= high
    return lambda value: low <= value <= high


def _add_range(found: Conditions, name: str, column: str, wanted: IntRange | FloatRange | None) -> None:
    test = range_test(wanted) if wanted else None
    if wanted is None or test is None:
        return
    push = Push("min_nodes", wanted.from_) if name == "num_nodes" and wanted.from_ else None
    get = _getter(column)
    found.items.append(Condition(name, frozenset({column}), lambda row: test(get(row)), push, wanted))


#: words of a time that is a while ago, and its seconds
RECENT = {"last6h": 6 * 3600, "last24h": 24 * 3600, "last7d": 7 * 86400, "last30d": 30 * 86400}


def _add_start_time(found: Conditions, wanted: TimeRange | None, now: float) -> None:
    if wanted is None:
        return
    earliest, latest = wanted.from_, wanted.to
    if earliest is None and latest is None and wanted.range:
        if wanted.range not in RECENT:
            raise _unknown_word("startTime.range", wanted.range, RECENT)
        earliest = int(now) - RECENT[wanted.range]
    if earliest is not None:
        found.earliest = max(found.earliest, earliest)
    if latest is not None:
        found.latest = min(found.latest, latest)


# --- ids, tags, words

#: characters of a tag up to which its id is remembered
SHORT_TAG = 256


def encode_tag_id(tag: Tag) -> str:
    """A tag's id over all sites: scope, type and name, each percent-encoded."""
    parts = tag.scope, tag.type, tag.name
    return (_remembered_id if sum(map(len, parts)) <= SHORT_TAG else _tag_id)(*parts)


def _tag_id(*parts: str) -> str:
    return "/".join(quote(part, safe="") for part in parts)


# a list of jobs shows the same dozen tags again and again
_remembered_id = lru_cache(maxsize=4096)(_tag_id)


def decode_tag_id(text: str) -> tuple[str, str, str] | None:
    """(type, name, scope) of what ``encode_tag_id`` made, else ``None``."""
    parts = text.split("/")
    if len(parts) != 3:
        return None
    scope, kind, name = (unquote(part) for part in parts)
    return kind, name, scope


_SITE_NUMBER = re.compile(r"(?:([a-z0-9][a-z0-9-]*):)?([0-9]{1,18})")


def _numbers_at(ids: Iterable[str], site: str) -> frozenset[int]:
    """The database ids among ``ids`` that concern ``site``: ``"site:7"`` there only, a bare ``"7"`` everywhere."""
    matches = (_SITE_NUMBER.fullmatch(text) for text in ids)
    return frozenset(int(m[2]) for m in matches if m and m[1] in (None, site))


def _add_ids(found: Conditions, one: JobFilter, site: str) -> None:
    if one.db_id is not None:
        numbers = _numbers_at(one.db_id, site)
        if any(map(is_provisional, numbers)):  # such a job has to be looked for
            found.items.append(
                Condition("db_id", frozenset(), lambda row: not numbers.isdisjoint((row.id, provisional_id(row.key))))
            )
        else:
            found.db_ids = numbers if found.db_ids is None else found.db_ids & numbers
            found.never = found.never or not found.db_ids
    if one.tags is not None:
        keys = {key for text in one.tags if (key := decode_tag_id(text))}
        numbers = _numbers_at(one.tags, site)
        found.never = found.never or not (keys or numbers)
        found.items.append(
            Condition("tags", frozenset({"tags"}), lambda row: any(t.key in keys or t.id in numbers for t in row.tags or ()))
        )
    if one.array_job_id is not None:
        wanted = one.array_job_id
        found.items.append(
            Condition("array_job_id", frozenset({"array_job_id"}), lambda row: row.array_job_id == wanted, wanted=wanted)
        )
    if one.state is not None:
        states = frozenset(one.state)
        found.never = found.never or not states
        found.items.append(
            Condition("state", frozenset({"state"}), lambda row: row.state in states, Push("state", states), states)
        )


SHARED = ("none", "single_user", "multi_user")
SCHEDULES = ("interactive", "batch")


def _add_words(found: Conditions, one: JobFilter) -> None:
    if one.shared is not None:
        shared = one.shared
        if shared not in SHARED:
            raise _unknown_word("shared", shared, SHARED)
        found.items.append(Condition("shared", frozenset({"shared"}), lambda row: row.shared == shared, wanted=shared))
    if one.schedule:
        if one.schedule not in SCHEDULES:
            raise _unknown_word("schedule", one.schedule, SCHEDULES)
        interactive = StringInput(eq="interactive") if one.schedule == "interactive" else StringInput(neq="interactive")
        _add_job_name(found, interactive)


def _unknown_word(where: str, word: str, known: Iterable[str]) -> RequestError:
    return RequestError(Code.BAD_REQUEST, f"JobFilter.{where}: {word[:40]!r} is not one of {', '.join(known)}.")


def _add_metric_stat(found: Conditions, stat: MetricStat) -> None:
    key, test = stat.metric_name, range_test(stat.range)
    if not re.fullmatch(r"[A-Za-z0-9_]+", key):
        found.never = True
        return

    def within(row: JobRow) -> bool:
        value = row.footprint.get(key) if row.footprint is not None else None
        return value is not None and (test is None or test(value))

    found.items.append(Condition("metric_stats", frozenset({"footprint"}), within, wanted=stat))
