"""The tags of a site, and which jobs carry them.

:class:`TagTable` numbers tags as the database does: the id of the last tag is used again once that tag is gone. Which tags a
job has is kept on the job (:attr:`~ccgateway.simulator.job.Job.tags`); the table only knows the way back.
"""

from __future__ import annotations

from collections.abc import Iterator

from ccgateway.simulator.job import Job, Tag

__all__ = ["TagTable"]


class TagTable:
    """The tables ``tag`` and ``jobtag``."""

    def __init__(self) -> None:
        self._tags: dict[int, Tag] = {}
        self._jobs: dict[int, set[int]] = {}  # ids of jobs by id of tag

    def __iter__(self) -> Iterator[Tag]:
        """All tags, by ascending id."""
        return iter([self._tags[i] for i in sorted(self._tags)])

    def get(self, tag_id: int) -> Tag | None:
        return self._tags.get(tag_id)

    def find(self, kind: str, name: str) -> Tag | None:
        """The tag of this type and name, whose scope does not matter: there is one at most."""
        return next((t for t in self._tags.values() if (t.type, t.name) == (kind, name)), None)

    def create(self, kind: str, name: str, scope: str) -> Tag:
        tag = Tag(max(self._tags, default=0) + 1, kind, name, scope)
        self._tags[tag.id] = tag
        return tag

    def drop(self, tag: Tag) -> list[int]:
        """A tag is gone; answers the ids of the jobs that had it."""
        self._tags.pop(tag.id, None)
        return sorted(self._jobs.pop(tag.id, ()))

    def attach(self, tag: Tag, db_id: int) -> None:
        self._jobs.setdefault(tag.id, set()).add(db_id)

    def detach(self, tag: Tag, db_id: int) -> None:
        self._jobs.get(tag.id, set()).discard(db_id)

    def learn(self, job: Job) -> None:
        """Take over the tags of a job that a site starts with."""
        for tag in job.tags:
            self._tags.setdefault(tag.id, tag)
            self.attach(tag, job.id)
