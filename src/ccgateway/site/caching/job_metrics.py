"""Metrics of jobs, kept metric by metric: who asks for five of which four are known costs the site a question for one.

An entry holds all that the site said to one metric at the scopes that were asked for, as it may answer others than those; so a
remembered answer is the site's own, piece by piece. Which metrics there are, where all were asked for, is an entry too. Samples
are kept as the text that the site wrote (``jobs.packing``).

Entries are kept under the job's key together with its database id, by which it was read, and with its phase: what was read while
it ran is not shown once it is known to have ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from ccgateway.cache.entries import Absent, Entry, Filled, Hit, View
from ccgateway.cache.keys import Key
from ccgateway.errors import Code, SiteError
from ccgateway.jobs.metrics import JobRef, MetricPiece, MetricsWanted, Phase
from ccgateway.jobs.packing import FORMAT, pack_pieces, unpack_pieces
from ccgateway.settings import CacheSettings
from ccgateway.site.base import MetricsFound
from ccgateway.site.caching.job_ids import JobIds
from ccgateway.site.caching.responses import ResponseCache, audience_of, entry_key, subject_of
from ccgateway.site.exchange import CallContext
from ccgateway.site.instance import Instance
from ccgateway.site.releases import MetricsRoute
from ccgateway.site.replies import no_such_job

__all__ = ["CachedMetrics"]

#: bytes that the name of a metric, a piece, and each of its series beside the samples, take when they are decoded
NAME_BYTES, PIECE_BYTES, SERIES_BYTES = 100, 1000, 500

#: failures to look a job up that say nothing about whether its metrics can be read
_PASSED_OVER = frozenset({Code.SITE_ERROR, Code.SITE_REFUSED, Code.BAD_ANSWER, Code.WRONG_RELEASE, Code.UNSUPPORTED})


class CachedMetrics:
    """Reads metrics of one site's jobs; raises as ``Site.metrics`` does, and ``TimeoutError`` after the context's deadline."""

    def __init__(self, origin: Instance, responses: ResponseCache) -> None:
        self._origin, self._responses, self._job_ids = origin, responses, JobIds(origin, responses)

    async def read(self, context: CallContext, job: JobRef, wanted: MetricsWanted) -> MetricsFound:
        """These metrics of that job: what is kept, and the rest from its site."""
        keys = None if wanted.is_nothing else await self._entry_keys(context, job, wanted)
        if keys is None:
            return await self._origin.metrics(context, job, wanted)
        reading = _Reading(self._responses.settings, self._origin, job.db_id, keys)
        hits: dict[Key, Hit[_Value]] = {}
        if wanted.names is None:
            hits = await self._fetch([keys.index], reading, context)
        names = _names(hits[keys.index]) if wanted.names is None else wanted.names
        unknown = [key for name in names if (key := keys.key(name)) not in hits]
        if unknown:
            hits |= await self._fetch(unknown, reading, context)
        return replace(self._found(wanted, names, keys, hits), job=keys.job)

    async def _fetch(self, keys: Sequence[Key], reading: _Reading, context: CallContext) -> dict[Key, Hit[_Value]]:
        return await self._responses.fetch(keys, reading.fill, _VIEW, context, within=self._origin.settings.timeout)

    async def known(self, context: CallContext, jobs: Sequence[JobRef], wanted: MetricsWanted) -> dict[JobRef, MetricsFound]:
        """Of many jobs those of which everything is kept, looked up at once. ``SiteError`` if the release is not known."""
        if wanted.is_nothing or audience_of(context.credential) is None:
            return {}
        by_job: dict[JobRef, _EntryKeys] = {}
        for job in jobs:
            if job.key is not None and (entry_keys := await self._entry_keys(context, job, wanted)) is not None:
                by_job[job] = entry_keys
        names = dict.fromkeys(by_job, wanted.names or ())
        if wanted.names is None:
            indexes = await self._responses.peek([entry_keys.index for entry_keys in by_job.values()], _VIEW, context)
            names = {job: _names(indexes[entry_keys.index]) for job, entry_keys in by_job.items() if entry_keys.index in indexes}
        keys = {job: [by_job[job].key(name) for name in of_job] for job, of_job in names.items()}
        hits = await self._responses.peek([key for of_job in keys.values() for key in of_job], _VIEW, context)
        return {
            job: self._found(wanted, names[job], by_job[job], hits)
            for job, of_job in keys.items()
            if all(key in hits for key in of_job)
        }

    def _found(
        self, wanted: MetricsWanted, names: Iterable[str], keys: _EntryKeys, hits: Mapping[Key, Hit[_Value]]
    ) -> MetricsFound:
        kept = {key: hits[key] for name in names if (key := keys.key(name)) in hits}
        found = self._origin.arranged(wanted, [piece for hit in kept.values() for piece in _pieces(hit)], keys.route)
        return replace(found, forms=_KeptForms(self._responses, kept))

    async def _entry_keys(self, context: CallContext, job: JobRef, wanted: MetricsWanted) -> _EntryKeys | None:
        """The keys of the answer's entries; ``None`` if it is not to be kept. ``NOT_FOUND`` if there is no such job."""
        audience, site = audience_of(context.credential), self._origin.name
        if audience is None:
            return None
        if job.key is None or job.phase is None:
            try:
                ref = await self._job_ids.find(context, job.db_id)
            except SiteError as error:
                if error.code in _PASSED_OVER:
                    return None
                raise
            if ref is None:
                raise no_such_job(site)
            job = ref
        if job.key is None or job.phase is None:
            return None
        route = await self._origin.metrics_route(context, wanted)
        # a site that is asked by POST chooses the scopes itself; their order changes nothing anywhere
        scopes = "post" if route.by_post else "get" if wanted.scopes is None else "get " + ",".join(sorted(wanted.scopes))
        steps = "" if route.resolution is None else f" by {route.resolution} s"
        question = f"{FORMAT} {job.db_id} {job.phase} {scopes}{steps}"
        index = entry_key(self._origin, subject_of(job.key), audience, question)
        return _EntryKeys(index, job.phase, wanted.scopes, route, job)


