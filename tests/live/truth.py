"""The jobs that instances list themselves, written as the gateway's schema promises them, and in its order.

Nothing here imports the gateway: what releases write differently is told apart by what stands in the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from live import upstream
from live.farm import Farm, Site

__all__ = ["Job", "Key", "in_order", "jobs_of", "key_of", "truth_of", "utc"]

#: a job with the field names of the schema; ``startTime`` in epoch seconds, ``dbId`` the instance's own id
Job = dict[str, Any]

#: administrators, api alone, support
SEE_ALL = ("demo", "robot", "sam")
SHARED = {0: "multi_user", 1: "none", 2: "single_user"}


class Key(NamedTuple):
    """What identifies a job, in the order of the list: newest start first, then site, cluster and number."""

    start: int
    site: str
    cluster: str
    job_id: int

    @property
    def place(self) -> tuple[int, str, str, int]:
        return (-self.start, self.site, self.cluster, self.job_id)


def key_of(job: Job) -> Key:
    return Key(job["startTime"], job["site"], job["cluster"], job["jobId"])


def in_order(jobs: Iterable[Job]) -> list[Key]:
    """The keys of ``jobs`` in the one exact order."""
    return sorted((key_of(job) for job in jobs), key=lambda key: key.place)


def jobs_of(site: Site, user: str = "demo") -> list[Job]:
    """What one instance lists to ``user``; up to 1.3 it lists everybody's, so only those that ``user`` may see are taken."""
    rows = upstream.listed(site, user)
    return [_job(site, row) for row in rows if user in SEE_ALL or row["user"] == user]


def truth_of(farm: Farm, user: str = "demo") -> list[Job]:
    """What all instances list to ``user``."""
    return [job for site in farm for job in jobs_of(site, user)]


def utc(seconds: int) -> str:
    """A time as the schema writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _job(site: Site, row: dict[str, Any]) -> Job:
    return {
        "site": site.name,
        "dbId": row["id"],
        "jobId": row["jobId"],
        "cluster": row["cluster"],
        "startTime": row["startTime"],
        "user": row["user"],
        "project": row["project"],
        "subCluster": row["subCluster"],
        "partition": row.get("partition", ""),
        "arrayJobId": row.get("arrayJobId", 0),
        "numNodes": row["numNodes"],
        "numHWThreads": row.get("numHwthreads", 0),
        "numAcc": row.get("numAcc", 0),
        "SMT": row.get("smt", 0),
        "shared": row["shared"] if "shared" in row else SHARED[row["exclusive"]],
        "state": row["jobState"],
        "monitoringStatus": row.get("monitoringStatus", 0),
        "duration": row["duration"],
        "walltime": row.get("walltime", 0),
        "energy": row.get("energy", 0.0),
        "tags": [{"type": t["type"], "name": t["name"], "scope": t.get("scope", "global")} for t in row.get("tags", ())],
        "tagIds": [t["id"] for t in row.get("tags", ())],
        "resources": [
            {name: host.get(name) for name in ("hostname", "hwthreads", "accelerators", "configuration")}
            for host in row["resources"]
        ],
        "footprint": row.get("footprint"),
        "metaData": row["metaData"],
    }
