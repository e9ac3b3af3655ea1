"""``[JobFilter!]``: which jobs it admits, with what each release gets wrong (contract, 3.1 to 3.4).

:func:`admitting` makes a predicate of a list of filters; :func:`times_counted` says how often ``jobsStatistics`` counts a job.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ccgateway.simulator.call import FieldError
from ccgateway.simulator.job import Job
from ccgateway.simulator.release import Release

__all__ = ["COLUMNS", "Predicate", "admitting", "column", "times_counted"]

Filter = Mapping[str, Any]
Predicate = Callable[[Job], bool]
_Field = Callable[[Release, Any, int], Predicate | None]

_HOURS = {"last6h": 6, "last24h": 24, "last7d": 168, "last30d": 720}


def admitting(release: Release, filters: Sequence[Filter] | None, now: int) -> Predicate:
    """The jobs for which every field of every filter holds.

    Raises:
        FieldError: where the release's SQL breaks.
    """
    given = [one for one in filters or () if one]
    if sum(one.get("tags") is not None for one in given) > 1:
        raise FieldError('near "DISTINCT": syntax error' if release.row_visibility else "ambiguous column name: jobtag.tag_id")
    tests = [test for one in given for test in _tests(release, one, now)]
    return lambda job: all(test(job) for test in tests)


def times_counted(job: Job, filters: Sequence[Filter] | None) -> int:
    """Once for every tag of it that is asked for; once where none is."""
    for one in filters or ():
        if one and one.get("tags") is not None:
            wanted = {str(tag) for tag in one["tags"]}
            return sum(str(tag.id) in wanted for tag in job.tags)
    return 1


def _tests(release: Release, one: Filter, now: int) -> Iterable[Predicate]:
    """The test of every field that restricts something."""
    for name, wanted in one.items():
        if wanted is not None:
            test = _FIELDS[name](release, wanted, now) if name in _FIELDS else _of_column(release, name, wanted)
            if test is not None:
                yield test


def _text_of(attribute: str) -> _Field:
    def read(_release: Release, wanted: Any, _now: int) -> Predicate | None:
        text = _text(wanted)
        return None if text is None else lambda job: text(getattr(job, attribute))

    return read


def _range_of(attribute: str) -> _Field:
    return lambda release, wanted, _now: _range(release, wanted, lambda job: getattr(job, attribute))


def _ids(wanted: Iterable[object]) -> frozenset[str]:
    return frozenset(map(str, wanted))


def _tags(_release: Release, wanted: Any, _now: int) -> Predicate:
    ids = _ids(wanted)
    return lambda job: any(str(tag.id) in ids for tag in job.tags)


def _db_ids(_release: Release, wanted: Any, _now: int) -> Predicate:
    ids = _ids(wanted)
    return lambda job: str(job.id) in ids


def _duration(release: Release, wanted: Any, now: int) -> Predicate:
    stored = release.row_visibility
    return _range(release, wanted, lambda job: job.duration if stored else job.lasted(now))


def _running_for(_release: Release, wanted: Any, now: int) -> Predicate:
    return lambda job: not job.running or now - job.start_time > wanted


def _states(release: Release, wanted: Any, _now: int) -> Predicate:
    unknown = next((state for state in wanted if state not in release.states), None)
    if unknown is not None:
        raise FieldError(f"{unknown} is not a valid JobState")
    states = frozenset(wanted)
    return lambda job: job.state in states


def _metric_stats(release: Release, wanted: Any, _now: int) -> Predicate:
    tests = [_metric_stat(release, item) for item in wanted]
    return lambda job: all(test(job) for test in tests)


def _exclusive(release: Release, wanted: Any, _now: int) -> Predicate | None:
    return (lambda job: job.exclusive == wanted) if release.row_visibility else None  # up to 1.3 it is ignored


def _schedule(release: Release, wanted: Any, _now: int) -> Predicate | None:
    operator = {"interactive": "eq", "batch": "neq"}.get(wanted)
    return None if operator is None else _job_name(release, {operator: "interactive"})


def _of_column(release: Release, name: str, wanted: Any) -> Predicate:
    return _range(release, wanted, lambda job: column(job, name))


#: column of releases up to 1.3 → metric and statistic
COLUMNS = {
    "flopsAnyAvg": ("flops_any", "avg"), "memBwAvg": ("mem_bw", "avg"), "loadAvg": ("cpu_load", "avg"),
    "memUsedMax": ("mem_used", "max"),
}  # fmt: skip


def column(job: Job, name: str) -> float | None:
    """What the job table of releases up to 1.3 keeps of a metric; 0 for jobs that are not archived."""
    metric, statistic = COLUMNS[name]
    summary = (msgspec.json.decode(job.statistics) if job.archived else None) or {}
    return float(summary.get(metric, {}).get(statistic, 0))


# --- text


def _like(pattern: str) -> Callable[[str], bool]:
    parts = re.split("([%_])", pattern)
    words = "".join({"%": ".*", "_": "."}.get(part, re.escape(part)) for part in parts)
    compiled = re.compile(words, re.IGNORECASE | re.ASCII | re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


def _text(wanted: Mapping[str, Any], *, without: Sequence[str] = ()) -> Callable[[str], bool] | None:
    """The first operator that is set; None restricts nothing."""
    given = {name: value for name, value in wanted.items() if value is not None}
    if (value := given.get("eq")) is not None:
        return lambda text: text == value
    if (value := given.get("neq")) is not None:
        return lambda text: text != value
    for name, form in (("startsWith", "{}%"), ("endsWith", "%{}"), ("contains", "%{}%")):
        if (value := given.get(name)) is not None:
            return _like(form.format(value))
    if (values := given.get("in")) is not None and "in" not in without:
        return frozenset(values).__contains__
    return None


def _job_id(wanted: Mapping[str, Any]) -> Predicate:
    def number(text: str) -> str:
        return str(int(text)) if re.fullmatch(r"[+-]?\d+", text) else text

    given = {name: number(value) if name in ("eq", "neq") else value for name, value in wanted.items() if value is not None}
    if "in" in given:
        given["in"] = [number(value) for value in given["in"]]
    text = _text(given)
    return lambda job: text is None or text(str(job.job_id))


def _job_name(release: Release, wanted: Mapping[str, Any]) -> Predicate | None:
    if release.name == "1.2":  # the operators work on the whole metadata
        text = _text(wanted)
        return None if text is None else lambda job: job.meta_data is not None and text(_compact(job.meta_data))
    named = _text(wanted, without=("in",))
    if named is None:
        return None
    return lambda job: (job.meta_data or {}).get("jobName") is not None and named(str((job.meta_data or {})["jobName"]))


def _compact(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _node(release: Release, wanted: Mapping[str, Any]) -> Predicate:
    """``node``: by host from 1.4 on, before that by the text of all resources."""
    given = {name: value for name, value in wanted.items() if value is not None}
    if not release.row_visibility:
        text = _text(given)
        return lambda job: text is None or text(bytes(job.resources).decode())
    if not {"eq", "neq"} & given.keys() and "startsWith" in given:
        raise FieldError('near "%": syntax error')
    text = _text(given, without=("in",))
    return lambda job: text is None or any(text(host) for host in job.hosts)


# --- numbers and times


def _range(release: Release, wanted: Mapping[str, Any], value: Callable[[Job], float | None]) -> Predicate:
    low, high = wanted["from"], wanted["to"]
    if not release.chi:  # both ends as they stand
        return lambda job: (held := value(job)) is not None and low <= held <= high
    if low < 0 or high < 0:
        return lambda job: True  # noqa: ARG005
    return lambda job: (held := value(job)) is not None and (not low or held >= low) and (not high or held <= high)


def _start_time(wanted: Mapping[str, Any], now: int) -> Predicate:
    earliest, latest = _second(wanted.get("from")), _second(wanted.get("to"))
    if earliest is None and latest is None and wanted.get("range") in _HOURS:
        earliest = now - 3600 * _HOURS[wanted["range"]]
    return lambda job: (earliest is None or job.start_time >= earliest) and (latest is None or job.start_time <= latest)


def _second(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as bad:
        raise FieldError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse') from bad
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _metric_stat(release: Release, item: Mapping[str, Any]) -> Predicate:
    key, wanted = item["metricName"], item["range"]
    if release.chi and not re.fullmatch(r"\w+", key, re.ASCII):
        return lambda job: False  # noqa: ARG005
    if release.chi and not wanted["from"] and not wanted["to"]:
        return lambda job: msgspec.json.decode(job.footprint) is not None

    def held(job: Job) -> float | None:
        found: dict[str, float] = msgspec.json.decode(job.footprint) or {}
        return found.get(key)

    return _range(release, wanted, held)


_FIELDS: Mapping[str, _Field] = {
    "tags": _tags,
    "dbId": _db_ids,
    "jobId": lambda _release, wanted, _now: _job_id(wanted),
    "arrayJobId": lambda _release, wanted, _now: lambda job: job.array_job_id == wanted,
    "user": _text_of("user"),
    "project": _text_of("project"),
    "cluster": _text_of("cluster"),
    "subCluster": _text_of("sub_cluster"),
    "partition": _text_of("partition"),
    "jobName": lambda release, wanted, _now: _job_name(release, wanted),
    "duration": _duration,
    "minRunningFor": _running_for,
    "numNodes": _range_of("num_nodes"),
    "numAccelerators": _range_of("num_acc"),
    "numHWThreads": _range_of("num_hwthreads"),
    "energy": _range_of("energy"),
    "startTime": lambda _release, wanted, now: _start_time(wanted, now),
    "state": _states,
    "metricStats": _metric_stats,
    "shared": lambda _release, wanted, _now: lambda job: job.shared == wanted,
    "exclusive": _exclusive,
    "schedule": _schedule,
    "node": lambda release, wanted, _now: _node(release, wanted),
}
