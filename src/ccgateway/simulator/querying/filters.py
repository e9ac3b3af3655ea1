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

__all__ = ["Predicate", "admitting", "admitting_nodes", "times_counted"]

Filter = Mapping[str, Any]
Predicate = Callable[[Job], bool]

_HOURS = {"last6h": 6, "last24h": 24, "last7d": 168, "last30d": 720}


def admitting(release: Release, filters: Sequence[Filter] | None, now: int) -> Predicate:
    """The jobs for which every field of every filter holds.

    Raises:
        FieldError: where the release's SQL breaks.
    """
    given = [one for one in filters or () if one]
    if sum(one.get("tags") is not None for one in given) > 1:
        raise FieldError("ambiguous column name: jobtag.tag_id" if not release.row_visibility else 'near "DISTINCT": syntax error')
    tests = [test for one in given for test in _tests(release, one, now)]
    return lambda job: all(test(job) for test in tests)


def times_counted(job: Job, filters: Sequence[Filter] | None) -> int:
    """Once for every tag of it that is asked for; once where none is."""
    for one in filters or ():
        if one and one.get("tags") is not None:
            wanted = {str(tag) for tag in one["tags"]}
            return sum(str(tag.id) in wanted for tag in job.tags)
    return 1


def _tests(release: Release, one: Filter, now: int) -> Iterable[Predicate]:  # noqa: C901, PLR0912  one branch a field
    new = release.row_visibility
    for name, wanted in one.items():
        if wanted is None:
            continue
        match name:
            case "tags":
                ids = {str(tag) for tag in wanted}
                yield lambda job, ids=ids: any(str(tag.id) in ids for tag in job.tags)
            case "dbId":
                ids = {str(db_id) for db_id in wanted}
                yield lambda job, ids=ids: str(job.id) in ids
            case "jobId":
                yield _job_id(wanted)
            case "arrayJobId":
                yield lambda job, number=wanted: job.array_job_id == number
            case "user" | "project" | "cluster" | "partition":
                if text := _text(wanted):
                    yield lambda job, name=name, text=text: text(getattr(job, name))
            case "subCluster":
                if text := _text(wanted):
                    yield lambda job, text=text: text(job.sub_cluster)
            case "jobName":
                if test := _job_name(release, wanted):
                    yield test
            case "duration":
                yield _range(release, wanted, (lambda job: job.duration) if new else (lambda job: job.lasted(now)))
            case "minRunningFor":
                yield lambda job, least=wanted: not job.running or now - job.start_time > least
            case "numNodes":
                yield _range(release, wanted, lambda job: job.num_nodes)
            case "numAccelerators":
                yield _range(release, wanted, lambda job: job.num_acc)
            case "numHWThreads":
                yield _range(release, wanted, lambda job: job.num_hwthreads)
            case "energy":
                yield _range(release, wanted, lambda job: job.energy)
            case "startTime":
                yield _start_time(wanted, now)
            case "state":
                unknown = next((state for state in wanted if state not in release.states), None)
                if unknown is not None:
                    raise FieldError(f"{unknown} is not a valid JobState")
                yield lambda job, states=frozenset(wanted): job.state in states
            case "metricStats":
                for item in wanted:
                    yield _metric_stat(release, item)
            case "flopsAnyAvg" | "memBwAvg" | "loadAvg" | "memUsedMax":
                yield _range(release, wanted, lambda job, name=name: column(job, name))
            case "shared":
                yield lambda job, word=wanted: job.shared == word
            case "exclusive":
                if new:
                    yield lambda job, number=wanted: job.exclusive == number
            case "schedule":
                if wanted in ("interactive", "batch"):
                    operator = "eq" if wanted == "interactive" else "neq"
                    if test := _job_name(release, {operator: "interactive"}):
                        yield test
            case "node":
                yield admitting_nodes(release, wanted)


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
    text = _text(wanted, without=("in",))
    if text is None:
        return None
    return lambda job: (job.meta_data or {}).get("jobName") is not None and text(str((job.meta_data or {})["jobName"]))


def _compact(value: object) -> str:
    return msgspec.json.encode(value).decode()


def admitting_nodes(release: Release, wanted: Mapping[str, Any]) -> Predicate:
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