@dataclass(frozen=True, slots=True)
class _EntryKeys:
    """The keys of the entries that answer one question about one job. ``index``: of the one that says which metrics there are."""

    index: Key
    phase: Phase
    scopes: tuple[str, ...] | None
    route: MetricsRoute
    job: JobRef

    def key(self, name: str) -> Key:
        """One metric."""
        return replace(self.index, question=(*self.index.question, name))


@dataclass(slots=True)
class _Reading:
    """Asks the site for what is missing of one question."""

    settings: CacheSettings
    origin: Instance
    db_id: int
    keys: _EntryKeys

    async def fill(self, missing: Sequence[Key], context: CallContext) -> Mapping[Key, Filled | Absent]:
        """One question to the site, for all that is missing. Raises ``SiteError``: then nothing is kept."""
        keys, wants_all = self.keys, self.keys.index in missing
        names = None if wants_all else tuple(key.question[-1] for key in missing)
        by_name: dict[str, list[MetricPiece]] = {}
        wanted = MetricsWanted(names, keys.scopes, keys.route.resolution)
        found, route = await self.origin.metric_pieces(context, self.db_id, wanted)
        for piece in found:
            by_name.setdefault(piece.name, []).append(piece)
        fills: dict[Key, Filled | Absent] = {key: Absent(self.settings.absent_for) for key in missing}
        for name, pieces in by_name.items():
            filled = self._filled(pack_pieces(pieces), pieces)
            # what came another way than was thought comes in other steps, for now
            fills[keys.key(name)] = (
                filled if route == keys.route else replace(filled, fresh_for=min(filled.fresh_for, self.settings.running_for))
            )
        if wants_all:
            fills[keys.index] = self._listed(by_name)
        return fills

    def _filled(self, payload: bytes, pieces: Iterable[MetricPiece]) -> Filled:
        if self.keys.phase is Phase.ARCHIVED:
            return Filled(payload, self.settings.ended_for)
        intervals = [piece.metric.timestep for piece in pieces if piece.metric.timestep > 0]
        return Filled(payload, min([self.settings.running_for, *intervals]), self.settings.stale_for)

    def _listed(self, names: Iterable[str]) -> Filled:
        """Which metrics there are. None at all is more likely a job that is about to get some."""
        payload = msgspec.msgpack.encode(sorted(names))
        if not names:
            return Filled(payload, min(self.settings.absent_for, self.settings.running_for))
        if self.keys.phase is Phase.ARCHIVED:
            return Filled(payload, self.settings.ended_for)
        return Filled(payload, self.settings.running_for, self.settings.stale_for)


#: of an index the names, of a metric its pieces
_Value: TypeAlias = Sequence[MetricPiece] | Sequence[str]


def _decode(key: Key, entry: Entry) -> tuple[_Value, int]:
    _, *name = key.question
    if not name:
        names = msgspec.msgpack.decode(entry.payload, type=tuple[str, ...])
        return names, NAME_BYTES * len(names)
    pieces = [] if entry.absent else unpack_pieces(name[0], entry.payload)
    return pieces, sum(PIECE_BYTES + SERIES_BYTES * len(piece.metric.series or ()) for piece in pieces)


_VIEW = View(_decode)


def _names(index: Hit[_Value]) -> tuple[str, ...]:
    return tuple(name for name in index.value if isinstance(name, str))


def _pieces(hit: Hit[_Value]) -> list[MetricPiece]:
    """What the entry holds."""
    return [piece for piece in hit.value if isinstance(piece, MetricPiece)]


class _KeptForms:
    """``Forms`` of the pieces of these entries."""

    def __init__(self, responses: ResponseCache, hits: Mapping[Key, Hit[_Value]]) -> None:
        self._cache = responses.cache
        # by the very objects, which the hits keep alive: equal ones may be of another entry
        self._places = {
            id(piece): (key, hit.entry, ("form", number))
            for key, hit in hits.items()
            if hit.entry is not None
            for number, piece in enumerate(_pieces(hit))
        }
        self._hits = hits

    def get(self, piece: MetricPiece) -> object | None:
        """See ``Forms``."""
        place = self._places.get(id(piece))
        found = place[1].values.get(place[2]) if place is not None else None
        return None if found is None else found[0]

    def keep(self, piece: MetricPiece, form: object, size: int) -> None:
        """See ``Forms``."""
        place = self._places.get(id(piece))
        if place is not None:
            key, entry, name = place
            self._cache.keep(key, entry, name, form, size)
