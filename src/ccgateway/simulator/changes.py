"""Everything that can change at a site, and the record of what did.

:class:`Changes` is the one place where jobs, tags and the archive are altered, whoever asks for it: a request, a test, or the
site's own workers (:meth:`Changes.settle`). Each change leaves an :class:`Effect`, so that what a client was told can be held
against what happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from ccgateway.simulator.archive import Archive
from ccgateway.simulator.clusters import Hardware
from ccgateway.simulator.job import Job, Tag, seconds_between
from ccgateway.simulator.metrics import footprint_of, statistics_of
from ccgateway.simulator.store import JobStore
from ccgateway.simulator.tags import TagTable
from ccgateway.simulator.waiting import Waiting

__all__ = ["Changes", "Effect"]


class Effect(NamedTuple):
    """One thing that happened.

    ``what`` is one of: start (accepted), commit (a started job became visible), lost (a started job never will), stop,
    archive, meta, tag, untag, create tag, drop tag, delete, user. ``job`` is a database id (for a job that only waits to
    become visible, the number it waits under), ``detail`` says which key, tag or user.
    """

    what: str
    job: int | None = None
    detail: str = ""


class Changes:
    """What may happen to a site's data."""

    def __init__(
        self,
        jobs: JobStore,
        tags: TagTable,
        archive: Archive,
        *,
        waiting: Waiting | None,
        hardware: Callable[[str], Hardware],
        clock: Callable[[], float],
    ) -> None:
        self.jobs = jobs
        self.tags = tags
        self.archive = archive
        self.waiting = waiting
        self.hardware = hardware
        self.clock = clock
        self.unloadable: set[int] = set()  #: ids of jobs whose metrics cannot be loaded
        self.effects: list[Effect] = []

    def note(self, what: str, job: int | None = None, detail: str = "") -> None:
        self.effects.append(Effect(what, job, detail))

    # -- what happens by itself

    def settle(self) -> None:
        """Let the workers do what they have done by now."""
        now = self.clock()
        if self.waiting is not None:
            for job in self.waiting.due(now):
                self.commit(job)
        for db_id in self.archive.due(now):
            self.put_away(db_id)

    def commit(self, job: Job) -> Job | None:
        """A waiting job becomes visible, or vanishes if one of its key is there already."""
        if self.waiting is None:
            raise ValueError("jobs do not wait at this site")
        self.waiting.take(job.id)
        if self.jobs.find(job.job_id, job.cluster, job.start_time):
            self.note("lost", job.id)
            return None
        moved = replace(job, id=self.jobs.next_id())
        self.jobs.add(moved)
        self.note("commit", moved.id)
        return moved

    def put_away(self, db_id: int) -> None:
        """A job that ended is archived, or cannot be because its metrics cannot be loaded."""
        job = self.jobs.get(db_id)
        if job is None:
            self.archive.forget(db_id)
            return
        self.archive.enter(job)
        if db_id in self.unloadable:
            self.jobs.put(replace(job, monitoring_status=2))
            return
        hardware = self.hardware(job.cluster)
        footprint = footprint_of(job, hardware)
        self.jobs.put(replace(job, monitoring_status=3, statistics=statistics_of(job, hardware), footprint=footprint))
        self.note("archive", db_id)

    # -- jobs

    def start(self, job: Job) -> Job:
        """A job is there; its database id is the next one."""
        started = replace(job, id=self.jobs.next_id())
        self.jobs.add(started)
        self.note("start", started.id)
        return started

    def wait(self, job: Job) -> None:
        """A job was started that no read shows yet.

        Raises:
            TwiceError: one of its key waits already.
        """
        if self.waiting is None:
            raise ValueError("jobs do not wait at this site")
        self.waiting.add(job, self.clock())
        self.note("start", list(self.waiting)[-1].id)

    def stop(self, job: Job, state: str, end: int) -> Job:
        """A job ends; unless it is not monitored, it is archived later."""
        ended = replace(job, state=state, duration=seconds_between(job.start_time, end))
        self.jobs.put(ended)
        self.note("stop", job.id, state)
        if ended.monitoring_status:
            self.archive.enqueue(ended, self.clock())
        return ended

    def edit(self, job: Job, key: str, value: str) -> Job:
        """One key of a job's metadata is set."""
        edited = replace(job, meta_data=(job.meta_data or {}) | {key: value})
        self.jobs.put(edited)
        self.note("meta", job.id, key)
        return edited

    def delete(self, *ids: int) -> None:
        """Jobs vanish from the database, with what tags they had; ids that no job has do not matter."""
        for db_id in ids:
            job = self.jobs.get(db_id)
            if job is None:
                continue
            for tag in job.tags:
                self.tags.detach(tag, db_id)
            self.archive.forget(db_id)
            self.unloadable.discard(db_id)
            self.note("delete", db_id)
        self.jobs.remove(*ids)

    # -- tags

    def create_tag(self, kind: str, name: str, scope: str) -> Tag:
        tag = self.tags.create(kind, name, scope)
        self.note("create tag", None, f"{kind}:{name}")
        return tag

    def drop_tag(self, tag: Tag) -> None:
        """A tag vanishes, also from the jobs that have it."""
        for db_id in self.tags.drop(tag):
            job = self.jobs.get(db_id)
            if job is not None:
                self.jobs.put(replace(job, tags=_without(job, tag)))
        self.note("drop tag", None, f"{tag.type}:{tag.name}")

    def tag(self, job: Job, tag: Tag) -> Job:
        """A job gets a tag that it does not have."""
        tagged = replace(job, tags=tuple(sorted((*job.tags, tag), key=lambda t: t.id)))
        self.jobs.put(tagged)
        self.tags.attach(tag, job.id)
        self.note("tag", job.id, f"{tag.type}:{tag.name}")
        return tagged

    def untag(self, job: Job, tag: Tag) -> Job:
        """A job loses a tag, if it has it."""
        left = _without(job, tag)
        if len(left) == len(job.tags):
            return job
        untagged = replace(job, tags=left)
        self.jobs.put(untagged)
        self.tags.detach(tag, job.id)
        self.note("untag", job.id, f"{tag.type}:{tag.name}")
        return untagged


def _without(job: Job, tag: Tag) -> tuple[Tag, ...]:
    return tuple(t for t in job.tags if t.id != tag.id)
