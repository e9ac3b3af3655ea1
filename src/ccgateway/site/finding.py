"""Finds one job of a site, as it is now: by id, by key, by a part of its key, by an id that the gateway gave."""

from __future__ import annotations

import time
from dataclasses import replace

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import conditions_of
from ccgateway.jobs.filters import JobFilter, StringInput
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.jobs.provisional import clue_of, provisional_id
from ccgateway.jobs.writes import Target
from ccgateway.site.base import JobsWanted, Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.reading import JobStream

__all__ = ["find_job", "job_of_key", "job_of_provisional", "newest_job", "whole_target"]

#: rows asked for when one job of a second is wanted, and where one has to be looked for
FEW, PAGE = 32, 1000
#: jobs that are looked through, running ones and the newest, for one whose number is not told; and for one whose number is
SOME, MANY = 2000, 20_000


async def find_job(site: Site, context: CallContext, target: Target, attributes: frozenset[str]) -> JobRow | None:
    """The job that ``target`` names by id or by its whole key, if the credential may see it; by both, only if they agree."""
    if target.db_id is not None:
        row = await site.job(context, target.db_id, attributes)
        return row if row is not None and target.fits(row.key) else None
    key = target.key
    return await job_of_key(site, context, key, attributes) if key is not None else None


async def job_of_key(site: Site, context: CallContext, key: JobKey, attributes: frozenset[str]) -> JobRow | None:
    """The job with that key, whatever its database id is."""
    wanted = JobFilter.of_job(key.job_id, cluster=key.cluster, start_time=key.start_time)
    stream = JobStream(site.origin, context, JobsWanted(conditions_of((wanted,), site.name), attributes))
    while not stream.done:
        await stream.read(FEW)
    return next((row for row in stream.rows if row.key == key), None)


def whole_target(row: JobRow) -> Target:
    """The job of that row, by id and by key."""
    key = row.key
    return Target(site=key.site, db_id=row.id, cluster=key.cluster, job_id=key.job_id, start_time=key.start_time)


async def newest_job(
    site: Site, context: CallContext, target: Target, *, state: str | None = None, user: str | None = None, budget: int = MANY
) -> JobRow | None:
    """The newest job that the parts of a key fit, or the newest in that state or of that user.

    ``SCAN_BUDGET`` where more jobs than ``budget`` would have to be read.
    """
    if target.job_id is None:
        return None
    wanted = replace(
        JobFilter.of_job(target.job_id, cluster=target.cluster, start_time=target.start_time),
        state=(state,) if state is not None else None,
        user=StringInput(eq=user) if user is not None else None,
    )
    jobs = JobsWanted(conditions_of((wanted,), site.name), frozenset({"user", "state", "duration"}))
    stream = JobStream(site.origin, context, jobs)
    while not stream.done and not stream.rows:
        if stream.scanned > budget:
            message = f"Not among the newest {budget} jobs of the site. Give startTime: then it is found at once."
            raise SiteError(Code.SCAN_BUDGET, site.name, message)
        await stream.read(PAGE)
    return max(stream.rows, key=lambda row: row.start_time, default=None)


async def job_of_provisional(site: Site, context: CallContext, db_id: int, attributes: frozenset[str]) -> JobRow | None:
    """The job that a provisional id stands for, if the site shows it: looked for where it started, by what the id says, then
    among the running and the newest jobs. ``AMBIGUOUS_JOB`` where two could be meant.
    """
    clue = clue_of(db_id, time.time())
    filters = [JobFilter(state=("running",)), JobFilter()]
    if clue is not None:
        filters.insert(0, JobFilter.of_job(clue.job_id, start_time=clue.start_time))
    for one in filters:
        stream = JobStream(site.origin, context, JobsWanted(conditions_of((one,), site.name), attributes))
        found: list[JobRow] = []
        while not stream.done and not found and stream.scanned < SOME:
            await stream.read(SOME)
            found = [row for row in stream.rows if provisional_id(row.key) == db_id]
            stream.rows = []
        if len(found) > 1:
            message = f"Two jobs of site {site.name} could have that provisional id: use the ids that lists give."
            raise SiteError(Code.AMBIGUOUS_JOB, site.name, message)
        if found:
            return found[0]
    return None
