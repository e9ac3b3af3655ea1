"""The job archive: what is on its way into it, what it holds, and what got lost.

A job that ends is archived a while later (:class:`Archive`). Writes to an ended job change its archive entry after the
database: without an entry they fail although the database has changed (:meth:`Archive.entry_missing`), and so does new
metadata for an entry that has none (:meth:`Archive.crashes_on_metadata`).
"""

from __future__ import annotations

from ccgateway.simulator.job import Job

__all__ = ["Archive", "entry"]


class Archive:
    """Entries by the jobs' database ids. *delay*: seconds until a job that ended is archived."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.lost: set[int] = set()  #: archived, but the entry cannot be read
        self._queue: dict[int, float] = {}  # when by id
        self._bare: dict[int, bool] = {}  # whether an entry was written without metadata, where that is known

    def __repr__(self) -> str:
        return f"Archive({len(self._queue)} to come, {len(self.lost)} lost)"

    def enqueue(self, job: Job, now: float) -> None:
        self._queue[job.id] = now + self.delay

    def due(self, now: float) -> list[int]:
        """Ids of the jobs to be archived by *now*, in order."""
        return [i for i, at in sorted(self._queue.items(), key=lambda q: q[1]) if at <= now]

    @property
    def queue(self) -> list[int]:
        """Ids of the jobs still to be archived."""
        return list(self._queue)

    def enter(self, job: Job) -> None:
        """*job* is archived as it is now."""
        self._queue.pop(job.id, None)
        self._bare[job.id] = job.meta_data is None

    def forget(self, db_id: int) -> None:
        """The job's row is gone, and its id may come again."""
        self.lost.discard(db_id)
        self._queue.pop(db_id, None)
        self._bare.pop(db_id, None)

    def entry_missing(self, job: Job) -> str | None:
        """What the site says when it looks for the entry of an ended job in vain."""
        if job.running or (job.archived and job.id not in self.lost):
            return None
        return f"open var/job-archive/{entry(job)}/meta.json: no such file or directory"

    def crashes_on_metadata(self, job: Job) -> bool:
        """Whether the entry has no metadata that could be changed; *job* as it is before the change."""
        if job.running:
            return False
        return self._bare.setdefault(job.id, job.meta_data is None)


def entry(job: Job) -> str:
    """Where the entry of *job* lies, below the archive's own folder."""
    return f"{job.cluster}/{job.job_id // 1000}/{job.job_id % 1000:03d}/{job.start_time}"
