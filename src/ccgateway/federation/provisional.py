"""Jobs by their provisional ids: which one is meant, by what was noted when it was started, or by what its site shows.

Notes only save a search, but for one thing: a job number of more than 26 bits cannot be read out of its id, so that such a job is
not found by other processes without a common Redis until its site shows it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import msgspec

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import Code, RequestError, SiteError
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.jobs.provisional import Clue, clue_of, provisional_id
from ccgateway.jobs.writes import Target
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.finding import job_of_key, job_of_provisional

__all__ = ["Provisionals"]

#: seconds for which a start is noted
NOTED_FOR = 86_400.0


#: jobs of one site with one number that start in the same second, and so have one id
MOST_ALIKE = 20


class _Note(msgspec.Struct, array_like=True, frozen=True):
    site: str
    cluster: str
    job_id: int
    start_time: int


_NOTES = msgspec.json.Decoder(list[_Note])


@dataclass(frozen=True, slots=True)
class Provisionals:
    """Finds them. ``store``: what it says is believed only as far as it fits."""

    store: TtlStore

    async def note(self, key: JobKey) -> None:
        """The job of that key was started, and its site does not show it yet."""
        by_id = f"started:{key.site}:{provisional_id(key)}"
        alike = [one for one in await self._noted(by_id) if one != key][: MOST_ALIKE - 1]
        for name, keys in ((by_id, [key, *alike]), (f"started:{key.job_id}", [key])):
            await self.store.set(name, msgspec.json.encode([_Note(*one) for one in keys]), NOTED_FOR)

    async def key(self, site: str, db_id: int, cluster: str | None = None) -> JobKey | None:
        """The key that was noted for that id, of ``cluster`` if that is known. ``AMBIGUOUS_JOB`` where several clusters of the
        site have started a job of that number in the same second: then these have one id."""
        noted = await self._noted(f"started:{site}:{db_id}")
        fitting = [one for one in noted if one.site == site and provisional_id(one) == db_id and cluster in (None, one.cluster)]
        newest = {one.cluster: one for one in reversed(fitting)}
        if len(newest) > 1:
            message = f"Jobs of several clusters have this provisional id ({', '.join(sorted(newest))}): name the cluster too."
            raise SiteError(Code.AMBIGUOUS_JOB, site, message)
        return next(iter(newest.values()), None)

    async def newest(self, job_id: int) -> JobKey | None:
        """The job of that number that was started last, at whichever site."""
        found = await self._noted(f"started:{job_id}")
        return found[0] if found and found[0].job_id == job_id else None

    async def _noted(self, name: str) -> list[JobKey]:
        text = await self.store.get(name)
        try:
            notes = _NOTES.decode(text) if text is not None else []
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return []
        return [JobKey(one.site, one.cluster, one.job_id, one.start_time) for one in notes]

    async def row(self, instance: Site, context: CallContext, db_id: int, attributes: frozenset[str]) -> JobRow:
        """The job as its site shows it now. ``NOT_FOUND``, to be asked again, while it does not."""
        key = await self.key(instance.name, db_id)
        if key is not None:
            row = await job_of_key(instance, context, key, attributes)
        else:
            row = await job_of_provisional(instance, context, db_id, attributes)
        if row is None:
            raise _not_shown(instance.name)
        return row

    async def target(self, instance: Site, context: CallContext, target: Target, db_id: int, *, stops: bool) -> Target:
        """The job that a write to that id means, by key. ``stops``: it need not show yet, and its cluster may be left open.

        ``CONFLICT`` where the rest of ``target`` names another job.
        """
        key = await self.key(instance.name, db_id, target.cluster)
        if key is None and (row := await job_of_provisional(instance, context, db_id, frozenset())) is not None:
            key = row.key
        if key is not None:
            found = Target(site=key.site, cluster=key.cluster, job_id=key.job_id, start_time=key.start_time)
        elif stops and (clue := clue_of(db_id, time.time())) is not None:
            start = clue.start_time
            if target.start_time is not None and provisional_id(_with_start(instance, clue, target.start_time)) == db_id:
                start = target.start_time
            found = Target(site=instance.name, cluster=target.cluster, job_id=clue.job_id, start_time=start)
        else:
            raise _not_shown(instance.name)
        for name, wanted, own in (
            ("cluster", target.cluster, found.cluster),
            ("jobId", target.job_id, found.job_id),
            ("startTime", target.start_time, found.start_time),
        ):
            if wanted not in (None, own):
                raise RequestError(Code.CONFLICT, f"{name}: the job with this id has {own!r}, not {wanted!r}.")
        return found


def _with_start(instance: Site, clue: Clue, start_time: int) -> JobKey:
    return JobKey(instance.name, "", clue.job_id, start_time)  # such an id is not made of the cluster


def _not_shown(site: str) -> SiteError:
    message = (
        f"Site {site} shows no job with this provisional id. One that was just started shows once the site has committed it, "
        "which may take two minutes; until then it can be stopped, and nothing else."
    )
    return SiteError(Code.NOT_FOUND, site, message, retryable=True)
