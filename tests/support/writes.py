"""Write commands for simulated sites with five jobs each, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ccgateway.errors import Code
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import (
    TagJob,
    Target,
    WriteResult,
)
from ccgateway.simulator import SimulatedSite
from support.written import NOW, Wire

SLOW = Tag("review", "slow")


def job(cluster: str, db_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": db_id, "jobId": 1000 + db_id, "user": "alice", "project": "p_a", "cluster": cluster, "subCluster": "main",
        "numNodes": 1, "startTime": NOW - 5000 + db_id, "duration": 600, "walltime": 3600, "jobState": "completed",
        "resources": [{"hostname": f"{cluster[0]}n001"}], "metaData": {"jobName": "x"}, "monitoringStatus": 3,
    } | changes  # fmt: skip


def wire(name: str = "aurora", release: str = "1.4", *jobs: dict[str, Any], cluster: str | None = None) -> Wire:
    found = jobs or tuple(job(cluster or name, db_id) for db_id in range(1, 6))
    return Wire(SimulatedSite(name, release, found, clock=lambda: float(NOW)))


def tagging(*db_ids: int, site: str = "aurora", tag: Tag = SLOW) -> list[TagJob]:
    return [TagJob(target=Target(site=site, db_id=one), tags=(tag,)) for one in db_ids]


def outcomes(results: Sequence[WriteResult]) -> list[tuple[str, Code | None]]:
    return [(one.outcome.value, one.code) for one in results]
