"""A question for jobs in the words of one release's ``JobFilter``.

A condition is *exact* where the release finds precisely the jobs that the gateway means, and *narrows* where it finds more than
those. What it would find too few by is not asked for. Every row is tested again, so that an answer is never wrong by what a site
makes of a filter; only an exact plan's count may be believed.

How long a job has run is another thing in the database than in what is shown, while it runs. So where durations matter, a plan
has two branches: jobs that have ended, of which the site knows the duration, and jobs that run, of which the gateway tests it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ccgateway.jobs.conditions import Condition, range_test
from ccgateway.jobs.filters import FloatRange, IntRange, MetricStat, StringInput
from ccgateway.jobs.model import JOB_FIELDS, JOB_TEXTS, JobRow
from ccgateway.site.base import JobsWanted
from ccgateway.site.credentials import Credential
from ccgateway.site.releases import Dialect
from ccgateway.site.releases.query_facts import Compared, QueryFacts

__all__ = ["Branch", "QueryPlan", "plan_for"]

RUNNING = "running"
#: elements of a list that a site is asked for; characters of a text
MOST_ELEMENTS, LONGEST = 500, 1000
_LEAST, _MOST = -(2**63), 2**63 - 1
_LOWEST, _HIGHEST = -1e308, 1e308
#: what of a row is not read in the same moment as the filter is evaluated
_READ_APART = frozenset({"tags", "meta_data", "footprint"})

Filter = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Branch:
    """Jobs that a site is asked for at once: elements of the filter, and what every row must pass for the site to be right.

    ``states``: those that the jobs may have. ``unsure``: names of conditions by which the site finds others as well.
    """

    filters: tuple[Filter, ...]
    promised: tuple[Condition, ...]
    states: frozenset[str]
    unsure: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        """Whether the site finds precisely the jobs that are wanted."""
        return not self.unsure


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """How one question is put to one site: disjoint branches, the attributes that rows need, the tests that all of them get.

    ``narrows``: the site evaluates more of the question than it would by REST.
    """

    facts: QueryFacts
    branches: tuple[Branch, ...]
    attributes: frozenset[str]
    tests: tuple[Condition, ...]
    narrows: bool

    @property
    def is_exact(self) -> bool:
        """Whether the site's count is the count."""
        return all(branch.is_exact for branch in self.branches)

    @property
    def finds_few_others(self) -> bool:
        """Whether at most jobs that run are found beside those that are wanted."""
        return all(branch.is_exact for branch in self.branches if branch.states != {RUNNING})

    def matching(self, rows: Sequence[JobRow]) -> list[JobRow]:
        """The rows that pass every test."""
        found = list(rows)
        for condition in self.tests:
            found = [row for row in found if condition.test(row)]
        return found


@dataclass(frozen=True, slots=True)
class _Pushed:
    filter: Filter
    is_exact: bool = True


def plan_for(dialect: Dialect, wanted: JobsWanted, credential: Credential, *, settled: bool | None = None) -> QueryPlan | None:
    """The plan for a question; ``None`` where only REST can answer it. Without branches, no job can match.

    ``settled``: only jobs that have ended (``True``), or only those that run (``False``).
    """
    facts, asked = dialect.query, wanted.conditions
    if facts is None or asked.db_ids is not None or not wanted.attributes.isdisjoint(JOB_TEXTS):
        return None
    by_rest = dialect.plan(asked, wanted.attributes, credential)
    owner = [condition for condition in by_rest.residual if condition.name == "owner"]
    conditions = (*asked.items, *owner)
    if any(_asks_for_any_footprint(condition, facts) for condition in conditions):
        return None
    attributes = wanted.attributes.union(*(condition.needs for condition in conditions))
    nothing = QueryPlan(facts, (), attributes, conditions, narrows=True)
    if by_rest.never:
        return nothing
    states, split = dialect.states, _Split([], [])
    for condition in conditions:
        if condition.name == "state" and isinstance(condition.wanted, frozenset):
            states &= condition.wanted
        elif condition.needs and condition.needs <= facts.wire.absent:
            if not condition.test(_ABSENT):  # type: ignore[arg-type]
                return nothing
        else:
            pushed = _owned(credential) if condition.name == "owner" else _pushed(facts, condition)
            (split.durations if condition.name == "duration" else split.others).append((condition, pushed))
    narrows = any(pushed is not None and condition in by_rest.residual for condition, pushed in split.all)
    parts = [states]
    if split.durations or settled is not None:
        ended, runs = states - {RUNNING}, states & {RUNNING}
        attributes |= {"state"}
        # whoever ends between the two is found twice, not lost
        parts = [runs, ended] if settled is None else [ended] if settled else [runs]
    branches = tuple(_branch(dialect, part, split) for part in parts if part)
    return QueryPlan(facts, branches, attributes, conditions, narrows)


