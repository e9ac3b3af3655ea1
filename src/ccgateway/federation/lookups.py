"""Questions that are not a list of jobs: one job, clusters, users, and how the sites are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, FederationError, RequestError, SiteError
from ccgateway.federation.duplicates import DuplicateSiteDetector
from ccgateway.federation.joblist import JobList, judge
from ccgateway.federation.provisional import Provisionals
from ccgateway.federation.questions import (
    Answer,
    JobListQuestion,
    Policy,
    ReportStatus,
    SiteCluster,
    SiteReads,
    SiteReport,
    SiteStatus,
    SiteTag,
    SiteUser,
)  # fmt: skip
from ccgateway.federation.scatter import Ask, must_answer, patience_of, scatter
from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import Ability, abilities
from ccgateway.jobs.clusters import Cluster, User
from ccgateway.jobs.filters import JobFilter
from ccgateway.jobs.model import JobRow, Tag, parse_job_id
from ccgateway.jobs.provisional import is_provisional
from ccgateway.settings import LimitSettings
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.registry import Registry
from ccgateway.site.tagging import list_tags

__all__ = ["Lookups"]

T = TypeVar("T")
#: how one site is asked for a list, and what all gave, by name, with a report of each
_Asking: TypeAlias = Callable[[Site, CallContext], Awaitable[list[T]]]
_Found: TypeAlias = tuple[dict[str, list[T]], list[SiteReport]]


@dataclass(frozen=True, slots=True)
class Lookups:
    """The use cases beside the job list, over the same sites."""

    registry: Registry
    duplicates: DuplicateSiteDetector
    limits: LimitSettings
    joblist: JobList
    provisionals: Provisionals

    async def job(self, job_id: str, caller: Principal, fields: frozenset[str]) -> JobRow:
        """One job by ``"site:dbid"``. ``NOT_FOUND`` also where it may not be seen; ``SiteError`` if the site does not answer."""
        name, db_id = parse_job_id(job_id)
        instance = self.registry.one(name)
        deadline = Deadline.of_request(self.limits.request_timeout).within(instance.settings.timeout)
        context = await instance.context(caller, deadline)
        if is_provisional(db_id):
            return await self.provisionals.row(instance, context, db_id, fields)
        row = await instance.job(context, db_id, fields)
        if row is None:
            raise RequestError(Code.NOT_FOUND, f"Site {name} has no job {db_id}, or does not show it.")
        return row

    async def job_by_key(
        self, caller: Principal, *, cluster: str, job_id: int, start_time: int | None, site: str | None, fields: frozenset[str]
    ) -> JobRow:
        """One job by its key. ``AMBIGUOUS_JOB`` if several sites have it, ``INCOMPLETE`` if it may be at one that failed."""
        wanted = JobFilter.of_job(job_id, cluster=cluster, start_time=start_time)
        sites = [site] if site is not None else None
        answer = await self.joblist.page(JobListQuestion(filters=(wanted,), first=2, sites=sites, fields=fields), caller)
        failed = [SiteError(r.code or Code.INTERNAL, r.site, r.message or "") for r in answer.reports if not r.is_complete]
        if answer.rows and failed and start_time is None:
            raise FederationError(
                Code.INCOMPLETE, "Not every site could be asked, so this may not be the newest such job.", failed
            )
        if not answer.rows:
            if any(error.code is Code.SCAN_BUDGET for error in failed):
                remedy = "Give startTime: then it is found at once."
                raise RequestError(
                    Code.SCAN_BUDGET, f"Not among the newest {self.limits.scan_budget} jobs of each site. {remedy}"
                )
            if failed:
                raise FederationError(Code.INCOMPLETE, "Not found, but not every site could be asked.", failed)
            raise RequestError(Code.NOT_FOUND, f"No site shows a job {job_id} of cluster {cluster!r} with that start time.")
        first, *more = answer.rows
        if more and more[0].start_time == first.start_time and more[0].site != first.site:
            declared = [row for row in (first, more[0]) if cluster in (self.registry.one(row.site).settings.clusters or ())]
            if len(declared) == 1:  # what the operator says counts, whatever other sites claim to have
                return declared[0]
            both = f"{first.site} and {more[0].site}"
            message = f"Sites {both} have a job {job_id} of cluster {cluster!r} started then: name the site."
            raise RequestError(Code.AMBIGUOUS_JOB, message)
        return first

    async def clusters(
        self, caller: Principal, *, sites: Sequence[str] | None, policy: Policy, with_partitions: bool
    ) -> Answer[SiteCluster]:
        """Every site's clusters, sites by number, clusters as the site orders them."""

        async def ask(site: Site, context: CallContext) -> list[Cluster]:
            return await site.clusters(context, with_partitions=with_partitions)

        by_site, reports = await self.of_each_instance(caller, sites, policy, ask)
        items = [SiteCluster(name, cluster) for name, clusters in by_site.items() for cluster in clusters]
        return Answer(items, reports)

    async def users(self, caller: Principal, *, sites: Sequence[str] | None, policy: Policy) -> Answer[SiteUser]:
        """Every site's user table, sites by number."""

        async def ask(site: Site, context: CallContext) -> list[User]:
            return await site.users(context)

        by_site, reports = await self.of_each_instance(caller, sites, policy, ask)
        return Answer([SiteUser(name, user) for name, users in by_site.items() for user in users], reports)

    async def tags(self, caller: Principal, *, sites: Sequence[str] | None, policy: Policy) -> Answer[SiteTag]:
        """Every tag once, by type, name and scope, and the sites that have it."""
        by_site, reports = await self.of_each(caller, sites, policy, list_tags)
        having: dict[Tag, list[str]] = {}
        for name, tags in by_site.items():
            for tag in tags:
                having.setdefault(Tag(tag.type, tag.name, tag.scope), []).append(name)
        return Answer([SiteTag(tag, tuple(having[tag])) for tag in sorted(having, key=lambda tag: tag.key)], reports)

    async def sites(self, caller: Principal, names: Sequence[str] | None) -> list[SiteStatus]:
        """How every site is, found out by reading at most one job there."""
        loop = asyncio.get_running_loop()
        took: dict[str, float] = {}
        reads: dict[str, SiteReads] = {}

        async def ask(instance: Site, context: CallContext) -> list[None]:
            started = loop.time()
            await instance.greet(context)
            took[instance.name] = round(loop.time() - started, 6)
            way = instance.reads(context.credential)
            reads[instance.name] = SiteReads("query" if way.by_query else "rest", way.why)
            return []

        instances = self.registry.chosen(names, caller)
        outcomes = await self._scattered(caller, instances, ask, Policy.STRICT)
        is_operator = Ability.METRICS_OF_ALL in abilities(caller.roles)
        originals = {instance.name: self.duplicates.original_of(instance, instances) for instance in instances}
        return [
            replace(
                _status(
                    instance, outcomes[instance.name], took.get(instance.name), originals[instance.name], is_operator=is_operator
                ),
                reads=reads.get(instance.name),
                page_url=instance.settings.page if instance.name in reads else None,
            )
            for instance in instances
        ]

    # --- asking each

    async def _scattered(
        self,
        caller: Principal,
        instances: Sequence[Site],
        ask: Callable[[Site, CallContext], Awaitable[T]],
        policy: Policy,
        deadline: Deadline | None = None,
    ) -> dict[str, T | SiteError]:
        deadline = deadline or Deadline.of_request(self.limits.request_timeout)
        asks: list[Ask[T]] = []
        for instance in instances:
            own = deadline.within(instance.settings.timeout)
            insists = must_answer(instance, policy, len(instances))
            in_context = _in_context(ask, instance, caller, own, insists=insists)
            asks.append(Ask(instance, in_context, own, patient=instance.settings.required))
        answered = await scatter(asks, patience=patience_of(policy, self.limits))
        return {instance.name: answered[instance.name] for instance in instances}

    async def of_each(
        self, caller: Principal, sites: Sequence[str] | None, policy: Policy, ask: _Asking[T], deadline: Deadline | None = None
    ) -> _Found[T]:
        """What every site gives to ``ask``, by name, and a report of each. Raises ``FederationError`` as ``judge``."""
        by_site, reports = await self._asked(caller, sites, policy, ask, deadline)
        judge(reports, self.registry, policy, is_empty=not any(by_site.values()))
        return by_site, reports

    async def _asked(
        self, caller: Principal, sites: Sequence[str] | None, policy: Policy, ask: _Asking[T], deadline: Deadline | None
    ) -> _Found[T]:
        loop = asyncio.get_running_loop()
        instances = self.registry.chosen(sites, caller)
        reports = {instance.name: SiteReport(instance.name, instance.number) for instance in instances}

        async def measured(instance: Site, context: CallContext) -> list[T]:
            started, report = loop.time(), reports[instance.name]
            try:
                return await ask(instance, context)
            finally:
                report.elapsed = round(loop.time() - started, 6)
                report.calls, report.cache_age = context.stats.calls, context.stats.age

        by_site: dict[str, list[T]] = {}
        for name, outcome in (await self._scattered(caller, instances, measured, policy, deadline)).items():
            if isinstance(outcome, SiteError):
                reports[name].note_failure(outcome)
            else:
                by_site[name] = outcome
        return by_site, list(reports.values())

    async def of_each_instance(
        self, caller: Principal, sites: Sequence[str] | None, policy: Policy, ask: _Asking[T], deadline: Deadline | None = None
    ) -> _Found[T]:
        """The same, but what one and the same instance gave twice is given once: by the site that is shown all of it, or else by
        that of lower number, and then something may be missing."""
        shown: dict[str, str] = {}

        async def noted(instance: Site, context: CallContext) -> list[T]:
            shown[instance.name] = context.credential.visibility
            return await ask(instance, context)

        by_site, reports = await self._asked(caller, sites, policy, noted, deadline)
        of_site = {report.site: report for report in reports if report.site in by_site}
        kept: list[Site] = []
        for instance in sorted(map(self.registry.one, of_site), key=lambda one: one.number):
            same = next((other for other in kept if self.duplicates.are_one(other, instance)), None)
            if same is None:
                kept.append(instance)
                continue
            is_wider = shown[instance.name] == "all" != shown[same.name]
            stays, goes = (instance, same) if is_wider else (same, instance)
            kept[kept.index(same)] = stays
            del by_site[goes.name]
            _note_duplicate(of_site[goes.name], stays.name, is_all=shown[stays.name] in ("all", shown[goes.name]))
        judge(reports, self.registry, policy, is_empty=not any(by_site.values()))
        return by_site, reports


