"""Started jobs on their way to where reads look: release 1.5's table ``job_cache`` and the worker that empties it.

:class:`Waiting` holds them. They have numbers of their own, which begin again at 1 after each move. What the worker has to
move is a question of the time alone (:meth:`Waiting.due`); nothing runs in the background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from ccgateway.simulator.job import Job

__all__ = ["TwiceError", "Waiting"]


class TwiceError(Exception):
    """A job with this very key waits already."""


@dataclass(frozen=True, slots=True)
class _Row:
    job: Job
    since: float


class Waiting:
    """Jobs that no read shows yet.

    Args:
        interval: seconds between two moves; the first comes one interval after *booted*.
        booted: when the site was started.
    """

    def __init__(self, interval: float, booted: float) -> None:
        self.interval = interval
        self.booted = booted
        self._rows: dict[int, _Row] = {}

    def __iter__(self) -> Iterator[Job]:
        """Those that wait, in the order they were started; their ids are numbers in this table."""
        return iter([row.job for row in self._rows.values()])

    def add(self, job: Job, now: float) -> None:
        """Let a job wait.

        Raises:
            TwiceError: one of this scheduler id, cluster and start time does already.
        """
        if any(j.start_time == job.start_time for j in self.find(job.job_id, job.cluster)):
            raise TwiceError
        number = max(self._rows, default=0) + 1
        self._rows[number] = _Row(replace(job, id=number), now)

    def find(self, job_id: int, cluster: str | None = None, start: int | None = None) -> list[Job]:
        """The jobs that a key fits, by ascending number."""
        return [j for j in self if j.job_id == job_id and cluster in {None, j.cluster} and start in {None, j.start_time}]

    def take(self, number: int) -> None:
        """A job waits no longer."""
        del self._rows[number]

    def due(self, now: float) -> list[Job]:
        """Those that the worker has moved by *now*: it has run since they were started."""
        ran = self.booted + (now - self.booted) // self.interval * self.interval
        return [row.job for row in self._rows.values() if row.since < ran <= now]