_ABSENT = SimpleNamespace(**{name: field.default for name, field in JOB_FIELDS.items()})


@dataclass(frozen=True, slots=True)
class _Split:
    """Conditions, each with how a site is asked for it, if it can be: those on durations apart."""

    durations: list[tuple[Condition, _Pushed | None]]
    others: list[tuple[Condition, _Pushed | None]]

    @property
    def all(self) -> list[tuple[Condition, _Pushed | None]]:
        return [*self.durations, *self.others]


def _asks_for_any_footprint(condition: Condition, facts: QueryFacts) -> bool:
    """Whether it matters that a job has a footprint at all, be it an empty one: lists of values do not tell."""
    wanted = condition.wanted
    return isinstance(wanted, MetricStat) and range_test(wanted.range) is None and "footprint" not in facts.wire.absent


def _branch(dialect: Dialect, states: frozenset[str], split: _Split) -> Branch:
    runs = RUNNING in states
    taken = split.others if runs else split.all
    unsure = [condition.name for condition, pushed in taken if pushed is None or not pushed.is_exact]
    unsure += ["duration"] if runs and split.durations else []
    filters = [pushed.filter for _, pushed in taken if pushed is not None]
    promised = [
        condition
        for condition, pushed in taken
        if pushed is not None and pushed.is_exact and condition.needs.isdisjoint(_READ_APART)
    ]
    if states != dialect.states:
        filters.append({"state": sorted(states)})
        promised.append(Condition("state", frozenset({"state"}), lambda row: row.state in states))
    return Branch(tuple(filters), tuple(promised), states, tuple(unsure))


# --- conditions


def _owned(credential: Credential) -> _Pushed | None:
    return _Pushed({"user": {"eq": credential.user}}) if credential.user and _is_plain(credential.user) else None


def _pushed(facts: QueryFacts, condition: Condition) -> _Pushed | None:
    """How the site is asked for the condition; ``None`` where it would miss jobs, or cannot be asked."""
    wanted, name = condition.wanted, condition.name
    match wanted:
        case StringInput() if name in facts.texts:
            return _text(facts.texts[name], wanted)
        case StringInput() if name == "job_id":
            return _job_id(wanted)
        case StringInput() if name == "job_name":
            return _named("jobName", wanted) if facts.names == "alone" else _within("jobName", "jobName", wanted, facts.names)
        case StringInput() if name == "node":
            return _host(wanted) if facts.hosts == "alone" else _within("node", "hostname", wanted, facts.hosts)
        case IntRange() | FloatRange() if name in _RANGES:
            bounds = _range(facts, wanted)
            if bounds is None:
                return None
            # no release takes a job of less than one node
            return _Pushed({_RANGES[name]: bounds.filter}, bounds.is_exact or name == "num_nodes")
        case MetricStat():
            bounds = _range(facts, wanted.range)
            if bounds is None or range_test(wanted.range) is None:  # by an open range sites find all jobs, or none
                return None
            return _Pushed({"metricStats": [{"metricName": wanted.metric_name, "range": bounds.filter}]}, bounds.is_exact)
        case int() if name == "array_job_id" and _LEAST <= wanted <= _MOST:
            return _Pushed({"arrayJobId": wanted})
        case str() if name == "shared" and facts.filters_shared:
            return _Pushed({"shared": wanted})  # one of three words
    return None


def _is_plain(text: str) -> bool:
    """Whether a text means the same to the gateway, to JSON and to the database."""
    return len(text) <= LONGEST and "\0" not in text and text.isprintable()


