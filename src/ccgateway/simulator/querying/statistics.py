"""``jobsStatistics``: sums, groups and histograms, with what each release gets wrong (contract, 4.1 to 4.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import trunc
from typing import Any

import msgspec

from ccgateway.simulator.call import Call, FieldError
from ccgateway.simulator.clusters import Metric, hardware_of
from ccgateway.simulator.gate import Rows, rows_of
from ccgateway.simulator.job import Job
from ccgateway.simulator.querying.job_filters import OLD_COLUMNS, filtered

__all__ = ["jobs_statistics", "matching"]

_SHORT = 300
_BINS = {"1m": (60, 60), "10m": (72, 600), "1h": (48, 3600), "6h": (12, 21_600), "12h": (14, 43_200)}
_GROUPS = {"USER": "user", "PROJECT": "project", "CLUSTER": "cluster", "SUBCLUSTER": "sub_cluster"}
_SORTS = {
    "TOTALWALLTIME": "totalWalltime", "TOTALJOBS": "totalJobs", "TOTALUSERS": "totalUsers", "TOTALNODES": "totalNodes",
    "TOTALNODEHOURS": "totalNodeHours", "TOTALCORES": "totalCores", "TOTALCOREHOURS": "totalCoreHours",
    "TOTALACCS": "totalAccs", "TOTALACCHOURS": "totalAccHours",
}  # fmt: skip
_OLD_STATISTICS = dict(OLD_COLUMNS.values())
_PANIC = "internal system error"


def matching(call: Call, filters: Any) -> list[Job]:
    """The jobs that the filters admit and the caller may see."""
    return [job for job, _ in _counted(call, filters)]


def _counted(call: Call, filters: Any) -> list[tuple[Job, int]]:
    """Those jobs, and how often each counts: once for every tag of it that is asked for, on any release."""
    rows = rows_of(call.release, call.who)
    if rows is Rows.NONE:
        raise FieldError("user has no or unknown roles")
    found = filtered(call, filters)
    ids = found.tag_ids
    seen = (job for job in call.backend.jobs.matching(found.selection) if rows is Rows.ALL or job.user == call.who.subject)
    counted = [(job, 1 if ids is None else sum(tag.id in ids for tag in job.tags)) for job in seen if found.admits(job)]
    return sorted(counted, key=lambda one: one[0].id)


def jobs_statistics(call: Call, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One element, or one for each group."""
    jobs = [job for job, times in _counted(call, arguments.get("filter")) for _ in range(times)]
    group = arguments.get("groupBy")
    if group is None:
        sums = _sums(call, jobs) | {"totalNodes": 0, "totalCores": 0, "totalAccs": 0}
        return [{"id": "", "name": "", **sums, **_histograms(call, jobs, arguments)}]
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(getattr(job, _GROUPS[group]), []).append(job)
    groups = [{"id": key, "name": _name(call, group, key), **_sums(call, held)} for key, held in sorted(found.items())]
    refused = dict.fromkeys(("histDuration", "histNumNodes", "histNumCores", "histNumAccs"), _Refused("histograms"))
    for element in groups:
        element.update(refused, histMetrics=_Refused("metric histograms"))
    if (by := arguments.get("sortBy")) is not None:
        groups.sort(key=lambda one: -one[_SORTS[by]])
    page = arguments.get("page")
    if page is None or page["itemsPerPage"] == -1:
        return groups
    if page["page"] < 1 or page["itemsPerPage"] < 0:
        if call.release.strict_paging:
            raise FieldError(_PANIC)
        return []
    first = (page["page"] - 1) * page["itemsPerPage"]
    return groups[first : first + page["itemsPerPage"]]


