"""Filters for a site's own GraphQL: what of a filter its release evaluates as the gateway means it, and how it is written there.

A filter is pushed down as a whole or not at all: half of one would count too much. The exception are durations from 1.4 on, where
jobs that run have the duration that was last noted: what has ended is pushed down, and what runs is left (``without_running``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ccgateway.jobs.conditions import EARLIEST, LATEST, Conditions, range_test
from ccgateway.jobs.filters import FloatRange, IntRange, JobFilter, StringInput
from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE

__all__ = ["FilterFacts", "NotPushedError", "PushedFilter", "push_filter"]

#: ends of ranges that are open, where both have to be written
_HIGHEST, _WIDEST = 2**31 - 1, 1e300

_COMMON = frozenset(
    {
        "job_id", "array_job_id", "user", "project", "cluster", "partition", "duration", "num_nodes", "num_accelerators",
        "num_hw_threads", "start_time", "state",
    }
)  # fmt: skip


class NotPushedError(Exception):
    """The release does not evaluate the filter as it is meant. The message names the field."""


@dataclass(frozen=True, slots=True)
class FilterFacts:
    """What one release makes of ``JobFilter``.

    ``more``: fields that it evaluates rightly beside those that every release does. ``open_ends``: an end of a range that is 0 is
    open; else both ends are taken as they stand. ``live_durations``: the duration of a job that runs is that of now.
    ``exclusive``: ``shared`` is a number there. ``columns``: what its job table keeps of metrics instead of footprints: key →
    field. ``subclusters``: whether jobs can be grouped by sub-cluster. ``summaries``: whether it tells
    the statistics of many jobs. ``fixed_bins``: whether histograms have the bins that are asked for.
    """

    more: frozenset[str] = frozenset()
    open_ends: bool = False
    live_durations: bool = False
    exclusive: bool = True
    columns: Mapping[str, str] = field(default_factory=dict)
    subclusters: bool = False
    summaries: bool = False
    fixed_bins: bool = True

    @property
    def fields(self) -> frozenset[str]:
        """Every field that it evaluates rightly."""
        return _COMMON | self.more


@dataclass(frozen=True, slots=True)
class PushedFilter:
    """``elements``: the filter as the site takes it. ``never``: no job can match. ``without_running``: jobs that run are to be
    counted otherwise."""

    elements: tuple[Mapping[str, object], ...]
    never: bool = False
    without_running: bool = False


def push_filter(
    facts: FilterFacts, states: frozenset[str], filters: Sequence[JobFilter], conditions: Conditions, *, owner: str | None
) -> PushedFilter:
    """The filters, of which ``conditions`` are those for the same site, as the release takes them. ``states``: those that it
    knows. ``owner``: whose jobs alone are meant, where that has to be asked for.

    Raises:
        NotPushedError: where the release does not evaluate them rightly.
    """
    if conditions.never:
        return PushedFilter((), never=True)
    try:
        parts = [_element(facts, one) for one in filters]
    except _NeverError:
        return PushedFilter((), never=True)
    elements = [element for element, _, _ in parts if element] + _keys(facts, conditions)
    asked = states.intersection(*(wanted for _, wanted, _ in parts if wanted is not None))
    is_timed = any(timed for _, _, timed in parts)
    without_running = is_timed and not facts.live_durations and "running" in asked
    if not asked:
        return PushedFilter((), never=True)
    if without_running:
        asked -= {"running"}
    if without_running or any(one.state is not None for one in filters):
        # exactly ["running"] would be answered from the metric store, in another meaning
        is_alone = asked == {"running"} and not any(one.state == ("running",) for one in filters)
        elements.append({"state": sorted(asked) * (2 if is_alone else 1)})
    if owner is not None:
        elements.append({"user": {"eq": owner}})
    return PushedFilter(tuple(elements), without_running=without_running)


def _keys(facts: FilterFacts, conditions: Conditions) -> list[dict[str, object]]:
    """Database ids and start times."""
    elements: list[dict[str, object]] = []
    if any(condition.name == "db_id" for condition in conditions.items):
        raise NotPushedError("dbId")
    if conditions.db_ids is not None:
        if "db_id" not in facts.fields:
            raise NotPushedError("dbId")
        elements.append({"dbId": [str(one) for one in sorted(conditions.db_ids)]})
    window = {}
    if conditions.earliest > EARLIEST:
        window["from"] = _time(conditions.earliest)
    if conditions.latest < LATEST:
        window["to"] = _time(conditions.latest)
    return [*elements, {"startTime": window}] if window else elements


class _NeverError(Exception):
    """No job can match."""


def _element(facts: FilterFacts, one: JobFilter) -> tuple[dict[str, object], frozenset[str] | None, bool]:
    """(the filter but for its times, ids and states; the states that it admits; whether it restricts durations)."""
    found: dict[str, object] = {}
    if one.tags is not None:  # a job counts once for each of its tags that is asked for
        raise NotPushedError("tags")
    for name, key in _TEXTS.items():
        _put(found, facts, name, key, _text(getattr(one, name)))
    _put(found, facts, "job_id", "jobId", _job_id(one.job_id))
    _put(found, facts, "array_job_id", "arrayJobId", one.array_job_id)
    names = _text(one.job_name, without="in", what="jobName.in")
    _put(found, facts, "job_name", "jobName", names)
    if one.schedule:
        operator = "eq" if one.schedule == "interactive" else "neq"
        if names is not None:
            raise NotPushedError("schedule with jobName")
        _put(found, facts, "job_name", "jobName", {operator: "interactive"})
    _put(found, facts, "node", "node", _node(one.node))
    for name, key in _INTEGERS.items():
        _put(found, facts, name, key, _range(facts, getattr(one, name), 0, _HIGHEST))
    if "energy" in facts.fields:
        _put(found, facts, "energy", "energy", _range(facts, one.energy, -_WIDEST, _WIDEST))
    elif one.energy is not None and (test := range_test(one.energy)) is not None and not test(0.0):
        raise _NeverError  # such a release knows of no energy: it counts as 0
    if one.metric_stats:
        found |= _metric_stats(facts, one)
    if one.shared is not None:
        number = next((number for number, word in SHARED_BY_EXCLUSIVE.items() if word == one.shared), None)
        _put(found, facts, "shared", "exclusive" if facts.exclusive else "shared", number if facts.exclusive else one.shared)
    states = None if one.state is None else frozenset(one.state)
    return found, states, "duration" in found


_TEXTS = {
    "user": "user", "project": "project", "cluster": "cluster", "sub_cluster": "subCluster", "partition": "partition",
}  # fmt: skip
_INTEGERS = {
    "duration": "duration", "num_nodes": "numNodes", "num_accelerators": "numAccelerators", "num_hw_threads": "numHWThreads",
}  # fmt: skip


def _put(found: dict[str, object], facts: FilterFacts, name: str, key: str, value: object) -> None:
    if value is None:
        return
    if name not in facts.fields:
        raise NotPushedError(key)
    found[key] = value


_OPERATORS: tuple[tuple[str, Callable[[StringInput], Any]], ...] = (
    ("eq", lambda one: one.eq),
    ("neq", lambda one: one.neq),
    ("startsWith", lambda one: one.starts_with),
    ("endsWith", lambda one: one.ends_with),
    ("contains", lambda one: one.contains),
    ("in", lambda one: None if one.in_ is None else list(one.in_)),
)


def _text(wanted: StringInput | None, *, without: str = "", what: str = "") -> dict[str, object] | None:
    """The first operator that is set."""
    if wanted is None:
        return None
    for operator, get in _OPERATORS:
        value = get(wanted)
        if value is not None:
            if operator == without:
                raise NotPushedError(what)
            return {operator: value}
    return None


def _node(wanted: StringInput | None) -> dict[str, object] | None:
    text = _text(wanted)
    if text is not None and not text.keys().isdisjoint({"startsWith", "in"}):
        raise NotPushedError("node.startsWith and node.in")
    return text


_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def _job_id(wanted: StringInput | None) -> dict[str, object] | None:
    """Numbers are compared as numbers; what is none equals no job's."""
    text = _text(wanted)
    if text is None:
        return None
    ((operator, value),) = text.items()
    if operator == "in" and isinstance(value, list):
        return {"in": [str(int(one)) for one in value if _NUMBER.fullmatch(one)]}
    if operator in ("eq", "neq"):
        if not _NUMBER.fullmatch(str(value)):
            if operator == "neq":
                return None
            raise _NeverError
        return {operator: str(int(str(value)))}
    return text


def _range(facts: FilterFacts, wanted: IntRange | FloatRange | None, lowest: float, highest: float) -> dict[str, object] | None:
    if wanted is None or range_test(wanted) is None:
        return None
    if facts.open_ends:
        return {"from": wanted.from_ or 0, "to": wanted.to or 0}
    return {"from": wanted.from_ or lowest, "to": wanted.to or highest}


def _metric_stats(facts: FilterFacts, one: JobFilter) -> dict[str, object]:
    if "metric_stats" not in facts.fields:
        raise _NeverError  # such a release keeps no footprints: nothing matches
    items: list[dict[str, object]] = []
    for stat in one.metric_stats or ():
        if not re.fullmatch(r"[A-Za-z0-9_]+", stat.metric_name):
            raise _NeverError
        wanted = _range(facts, stat.range, -_WIDEST, _WIDEST)
        if wanted is None:
            raise NotPushedError("metricStats without a range")
        items.append({"metricName": stat.metric_name, "range": wanted})
    return {"metricStats": items}


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