def _note_duplicate(report: SiteReport, original: str, *, is_all: bool) -> None:
    """``is_all``: whether the other site gave all that this one did."""
    message = f"The same instance as site {original}, which stands for both."
    if is_all:
        report.status, report.code, report.message = ReportStatus.SKIPPED, Code.DUPLICATE_SITE, message
    else:
        report.note_gap(Code.DUPLICATE_SITE, f"{message} What only this one's account is shown is missing.")


def _in_context(
    ask: Callable[[Site, CallContext], Awaitable[T]], instance: Site, caller: Principal, until: Deadline, *, insists: bool
) -> Callable[[], Awaitable[T]]:
    async def run() -> T:
        return await ask(instance, await instance.context(caller, until, insists=insists))

    return run


def _status(instance: Site, outcome: object, elapsed: float | None, original: Site | None, *, is_operator: bool) -> SiteStatus:
    health, last = instance.health, instance.health.last_error
    if isinstance(outcome, SiteError):
        last = outcome
    elif last is not None and not is_operator:
        last = SiteError(last.code, last.site, "What the site said then was said to another caller.", retryable=last.retryable)
    return SiteStatus(
        name=instance.name,
        number=instance.number,
        release=instance.release,
        configured_release=instance.settings.release,
        required=instance.settings.required,
        reachable=not isinstance(outcome, SiteError),
        since=health.since,
        elapsed=elapsed,
        last_error=last,
        last_error_at=health.last_error_at,
        capabilities=list(instance.capabilities),
        latency=health.facts.latency if is_operator else None,
        same_as=original.name if original else None,
        breaker=health.breaker,
        breaker_since=health.breaker_since or health.since,
    )