_Asked = tuple[str, str | tuple[str, ...]]


def _operator(wanted: StringInput) -> _Asked | None:
    """The one operator that counts, in the order of all releases, and its operand."""
    operators = (
        ("eq", wanted.eq), ("neq", wanted.neq), ("startsWith", wanted.starts_with), ("endsWith", wanted.ends_with),
        ("contains", wanted.contains), ("in", wanted.in_),
    )  # fmt: skip
    found = next(((name, operand) for name, operand in operators if operand is not None), None)
    if found is None or isinstance(found[1], str):
        return found
    operand = tuple(dict.fromkeys(found[1]))
    return ("eq", operand[0]) if len(operand) == 1 else ("in", operand)


def _text(field: str, wanted: StringInput) -> _Pushed | None:
    asked = _operator(wanted)
    return None if asked is None else _compared(field, asked)


def _compared(field: str, asked: _Asked) -> _Pushed | None:
    operator, operand = asked
    elements = [operand] if isinstance(operand, str) else list(operand)
    if len(elements) > MOST_ELEMENTS or not all(map(_is_plain, elements)):
        return None
    return _Pushed({field: {operator: operand if isinstance(operand, str) else elements}})


def _job_id(wanted: StringInput) -> _Pushed | None:
    asked = _operator(wanted)
    if asked is None:
        return None
    operator, operand = asked
    if operator in ("startsWith", "endsWith", "contains"):
        return _text("jobId", wanted)
    texts = [operand] if isinstance(operand, str) else list(operand)
    numbers = [int(text) for text in texts if re.fullmatch(r"[0-9]{1,18}", text)]
    if len(numbers) != len(texts) or len(numbers) > MOST_ELEMENTS:
        return None
    if operator == "in":
        return _Pushed({"jobId": {"in": [str(number) for number in numbers]}})
    return _Pushed({"jobId": {operator: str(numbers[0])}})


def _named(field: str, wanted: StringInput) -> _Pushed | None:
    """No release heeds ``in`` there."""
    asked = _operator(wanted)
    return None if asked is None or asked[0] == "in" else _compared(field, asked)


def _host(wanted: StringInput) -> _Pushed | None:
    """No release can do ``startsWith`` there."""
    asked = _operator(wanted)
    if asked is not None and asked[0] == "startsWith" and isinstance(asked[1], str):
        pushed = _named("node", StringInput(contains=asked[1]))
        return None if pushed is None else _Pushed(pushed.filter, is_exact=False)
    return _named("node", wanted)


def _within(field: str, key: str, wanted: StringInput, compared: Compared) -> _Pushed | None:
    """A text looked for in JSON, under its key where that is certain: finds others as well, as characters match whatever their
    case."""
    asked = _operator(wanted)
    if asked is None or not isinstance(asked[1], str) or re.fullmatch(r"[A-Za-z0-9_.:+@ -]{1,200}", asked[1]) is None:
        return None
    operator, text = asked
    forms = {"eq": f'"{key}":"{text}"', "startsWith": f'"{key}":"{text}', "endsWith": f'{text}"', "contains": text}
    if operator not in forms:
        return None
    return _Pushed({field: {"contains": text if compared == "either" else forms[operator]}}, is_exact=False)


_RANGES = {
    "duration": "duration", "energy": "energy", "num_nodes": "numNodes", "num_accelerators": "numAccelerators",
    "num_hw_threads": "numHWThreads",
}  # fmt: skip


def _range(facts: QueryFacts, wanted: IntRange | FloatRange) -> _Pushed | None:
    """A range as the gateway means it: 0 and nothing are open."""
    if range_test(wanted) is None:
        return None
    low, high = wanted.from_ or None, wanted.to or None
    if max(low or 0, high or 0) > (_MOST if isinstance(wanted, IntRange) else _HIGHEST):
        return None
    if facts.literal_ranges:
        least, most = (_LEAST, _MOST) if isinstance(wanted, IntRange) else (_LOWEST, _HIGHEST)
        return _Pushed({"from": least if low is None else low, "to": most if high is None else high})
    # 1 below is open, too, up to 1.5.2
    return _Pushed({"from": low or 0, "to": high or 0}, is_exact=low != 1)
