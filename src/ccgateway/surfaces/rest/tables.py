"""What each face offers."""

from __future__ import annotations

from ccgateway.surfaces.rest import documented, released
from ccgateway.surfaces.rest.endpoints import Endpoint, Operation, Table

__all__ = ["API", "RELEASED_API", "RELEASED_USERAPI", "USERAPI"]


def _reads(module, *, every: bool) -> list[Endpoint]:
    single = Endpoint(
        "/jobs/{id}",
        {
            "GET": Operation(run=module.single_job, name="getJob", summary="x"),
            "POST": Operation(run=module.single_job_with, name="getJobWith", summary="x"),
        },
    )
    found = [
        Endpoint("/jobs/", {"GET": Operation(run=module.list_jobs, name="listJobs", summary="x")}),
        Endpoint("/jobs/metrics/{id}", {"GET": Operation(run=module.job_metrics, name="getJobMetrics", summary="x")}),
    ]
    if every:
        found += [
            Endpoint("/jobs/used_nodes", {"GET": Operation(run=module.used_nodes, name="usedNodes", summary="x")}),
            Endpoint("/clusters/", {"GET": Operation(run=module.clusters, name="listClusters", summary="x")}),
            Endpoint("/users/", {"GET": Operation(run=module.users, name="listUsers", summary="x")}),
        ]
    return [*found, single]


API = Table(_reads(documented, every=True), lenient=True)
USERAPI = Table(_reads(documented, every=False), lenient=True)
RELEASED_API = Table(_reads(released, every=True), lenient=False)
RELEASED_USERAPI = Table(_reads(released, every=False), lenient=False)
