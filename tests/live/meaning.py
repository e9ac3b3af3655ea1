"""What a ``JobFilter`` means, in plain Python over the jobs that instances list: the oracle for every filter.

Text operators are left to SQLite itself, which cc-backend asks too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from live.truth import Job

__all__ = ["matches"]

_sqlite = sqlite3.connect(":memory:", check_same_thread=False)


def matches(job: Job, filters: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the job is in the list: every field of every filter must hold."""
    return all(_holds(name, wanted, job) for one in filters for name, wanted in one.items() if wanted is not None)


def _holds(name: str, wanted: Any, job: Job) -> bool:
    match name:
        case "user" | "project" | "cluster" | "subCluster" | "partition":
            return _text(wanted, job[name])
        case "jobId":
            return _number_text(wanted, job["jobId"])
        case "jobName":
            return _job_name(wanted, job)
        case "node":
            return any(_text(wanted, host["hostname"]) for host in job["resources"]) or not _operator(wanted)
        case "duration" | "energy" | "numNodes" | "numHWThreads":
            return _range(wanted, job[name])
        case "numAccelerators":
            return _range(wanted, job["numAcc"])
        case "startTime":
            return bool(_since(wanted) <= job["startTime"] <= _until(wanted))
        case "state":
            return bool(job["state"] in wanted)
        case "shared" | "arrayJobId":
            return bool(job[name] == wanted)
        case "schedule":
            operator = {"interactive": "eq", "batch": "neq"}[wanted]
            return _job_name({operator: "interactive"}, job)
        case "metricStats":
            return all(_metric(item, job["footprint"]) for item in wanted)
        case "dbId":
            return any(text in (str(job["dbId"]), f"{job['site']}:{job['dbId']}") for text in wanted)
        case "tags":
            own = {str(number) for number in job["tagIds"]} | {f"{job['site']}:{number}" for number in job["tagIds"]}
            return bool(own & set(wanted))
    raise AssertionError(f"no meaning is written down for {name}")


def _operator(wanted: Mapping[str, Any]) -> tuple[str, Any] | None:
    for name in ("eq", "neq", "startsWith", "endsWith", "contains", "in"):
        if wanted.get(name) is not None:
            return name, wanted[name]
    return None


def _text(wanted: Mapping[str, Any], value: str) -> bool:
    match _operator(wanted):
        case None:
            return True
        case "eq", text:
            return bool(value == text)
        case "neq", text:
            return bool(value != text)
        case "in", texts:
            return value in texts
        case "startsWith", text:
            return _like(value, f"{text}%")
        case "endsWith", text:
            return _like(value, f"%{text}")
        case "contains", text:
            return _like(value, f"%{text}%")
    raise AssertionError(wanted)


@cache
def _like(value: str, pattern: str) -> bool:
    (found,) = _sqlite.execute("SELECT ? LIKE ?", (value, pattern)).fetchone()
    return bool(found)


def _number_text(wanted: Mapping[str, Any], value: int) -> bool:
    match _operator(wanted):
        case "eq", text:
            return value == int(text)
        case "neq", text:
            return value != int(text)
        case "in", texts:
            return value in {int(text) for text in texts}
    return _text(wanted, str(value))


def _job_name(wanted: Mapping[str, Any], job: Job) -> bool:
    name = (job["metaData"] or {}).get("jobName")
    return _operator(wanted) is None or (name is not None and _text(wanted, name))


def _range(wanted: Mapping[str, Any], value: float) -> bool:
    low, high = wanted.get("from") or 0, wanted.get("to") or 0
    if low < 0 or high < 0:
        return True
    return (not low or value >= low) and (not high or value <= high)


def _metric(item: Mapping[str, Any], footprint: Mapping[str, float] | None) -> bool:
    value = (footprint or {}).get(item["metricName"])
    return value is not None and _range(item["range"], value)


def _since(wanted: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(wanted["from"]).timestamp() if wanted.get("from") else float("-inf")


def _until(wanted: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(wanted["to"]).timestamp() if wanted.get("to") else float("inf")
