"""One cc-backend instance, asked over HTTP in the dialect of its release. Where the settings say ``auto`` that is found out,
remembered, and looked for again when answers stop fitting it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TypeVar

import msgspec

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError, forget_frames
from ccgateway.identity.principal import Principal
from ccgateway.jobs.clusters import Cluster, User
from ccgateway.jobs.conditions import EARLIEST, LATEST, Conditions
from ccgateway.jobs.filters import JobOrder
from ccgateway.jobs.metrics import JobRef, MetricPiece, MetricsWanted, in_order_of
from ccgateway.jobs.model import ALWAYS, JobRow
from ccgateway.jobs.ordering import Cursor
from ccgateway.jobs.statistics.counting import SiteStatistics, StatisticsWanted
from ccgateway.jobs.statistics.footprints import Footprints, FootprintsWanted, HeatmapWanted, JobSummaries, SummariesWanted
from ccgateway.settings import SiteSettings
from ccgateway.site.base import JobsWanted, MetricsFound, PageFailedError
from ccgateway.site.credentials import Credential, Credentials, Proofs
from ccgateway.site.exchange import CallContext, Exchange, SiteAnswer, SiteRequest
from ccgateway.site.guard import Noting
from ccgateway.site.health import CUT_OFF, SiteHealth
from ccgateway.site.listing import ListQuery
from ccgateway.site.outage import RememberedFailureError
from ccgateway.site.queries.completing import Completed, complete
from ccgateway.site.queries.costly import Turns
from ccgateway.site.queries.documents import Counted, QueriedList
from ccgateway.site.queries.first_jobs import FirstJobs, first_jobs
from ccgateway.site.queries.footprints import read_footprints, read_heatmap, read_summaries
from ccgateway.site.queries.metrics import metrics_route, read_pieces, resolution_notes
from ccgateway.site.queries.reader import CountedBy, QueryReader, Tally
from ccgateway.site.queries.statistics import read_statistics
from ccgateway.site.queries.ways import ReadingWay, Ways
from ccgateway.site.release import SiteRelease
from ccgateway.site.releases import Dialect, ListPage, MetricsRefusedError, MetricsRoute, Window
from ccgateway.site.releases.metric_answers import metrics_not_found
from ccgateway.site.releases.probing import find_release
from ccgateway.site.releases.query import QueryReply, query_data, query_reply, query_request
from ccgateway.site.replies import refuse
from ccgateway.traffic.scopes import in_turn

__all__ = ["Instance"]

T = TypeVar("T")


class Instance:
    """A ``Site`` that asks the configured instance itself, every time."""

    shares_pages = False  # each who asks has a page of its own

    def __init__(self, settings: SiteSettings, exchange: Exchange, credentials: Credentials) -> None:
        self.settings, self.name, self.number = settings, settings.name, settings.number
        self.health, self.proofs = SiteHealth(patience=min(CUT_OFF, settings.timeout)), Proofs()
        self._exchange: Exchange = Noting(exchange, self.proofs)
        self._credentials = credentials
        self._release, self._ways = SiteRelease(settings, self._exchange), Ways(settings.reads)
        self._reader, self.user_groups = QueryReader(self), Turns()
        self.failure_known: Callable[[CallContext, float], SiteError | None] = lambda _context, _seconds: None

    def with_credentials(self, credentials: Credentials) -> Instance:
        """The same instance for other credentials: whatever is known of it stays known, and ``aclose`` of either closes both."""
        found = copy(self)
        found._credentials, found._reader = credentials, QueryReader(found)
        return found

    def __repr__(self) -> str:
        return f"Instance({self.name!r}, {self.settings.url!r}, release={self.release!r})"

    @property
    def origin(self) -> Instance:
        """See ``Site``."""
        return self

    @property
    def release(self) -> str | None:
        """See ``Site``."""
        return self._dialect.name if self._dialect else None

    @property
    def _dialect(self) -> Dialect | None:
        return self._release.dialect

    @property
    def capabilities(self) -> tuple[str, ...]:
        """See ``Site``."""
        return self._dialect.capabilities if self._dialect else ()

    @property
    def context_is_local(self) -> bool:
        """See ``Site``."""
        return self._credentials.at_once

    async def context(self, caller: Principal, deadline: Deadline, *, insists: bool = True) -> CallContext:
        """See ``Site``."""
        if caller.site not in (None, self.name):
            message = f"The API key is for site {caller.site} alone (api_keys.NAME.site), so this site was not asked."
            raise SiteError(Code.NO_CREDENTIAL, self.name, message)
        credential = await self._credentials.of(caller, deadline)
        if credential is None:
            raise SiteError(Code.NO_CREDENTIAL, self.name, "No token for this site is configured, so it was not asked.")
        return CallContext(credential, deadline, proofs=self.proofs, insists=insists)

    # --- questions

    def known_failure(self, context: CallContext) -> SiteError | None:
        """See ``Site``."""
        return self.failure_known(context, 0)

    async def page(self, context: CallContext, wanted: JobsWanted, window: Window, *, size: int, page: int = 1) -> ListPage:
        """See ``Site``."""
        totals: list[int] = []

        async def listed(query: ListQuery | QueriedList) -> Sequence[JobRow]:
            if isinstance(query, ListQuery):
                return (await self.listed(query, context))[0]
            counted = await self.counted(query, context)
            totals.append(counted.count)
            return counted.items

        found = await self.read_page(context, wanted, window, listed, size=size, page=page)
        return replace(found, total=sum(totals)) if found.total is not None else found

    async def read_page(
        self,
        context: CallContext,
        wanted: JobsWanted,
        window: Window,
        listed: Callable[[ListQuery | QueriedList], Awaitable[Sequence[JobRow]]],
        *,
        size: int,
        page: int,
    ) -> ListPage:
        """One page, read the way that takes less work: of lists that ``listed`` has from this site, or remembers."""

        async def ask(dialect: Dialect) -> ListPage:
            plan = self._ways.plan(dialect, context.credential, wanted, size=size)
            if plan is not None:
                read = partial(self._reader.page, plan, window, listed, size=size, page=page)
                found = await self._ways.tried(dialect, context.credential, read)
                if found is not None:
                    return found
            query = ListQuery.of(dialect, context.credential, wanted, window, size=size, page=page)
            return query.page([] if query.plan.never else await listed(query), self.health)

        return await self.in_dialect(context, ask)

    def drops_rows(self, credential: Credential, wanted: JobsWanted) -> bool:
        """See ``Site``."""
        return self._ways.drops_rows(self._dialect, credential, wanted)

    async def complete(self, context: CallContext, rows: Sequence[JobRow], attributes: frozenset[str]) -> Completed:
        """See ``Site``."""
        return await complete(self, context, rows, attributes)

    def reads(self, credential: Credential) -> ReadingWay:
        """See ``Site``."""
        return self._ways.way(self._dialect, credential)

    async def count(self, context: CallContext, wanted: JobsWanted, counted: CountedBy | None = None) -> Tally | None:
        """See ``Site``. ``counted`` asks this site, or has the answer of somebody who asks it the same."""
        ask = counted or self.counted
        return await self._by_query(context, lambda dialect: self._reader.count(dialect, context, wanted, ask))

    async def first(
        self, context: CallContext, wanted: JobsWanted, order: JobOrder, *, size: int, after: Cursor | None
    ) -> FirstJobs | None:
        """See ``Site``."""
        return await self._by_query(
            context, lambda dialect: first_jobs(self._reader, dialect, context, wanted, order, size=size, after=after)
        )

    async def _by_query(self, context: CallContext, ask: Callable[[Dialect], Awaitable[T | None]]) -> T | None:
        """What the site's own GraphQL says; ``None`` where that way is not open, or comes to nothing."""
        return await self.in_dialect(context, lambda dialect: self._ways.tried(dialect, context.credential, lambda: ask(dialect)))

    async def counted(self, query: QueriedList, context: CallContext) -> Counted[JobRow]:
        """What the site's own GraphQL gives: rows, and how many there are altogether."""
        return (await self._decoded(query, context, query.answer))[0]

    async def listed(self, query: ListQuery | QueriedList, context: CallContext) -> tuple[list[JobRow], bytes]:
        """The rows that the site gives, and the body that they were read from; raises as ``page``."""
        rows, body = await self._decoded(query, context, query.rows)
        if len(rows) > query.size:
            raise SiteError(Code.WRONG_RELEASE, self.name, f"The site sent {len(rows)} jobs where {query.size} were asked for.")
        return rows, body

    async def _decoded(
        self, query: ListQuery | QueriedList, context: CallContext, decode: Callable[[SiteAnswer, str], T]
    ) -> tuple[T, bytes]:
        due = context.deadline if query.share == 1 else context.deadline.within(context.deadline.remaining * query.share)
        with self.proofs.proving(context.credential):
            answer = await self._exchange.exchange(query.request, replace(context, deadline=due))
            if answer.status == 500:
                raise PageFailedError(refuse(answer, self.name), answer.body)
            return await in_turn(lambda: decode(answer, self.name)), answer.body

    async def job(self, context: CallContext, db_id: int, attributes: frozenset[str]) -> JobRow | None:
        """See ``Site``."""
        return await self.in_dialect(context, lambda dialect: self._job(dialect, context, db_id, attributes))

    async def _job(self, dialect: Dialect, context: CallContext, db_id: int, attributes: frozenset[str]) -> JobRow | None:
        plan = dialect.plan(Conditions(), attributes, context.credential)
        missing = plan.attributes & dialect.missing_in_single
        asked_at = self.proofs.now()
        answer = await self._exchange.exchange(dialect.job_request(dialect.root(context.credential), db_id), context)
        if answer.status in dialect.no_job:
            return None
        row = dialect.job_row(answer, self.name, plan.attributes - missing)
        self.proofs.accept(context.credential, asked_at)
        if not plan.matching([row]):
            return None
        if missing:
            listed = await self._second(context, JobsWanted(Conditions(), attributes), row.start_time)
            return next((other for other in listed.rows if other.id == db_id), None)
        return row

    async def metrics(self, context: CallContext, job: JobRef, wanted: MetricsWanted) -> MetricsFound:
        """See ``Site``."""
        if wanted.is_nothing:
            return MetricsFound([])
        pieces, route = await self.metric_pieces(context, job.db_id, wanted)
        return self.arranged(wanted, pieces, route)

    async def known_metrics(
        self, context: CallContext, jobs: Sequence[JobRef], wanted: MetricsWanted  # noqa: ARG002
    ) -> Mapping[JobRef, MetricsFound]:  # fmt: skip
        """See ``Site``: nothing is kept here."""
        return {}

    async def metric_pieces(
        self, context: CallContext, db_id: int, wanted: MetricsWanted
    ) -> tuple[list[MetricPiece], MetricsRoute]:
        """The pieces that the site gives to that question (not for nothing), in no order, and the way that it went. Raises as
        ``metrics``."""

        async def ask(dialect: Dialect) -> tuple[list[MetricPiece], MetricsRoute] | MetricsRefusedError:
            hides = not dialect.isolates and not context.credential.sees_all
            if hides and await self._job(dialect, context, db_id, frozenset()) is None:
                return metrics_not_found(self.name)
            return await read_pieces(self, dialect, context, db_id, wanted, ways=self._ways)

        found = await self.in_dialect(context, ask)
        if isinstance(found, MetricsRefusedError):
            raise found
        return found

    async def metrics_route(self, context: CallContext, wanted: MetricsWanted) -> MetricsRoute:
        """Which way that question goes with the context's credential; asks the site only where its release is not known."""
        return metrics_route(await self._release.heard(context), self._ways, context.credential, wanted)

    def arranged(self, wanted: MetricsWanted, pieces: Sequence[MetricPiece], route: MetricsRoute) -> MetricsFound:
        """The pieces that came that way in the order asked for, and what there is to know about them."""
        ordered = in_order_of(wanted, pieces)
        notes = [route.note] if route.note else []
        if self._dialect is not None:
            notes += [*self._dialect.metric_notes(ordered), *resolution_notes(self._dialect, route, wanted, ordered)]
        return MetricsFound(ordered, tuple(notes))

    async def _second(self, context: CallContext, wanted: JobsWanted, second: int) -> ListPage:
        """Every job that started in one second, in one page however many they are."""
        size = 32
        while size <= MOST_OF_A_SECOND:
            found = await self.page(context, wanted, Window(second, second), size=size)
            if len(found.rows) < size:
                return found
            size *= 4
        raise SiteError(Code.ANSWER_TOO_LARGE, self.name, f"More than {MOST_OF_A_SECOND} jobs of the site started in one second.")

    async def clusters(self, context: CallContext, *, with_partitions: bool) -> list[Cluster]:
        """See ``Site``."""

        async def ask(dialect: Dialect) -> list[Cluster]:
            with self.proofs.proving(context.credential):
                answer = await self._exchange.exchange(dialect.clusters_request(context.credential), context)
                clusters = dialect.clusters(answer, self.name)
            request = dialect.partitions_request() if with_partitions else None
            if request is not None:
                queried = dialect.graphql_clusters(await self._exchange.exchange(request, context), self.name)
                partitions = {cluster.name: cluster.partitions for cluster in queried}
                for cluster in clusters:
                    cluster.partitions = partitions.get(cluster.name)
            return clusters

        return await self.in_dialect(context, ask)

    async def users(self, context: CallContext) -> list[User]:
        """See ``Site``."""

        async def ask(dialect: Dialect) -> list[User]:
            if dialect.root(context.credential) != "/api":
                raise SiteError(Code.SITE_UNAUTHORIZED, self.name, "The site lists its users to admins only.")
            with self.proofs.proving(context.credential):
                return dialect.users(await self._exchange.exchange(dialect.users_request(), context), self.name)

        return await self.in_dialect(context, ask)

    async def statistics(self, context: CallContext, wanted: StatisticsWanted, *, budget: int) -> SiteStatistics:
        """See ``Site``."""
        return await read_statistics(self, context, wanted, budget)

    async def footprints(self, context: CallContext, wanted: FootprintsWanted, *, budget: int) -> Footprints:
        """See ``Site``."""
        return await read_footprints(self, context, wanted, budget)

    async def heatmap(self, context: CallContext, wanted: HeatmapWanted, *, budget: int) -> list[list[float]]:
        """See ``Site``."""
        return await read_heatmap(self, context, wanted, budget)

    async def summaries(self, context: CallContext, wanted: SummariesWanted, *, budget: int) -> JobSummaries:
        """See ``Site``."""
        return await read_summaries(self, context, wanted, budget)

    async def greet(self, context: CallContext) -> None:
        """See ``Site``."""
        wanted = JobsWanted(Conditions(), ALWAYS)
        try:
            await self.page(context, wanted, Window(EARLIEST, LATEST), size=1)
        except PageFailedError:  # one job that it cannot read does not make the site unreachable
            await self.page(context, wanted, Window(1, 0), size=1)

    def lacking(self, wanted: JobsWanted) -> list[str]:
        """See ``Site``."""
        lacks = self._dialect.lacks if self._dialect else {}
        return [lacks[name] for name in dict.fromkeys(c.name for c in wanted.conditions.items) if name in lacks]

    async def find_release(self, context: CallContext) -> str:
        """The release that answers there now, whatever the settings say."""
        return await find_release(self._exchange, context, self.name)

    # --- writes, which are the business of ``ccgateway.site.writing``

    async def dialect(self, context: CallContext) -> Dialect:
        """The dialect that the site speaks. Raises ``NO_CREDENTIAL`` where the gateway could not tell whose jobs to hide."""
        return await self._release.heard(context)

    async def send(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """Sends one request as it is."""
        return await self._exchange.exchange(request, context)

    async def query(
        self, context: CallContext, document: str, variables: Mapping[str, object], decoder: msgspec.json.Decoder[QueryReply[T]]
    ) -> T:
        """The data of one question to the site's own GraphQL; for use within ``in_dialect``. Raises as ``query_data``."""
        with self.proofs.proving(context.credential):
            answer = await self._exchange.exchange(query_request(document, variables), context)
            return await in_turn(lambda: query_data(answer, decoder, self.name))

    async def query_reply(
        self, context: CallContext, document: str, variables: Mapping[str, object], decoder: msgspec.json.Decoder[QueryReply[T]]
    ) -> QueryReply[T]:
        """The same with the errors that stand beside the data, whichever there are."""
        answer = await self._exchange.exchange(query_request(document, variables), context)
        return await in_turn(lambda: query_reply(answer, decoder, self.name))

    def doubt_release(self) -> None:
        """Has the next question find out again which release answers."""
        self._release.doubt()

    async def aclose(self) -> None:
        """Ends finding out which release the site is."""
        await self._release.aclose()

    # --- the dialect

    async def in_dialect(self, context: CallContext, ask: Callable[[Dialect], Awaitable[T]]) -> T:
        """What ``ask`` comes to in the dialect that the site speaks; once more if it turns out to speak another by now."""
        given = context.deadline.remaining
        try:
            found = await self._release.speaking(context, ask)
        except RememberedFailureError:
            raise  # that is no news of the site
        except SiteError as error:
            forget_frames(error)
            self.health.note(error, given)
            if error.code in _RESTARTS:
                self._release.doubt()  # it may come back as another release
            raise
        self.health.note(None)
        return found

    def hides_others(self, credential: Credential) -> bool:
        """See ``Site``."""
        return self._dialect is not None and not self._dialect.isolates and not credential.sees_all


#: jobs of one second that are looked through for one of them
MOST_OF_A_SECOND = 32_768
#: failures that go with a site being restarted
_RESTARTS = frozenset({Code.UNREACHABLE, Code.CONNECTION_LOST, Code.SITE_BUSY})
