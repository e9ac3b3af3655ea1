"""Accounts, jobs beside a job, its energy, its metrics and statistics; the metrics of all clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ccgateway.simulator.call import Call, FieldError
from ccgateway.simulator.gate import Rows, rows_of
from ccgateway.simulator.job import Job
from ccgateway.simulator.messages import GoError, parse_int
from ccgateway.simulator.scopes import Shown, shown_metrics
from ccgateway.simulator.writing.refusing import NO_ROWS

__all__ = ["DETAIL_QUERIES", "account_of", "concurrent_jobs", "energy_footprint", "seen_job"]

#: seconds of run time from which a job's neighbours are told, and by which two may miss one another and still overlap
_LONG, _SLACK = 600, 200


def global_metrics(call: Call, _arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every metric, as the first cluster that has it defines it."""
    found: dict[str, dict[str, Any]] = {}
    for cluster in call.backend.clusters:
        for config in cluster["metricConfig"]:
            one = {"unit": config["unit"], "scope": config["scope"], "footprint": config.get("footprint") or ""}
            kept = found.setdefault(config["name"], {"name": config["name"], **one, "availability": []})
            parts = [part["name"] for part in cluster["subClusters"]]
            kept["availability"].append({"cluster": cluster["name"], "subClusters": parts})
    return list(found.values())


def user(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """An account: anybody's to staff, to others their own."""
    return account_of(call, arguments["username"])


def job_metrics(call: Call, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same as by REST; from 1.4 on thinned out where that is asked for."""
    found = seen_job(call, arguments["id"])
    if found.id in call.backend.broken_metrics:
        raise FieldError("the metric store has no data for this job")
    names, scopes, resolution = arguments.get("metrics"), arguments.get("scopes"), arguments.get("resolution")
    try:
        shown = shown_metrics(call.backend, found, names, scopes, endpoint="metrics", resolution=resolution)
    except GoError as bad:
        raise FieldError(str(bad)) from None
    return [_plain(one) for one in shown]


def job_stats(call: Call, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One for every metric that is named, zeros for one that there is none of; none where none are named."""
    found = seen_job(call, arguments["id"])
    known = {one["name"]: one for one in _statistics(call, found)}
    nothing = {"avg": 0.0, "min": 0.0, "max": 0.0}
    data = {name: known[name]["data"] if name in known else nothing for name in arguments.get("metrics") or ()}
    return [{"name": name, "data": one, "stats": one} for name, one in data.items()]


def scoped_job_stats(call: Call, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of every series."""
    found = seen_job(call, arguments["id"])
    shown = shown_metrics(call.backend, found, None, None, endpoint="metrics")
    return [
        {
            "name": one["name"],
            "scope": one["scope"],
            "stats": [{"hostname": s["hostname"], "id": s.get("id"), "data": s["statistics"]} for s in one["metric"]["series"]],
        }
        for one in map(_plain, shown)
    ]


DETAIL_QUERIES: dict[str, Callable[[Call, Mapping[str, Any]], object]] = {
    "globalMetrics": global_metrics,
    "user": user,
    "jobMetrics": job_metrics,
    "jobStats": job_stats,
    "scopedJobStats": scoped_job_stats,
}


def account_of(call: Call, name: str) -> dict[str, Any] | None:
    """The account of that name, if there is one. Raises :class:`FieldError` where it is not the caller's to see."""
    if name != call.who.subject and not call.who.has("admin", "support", "manager"):
        raise FieldError("forbidden")
    found = next((one for one in call.backend.users if one.name == name), None)
    return None if found is None else {"username": found.name, "name": found.full_name, "email": found.email}


def concurrent_jobs(call: Call, found: Job) -> dict[str, Any] | None:
    """The jobs that ran on its first host at the same time, as far as the caller may see them; 1.5 counts the job itself."""
    now = call.backend.now
    shared = found.shared != "none" if call.release.chi else found.exclusive != 1
    if not shared or found.lasted(now) <= _LONG or not found.hosts:
        return None
    rows = rows_of(call.release, call.who)
    links = [
        {"id": str(one.id), "jobId": one.job_id}
        for one in sorted(call.backend.jobs, key=lambda one: one.id)
        if (call.release.chi or one.id != found.id)
        and one.cluster == found.cluster
        and found.hosts[0] in one.hosts
        and one.start_time <= found.start_time + found.lasted(now) + _SLACK
        and found.start_time <= one.start_time + one.lasted(now) + _SLACK
        and (rows is Rows.ALL or one.user == call.who.subject)
    ]
    query = "&".join([f"cluster={found.cluster}", *(f"jobId={one['jobId']}" for one in links)])
    return {"items": links, "count": len(links), "listQuery": query}


def energy_footprint(_call: Call, found: Job) -> list[dict[str, Any]]:
    """All of it is the processors'."""
    return [{"hardware": "CPU", "metric": "cpu_power", "value": found.energy}] if found.energy else []


def seen_job(call: Call, text: object) -> Job:
    """The job with that id, if the caller may see it whole. Raises :class:`FieldError`."""
    release = call.release
    if release.row_visibility and rows_of(release, call.who) is Rows.NONE:
        raise FieldError("user has no or unknown roles")
    try:
        found = call.backend.visible_job(call.who, parse_int(str(text)))
    except GoError as bad:
        raise FieldError(str(bad)) from bad
    if found is None:
        raise FieldError(NO_ROWS)
    if not call.who.may_read_metrics_of(found.user):
        raise FieldError("you are not allowed to see this job")
    return found


def _statistics(call: Call, found: Job) -> list[dict[str, Any]]:
    shown = [_plain(one) for one in shown_metrics(call.backend, found, None, ["node"], endpoint="metrics")]
    by_name: dict[str, Sequence[Mapping[str, float]]] = {}
    for one in shown:
        by_name.setdefault(one["name"], [series["statistics"] for series in one["metric"]["series"]])
    return [
        {
            "name": name,
            "data": {
                "avg": round(sum(one["avg"] for one in parts) / len(parts), 2),
                "min": min(one["min"] for one in parts),
                "max": max(one["max"] for one in parts),
            },
        }
        for name, parts in by_name.items()
        if parts
    ]


def _plain(shown: Shown) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(shown))
    across = plain["metric"].get("statisticsSeries")
    if across is not None:  # lists that are not computed are empty here
        plain["metric"]["statisticsSeries"] = {name: across.get(name) or [] for name in ("mean", "median", "min", "max")}
    return plain
