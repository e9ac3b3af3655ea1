"""Which job a database id is, for a second: sites use their ids again after deletes, so that nothing is kept under them for long.

What is known of a job is kept under what identifies it for good, together with the id by which it was read. So another job's data
could be shown for as long as it takes to notice that an id has changed hands, ``cache.list_for`` seconds; or where an id went
from a job to another and back to the first while the first one's metrics were being read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ccgateway import __version__
from ccgateway.cache.entries import Absent, Entry, Filled, View
from ccgateway.cache.keys import Key
from ccgateway.jobs.metrics import NEEDED, JobRef, Phase
from ccgateway.jobs.model import JobKey
from ccgateway.site.caching.responses import JOBS, ResponseCache, audience_of, entry_key
from ccgateway.site.exchange import CallContext
from ccgateway.site.instance import Instance

__all__ = ["JobIds"]

#: bytes that one takes
IDENTITY_BYTES = 200


class _Identity(msgspec.Struct, array_like=True):
    cluster: str
    job_id: int
    start_time: int
    phase: Phase


class JobIds:
    """Looks up which jobs the database ids of a site are."""

    def __init__(self, origin: Instance, responses: ResponseCache) -> None:
        self._origin, self._responses = origin, responses

    async def find(self, context: CallContext, db_id: int) -> JobRef | None:
        """The job with its key and phase; ``None`` if there is none that the credential may see. Raises ``SiteError``."""
        site = self._origin.name
        audience, ttl = audience_of(context.credential), self._responses.settings.list_for
        if audience is None or not ttl:
            return await self._ask(context, db_id)
        key = entry_key(self._origin, JOBS, audience, "id", str(db_id), __version__)

        async def fill(keys: Sequence[Key], context: CallContext) -> Mapping[Key, Filled | Absent]:
            job = await self._ask(context, db_id)
            if job is None or job.key is None or job.phase is None:
                return dict.fromkeys(keys, Absent(ttl))
            identity = _Identity(job.key.cluster, job.key.job_id, job.key.start_time, job.phase)
            return dict.fromkeys(keys, Filled(msgspec.msgpack.encode(identity), ttl))

        within = self._origin.settings.timeout
        identity = (await self._responses.fetch([key], fill, _VIEW, context, within=within))[key].value
        if identity is None:
            return None
        return JobRef(site, db_id, JobKey(site, identity.cluster, identity.job_id, identity.start_time), identity.phase)

    async def _ask(self, context: CallContext, db_id: int) -> JobRef | None:
        row = await self._origin.job(context, db_id, NEEDED)
        return None if row is None else JobRef.of(row)


def _decode(_key: Key, entry: Entry) -> tuple[_Identity | None, int]:
    return None if entry.absent else msgspec.msgpack.decode(entry.payload, type=_Identity), IDENTITY_BYTES


#: ``None``: no such job
_VIEW = View(_decode)
