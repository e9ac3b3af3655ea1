"""The root fields of GraphQL that the simulator answers, apart from the mutations: clusters, tags, single jobs, and those of
:mod:`.querying`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ccgateway.simulator.call import Call
from ccgateway.simulator.querying.details import DETAIL_QUERIES, seen_job
from ccgateway.simulator.querying.footprints import jobs_footprints, jobs_metric_stats, roofline_heatmap
from ccgateway.simulator.querying.job_fields import JobFields
from ccgateway.simulator.querying.job_lists import jobs
from ccgateway.simulator.querying.nodes import NODE_QUERIES
from ccgateway.simulator.querying.statistics import jobs_statistics
from ccgateway.simulator.writing.mutations import readable_tags

__all__ = ["QUERIES"]


def clusters(call: Call, _arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All of them, with the partitions that jobs ran in."""
    backend = call.backend
    return [c | {"partitions": backend.jobs.partitions(str(c["name"]))} for c in backend.clusters]


def tags(call: Call, _arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that the caller may see."""
    return [msgspec.to_builtins(t) for t in readable_tags(call, list(call.backend.tags))]


def job(call: Call, arguments: Mapping[str, Any]) -> JobFields:
    """One job, if the caller may see it whole."""
    return JobFields(call, seen_job(call, arguments["id"]))


QUERIES: dict[str, Callable[[Call, Mapping[str, Any]], object]] = {
    "clusters": clusters,
    "tags": tags,
    "job": job,
    "jobs": jobs,
    "jobsStatistics": jobs_statistics,
    "jobsFootprints": jobs_footprints,
    "jobsMetricStats": jobs_metric_stats,
    "rooflineHeatmap": roofline_heatmap,
    **NODE_QUERIES,
    **DETAIL_QUERIES,
}
