"""Which job a database id is, for a second: sites use their ids again after deletes, so that nothing is kept under them for long.

What is known of a job is kept under what identifies it for good, together with the id by which it was read. So another job's data
could be shown for as long as it takes to notice that an id has changed hands, ``cache.list_for`` seconds; or where an id went
from a job to another and back to the first while the first one's metrics were being read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ccgateway import __version__
from ccgateway.cache.entries import Absent, Entry, Filled
from ccgateway.cache.keys import Key
from ccgateway.federation.remembered.shelf import JOBS, Shelf, audience_of
from ccgateway.jobs.metrics import NEEDED, JobRef, Phase
from ccgateway.jobs.model import JobKey
from ccgateway.site.exchange import Visit
from ccgateway.site.instance import Instance

__all__ = ["Identities"]


class _Told(msgspec.Struct, array_like=True):
    cluster: str
    job_id: int
    start_time: int
    phase: Phase


class Identities:
    """Looks jobs up by their database ids."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def find(self, instance: Instance, visit: Visit, db_id: int) -> JobRef | None:
        """The job with its key and phase; ``None`` if there is none that the credential may see. Raises ``SiteError``."""
        audience, life = audience_of(visit.credential), self._shelf.lives.list_for
        if audience is None or not life:
            return await _asked(instance, visit, db_id)
        key = Key(instance.name, JOBS, audience, f"id {db_id}", __version__)

        async def fill(keys: Sequence[Key], visit: Visit) -> Mapping[Key, Filled | Absent]:
            job = await _asked(instance, visit, db_id)
            if job is None or job.key is None or job.phase is None:
                return dict.fromkeys(keys, Absent(life))
            told = _Told(job.key.cluster, job.key.job_id, job.key.start_time, job.phase)
            return dict.fromkeys(keys, Filled(msgspec.msgpack.encode(told), life))

        hit = (await self._shelf.fetch([key], fill, visit, within=instance.settings.timeout, read=_read))[key]
        if hit.absent:
            return None
        told = msgspec.msgpack.decode(hit.payload, type=_Told)
        return JobRef(instance.name, db_id, JobKey(instance.name, told.cluster, told.job_id, told.start_time), told.phase)


def _read(_key: Key, entry: Entry) -> object:
    return entry.absent or msgspec.msgpack.decode(entry.payload, type=_Told)


async def _asked(instance: Instance, visit: Visit, db_id: int) -> JobRef | None:
    row = await instance.job(visit, db_id, NEEDED)
    return None if row is None else JobRef.of(row)
