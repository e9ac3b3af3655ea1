"""``jobsFootprints``, ``rooflineHeatmap`` and ``jobsMetricStats`` (contract, 5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10
from typing import Any

import msgspec

from ccgateway.simulator.call import Call, FieldError
from ccgateway.simulator.job import Job
from ccgateway.simulator.metrics import sample_all, summed_per_node
from ccgateway.simulator.querying.statistics import matching

__all__ = ["jobs_footprints", "jobs_metric_stats", "roofline_heatmap"]

_MOST = 500


def jobs_footprints(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """One average of every metric for each job, and what the job weighs."""
    jobs = [job for job in _few(call, arguments) if job.monitoring_status not in (0, 2)]
    lost = next((job for job in jobs if job.id in call.backend.broken_metrics), None)
    if lost is not None:
        raise FieldError("cannot load the archive entry")
    now = call.backend.now
    averages = {name: [_average(call, job, name) for job in jobs] for name in arguments["metrics"]}
    minutes = [job.lasted(now) / 60 for job in jobs]
    return {
        "timeWeights": {
            "nodeHours": [m * job.num_nodes for m, job in zip(minutes, jobs, strict=True)],
            "accHours": [m * job.num_acc if job.num_acc else 1.0 for m, job in zip(minutes, jobs, strict=True)],
            "coreHours": [m * job.num_hwthreads if job.num_hwthreads else 1.0 for m, job in zip(minutes, jobs, strict=True)],
        },
        "metrics": [{"metric": name, "data": values} for name, values in averages.items()],
    }


def roofline_heatmap(call: Call, arguments: Mapping[str, Any]) -> list[list[float]]:
    """How many samples fall into each cell, both axes logarithmic."""
    rows, cols = arguments["rows"], arguments["cols"]
    if rows < 0:
        raise FieldError("internal system error")
    ends = [arguments[name] for name in ("minX", "minY", "maxX", "maxY")]
    if min(ends) <= 0:  # whose logarithm is none, and no index
        raise FieldError("internal system error")
    low_x, low_y, high_x, high_y = map(log10, ends)
    cells = [[0.0] * cols for _ in range(rows)]
    for job in _few(call, arguments):
        flops, bandwidth = _node_series(call, job, "flops_any"), _node_series(call, job, "mem_bw")
        for one, other in zip(flops, bandwidth, strict=False):
            for y, z in zip(one, other, strict=False):
                if y <= 0 or z <= 0:
                    continue
                x, height = log10(y / z), log10(y)
                if low_x <= x < high_x and low_y <= height < high_y:
                    row = int((height - low_y) / (high_y - low_y) * rows)
                    cells[row][int((x - low_x) / (high_x - low_x) * cols)] += 1
    return cells


def jobs_metric_stats(call: Call, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The statistics of each job, oldest first; jobs without are passed over."""
    found = []
    for job in sorted(matching(call, arguments.get("filter")), key=lambda one: (one.start_time, one.id)):
        summary = _summary(call, job)
        if summary is None:
            continue
        nothing = {"avg": 0.0, "min": 0.0, "max": 0.0}
        stats = [
            {"name": name, "data": {key: summary.get(name, nothing)[key] for key in nothing}}
            for name in arguments.get("metrics") or ()
        ]
        found.append(
            {
                "id": job.id,
                "jobId": str(job.job_id),
                "startTime": job.start_time,
                "duration": job.lasted(call.backend.now),
                "cluster": job.cluster,
                "subCluster": job.sub_cluster,
                "numNodes": job.num_nodes,
                "numHWThreads": job.num_hwthreads,
                "numAccelerators": job.num_acc,
                "stats": stats,
            }
        )
    return found


def _few(call: Call, arguments: Mapping[str, Any]) -> list[Job]:
    jobs = matching(call, arguments.get("filter"))
    if len(jobs) > _MOST:
        raise FieldError(f"GRAPH/UTIL > too many jobs matched (max: {_MOST})")
    return jobs


def _summary(call: Call, job: Job) -> dict[str, Any] | None:
    if job.id in call.backend.broken_metrics or (job.archived and job.id in call.backend.broken_archives):
        return None
    if job.archived:
        found: dict[str, Any] | None = msgspec.json.decode(job.statistics)
        return found
    found = {}
    for metric in call.backend.hardware(job.cluster).metrics:
        values = [v for series in _node_series(call, job, metric.name) for v in series]
        if values:
            found[metric.name] = {"avg": round(sum(values) / len(values), 2), "min": 0.0, "max": max(values)}
    return found


def _average(call: Call, job: Job, name: str) -> float | None:
    if job.archived:
        held = (msgspec.json.decode(job.statistics) or {}).get(name)
        return held["avg"] if held else None
    series = _node_series(call, job, name)
    return sum(sum(values) / len(values) for values in series) if series else None


def _node_series(call: Call, job: Job, name: str) -> list[list[float]]:
    hardware = call.backend.hardware(job.cluster)
    metric = next((one for one in hardware.metrics if one.name == name), None)
    if metric is None:
        return []
    samples = sample_all(job, metric, hardware, call.backend.now)
    if samples and samples[0].id is not None:
        samples = summed_per_node(samples)
    return [[v for at, v in enumerate(one.values) if at != one.gap] for one in samples]
