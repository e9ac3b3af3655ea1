"""``JobFilter`` as each release reads it: which jobs it finds, and which conditions it ignores, breaks or reads another way.

Conditions that the store can look up (:class:`~ccgateway.simulator.source.Selection`) are passed on to it; the rest are
predicates. Text is compared as SQLite does: ``LIKE`` without regard to ASCII case, with ``%`` and ``_``.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from ccgateway.simulator.call import Call, FieldError
from ccgateway.simulator.job import SHARED, Job
from ccgateway.simulator.messages import GoError, parse_int
from ccgateway.simulator.release import Release
from ccgateway.simulator.source import Selection

__all__ = ["OLD_COLUMNS", "Found", "filtered", "footprint_of"]

Test = Callable[[Job], bool]
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
#: column of releases up to 1.3 → metric and statistic
OLD_COLUMNS = {
    "flopsAnyAvg": ("flops_any", "avg"), "memBwAvg": ("mem_bw", "avg"), "loadAvg": ("cpu_load", "avg"),
    "memUsedMax": ("mem_used", "max"),
}  # fmt: skip
_RANGES = {"last6h": 6 * 3600, "last24h": 24 * 3600, "last7d": 7 * 86400, "last30d": 30 * 86400}


@dataclass(slots=True)
class Found:
    """What a list of filters admits: a selection for the store, and tests for what it cannot look up.

    ``tag_ids``: where tags are asked for, as a job counts once for each of them up to 1.3.
    """

    selection: Selection = field(default_factory=Selection)
    tests: list[Test] = field(default_factory=list)
    tag_ids: frozenset[int] | None = None

    def admits(self, job: Job) -> bool:
        """Whether *job* passes the tests; the store sees to the selection."""
        return all(test(job) for test in self.tests)

    def times(self, job: Job, release: Release) -> int:
        """How often the release finds a job that is admitted."""
        if self.tag_ids is None or not release.doubles_tagged:
            return 1
        return sum(tag.id in self.tag_ids for tag in job.tags)


def filtered(call: Call, filters: Sequence[Mapping[str, Any]] | None) -> Found:
    """What *filters* admit, all of them together.

    Raises:
        FieldError: for what the release fails on.
    """
    found = Found()
    for given in filters or ():
        for name, value in given.items():
            if value is not None:
                _add(found, call, name, value)
    return found


def _add(found: Found, call: Call, name: str, value: Any) -> None:  # noqa: PLR0912  one branch a field
    release = call.release
    match name:
        case "user" | "project" | "cluster" | "subCluster" | "partition":
            _add_text(found, name, value)
        case "jobId":
            _add_job_id(found, value)
        case "jobName":
            _add_job_name(found, value, release)
        case "node":
            _add_node(found, value, release)
        case "numNodes" | "numAccelerators" | "numHWThreads" | "energy" | "duration":
            _add_range(found, call, name, value)
        case "metricStats":
            for item in value:
                _add_metric_stat(found, item, release)
        case "flopsAnyAvg" | "memBwAvg" | "loadAvg" | "memUsedMax":
            _add_old_column(found, name, value, release)
        case "startTime":
            _add_start(found, value, call.backend.now)
        case "state":
            _add_states(found, value, release)
        case "tags":
            _add_tags(found, value, release)
        case "dbId":
            ids = _numbers(value)
            found.tests.append(lambda job: job.id in ids)
        case "arrayJobId":
            found.tests.append(lambda job: job.array_job_id == value)
        case "shared":
            if "'" in value:
                raise FieldError(f"query failed [SELECT … job.shared = '{value}']: near \"{value}\": syntax error")
            found.tests.append(lambda job: job.shared == value)
        case "exclusive":
            if release.filters_exclusive:
                found.tests.append(lambda job: SHARED.index(job.shared) == value)
        case "schedule":
            if value in ("interactive", "batch"):
                _add_job_name(found, {"eq" if value == "interactive" else "neq": "interactive"}, release)
        case "minRunningFor":
            now = call.backend.now
            found.tests.append(lambda job: not job.running or now - job.start_time > value)
        case _:
            raise FieldError(f"the simulator does not filter by {name}")


# --- text


@lru_cache(maxsize=512)
def _like(pattern: str) -> Callable[[str], bool]:
    """SQLite's ``LIKE``."""
    parts = {"%": "(?s:.*)", "_": "(?s:.)"}
    compiled = re.compile("".join(parts.get(c) or re.escape(c) for c in pattern.translate(_LOWER)))
    return lambda text: compiled.fullmatch(text.translate(_LOWER)) is not None


