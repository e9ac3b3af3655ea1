"""A site whose answers are kept for a while: the same questions as to the site itself, answered from the cache where that may be.

A page that was kept is one that was read a little earlier. Walks stay exact with such pages: the pages of a walk are apart in
their start times, so that each job is on one page whenever that was read, and what a job's page says is as old as
``cache.list_for`` allows. So a job comes exactly once if it is there from that many seconds before the walk began to its end.
What has to be read in one moment (the several pages of one second) is asked of ``origin``. Counts are exact now: none is kept,
but those who ask for the same with the same token while it is under way get the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Protocol, TypeVar

import msgspec

from ccgateway import __version__
from ccgateway.cache.entries import Entry, Filled, View
from ccgateway.cache.keys import Key
from ccgateway.errors import SiteError
from ccgateway.jobs.clusters import Cluster, User
from ccgateway.jobs.metrics import JobRef, MetricsWanted
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.statistics.counting import SiteStatistics, StatisticsWanted
from ccgateway.jobs.statistics.footprints import Footprints, FootprintsWanted, HeatmapWanted, JobSummaries, SummariesWanted
from ccgateway.site.base import JobsWanted, MetricsFound
from ccgateway.site.caching.job_metrics import CachedMetrics
from ccgateway.site.caching.responses import CLUSTERS, JOBS, USERS, ResponseCache, audience_of, entry_key, person_of
from ccgateway.site.exchange import CallContext, SiteAnswer
from ccgateway.site.instance import Instance
from ccgateway.site.listing import ListQuery
from ccgateway.site.queries.documents import Counted, QueriedList
from ccgateway.site.queries.reader import Tally
from ccgateway.site.reading import ROW_BYTES
from ccgateway.site.releases import ListPage, Window

__all__ = ["CachingSite"]

T = TypeVar("T")
W = TypeVar("W")
W_contra = TypeVar("W_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)


class _Counting(Protocol[W_contra, T_co]):
    """A question about all jobs that match."""

    async def __call__(self, context: CallContext, wanted: W_contra, *, budget: int) -> T_co: ...


#: bytes of a page that is kept: larger ones are nobody's start page
LARGEST_PAGE = 4 << 20
#: bytes that a list takes when it is decoded, for each byte of its payload
DECODED = 5


class CachingSite:
    """A ``Site`` before an ``Instance``. Keeps pages of lists, metrics, clusters and users in ``responses``."""

    def __init__(self, origin: Instance, responses: ResponseCache) -> None:
        self.origin, self._responses = origin, responses
        self.name, self.number, self.settings = origin.name, origin.number, origin.settings
        self.health, self.proofs = origin.health, origin.proofs
        # of these questions no answers are kept
        self.context, self.job, self.greet = origin.context, origin.job, origin.greet
        self.lacking, self.hides_others = origin.lacking, origin.hides_others
        self.first, self.reads, self.complete, self.drops_rows = origin.first, origin.reads, origin.complete, origin.drops_rows
        self._metrics = CachedMetrics(origin, responses)

    def keep_nothing_more(self) -> None:
        """What is read from now on is kept for nobody: another instance goes by this site's name."""
        self._responses = ResponseCache.empty()
        self._metrics = CachedMetrics(self.origin, self._responses)

    def __repr__(self) -> str:
        return f"CachingSite({self.origin!r})"

    @property
    def shares_pages(self) -> bool:
        """See ``Site``."""
        return self._responses.settings.list_for > 0

    @property
    def release(self) -> str | None:
        """See ``Site``."""
        return self.origin.release

    @property
    def capabilities(self) -> tuple[str, ...]:
        """See ``Site``."""
        return self.origin.capabilities

    @property
    def context_is_local(self) -> bool:
        """See ``Site``."""
        return self.origin.context_is_local

    def known_failure(self, context: CallContext) -> SiteError | None:
        """See ``Site``."""
        return self.origin.failure_known(context, self._responses.settings.list_for)

    async def page(self, context: CallContext, wanted: JobsWanted, window: Window, *, size: int, page: int = 1) -> ListPage:
        """See ``Site``: one that was read ``cache.list_for`` seconds ago at the most."""
        person = person_of(context.credential)
        if person is None or not self.shares_pages:
            return await self.origin.page(context, wanted, window, size=size, page=page)

        async def listed(query: ListQuery | QueriedList) -> Sequence[JobRow]:
            return await self._listed(query, person, context)

        result = await self.origin.read_page(context, wanted, window, listed, size=size, page=page)
        return ListPage(result.rows, result.matching)

    async def _listed(self, query: ListQuery | QueriedList, person: str, context: CallContext) -> Sequence[JobRow]:
        key = entry_key(self.origin, JOBS, person, query.name)

        def decode(_key: Key, entry: Entry) -> tuple[Sequence[JobRow], int]:
            rows = query.rows(SiteAnswer(200, "application/json", entry.payload), self.name)
            return rows, ROW_BYTES * len(rows)

        view = View(decode, query.attributes)

        async def fill(keys: Sequence[Key], context: CallContext) -> Mapping[Key, Filled]:
            rows, body = await self.origin.listed(query, context)
            ttl = self._responses.settings.list_for if len(body) <= LARGEST_PAGE else 0.0
            return dict.fromkeys(keys, Filled(body, ttl, values={view.name: (rows, ROW_BYTES * len(rows))}))

        return (await self._responses.fetch([key], fill, view, context, within=self.settings.timeout))[key].value

    async def count(self, context: CallContext, wanted: JobsWanted) -> Tally | None:
        """See ``Site``."""
        person = person_of(context.credential)
        if person is None or not self.shares_pages:
            return await self.origin.count(context, wanted)

        async def counted(query: QueriedList, context: CallContext) -> Counted[JobRow]:
            key = entry_key(self.origin, JOBS, person, "count", query.name)

            def decode(_key: Key, entry: Entry) -> tuple[Counted[JobRow], int]:
                return query.answer(SiteAnswer(200, "application/json", entry.payload), self.name), ROW_BYTES

            async def fill(keys: Sequence[Key], context: CallContext) -> Mapping[Key, Filled]:
                return dict.fromkeys(keys, Filled((await self.origin.listed(query, context))[1], 0.0))

            within = min(self.settings.timeout, context.deadline.remaining)
            return await self._responses.join(key, fill, View(decode), context, within=within)

        return await self.origin.count(context, wanted, counted)

    async def metrics(self, context: CallContext, job: JobRef, wanted: MetricsWanted) -> MetricsFound:
        """See ``Site``."""
        return await self._metrics.read(context, job, wanted)

    async def known_metrics(
        self, context: CallContext, jobs: Sequence[JobRef], wanted: MetricsWanted
    ) -> Mapping[JobRef, MetricsFound]:
        """See ``Site``."""
        return await self._metrics.known(context, jobs, wanted)

    async def clusters(self, context: CallContext, *, with_partitions: bool) -> list[Cluster]:
        """See ``Site``."""

        async def ask(context: CallContext) -> list[Cluster]:
            return await self.origin.clusters(context, with_partitions=with_partitions)

        what = CLUSTERS, "partitions" if with_partitions else ""
        return await self._items(context, what, audience_of(context.credential), list[Cluster], ask)

    async def users(self, context: CallContext) -> list[User]:
        """See ``Site``."""
        # who lists users, a site may decide by its own table: that one token is accepted says nothing of another
        return await self._items(context, (USERS, ""), person_of(context.credential), list[User], self.origin.users)

    async def statistics(self, context: CallContext, wanted: StatisticsWanted, *, budget: int) -> SiteStatistics:
        """See ``Site``: what was read ``cache.list_for`` seconds ago at the most."""
        return await self._counted(context, wanted, budget, SiteStatistics, self.origin.statistics)

    async def footprints(self, context: CallContext, wanted: FootprintsWanted, *, budget: int) -> Footprints:
        """See ``Site``, as ``statistics``."""
        return await self._counted(context, wanted, budget, Footprints, self.origin.footprints)

    async def heatmap(self, context: CallContext, wanted: HeatmapWanted, *, budget: int) -> list[list[float]]:
        """See ``Site``, as ``statistics``."""
        return await self._counted(context, wanted, budget, list[list[float]], self.origin.heatmap)

    async def summaries(self, context: CallContext, wanted: SummariesWanted, *, budget: int) -> JobSummaries:
        """See ``Site``, as ``statistics``."""
        return await self._counted(context, wanted, budget, JobSummaries, self.origin.summaries)

    async def _counted(self, context: CallContext, wanted: W, budget: int, kind: type[T], ask: _Counting[W, T]) -> T:
        ttl = self._responses.settings.list_for
        person = person_of(context.credential)
        if person is None or not ttl:
            return await ask(context, wanted, budget=budget)
        question = sha256(msgspec.msgpack.encode([wanted, budget], order="sorted")).hexdigest()
        key = entry_key(self.origin, JOBS, person, type(wanted).__name__, question, __version__)

        async def fill(keys: Sequence[Key], context: CallContext) -> Mapping[Key, Filled]:
            payload = msgspec.msgpack.encode(await ask(context, wanted, budget=budget))
            return dict.fromkeys(keys, Filled(payload, ttl if len(payload) <= LARGEST_PAGE else 0.0))

        def decode(_key: Key, entry: Entry) -> tuple[T, int]:
            return msgspec.msgpack.decode(entry.payload, type=kind), DECODED * len(entry.payload)

        return (await self._responses.fetch([key], fill, View(decode), context, within=self.settings.timeout))[key].value

    async def _items(
        self, context: CallContext, what: tuple[str, str], audience: str | None, kind: type[list[T]],
        ask: Callable[[CallContext], Awaitable[list[T]]],
    ) -> list[T]:  # fmt: skip
        ttl = self._responses.settings.clusters_for
        if audience is None or not ttl:
            return await ask(context)
        # another release of this gateway may write them differently
        key = entry_key(self.origin, what[0], audience, what[1], __version__)

        async def fill(keys: Sequence[Key], context: CallContext) -> Mapping[Key, Filled]:
            items = await ask(context)
            # a site without clusters or users is more likely one that is about to get them
            return dict.fromkeys(keys, Filled(msgspec.msgpack.encode(items), ttl if items else 0.0))

        def decode(_key: Key, entry: Entry) -> tuple[list[T], int]:
            return msgspec.msgpack.decode(entry.payload, type=kind), DECODED * len(entry.payload)

        return list((await self._responses.fetch([key], fill, View(decode), context, within=self.settings.timeout))[key].value)
