"""Every use case of the gateway: the only thing a surface may call."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import GatewayError
from ccgateway.federation.audit import AuditFile
from ccgateway.federation.batches import JobBatches, MetricsBatches
from ccgateway.federation.closing import Closing
from ccgateway.federation.configuration import Configurations
from ccgateway.federation.details import Details
from ccgateway.federation.duplicates import DuplicateSiteDetector
from ccgateway.federation.footprints import (
    FootprintsAnswer,
    HeatmapAnswer,
    JobFootprints,
    MetricsQuestion,
    SummariesAnswer,
)
from ccgateway.federation.joblist import JobList
from ccgateway.federation.lookups import Lookups
from ccgateway.federation.metrics import JobMetrics, MetricsBudget, Outcome
from ccgateway.federation.nodes import Nodes
from ccgateway.federation.page_cursors import PageCursorStore
from ccgateway.federation.provisional import Provisionals
from ccgateway.federation.questions import (
    Answer,
    JobListAnswer,
    JobListQuestion,
    JobMetricsAnswer,
    Policy,
    SiteCluster,
    SiteStatus,
    SiteTag,
    SiteUser,
)  # fmt: skip
from ccgateway.federation.readahead import ReadAheadCache
from ccgateway.federation.routing import WriteRouter
from ccgateway.federation.statistics import Statistics, StatisticsAnswer, StatisticsQuestion
from ccgateway.federation.writes import Writes
from ccgateway.identity.principal import Principal
from ccgateway.jobs.metrics import JobRef, MetricsWanted
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.jobs.statistics.footprints import HeatmapWanted
from ccgateway.settings import LimitSettings, WriteSettings
from ccgateway.site.registry import Registry
from ccgateway.telemetry import Observer, Trouble, Troubles
from ccgateway.telemetry.requests import Question, asked_for

__all__ = ["Gateway"]

logger = logging.getLogger(__name__)


class Gateway:
    """The use cases, over the configured sites.

    Methods raise ``RequestError`` for a question that cannot be answered as asked, ``FederationError`` where no answer may be
    given (``ALL_SITES_FAILED``, ``INCOMPLETE``), and, where one site alone was asked, its ``SiteError``. What else a site came
    to stands in its report.
    """

    def __init__(
        self,
        registry: Registry,
        limits: LimitSettings,
        *,
        writes: WriteSettings | None = None,
        idempotency_store: TtlStore | None = None,
        ttl_store: TtlStore | None = None,
        configuration_store: TtlStore | None = None,
        troubles: Troubles | None = None,
        audit_file: AuditFile | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._registry, self._limits = registry, limits
        ttl_store = ttl_store or TtlStore("note")
        self.page_cursors = PageCursorStore(ttl_store)
        provisionals = Provisionals(ttl_store)
        self._closing = Closing()
        duplicates = DuplicateSiteDetector(registry)
        self._read_ahead = ReadAheadCache(limits.read_ahead)
        self._joblist = JobList(registry, duplicates, limits, self._read_ahead)
        self._lookups = Lookups(registry, duplicates, limits, self._joblist, provisionals)
        self._metrics = JobMetrics(registry, provisionals)
        self._statistics = Statistics(self._lookups)
        self._footprints = JobFootprints(self._lookups)
        router = WriteRouter(registry, duplicates, limits.scan_budget, provisionals)
        self._nodes = Nodes(self._lookups, router)
        self._details = Details(self._lookups)
        self._configurations = Configurations(configuration_store or TtlStore("configuration"))
        self._writes = Writes(
            registry,
            limits,
            router,
            self.invalidate,
            writes or WriteSettings.model_validate({}),
            idempotency_store or TtlStore("once"),
            troubles or Troubles(),
            audit_file,
            self._closing,
            observer or Observer(),
        )

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of every configured site, by its name: what makes job ids of one integer."""
        return {instance.name: instance.number for instance in self._registry}

    def releases(self, sites: Sequence[str] | None, caller: Principal) -> Mapping[str, str | None]:
        """The release of every site asked, by name; ``None`` while that is not known. ``UNKNOWN_SITE`` where there is no such."""
        return {site.name: site.release for site in self._registry.chosen(sites, caller)}

    async def jobs(self, question: JobListQuestion, caller: Principal) -> JobListAnswer:
        """One page of the jobs of all sites asked, in one exact order."""
        asked_for(Question.JOBS)
        answer = await self._joblist.page(question, caller)
        logger.debug("jobs for %s: %d rows, complete=%s", caller.subject, len(answer.rows), answer.complete)
        return answer

    def job_batches(self, question: JobListQuestion, caller: Principal, *, size: int, most: int | None = None) -> JobBatches:
        """All jobs that ``question`` asks for, from its cursor on, ``size`` at a time and ``most`` in all."""
        asked_for(Question.JOBS)
        return JobBatches(self._joblist, question, caller, size, most)

    async def job(self, job_id: str, caller: Principal, *, fields: frozenset[str]) -> JobRow:
        """The job with that ``"site:dbid"``; ``NOT_FOUND`` if the site has none or does not show it."""
        asked_for(Question.JOB)
        return await self._lookups.job(job_id, caller, fields)

    async def job_by_key(
        self,
        caller: Principal,
        *,
        cluster: str,
        job_id: int,
        start_time: int | None,
        site: str | None,
        fields: frozenset[str],
    ) -> JobRow:
        """The job with that key; without ``start_time`` the newest with that cluster and number, without ``site`` at any."""
        asked_for(Question.JOB)
        return await self._lookups.job_by_key(
            caller, cluster=cluster, job_id=job_id, start_time=start_time, site=site, fields=fields
        )

    async def job_metrics(
        self,
        job_id: str,
        wanted: MetricsWanted,
        caller: Principal,
        *,
        budget: MetricsBudget,
    ) -> JobMetricsAnswer:
        """The metrics of the job with that ``"site:dbid"``; the ``SiteError`` of its site if it does not give them."""
        asked_for(Question.METRICS)
        return await self._metrics.one(job_id, wanted, caller, budget)

    async def metrics_of(
        self,
        jobs: Sequence[JobRef],
        wanted: MetricsWanted,
        caller: Principal,
        *,
        budget: MetricsBudget,
    ) -> list[Outcome]:
        """The same metrics of many jobs, one outcome for each, in their order: an answer, or the error it came to."""
        asked_for(Question.METRICS)
        return await self._metrics.many(jobs, wanted, caller, budget)

    def metrics_batches(self, ids: Sequence[str], wanted: MetricsWanted, caller: Principal) -> MetricsBatches:
        """The same metrics of many jobs by ``"site:dbid"``, some jobs at a time."""
        asked_for(Question.METRICS)
        return MetricsBatches(self._metrics, self._limits, ids, wanted, caller)

    async def clusters(
        self,
        caller: Principal,
        *,
        sites: Sequence[str] | None,
        policy: Policy,
        with_partitions: bool,
    ) -> Answer[SiteCluster]:
        """The clusters of every site asked; ``with_partitions`` fills ``Cluster.partitions``."""
        asked_for(Question.CLUSTERS)
        return await self._lookups.clusters(caller, sites=sites, policy=policy, with_partitions=with_partitions)

    async def users(self, caller: Principal, *, sites: Sequence[str] | None, policy: Policy) -> Answer[SiteUser]:
        """The user tables of every site asked (needs an admin's token there)."""
        asked_for(Question.USERS)
        return await self._lookups.users(caller, sites=sites, policy=policy)

    async def tags(self, caller: Principal, *, sites: Sequence[str] | None, policy: Policy) -> Answer[SiteTag]:
        """The tags of every site asked, as far as its credential there may see them: one tag per type, name and scope."""
        asked_for(Question.TAGS)
        return await self._lookups.tags(caller, sites=sites, policy=policy)

    async def statistics(
        self, questions: Sequence[StatisticsQuestion], caller: Principal
    ) -> list[StatisticsAnswer | GatewayError]:
        """Figures of the jobs of all sites asked, one outcome for each question, in their order."""
        asked_for(Question.STATISTICS)
        return await self._statistics.many(questions, caller)

    async def footprints(self, question: MetricsQuestion, metrics: Sequence[str], caller: Principal) -> FootprintsAnswer:
        """One average of each metric for every job that matches, at all sites asked."""
        asked_for(Question.STATISTICS)
        return await self._footprints.footprints(question, metrics, caller)

    async def heatmap(self, question: MetricsQuestion, wanted: HeatmapWanted, caller: Principal) -> HeatmapAnswer:
        """The samples of every job that matches, by intensity and performance, at all sites asked."""
        asked_for(Question.STATISTICS)
        return await self._footprints.heatmap(question, wanted, caller)

    async def summaries(self, question: MetricsQuestion, metrics: Sequence[str] | None, caller: Principal) -> SummariesAnswer:
        """The statistics of every job that matches, oldest first; of all its metrics for ``None``."""
        asked_for(Question.STATISTICS)
        return await self._footprints.summaries(question, metrics, caller)

    @property
    def nodes(self) -> Nodes:
        """The use cases about nodes and what is measured on them."""
        asked_for(Question.NODES)
        return self._nodes

    @property
    def details(self) -> Details:
        """The use cases about what belongs to jobs and people and is asked for only where it is shown."""
        return self._details

    @property
    def configurations(self) -> Configurations:
        """What callers' own front ends keep here."""
        asked_for(Question.CONFIGURATION)
        return self._configurations

    @property
    def writes(self) -> Writes:
        """The use cases that change something."""
        return self._writes

    async def sites(self, caller: Principal, *, sites: Sequence[str] | None = None) -> list[SiteStatus]:
        """The configured sites, each asked just now."""
        asked_for(Question.SITES)
        return await self._lookups.sites(caller, sites)

    def stop(self, seconds: float) -> None:
        """From now on nothing new is written, and what is being written is waited for so many seconds more."""
        self._closing.begin(seconds)

    def troubles(self) -> list[Trouble]:
        """What does not work although the gateway serves."""
        return self._writes.told_troubles(self._registry.responses.cache.down)

    async def invalidate(self, site: str, jobs: Iterable[JobKey] | None = (), *, users_only: bool = False) -> None:
        """After a write at ``site``, before anybody is told of it: nothing from before it is answered again, of these jobs and of
        the site's lists (``None``: of anything of that site; ``users_only``: of its users). Never fails.
        """
        if users_only:
            await self._registry.responses.invalidate_users(site)
            return
        try:
            self._read_ahead.clear()
        finally:
            await self._registry.responses.invalidate(site, jobs)

    async def aclose(self) -> None:
        """Closes the connections to every site, and the cache, once the writes that are running have ended."""
        await self._writes.aclose()
        await self._read_ahead.aclose()
        await self._registry.aclose()
