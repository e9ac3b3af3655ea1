"""``Job`` as GraphQL writes it: times in the site's zone, ids as numbers, footprints as lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

import msgspec

from ccgateway.simulator.call import Call
from ccgateway.simulator.job import Job
from ccgateway.simulator.querying.details import account_of, concurrent_jobs, energy_footprint
from ccgateway.simulator.querying.job_filters import footprint_of
from ccgateway.simulator.shapes import shown_duration
from ccgateway.simulator.writing.mutations import readable_tags

__all__ = ["JOB_FIELDS", "JobFields"]


class JobFields(Mapping[str, Any]):
    """The fields of one job, each made when it is asked for."""

    def __init__(self, call: Call, job: Job) -> None:
        self.call, self.job = call, job

    def __getitem__(self, name: str) -> Any:
        return _MAKERS[name](self.call, self.job)

    def __contains__(self, name: object) -> bool:
        return name in _MAKERS

    def __iter__(self) -> Iterator[str]:
        return iter(_MAKERS)

    def __len__(self) -> int:
        return len(_MAKERS)


@lru_cache(maxsize=100_000)
def _moment(second: int, zone: tzinfo) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    return moment.astimezone(zone).isoformat().replace("+00:00", "Z")


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
    "startTime": lambda call, job: _moment(job.start_time, call.backend.zone),
    "duration": lambda call, job: shown_duration(call.release, job, call.backend.now),
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
    "userData": lambda call, job: account_of(call, job.user),
    "concurrentJobs": concurrent_jobs,
    "energyFootprint": energy_footprint,
}


def _reader(make: Callable[[Call, Job], Any]) -> Callable[[JobFields], Any]:
    return lambda fields: make(fields.call, fields.job)


#: the same by their names, for lists
JOB_FIELDS = {name: _reader(make) for name, make in _MAKERS.items()}
