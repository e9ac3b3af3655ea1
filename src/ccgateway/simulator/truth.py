"""What a site really holds and what has really happened there, whatever its answers said.

:class:`Truth` looks past everything a request has to go through: roles, the commit worker, faults. It shows the state of the
moment, with whatever the site's workers have done by then, and can make them do the rest now (:meth:`Truth.commit`,
:meth:`Truth.archive`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccgateway.simulator.changes import Effect
from ccgateway.simulator.job import Job, Tag

if TYPE_CHECKING:
    from ccgateway.simulator.backend import Backend, User

__all__ = ["Truth"]


class Truth:
    """A site's own view of itself."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._changes = backend.changes
        self._changes.settle()

    def job(self, db_id: int) -> Job | None:
        """The job of this database id."""
        return self._backend.jobs.get(db_id)

    def find(self, job_id: int, cluster: str | None = None, start_time: int | None = None) -> list[Job]:
        """The jobs that a key fits, those that only wait to become visible included (with their numbers there as ids)."""
        waiting = self._changes.waiting
        return self._backend.jobs.find(job_id, cluster, start_time) + (
            [] if waiting is None else waiting.find(job_id, cluster, start_time)
        )

    @property
    def waiting(self) -> list[Job]:
        """Jobs that were started and that no read shows yet."""
        return self._backend.waiting

    @property
    def tags(self) -> list[Tag]:
        return list(self._backend.tags)

    @property
    def users(self) -> list[User]:
        return list(self._backend.users)

    @property
    def effects(self) -> list[Effect]:
        """All that has happened, in order; emptied by :meth:`forget`."""
        return list(self._changes.effects)

    def happened(self, what: str) -> list[Effect]:
        """The effects of one kind."""
        return [e for e in self._changes.effects if e.what == what]

    def forget(self) -> None:
        """Begin the record of effects anew."""
        self._changes.effects.clear()

    def commit(self) -> None:
        """Let the commit worker run now: what waits becomes visible."""
        for job in self.waiting:
            self._changes.commit(job)

    def archive(self) -> None:
        """Archive now what waits for it."""
        for db_id in self._backend.archive.queue:
            self._changes.put_away(db_id)