class _Refused:
    """A field that comes to an error when it is selected."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __iter__(self) -> Iterator[object]:
        raise FieldError(f"{self.what} only implemented without groupBy argument")


def _name(call: Call, group: str, key: str) -> str:
    unknown = "" if call.release.row_visibility else "-"
    if group != "USER":
        return ""
    return next((user.full_name for user in call.backend.users if user.name == key), unknown)


def _sums(call: Call, jobs: list[Job]) -> dict[str, Any]:
    now = call.backend.now
    lasted = [now - job.start_time if job.running else job.duration for job in jobs]

    def hours(weights: list[int]) -> int:
        return trunc(sum(d * w for d, w in zip(lasted, weights, strict=True)) / 3600)

    nodes, cores, accs = ([getattr(job, name) for job in jobs] for name in ("num_nodes", "num_hwthreads", "num_acc"))
    return {
        "totalUsers": len({job.user for job in jobs}),
        "totalJobs": len(jobs),
        "runningJobs": sum(job.running for job in jobs),
        "shortJobs": sum(job.duration < _SHORT for job in jobs),
        "totalWalltime": hours([1] * len(jobs)),
        "totalNodes": sum(nodes),
        "totalNodeHours": hours(nodes),
        "totalCores": sum(cores),
        "totalCoreHours": hours(cores),
        "totalAccs": sum(accs),
        "totalAccHours": hours(accs),
    }


def _histograms(call: Call, jobs: list[Job], arguments: Mapping[str, Any]) -> dict[str, Any]:
    now = call.backend.now
    lasted = [now - job.start_time if job.running else job.duration for job in jobs]
    if not call.release.row_visibility:
        durations = _points(Counter(d // 3600 for d in lasted))
    else:
        count, size = _BINS.get(arguments.get("numDurationBins") or "1h", (24, 3600))
        by_bin = Counter(d // size + 1 for d in lasted)
        durations = [{"value": n * size, "count": by_bin[n]} for n in range(1, count + 1)]
    return {
        "histDuration": durations,
        "histNumNodes": _points(Counter(job.num_nodes for job in jobs)),
        "histNumCores": _points(Counter(job.num_hwthreads for job in jobs)),
        "histNumAccs": _points(Counter(job.num_acc for job in jobs)),
        "histMetrics": _MetricHistograms(call, jobs, arguments),
    }


def _points(counts: Mapping[int, int]) -> list[dict[str, int]]:
    return [{"value": value, "count": count} for value, count in counts.items()]


class _MetricHistograms:
    """Worked out where it is selected, as it may come to a panic."""

    def __init__(self, call: Call, jobs: list[Job], arguments: Mapping[str, Any]) -> None:
        self._call, self._jobs, self._arguments = call, jobs, arguments

    def __iter__(self) -> Iterator[dict[str, Any]]:
        call, arguments = self._call, self._arguments
        metrics = arguments.get("metrics") or ()
        cluster = None
        for one in arguments.get("filter") or ():
            if one and (wanted := one.get("cluster")) is not None:
                cluster = wanted.get("eq")
                if cluster is None or call.backend.cluster(cluster) is None:
                    raise FieldError(_PANIC)
        bins = arguments.get("numMetricBins")
        bins = 10 if bins is None else bins
        if bins < 1 and call.release.row_visibility:
            raise FieldError(_PANIC)
        chosen = [c for c in call.backend.clusters if cluster in (None, c["name"])]
        for name in metrics:
            known = [m for c in chosen for m in hardware_of(c).metrics if m.name == name]
            widest = max(known, key=lambda one: one.peak, default=None)
            if call.release.row_visibility:
                yield self._binned(name, widest, bins)
            elif name in _OLD_STATISTICS:
                yield self._old(name, widest)

    def _binned(self, name: str, metric: Metric | None, bins: int) -> dict[str, Any]:
        peak = metric.peak if metric else 0.0
        counts: Counter[int] = Counter()
        key = f"{name}_{metric.footprint if metric else ''}"
        for job in self._jobs:
            held = (msgspec.json.decode(job.footprint) or {}).get(key)
            if held is not None and peak and held <= peak:
                counts[trunc((0.999999999 if held == peak else held / peak) * bins) + 1] += 1
        step = int(peak) // bins
        data = [{"bin": n, "count": counts[n], "min": step * (n - 1), "max": step * n} for n in range(1, bins + 1)]
        unit = (metric.unit.get("prefix", "") + metric.unit["base"]) if metric else ""
        return {"metric": name, "unit": unit, "stat": (metric.footprint if metric else "") or "", "data": data}

    def _old(self, name: str, metric: Metric | None) -> dict[str, Any]:
        peak = metric.peak if metric else 0.0
        held = [value for job in self._jobs if (value := job.kept(name, _OLD_STATISTICS[name])) <= peak]
        low, high = min(held, default=0.0), max(held, default=0.0)
        width = (high - low) / 10 or 1.0
        counts = Counter(min(9, trunc((value - low) / width)) for value in held)
        data = [
            {"bin": n + 1, "count": counts[n], "min": int(low + n * width), "max": int(low + (n + 1) * width)}
            for n in sorted(counts)
        ]
        unit = (metric.unit.get("prefix", "") + metric.unit["base"]) if metric else ""
        return {"metric": name, "unit": unit, "data": data}
