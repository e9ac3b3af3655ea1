"""The root fields of GraphQL that the simulator answers, apart from the mutations: clusters, tags, single jobs, and those of
:mod:`.querying`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ccgateway.simulator.call import Call
from ccgateway.simulator.job import Job
from ccgateway.simulator.querying.details import DETAIL_QUERIES, account_of, concurrent_jobs, energy_footprint, seen_job
from ccgateway.simulator.querying.nodes import NODE_QUERIES
from ccgateway.simulator.writing.mutations import readable_tags

__all__ = ["QUERIES"]


def clusters(call: Call, _arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All of them, with the partitions that jobs ran in."""
    backend = call.backend
    return [c | {"partitions": backend.jobs.partitions(str(c["name"]))} for c in backend.clusters]


def tags(call: Call, _arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that the caller may see."""
    return [msgspec.to_builtins(t) for t in readable_tags(call, list(call.backend.tags))]


def job(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """One job, if the caller may see it whole."""
    return _fields(call, seen_job(call, arguments["id"]))


QUERIES: dict[str, Callable[[Call, Mapping[str, Any]], object]] = {
    "clusters": clusters,
    "tags": tags,
    "job": job,
    **NODE_QUERIES,
    **DETAIL_QUERIES,
}


def _fields(call: Call, found: Job) -> dict[str, Any]:
    backend = call.backend
    view = backend.view(call.who, metadata=True)
    start = datetime.fromtimestamp(found.start_time, UTC).astimezone(backend.zone).isoformat()
    return {
        "id": found.id,
        "jobId": found.job_id,
        "user": found.user,
        "project": found.project,
        "cluster": found.cluster,
        "subCluster": found.sub_cluster,
        "startTime": start.replace("+00:00", "Z"),
        "duration": view.duration(found),
        "walltime": found.walltime,
        "numNodes": found.num_nodes,
        "numHWThreads": found.num_hwthreads,
        "numAcc": found.num_acc,
        "energy": found.energy,
        "SMT": found.smt,
        "shared": found.shared,
        "exclusive": found.exclusive,
        "partition": found.partition,
        "arrayJobId": found.array_job_id,
        "monitoringStatus": found.monitoring_status,
        "state": found.state,
        "tags": [msgspec.to_builtins(t) for t in readable_tags(call, found.tags)],
        "resources": msgspec.json.decode(found.resources),
        "footprint": _footprint(found),
        "metaData": found.meta_data,
        "userData": lambda: account_of(call, found.user),
        "concurrentJobs": lambda: concurrent_jobs(call, found),
        "energyFootprint": lambda: energy_footprint(call, found),
    }


def _footprint(found: Job) -> list[dict[str, Any]]:
    kept: dict[str, float] = msgspec.json.decode(found.footprint) or {}
    split = [(*key.rpartition("_"), value) for key, value in kept.items()]
    return [{"name": name, "stat": stat, "value": value} for name, _, stat, value in split]
