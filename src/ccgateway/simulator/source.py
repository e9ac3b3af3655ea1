"""Where a site's first jobs come from: an array in ascending (startTime, id) order that can be asked cheaply.

:class:`Selection` is what a list request asks for; :class:`JobSource` is what the store needs of an array of jobs;
:class:`LoadedJobs` is the array for jobs given one by one (:mod:`generated` has the other one).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ccgateway.simulator.job import Job

__all__ = ["FOREVER", "JobSource", "LoadedJobs", "Selection"]

FOREVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Selection:
    """The conditions of a list request, all of which must hold."""

    earliest: int = -FOREVER
    latest: int = FOREVER
    cluster: str | None = None
    project: str | None = None
    user: str | None = None
    states: frozenset[str] | None = None
    nodes_from: int | None = None

    def admits(self, job: Job) -> bool:
        """Whether *job* meets every condition."""
        return (
            self.earliest <= job.start_time <= self.latest
            and (self.states is None or job.state in self.states)
            and self.admits_owner(job.cluster, job.project, job.user, job.num_nodes)
        )

    def admits_owner(self, cluster: str, project: str, user: str, num_nodes: int) -> bool:
        """Whether the conditions on what never changes hold."""
        return (
            (self.cluster is None or cluster == self.cluster)
            and (self.project is None or project == self.project)
            and (self.user is None or user == self.user)
            and (self.nodes_from is None or num_nodes >= self.nodes_from)
        )

    @property
    def only_window(self) -> bool:
        """Whether nothing but the start time is restricted."""
        parts = (self.cluster, self.project, self.user, self.states, self.nodes_from)
        return all(p is None for p in parts)


class JobSource(Protocol):
    """An array of jobs, ascending by (startTime, id)."""

    def __len__(self) -> int: ...

    def job(self, index: int) -> Job: ...

    def start(self, index: int) -> int:
        """The start time of the job at *index*."""
        ...

    def position(self, time: int) -> int:
        """How many jobs started before *time*."""
        ...

    def index_of(self, db_id: int) -> int | None: ...

    def ids_descending(self) -> Iterator[int]: ...

    def named(self, job_id: int) -> list[int]:
        """Indices of the jobs with this scheduler id."""
        ...

    def takes_all(self, wanted: Selection) -> bool:
        """Whether, start time aside, every job is known to meet *wanted*."""
        ...

    def matching(self, wanted: Selection, low: int, high: int) -> Iterator[int]:
        """Indices in [low, high) that meet *wanted*, start time aside, descending."""
        ...

    def partitions(self, cluster: str) -> set[str]: ...

    def clusters(self) -> list[str]: ...


class LoadedJobs:
    """Jobs given one by one."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = sorted(jobs, key=lambda j: (j.start_time, j.id))
        self._starts = [j.start_time for j in self._jobs]
        self._index = {j.id: i for i, j in enumerate(self._jobs)}
        self._named: dict[int, list[int]] = {}
        for i, job in enumerate(self._jobs):
            self._named.setdefault(job.job_id, []).append(i)
        if len(self._index) != len(self._jobs):
            raise ValueError("two jobs have the same database id")

    def __len__(self) -> int:
        return len(self._jobs)

    def job(self, index: int) -> Job:
        return self._jobs[index]

    def start(self, index: int) -> int:
        return self._starts[index]

    def position(self, time: int) -> int:
        return bisect_left(self._starts, time)

    def index_of(self, db_id: int) -> int | None:
        return self._index.get(db_id)

    def ids_descending(self) -> Iterator[int]:
        return iter(sorted(self._index, reverse=True))

    def named(self, job_id: int) -> list[int]:
        return self._named.get(job_id, [])

    def takes_all(self, wanted: Selection) -> bool:
        return wanted.only_window

    def matching(self, wanted: Selection, low: int, high: int) -> Iterator[int]:
        states = wanted.states
        for index in range(high - 1, low - 1, -1):
            job = self._jobs[index]
            if (states is None or job.state in states) and wanted.admits_owner(job.cluster, job.project, job.user, job.num_nodes):
                yield index

    def partitions(self, cluster: str) -> set[str]:
        return {j.partition for j in self._jobs if j.cluster == cluster}

    def clusters(self) -> list[str]:
        return sorted({j.cluster for j in self._jobs})
