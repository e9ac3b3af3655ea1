"""Finds the one job that a write is about, as it is now; and lets writes to one job take turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import conditions_of
from ccgateway.jobs.filters import JobFilter, StringInput, TimeRange
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.jobs.writes import Target
from ccgateway.site.exchange import Visit
from ccgateway.site.instance import Instance, JobsWanted
from ccgateway.site.reading import JobStream

__all__ = ["NO_SUCH_JOB", "Turns", "find_job", "job_of_key", "no_such_job"]

#: rows asked for when one job of a second is wanted
FEW = 32
NO_SUCH_JOB = "Site {site} has no such job, or does not show it."


def no_such_job(site: str, hint: str = "") -> SiteError:
    """The same words for a job that is not there and one that may not be seen."""
    return SiteError(Code.NOT_FOUND, site, NO_SUCH_JOB.format(site=site) + hint)


async def find_job(instance: Instance, visit: Visit, target: Target, attributes: frozenset[str]) -> JobRow | None:
    """The job that ``target`` names by id or by its whole key, if the credential may see it; by both, only if they agree."""
    if target.db_id is not None:
        row = await instance.job(visit, target.db_id, attributes)
        return row if row is not None and target.fits(row.key) else None
    key = target.key
    return await job_of_key(instance, visit, key, attributes) if key is not None else None


async def job_of_key(instance: Instance, visit: Visit, key: JobKey, attributes: frozenset[str]) -> JobRow | None:
    """The job with that key, whatever its database id is."""
    wanted = JobFilter(
        cluster=StringInput(eq=key.cluster),
        job_id=StringInput(eq=str(key.job_id)),
        start_time=TimeRange(key.start_time, key.start_time),
    )
    stream = JobStream(instance, visit, JobsWanted(conditions_of((wanted,), instance.name), attributes))
    while not stream.done:
        await stream.read(FEW)
    return next((row for row in stream.rows if row.key == key), None)


class Turns:
    """Those who come with the same name go one after the other, in the order in which they came."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def take(self, name: Hashable, deadline: Deadline) -> AsyncIterator[bool]:
        """Whether one had to wait: then what was read before may be out of date. ``TimeoutError`` if the turn does not come."""
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, users + 1
        try:
            async with deadline.limit():
                await lock.acquire()
            try:
                yield users > 0
            finally:
                lock.release()
        finally:
            _, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = lock, users - 1
