"""``Job`` as GraphQL writes it: times in the site's zone, ids as numbers, footprints as lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ccgateway.simulator.call import Call
from ccgateway.simulator.job import Job
from ccgateway.simulator.querying.job_filters import footprint_of
from ccgateway.simulator.writing.mutations import readable_tags

__all__ = ["JobFields"]


class JobFields(Mapping[str, Any]):
    """The fields of one job, each made when it is asked for."""

    def __init__(self, call: Call, job: Job) -> None:
        self._call, self._job = call, job

    def __getitem__(self, name: str) -> Any:
        return _MAKERS[name](self._call, self._job)

    def __contains__(self, name: object) -> bool:
        return name in _MAKERS

    def __iter__(self) -> Iterator[str]:
        return iter(_MAKERS)

    def __len__(self) -> int:
        return len(_MAKERS)


def _start(call: Call, job: Job) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=job.start_time)
    return moment.astimezone(call.backend.zone).isoformat().replace("+00:00", "Z")


def _duration(call: Call, job: Job) -> int:
    return call.backend.view(call.who, metadata=False).duration(job)


def _footprint(_call: Call, job: Job) -> list[dict[str, Any]]:
    split = [(*key.rpartition("_"), value) for key, value in (footprint_of(job) or {}).items()]
    return [{"name": name, "stat": stat, "value": value} for name, _, stat, value in split]


def _resources(_call: Call, job: Job) -> list[dict[str, Any]]:
    return [{"configuration": "", **host} for host in msgspec.json.decode(job.resources)]


_MAKERS: dict[str, Callable[[Call, Job], Any]] = {
    "id": lambda _, job: job.id,
    "jobId": lambda _, job: job.job_id,
    "user": lambda _, job: job.user,
    "project": lambda _, job: job.project,
    "cluster": lambda _, job: job.cluster,
    "subCluster": lambda _, job: job.sub_cluster,
    "startTime": _start,
    "duration": _duration,
    "walltime": lambda _, job: job.walltime,
    "numNodes": lambda _, job: job.num_nodes,
    "numHWThreads": lambda _, job: job.num_hwthreads,
    "numAcc": lambda _, job: job.num_acc,
    "energy": lambda _, job: job.energy,
    "SMT": lambda _, job: job.smt,
    "shared": lambda _, job: job.shared,
    "exclusive": lambda _, job: job.exclusive,
    "partition": lambda _, job: job.partition,
    "arrayJobId": lambda _, job: job.array_job_id,
    "monitoringStatus": lambda _, job: job.monitoring_status,
    "state": lambda _, job: job.state,
    "tags": lambda call, job: [msgspec.to_builtins(tag) for tag in readable_tags(call, job.tags)],
    "resources": _resources,
    "footprint": _footprint,
    "metaData": lambda _, job: job.meta_data,
}