def _operator(wanted: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The one operator that counts, and its operand."""
    names = ("eq", "neq", "startsWith", "endsWith", "contains", "in")
    return next(((name, wanted[name]) for name in names if wanted.get(name) is not None), None)


def _text_test(operator: str, operand: Any) -> Callable[[str], bool]:
    match operator:
        case "eq":
            return lambda text: text == operand
        case "neq":
            return lambda text: text != operand
        case "startsWith":
            return _like(operand + "%")
        case "endsWith":
            return _like("%" + operand)
        case "contains":
            return _like(f"%{operand}%")
    return frozenset(operand).__contains__


_ATTRIBUTES = {"subCluster": "sub_cluster"}


def _add_text(found: Found, name: str, wanted: Mapping[str, Any]) -> None:
    asked = _operator(wanted)
    if asked is None:
        return
    attribute = _ATTRIBUTES.get(name, name)
    if asked[0] == "eq" and attribute in ("user", "project", "cluster") and getattr(found.selection, attribute) is None:
        found.selection = replace(found.selection, **{attribute: asked[1]})
        return
    test = _text_test(*asked)
    found.tests.append(lambda job: test(getattr(job, attribute)))


def _add_job_id(found: Found, wanted: Mapping[str, Any]) -> None:
    """A text beside an integer column is a number where it can be one."""
    asked = _operator(wanted)
    if asked is None:
        return
    operator, operand = asked
    if operator in ("startsWith", "endsWith", "contains"):
        test = _text_test(operator, operand)
        found.tests.append(lambda job: test(str(job.job_id)))
        return
    numbers = {_number(text) for text in (operand if operator == "in" else [operand])}
    if operator == "neq":
        found.tests.append(lambda job: job.job_id not in numbers)
    else:
        found.tests.append(lambda job: job.job_id in numbers)


def _number(text: str) -> int | str:
    return int(text) if re.fullmatch(r"\s*[+-]?[0-9]+\s*", text) else text


def _add_job_name(found: Found, wanted: Mapping[str, Any], release: Release) -> None:
    asked = _operator(wanted)
    if release.job_name_is_text:  # of all the metadata
        if asked is not None:
            test = _text_test(*asked)
            found.tests.append(lambda job: job.meta_data is not None and test(msgspec.json.encode(job.meta_data).decode()))
        return
    if asked is None or asked[0] == "in":
        found.tests.append(lambda job: job.meta_data is not None)
        return
    named = _text_test(*asked)
    found.tests.append(lambda job: (name := (job.meta_data or {}).get("jobName")) is not None and named(name))


def _add_node(found: Found, wanted: Mapping[str, Any], release: Release) -> None:
    asked = _operator(wanted)
    if asked is None:
        return
    if not release.filters_hosts:
        test = _text_test(*asked)
        found.tests.append(lambda job: test(bytes(job.resources).decode()))
    elif asked[0] == "startsWith":
        raise FieldError('SQL logic error: near "LIKE": syntax error (1)')
    elif asked[0] != "in":
        host = _text_test(*asked)
        found.tests.append(lambda job: any(map(host, job.hosts)))


# --- numbers and times

_COLUMNS = {"numNodes": "num_nodes", "numAccelerators": "num_acc", "numHWThreads": "num_hwthreads", "energy": "energy"}


def _between(wanted: Mapping[str, Any], release: Release) -> Callable[[float], bool] | None:
    """The test of a range; None where the release drops the condition."""
    low, high = wanted["from"], wanted["to"]
    if not release.zero_is_open:
        return lambda value: low <= value <= high
    if low > 0 and high > 0:
        return lambda value: low <= value <= high
    if low > 0 and high == 0:
        return lambda value: value >= low
    if low == 0 and high > 0:
        return lambda value: value <= high
    return None


def _add_range(found: Found, call: Call, name: str, wanted: Mapping[str, Any]) -> None:
    test = _between(wanted, call.release)
    if test is None:
        return
    if name == "duration":
        now, is_live = call.backend.now, call.release.filters_live_duration
        found.tests.append(lambda job: test(job.lasted(now) if is_live else job.duration))
        return
    column = _COLUMNS[name]
    found.tests.append(lambda job: test(getattr(job, column)))


def _add_old_column(found: Found, name: str, wanted: Mapping[str, Any], release: Release) -> None:
    test, column = _between(wanted, release), OLD_COLUMNS[name]
    if test is not None:
        found.tests.append(lambda job: test(job.kept(*column)))


def _add_metric_stat(found: Found, wanted: Mapping[str, Any], release: Release) -> None:
    key, test = wanted["metricName"], _between(wanted["range"], release)
    if re.fullmatch(r"[A-Za-z0-9_]+", key) is None:
        if not release.zero_is_open:
            raise FieldError("SQL logic error")
        found.tests.append(lambda _: False)
        return

    def admits(job: Job) -> bool:
        footprint = footprint_of(job)
        if footprint is None or test is None:
            return footprint is not None
        value = footprint.get(key)
        return value is not None and test(value)

    found.tests.append(admits)


@lru_cache(maxsize=4096)
def _footprint(text: bytes) -> Mapping[str, float] | None:
    return msgspec.json.decode(text, type=dict[str, float] | None)


def footprint_of(job: Job) -> Mapping[str, float] | None:
    """The footprint that the database keeps of a job."""
    return _footprint(bytes(job.footprint))


def _add_start(found: Found, wanted: Mapping[str, Any], now: int) -> None:
    given = {end: _moment(wanted[end]) for end in ("from", "to") if wanted.get(end) is not None}
    if not given and wanted.get("range") in _RANGES:
        given = {"from": now - _RANGES[wanted["range"]]}
    selection = found.selection
    earliest, latest = given.get("from", selection.earliest), given.get("to", selection.latest)
    found.selection = replace(selection, earliest=max(selection.earliest, earliest), latest=min(selection.latest, latest))


def _moment(text: object) -> int:
    """Whole seconds of RFC 3339; the year may have more digits than four digits as Go writes it, but not as Go reads it."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise FieldError("time should be RFC3339Nano formatted string")
    return int((moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1)


# --- ids, states


def _add_states(found: Found, wanted: Sequence[str], release: Release) -> None:
    for state in wanted:
        if state not in release.states:
            raise FieldError(f"SCHEMA/JOB > {state} is not a valid JobState")
    states = frozenset(wanted)
    known = found.selection.states
    found.selection = replace(found.selection, states=states if known is None else states & known)


def _numbers(texts: Sequence[str]) -> frozenset[int]:
    numbers = set()
    for text in texts:
        try:
            numbers.add(parse_int(str(text)))
        except GoError:
            continue  # no row has it
    return frozenset(numbers)


def _add_tags(found: Found, wanted: Sequence[str], release: Release) -> None:
    if found.tag_ids is not None:
        name = 'near "DISTINCT": syntax error' if release.tag_scopes else "ambiguous column name: jobtag.tag_id"
        raise FieldError(f"SQL logic error: {name}")
    ids = found.tag_ids = _numbers(wanted)
    found.tests.append(lambda job: any(tag.id in ids for tag in job.tags))
