"""One site as the federation sees it: questions in the gateway's words, answers in the gateway's words.

Finds the release where the settings say ``auto``, remembers it, and looks again when answers stop fitting it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError
from ccgateway.identity.principal import Principal
from ccgateway.jobs.clusters import Cluster, User
from ccgateway.jobs.conditions import EARLIEST, LATEST, Conditions
from ccgateway.jobs.metrics import JobRef, MetricPiece, MetricsWanted, in_order_of
from ccgateway.jobs.model import ALWAYS, JobRow
from ccgateway.settings import SiteSettings
from ccgateway.site.credentials import Credential, Credentials, Proofs
from ccgateway.site.exchange import Exchange, SiteAnswer, SiteRequest, Visit
from ccgateway.site.guard import Noting
from ccgateway.site.health import SiteHealth
from ccgateway.site.outages import RememberedFailureError
from ccgateway.site.pages import PageAsked, PageSource, from_site
from ccgateway.site.release import SiteRelease
from ccgateway.site.releases import Dialect, ListPage, MetricsRefusedError, MetricsRoute, Window
from ccgateway.site.releases.probing import find_release
from ccgateway.site.replies import refuse
from ccgateway.traffic.scopes import in_turn

__all__ = ["Instance", "JobsWanted", "MetricsFound", "PageFailedError"]

T = TypeVar("T")


class PageFailedError(SiteError):
    """The site failed on a page of its list (HTTP 500), as it does when it cannot read one job's archive entry.

    ``entry``: (cluster, job number, start second) of that job, where the site's own words name it.
    """

    def __init__(self, failure: SiteError, body: bytes) -> None:
        super().__init__(failure.code, failure.site, failure.message)
        match = _ENTRY.search(body[:4096])
        self.entry = (match[1].decode(), int(match[2]) * 1000 + int(match[3]), int(match[4])) if match else None


#: the end of an archive entry's path: ``/<cluster>/<jobId / 1000>/<jobId % 1000>/<startTime>/meta.json``
_ENTRY = re.compile(rb"/([\w.@+-]{1,100})/(\d{1,15})/(\d{3})/(\d{1,12})/meta\.json")


@dataclass(frozen=True, slots=True)
class JobsWanted:
    """Which jobs of one site, and which attributes of them (beyond what the conditions need themselves)."""

    conditions: Conditions
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class MetricsFound:
    """A job's metrics as the site gave them, in the order asked for, and what callers should know about them. ``job``: which one,
    where it was looked up."""

    pieces: list[MetricPiece]
    notes: tuple[str, ...] = ()
    job: JobRef | None = None


class Instance:
    """One configured site. Every question raises ``SiteError`` if it comes to nothing."""

    def __init__(self, settings: SiteSettings, exchange: Exchange, credentials: Credentials) -> None:
        self.settings = settings
        self.name = settings.name
        self.number = settings.number
        self.health = SiteHealth()
        self.proofs = Proofs()
        self._exchange: Exchange = Noting(exchange, self.proofs)
        self._credentials = credentials
        self._release = SiteRelease(settings, self._exchange)

    def __repr__(self) -> str:
        return f"Instance({self.name!r}, {self.settings.url!r}, release={self.release!r})"

    @property
    def release(self) -> str | None:
        """The release as configured or found; ``None`` while it is not known."""
        return self._dialect.name if self._dialect else None

    @property
    def _dialect(self) -> Dialect | None:
        return self._release.dialect

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the site's release can do; empty while it is not known."""
        return self._dialect.capabilities if self._dialect else ()

    @property
    def is_visited_at_once(self) -> bool:
        """Whether ``visit`` asks nobody, so that it takes no time."""
        return self._credentials.at_once

    async def visit(self, caller: Principal, deadline: Deadline, *, insists: bool = True) -> Visit:
        """A visit on behalf of ``caller``. Raises ``NO_CREDENTIAL`` if there is no token for that caller, or the caller is
        bound to another site. ``insists``: the site is asked also while it is known to be down."""
        if caller.site not in (None, self.name):
            message = f"The API key is for site {caller.site} alone (api_keys.NAME.site), so this site was not asked."
            raise SiteError(Code.NO_CREDENTIAL, self.name, message)
        credential = await self._credentials.of(caller, deadline)
        if credential is None:
            message = "No token for this site is configured, so it was not asked."
            raise SiteError(Code.NO_CREDENTIAL, self.name, message)
        return Visit(credential, deadline, proofs=self.proofs, insists=insists)

    # --- questions

    async def page(
        self, visit: Visit, wanted: JobsWanted, window: Window, *, size: int, page: int = 1, source: PageSource = from_site
    ) -> ListPage:
        """One page of the site's list, newest first, and which of its rows match. ``PageFailedError`` on HTTP 500."""

        async def ask(dialect: Dialect) -> ListPage:
            plan = dialect.plan(wanted.conditions, wanted.attributes, visit.credential)
            if plan.never:
                return ListPage([], [])
            request = dialect.list_request(dialect.root(visit.credential), plan, window, size, page)

            async def ask_site(visit: Visit) -> tuple[list[JobRow], bytes]:
                with self.proofs.proving(visit.credential):
                    answer = await self._exchange.exchange(request, visit)
                    if answer.status == 500:
                        raise PageFailedError(refuse(answer, self.name), answer.body)
                    rows = await in_turn(lambda: dialect.list_rows(answer, self.name, plan.attributes))
                    if len(rows) > size:
                        message = f"The site sent {len(rows)} jobs where {size} were asked for."
                        raise SiteError(Code.WRONG_RELEASE, self.name, message)
                return rows, answer.body

            def read(body: bytes) -> list[JobRow]:
                return dialect.list_rows(SiteAnswer(200, "application/json", body), self.name, plan.attributes)

            asked = PageAsked(
                self.name, request, dialect.name, plan.attributes, self.settings.timeout, ask_site, read
            )  # fmt: skip
            rows = list(await source(asked, visit))
            return ListPage(rows, plan.matching(rows) if plan.residual else rows)

        return await self._asked(visit, ask)

    async def job(self, visit: Visit, db_id: int, attributes: frozenset[str]) -> JobRow | None:
        """The job with that database id, or ``None`` if there is none that the credential may see."""

        return await self._asked(visit, lambda dialect: self._job(dialect, visit, db_id, attributes))

    async def _job(self, dialect: Dialect, visit: Visit, db_id: int, attributes: frozenset[str]) -> JobRow | None:
        plan = dialect.plan(Conditions(), attributes, visit.credential)
        missing = plan.attributes & dialect.missing_in_single
        asked_at = self.proofs.now()
        answer = await self._exchange.exchange(dialect.job_request(dialect.root(visit.credential), db_id), visit)
        if answer.status in dialect.no_job:
            return None
        row = dialect.job_row(answer, self.name, plan.attributes - missing)
        self.proofs.accept(visit.credential, asked_at)
        if not plan.matching([row]):
            return None
        if missing:
            same_second = JobsWanted(Conditions(), attributes)
            listed = await self.second(visit, same_second, row.start_time)
            return next((other for other in listed.rows if other.id == db_id), None)
        return row

    async def metrics(self, visit: Visit, db_id: int, wanted: MetricsWanted) -> MetricsFound:
        """The metrics of the job with that database id, at the scopes that the site has them at, also where others were asked
        for. Raises as ``metric_pieces``.
        """
        if wanted.is_nothing:
            return MetricsFound([])
        return self.arranged(visit, wanted, await self.metric_pieces(visit, db_id, wanted))

    async def metric_pieces(self, visit: Visit, db_id: int, wanted: MetricsWanted) -> list[MetricPiece]:
        """The pieces that the site gives to that question (not for nothing), in no order.

        ``NOT_FOUND`` if there is no such job that the credential may see; ``SITE_UNAUTHORIZED`` if it may see the job, but not
        its metrics; ``SITE_ERROR`` if the site cannot read them. Neither says anything about the site's health.
        """

        async def ask(dialect: Dialect) -> list[MetricPiece] | MetricsRefusedError:
            credential = visit.credential
            if not dialect.isolates and not credential.sees_all and await self._job(dialect, visit, db_id, frozenset()) is None:
                return MetricsRefusedError(Code.NOT_FOUND, self.name, f"Site {self.name} has no such job, or does not show it.")
            route = dialect.metrics_route(credential)
            request = dialect.metrics_request(dialect.root(credential), db_id, wanted, route)
            try:
                with self.proofs.proving(credential):
                    answer = await self._exchange.exchange(request, visit)
                    return await in_turn(lambda: dialect.metric_pieces(answer, self.name, wanted, route))
            except MetricsRefusedError as refused:
                refused.forget_frames()
                return refused

        found = await self._asked(visit, ask)
        if isinstance(found, MetricsRefusedError):
            raise found
        return found

    async def metrics_route(self, visit: Visit) -> MetricsRoute:
        """Which way metrics are asked for with the visit's credential; asks the site only where its release is not known."""
        dialect = await self._release.current(visit)
        self._check_identity(dialect, visit.credential)
        return dialect.metrics_route(visit.credential)

    def arranged(self, visit: Visit, wanted: MetricsWanted, pieces: Sequence[MetricPiece]) -> MetricsFound:
        """The pieces in the order asked for, and what there is to know about them; once the release is known."""
        ordered = in_order_of(wanted, pieces)
        if self._dialect is None:
            return MetricsFound(ordered)
        route = self._dialect.metrics_route(visit.credential)
        return MetricsFound(ordered, (*((route.note,) if route.note else ()), *self._dialect.metric_notes(ordered)))

    async def second(self, visit: Visit, wanted: JobsWanted, second: int) -> ListPage:
        """Every job that started in one second, in one page however many they are."""
        size = 32
        while size <= MOST_OF_A_SECOND:
            found = await self.page(visit, wanted, Window(second, second), size=size)
            if len(found.rows) < size:
                return found
            size *= 4
        raise SiteError(Code.ANSWER_TOO_LARGE, self.name, f"More than {MOST_OF_A_SECOND} jobs of the site started in one second.")

    async def clusters(self, visit: Visit, *, with_partitions: bool) -> list[Cluster]:
        """The site's clusters; their partitions only if asked for, as they take a request of their own."""

        async def ask(dialect: Dialect) -> list[Cluster]:
            with self.proofs.proving(visit.credential):
                answer = await self._exchange.exchange(dialect.clusters_request(visit.credential), visit)
                clusters = dialect.clusters(answer, self.name)
            request = dialect.partitions_request() if with_partitions else None
            if request is not None:
                told = dialect.graphql_clusters(await self._exchange.exchange(request, visit), self.name)
                partitions = {cluster.name: cluster.partitions for cluster in told}
                for cluster in clusters:
                    cluster.partitions = partitions.get(cluster.name)
            return clusters

        return await self._asked(visit, ask)

    async def users(self, visit: Visit) -> list[User]:
        """The site's user table; needs an admin's token."""

        async def ask(dialect: Dialect) -> list[User]:
            if dialect.root(visit.credential) != "/api":
                raise SiteError(Code.SITE_UNAUTHORIZED, self.name, "The site lists its users to admins only.")
            with self.proofs.proving(visit.credential):
                return dialect.users(await self._exchange.exchange(dialect.users_request(), visit), self.name)

        return await self._asked(visit, ask)

    async def greet(self, visit: Visit) -> None:
        """Reads at most one job, to see that the site answers and its release fits."""
        wanted = JobsWanted(Conditions(), ALWAYS)
        try:
            await self.page(visit, wanted, Window(EARLIEST, LATEST), size=1)
        except PageFailedError:  # one job that it cannot read does not make the site unreachable
            await self.page(visit, wanted, Window(1, 0), size=1)

    def lacking(self, wanted: JobsWanted) -> list[str]:
        """Notes on conditions that need what the site's release does not keep."""
        lacks = self._dialect.lacks if self._dialect else {}
        return [lacks[name] for name in dict.fromkeys(c.name for c in wanted.conditions.items) if name in lacks]

    async def find_release(self, visit: Visit) -> str:
        """The release that answers there now, whatever the settings say."""
        return await find_release(self._exchange, visit, self.name)

    # --- writes, which are the business of ``ccgateway.site.writing``

    async def dialect(self, visit: Visit) -> Dialect:
        """The dialect that the site speaks. Raises ``NO_CREDENTIAL`` where the gateway could not tell whose jobs to hide."""
        dialect = await self._release.current(visit)
        self._check_identity(dialect, visit.credential)
        return dialect

    async def send(self, request: SiteRequest, visit: Visit) -> SiteAnswer:
        """Sends one request as it is."""
        return await self._exchange.exchange(request, visit)

    def doubt_release(self) -> None:
        """Has the next question find out again which release answers."""
        self._release.doubt()

    async def aclose(self) -> None:
        """Ends finding out which release the site is."""
        await self._release.aclose()

    # --- the dialect

    async def _asked(self, visit: Visit, ask: Callable[[Dialect], Awaitable[T]]) -> T:
        try:
            found = await self._in_dialect(visit, ask)
        except RememberedFailureError:
            raise  # that is no news of the site
        except SiteError as error:
            error.forget_frames()
            if error.code not in _OF_THE_CALLER:  # or one caller's token would be everybody's news
                self.health.note(error)
            if error.code in _RESTARTS:
                self._release.doubt()  # it may come back as another release
            raise
        self.health.note(None)
        return found

    async def _in_dialect(self, visit: Visit, ask: Callable[[Dialect], Awaitable[T]]) -> T:
        begun, release = time.monotonic(), self._release
        dialect = await release.current(visit)
        self._check_identity(dialect, visit.credential)
        try:
            return await ask(dialect)
        except SiteError as error:
            if error.code not in _MISFITS and not (release.is_auto and _is_shut_out(error, dialect)):
                raise
            if not release.is_auto:
                raise self._explained(error) from None
            if release.found_at >= begun and release.dialect is dialect:
                raise
            again = await release.search(visit) if release.dialect is dialect else await release.current(visit)
            if again is dialect:
                raise
            self._check_identity(again, visit.credential)
            return await ask(again)

    def _check_identity(self, dialect: Dialect, credential: Credential) -> None:
        """Where the gateway itself must hide other people's jobs, it has to know whose the token is."""
        if not dialect.isolates and credential.user is None and not credential.sees_all:
            message = f"Release {dialect.name} shows every token everything, and this token does not say whose it is: not asked."
            raise SiteError(Code.NO_CREDENTIAL, self.name, message)

    def hides_others(self, credential: Credential) -> bool:
        """Whether other people's jobs come from the site and are dropped here: then nothing about them may be told."""
        return self._dialect is not None and not self._dialect.isolates and not credential.sees_all

    def _explained(self, error: SiteError) -> SiteError:
        hint = f"It is configured as release {self.settings.release}; ccgateway check tells which one answers there."
        return SiteError(error.code, self.name, f"{error.message.rstrip('.')}. {hint}", retryable=error.retryable)


def _is_shut_out(error: SiteError, dialect: Dialect) -> bool:
    """Whether a site that isolated nobody, and so let everybody into ``/api``, may have become one that does not."""
    return error.code is Code.SITE_UNAUTHORIZED and not dialect.isolates


#: jobs of one second that are looked through for one of them
MOST_OF_A_SECOND = 32_768

#: failures that a site of another release than thought would show
_MISFITS = frozenset({Code.WRONG_RELEASE, Code.SITE_REFUSED})
#: failures that say nothing of the site itself
_OF_THE_CALLER = frozenset({Code.SITE_UNAUTHORIZED, Code.NO_CREDENTIAL, Code.NOT_FOUND})
#: failures that go with a site being restarted
_RESTARTS = frozenset({Code.UNREACHABLE, Code.CONNECTION_LOST, Code.SITE_BUSY})
