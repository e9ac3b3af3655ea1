"""What the resolvers of one request share: the gateway, who asks, the limits, what is missing or worth knowing, and what is
read once for all of them (user lists of sites, metrics of jobs).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import strawberry

from ccgateway.errors import GatewayError
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import Policy, SiteReport
from ccgateway.federation.statistics import StatisticsAnswer, StatisticsQuestion
from ccgateway.identity.principal import Principal
from ccgateway.jobs.clusters import User
from ccgateway.jobs.details import EnergyPart, JobLinks
from ccgateway.jobs.metrics import JobRef, MetricsWanted
from ccgateway.jobs.statistics.figures import Exactness, Quality
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.loading import BatchLoader, MetricsLoader, Outcome
from ccgateway.surfaces.graphql.selection import Selection
from ccgateway.surfaces.graphql.statistics_loading import StatisticsLoader
from ccgateway.surfaces.graphql.written_lists import WrittenLists
from ccgateway.surfaces.ids import Ids

__all__ = ["Gap", "Info", "RequestContext"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is missing from the answer although the answer stands: where (response path) and why (a site's report)."""

    path: tuple[str | int, ...]
    report: SiteReport


@dataclass(slots=True)
class RequestContext:
    """One GraphQL request. While the resolvers run, ``gaps`` fills up and becomes entries of ``errors``, ``notes`` (site and
    words, each once) and becomes ``extensions.notes``, ``ages`` (site, and how old the oldest part of its answers is; ``None``:
    all of it is new) and becomes ``extensions.cache`` for those who ask for that, ``exactness`` (path and figure, and the least
    trustworthy of its values) and becomes ``extensions.exactness``.

    ``bytes_written``: bytes of samples in the answer, however often a document shows the same ones. ``is_overdrawn``: they are
    too many, so there is no answer. ``call``: under which id, and with which idempotency key, it writes. ``written_lists``: what
    other requests have written.
    """

    gateway: Gateway
    caller: Principal
    limits: LimitSettings
    call: WriteCall = field(default_factory=lambda: WriteCall(""))
    written_lists: WrittenLists = field(default_factory=WrittenLists)
    gaps: list[Gap] = field(default_factory=list)
    notes: dict[tuple[str, str], None] = field(default_factory=dict)
    ages: dict[str, float | None] = field(default_factory=dict)
    budget: MetricsBudget = field(init=False)
    bytes_written: int = 0
    is_overdrawn: bool = False
    metrics: MetricsLoader = field(init=False)
    statistics: StatisticsLoader = field(init=False)
    exactness: dict[tuple[tuple[str | int, ...], str], Exactness] = field(default_factory=dict)
    concurrent_jobs: BatchLoader[JobRef, JobLinks | None] = field(init=False)
    energy_footprints: BatchLoader[JobRef, list[EnergyPart] | None] = field(init=False)
    _directories: dict[str, asyncio.Task[Mapping[str, User]]] = field(default_factory=dict)
    _accounts: dict[str, BatchLoader[str, User | None]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _writes: int = 0

    def __post_init__(self) -> None:
        self.budget = MetricsBudget(self.limits)
        self.metrics = MetricsLoader(self._read_metrics)
        self.statistics = StatisticsLoader(self._read_statistics)
        self.concurrent_jobs = BatchLoader(self._read_concurrent_jobs)
        self.energy_footprints = BatchLoader(self._read_energy_footprints)

    @property
    def is_recalled(self) -> bool:
        """Whether some of what was asked for so far comes from memory."""
        return any(age is not None for age in self.ages.values())

    @property
    def ids(self) -> Ids:
        """How integer ids are read."""
        return Ids(self.gateway.numbers)

    def write(self, size: int) -> None:
        """Counts ``size`` bytes of samples. Raises ``LIMIT_EXCEEDED`` when they are more than may be read for one answer."""
        self.bytes_written += size
        if self.bytes_written > self.limits.metrics_bytes:
            self.is_overdrawn = True
            raise self.budget.error()

    def next_call(self, key: str | None = None) -> WriteCall:
        """How the next mutation of the request is made. The request's own key is for each of them, as they come."""
        self._writes += 1
        return replace(self.call, part=self._writes) if key is None else WriteCall(self.call.request_id, key)

    def note(self, report: SiteReport) -> None:
        """Remembers what a report has to say beside its status."""
        self.notes.update(((report.site, words), None) for words in report.notes)
        self.note_age(report)

    def note_age(self, report: SiteReport) -> None:
        """Remembers how old what a site gave is."""
        ages = [age for age in (self.ages.get(report.site), report.cache_age) if age is not None]
        self.ages[report.site] = max(ages, default=None)

    def note_gaps(self, info: Info, reports: Iterable[SiteReport]) -> None:
        """Remembers the reports that are not complete, for the field that ``info`` is about; and how old each part is."""
        for report in reports:
            self.note_age(report)
            if not report.is_complete:
                self.gaps.append(Gap(info.place, report))

    def note_exactness(self, info: Info, figures: Iterable[Exactness]) -> None:
        """Remembers the least trustworthy value of each figure, for the field that ``info`` is about."""
        for one in figures:
            held = self.exactness.get((info.place, one.figure))
            if held is None or _doubt(one) > _doubt(held):
                self.exactness[info.place, one.figure] = one

    async def account(self, site: str, username: str, *, in_list: bool) -> User | None:
        """The account of that name in the site's own user list; ``in_list``: with its roles and projects, for which the whole
        list is read, once per request. Else those whom the request asks for in the same moment are asked for together.

        ``None`` if it has none. Where accounts cannot be read, the first to ask gets the ``GatewayError`` and later ones
        ``None``: one error per site, not one per job.
        """
        try:
            return await (self._listed(site, username) if in_list else self._asked(site, username))
        except GatewayError:
            if site in self._told:
                return None
            self._told.add(site)
            raise

    async def _listed(self, site: str, username: str) -> User | None:
        if site not in self._directories:
            self._directories[site] = asyncio.create_task(self._read_directory(site))
        return (await asyncio.shield(self._directories[site])).get(username)

    async def _asked(self, site: str, username: str) -> User | None:
        if site not in self._accounts:
            self._accounts[site] = BatchLoader(partial(self._read_accounts, site))
        return await self._accounts[site].one(username)

    async def _read_accounts(self, site: str, names: Sequence[str]) -> Mapping[str, User | GatewayError | None]:
        return await self.gateway.details.accounts(site, names, self.caller, deadline=self.budget.deadline)

    async def _read_concurrent_jobs(self, jobs: Sequence[JobRef]) -> Mapping[JobRef, JobLinks | GatewayError | None]:
        found = await self.gateway.details.concurrent_jobs(jobs, self.caller, deadline=self.budget.deadline)
        return dict(zip(jobs, found, strict=True))

    async def _read_energy_footprints(self, jobs: Sequence[JobRef]) -> Mapping[JobRef, list[EnergyPart] | GatewayError | None]:
        found = await self.gateway.details.energy_footprints(jobs, self.caller, deadline=self.budget.deadline)
        return dict(zip(jobs, found, strict=True))

    async def _read_directory(self, site: str) -> Mapping[str, User]:
        answer = await self.gateway.users(self.caller, sites=[site], policy=Policy.STRICT)
        return {one.user.username: one.user for one in answer.items if one.site == site}

    async def _read_metrics(self, jobs: Sequence[JobRef], wanted: MetricsWanted) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for answer in await self.gateway.metrics_of(jobs, wanted, self.caller, budget=self.budget):
            if isinstance(answer, GatewayError):
                outcomes.append(answer)
            else:
                self.note(answer.report)
                outcomes.append(answer.pieces)
        return outcomes

    async def _read_statistics(self, questions: Sequence[StatisticsQuestion]) -> list[StatisticsAnswer | GatewayError]:
        return await self.gateway.statistics(questions, self.caller)

    async def close(self) -> None:
        """Ends what the request started and nobody waits for any more, and lets go of what came: megabytes would stay until the
        collector comes, as this and the loader know each other."""
        accounts = [task for one in self._accounts.values() for task in one.tasks]
        details = (*accounts, *self.concurrent_jobs.tasks, *self.energy_footprints.tasks)
        known = (*self._directories.values(), *details, *self.metrics.tasks, *self.statistics.tasks)
        tasks = [task for task in known if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.metrics.forget()
        self._directories.clear()
        self._accounts.clear()
        self.concurrent_jobs.forget()
        self.energy_footprints.forget()


def _doubt(one: Exactness) -> tuple[int, int]:
    return list(Quality).index(one.quality), (one.at_most or 0) - (one.at_least or 0)


class Info(strawberry.Info[RequestContext, None]):
    """What a resolver is told of its request and its place."""

    @property
    def selection(self) -> Selection:
        """The field, and what is selected below it."""
        return Selection.of(self._raw_info)

    @property
    def place(self) -> tuple[str | int, ...]:
        """Where the field is in the answer."""
        return tuple(self._raw_info.path.as_list())
