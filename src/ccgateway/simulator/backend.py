"""What a site knows, apart from how it is reached: jobs, tags, clusters, users and its clock.

:class:`Backend` is what the request handlers work on; what changes, changes through its :class:`~.changes.Changes`. Its own
mutation methods are what tests use to let jobs start, stop and vanish while somebody pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from ccgateway.simulator.archive import Archive
from ccgateway.simulator.changes import Changes
from ccgateway.simulator.clusters import Hardware, hardware_of, synthetic_cluster
from ccgateway.simulator.gate import Principal, Rows, rows_of
from ccgateway.simulator.generated import GeneratedJobs
from ccgateway.simulator.job import Job, job_from, job_to
from ccgateway.simulator.nodes import NodeTable
from ccgateway.simulator.release import Release
from ccgateway.simulator.scopes import CacheMemory
from ccgateway.simulator.shapes import View
from ccgateway.simulator.source import LoadedJobs
from ccgateway.simulator.store import JobStore
from ccgateway.simulator.tags import TagTable
from ccgateway.simulator.waiting import Waiting

__all__ = ["DEFAULT_USERS", "Backend", "User"]


@dataclass(frozen=True, slots=True)
class User:
    """An entry of the site's user table."""

    name: str
    roles: tuple[str, ...]
    projects: tuple[str, ...] = ()
    full_name: str = ""
    email: str = ""

    def listed(self) -> dict[str, Any]:
        return {
            "username": self.name,
            "name": self.full_name,
            "email": self.email,
            "roles": list(self.roles),
            "projects": list(self.projects),
            "authType": 0,
            "authSource": 0,
        }


DEFAULT_USERS: Mapping[str, Sequence[str]] = {
    "demo": ("admin", "api"),
    "robot": ("api",),
    "sam": ("support", "api"),
    "mona": ("manager", "api"),
    "alice": ("user", "api"),
    "bob": ("user", "api"),
}


class Backend:
    """One site's data."""

    def __init__(
        self,
        release: Release,
        jobs: Sequence[Mapping[str, Any]] | GeneratedJobs,
        *,
        clusters: Sequence[dict[str, Any]] | None,
        users: Mapping[str, Sequence[str]],
        zone: str,
        clock: Callable[[], float],
        commit: float,
        archiving: float,
        resampling: int,
    ) -> None:
        self.release = release
        self.clock = clock
        self.resampling = resampling
        self.zone = ZoneInfo(zone)
        self.users = [User(name, tuple(roles)) for name, roles in users.items()]
        source = jobs if isinstance(jobs, GeneratedJobs) else LoadedJobs([_read(n, j) for n, j in enumerate(jobs, 1)])
        self.jobs = JobStore(source)
        given = clusters or [synthetic_cluster(c, release) for c in source.clusters()]
        self.clusters = sorted(given, key=lambda c: str(c["name"]))
        self._hardware = {str(c["name"]): hardware_of(c) for c in self.clusters}
        self.cache = CacheMemory()
        self.tags = TagTable()
        self.nodes = NodeTable()
        if isinstance(source, LoadedJobs):
            for job in self.jobs:
                self.tags.learn(job)
        self.archive = Archive(archiving)
        waiting = Waiting(commit, clock()) if release.commit_worker and commit else None
        self.changes = Changes(self.jobs, self.tags, self.archive, waiting=waiting, hardware=self.hardware, clock=clock)

    @property
    def now(self) -> int:
        return int(self.clock())

    @property
    def waiting(self) -> list[Job]:
        """Jobs that were started and that no read shows yet."""
        return list(self.changes.waiting or ())

    @property
    def broken_archives(self) -> set[int]:
        return self.archive.lost

    @property
    def broken_metrics(self) -> set[int]:
        return self.changes.unloadable

    @property
    def cluster_names(self) -> list[str]:
        return [str(c["name"]) for c in self.clusters]

    def cluster(self, name: str) -> dict[str, Any] | None:
        return next((c for c in self.clusters if c["name"] == name), None)

    def hardware(self, cluster: str) -> Hardware:
        return self._hardware.get(cluster) or Hardware((), 1)

    def view(self, reader: Principal, *, metadata: bool) -> View:
        return View(self.release, reader, self.now, self.zone, metadata)

    def visible_job(self, reader: Principal, db_id: int) -> Job | None:
        """The job of this id if *reader* may see its row."""
        job = self.jobs.get(db_id)
        if job is None or not self.release.row_visibility:
            return job
        rows = rows_of(self.release, reader)
        return job if rows is Rows.ALL or (rows is Rows.OWN and job.user == reader.subject) else None

    def all_jobs(self) -> Iterator[dict[str, Any]]:
        """Every job as a plain 1.5-shaped dict, newest first."""
        now = self.now
        return (job_to(job, now) for job in self.jobs)

    # -- what tests let happen while somebody reads

    def start_job(self, row: Mapping[str, Any]) -> int:
        """A job appears; answers its database id."""
        job = job_from(row, row.get("id", self.jobs.next_id()))
        if self.jobs.get(job.id) is not None:
            raise ValueError(f"a job with the database id {job.id} exists already")
        self.jobs.add(job)
        self.tags.learn(job)
        return job.id

    def stop_job(self, db_id: int, state: str = "completed", stop_time: int | None = None) -> None:
        """A job ends and is archived at once."""
        self.changes.stop(self._job(db_id), state, self.now if stop_time is None else stop_time)
        self.changes.put_away(db_id)

    def delete_job(self, db_id: int) -> None:
        """A job vanishes from the database."""
        self._job(db_id)
        self.changes.delete(db_id)

    def add_tag(self, db_id: int, type: str, name: str, scope: str = "global") -> int:  # noqa: A002  the field's own name
        """A job gets a tag, which is created if new; answers the tag's id."""
        job = self._job(db_id)
        tag = self.tags.find(type, name) or self.changes.create_tag(type, name, scope)
        if tag not in job.tags:
            self.changes.tag(job, tag)
        return tag.id

    def break_archive(self, db_id: int) -> None:
        """The archive entry of a job that has ended gets lost: every list page that holds the job fails from now on."""
        if not self._job(db_id).archived:
            raise ValueError(f"job {db_id} is not archived, so no list opens its archive entry")
        self.archive.lost.add(db_id)

    def break_metrics(self, db_id: int) -> None:
        """The metrics of a job can no longer be loaded."""
        self._job(db_id)
        self.changes.unloadable.add(db_id)

    def _job(self, db_id: int) -> Job:
        job = self.jobs.get(db_id)
        if job is None:
            raise KeyError(f"no job has the database id {db_id}")
        return job


def _read(number: int, row: Mapping[str, Any]) -> Job:
    return job_from(row, row.get("id", number))
