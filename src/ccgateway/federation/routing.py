"""Routes a write: to which site it goes, and which job is meant there.

A job id names its site. Where only a cluster is named, it goes to the one site that has it, by the settings or by the site's own
list; where not even that is named, the job is looked for at every site. What destroys at several sites has to name them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, FederationError, GatewayError, RequestError, SiteError
from ccgateway.federation.duplicates import DuplicateSiteDetector
from ccgateway.federation.provisional import Provisionals
from ccgateway.federation.scatter import Ask, scatter
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.provisional import is_provisional
from ccgateway.jobs.writes import Target
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.finding import newest_job, whole_target
from ccgateway.site.registry import Registry

__all__ = ["EVERY_SITE", "Route", "WriteRouter"]

#: stands for all sites where sites have to be named
EVERY_SITE = "*"
#: seconds for which a site's cluster list is believed, and after which one is asked again before a cluster is called unknown
BELIEVED, DOUBTED = 300.0, 10.0


class Route(NamedTuple):
    """A write's site and job."""

    instance: Site
    target: Target


@dataclass(slots=True)
class WriteRouter:
    """Knows the sites' clusters, as they were last asked. ``budget``: jobs of a site that are looked through for one."""

    registry: Registry
    duplicates: DuplicateSiteDetector
    budget: int
    provisionals: Provisionals
    _clusters: dict[str, tuple[frozenset[str], float]] = field(default_factory=dict)

    def named(self, sites: Sequence[str] | None, caller: Principal) -> list[Site]:
        """The sites of a write that destroys. ``BAD_REQUEST`` if none is named, unless there is only one that it can be for."""
        if sites is None:
            possible = self._possible(caller)
            if len(possible) == 1:
                return possible
            names = ", ".join(site.name for site in possible) or "none are configured"
            message = f'Name the sites that this is for, or "{EVERY_SITE}" for all of them. Sites: {names}.'
            raise RequestError(Code.BAD_REQUEST, message)
        if not sites:
            raise RequestError(Code.BAD_REQUEST, "The list of sites is empty.")
        return self.registry.chosen(None if EVERY_SITE in sites else sites, caller)

    async def route(self, target: Target, caller: Principal, deadline: Deadline, *, stops: bool = False) -> Route:
        """The site of ``target``, and the job that parts of a key mean there: the newest. For a job that ``stops`` they are left
        as they are, as its site may know one that it does not show yet.

        Parts of a key of which no job shows are given back as they are. Raises ``RequestError`` (``UNKNOWN_SITE``,
        ``UNKNOWN_CLUSTER``, ``AMBIGUOUS_CLUSTER``, ``AMBIGUOUS_JOB``) or what kept sites from being asked.
        """
        if target.site is None and target.cluster is None and len(self._possible(caller)) != 1:
            return await self._anywhere(target, caller, deadline, stops=stops)
        instance = await self.site_of(target.site, target.cluster or "", caller, deadline)
        return await self._at(instance, target, caller, deadline, stops=stops)

    async def site_of(self, site: str | None, cluster: str, caller: Principal, deadline: Deadline) -> Site:
        """The site with that name; where none is named, the only one that the caller may ask, or the one that has the cluster.
        Raises ``UNKNOWN_SITE``, ``UNKNOWN_CLUSTER`` or ``AMBIGUOUS_CLUSTER``."""
        if site is not None:
            return self.registry.one(site)
        possible = self._possible(caller)
        if len(possible) == 1:
            return possible[0]
        return await self.of_cluster(cluster, caller, deadline)

    def _possible(self, caller: Principal) -> list[Site]:
        return self._apart(self.registry.open_to(caller))

    def _apart(self, sites: Sequence[Site]) -> list[Site]:
        """Each instance once, whatever names it has."""
        return [site for site in sites if self.duplicates.original_of(site, sites) is None]

    async def _at(self, instance: Site, target: Target, caller: Principal, deadline: Deadline, *, stops: bool) -> Route:
        whole = Target(
            site=instance.name,
            db_id=target.db_id,
            cluster=target.cluster,
            job_id=target.job_id,
            start_time=target.start_time,
        )
        if whole.db_id is not None and is_provisional(whole.db_id):
            context = await self._context(instance, caller, deadline)
            return Route(instance, await self.provisionals.target(instance, context, whole, whole.db_id, stops=stops))
        if whole.db_id is not None or whole.key is not None or stops:
            return Route(instance, whole)
        row = await self._newest(instance, target, caller, deadline)
        return Route(instance, whole_target(row) if row is not None else whole)

    async def _context(self, instance: Site, caller: Principal, deadline: Deadline) -> CallContext:
        return await instance.context(caller, deadline.within(instance.settings.timeout))

    async def _newest(
        self, instance: Site, target: Target, caller: Principal, deadline: Deadline, *, state: str | None = None
    ) -> JobRow | None:
        context = await self._context(instance, caller, deadline)
        return await newest_job(instance, context, target, state=state, budget=self.budget)

    async def _anywhere(self, target: Target, caller: Principal, deadline: Deadline, *, stops: bool) -> Route:
        async def look(instance: Site) -> tuple[Site, JobRow | None] | GatewayError:
            try:
                row = await self._newest(instance, target, caller, deadline, state="running") if stops else None
                return instance, row or await self._newest(instance, target, caller, deadline)
            except GatewayError as error:
                return error

        outcomes = await asyncio.gather(*(look(instance) for instance in self._possible(caller)))
        matches = [(pair[0], pair[1]) for pair in outcomes if isinstance(pair, tuple) and pair[1] is not None]
        if stops:
            running = [(instance, row) for instance, row in matches if row.state == "running"]
            started = await self.provisionals.newest(target.job_id or 0) if not running else None
            if started is not None and any(instance.name == started.site for instance in self.registry.open_to(caller)):
                # its site may not show it yet
                return Route(self.registry.one(started.site), replace(target, site=started.site))
            matches = running or matches
        if len(matches) > 1:
            names = " and ".join(instance.name for instance, _ in matches[:2])
            raise RequestError(Code.AMBIGUOUS_JOB, f"Sites {names} have a job {target.job_id}: name the cluster or the site.")
        failed = [_of_site(outcome) for outcome in outcomes if isinstance(outcome, GatewayError)]
        if failed:
            message = f"Not every site could be asked for job {target.job_id}: name the cluster or the site."
            raise FederationError(Code.INCOMPLETE, message, failed)
        if not matches:
            raise RequestError(Code.NOT_FOUND, f"No site shows a job {target.job_id}.")
        ((instance, row),) = matches
        return Route(instance, replace(target, site=instance.name) if stops else whole_target(row))

    # --- clusters

    async def of_cluster(self, cluster: str, caller: Principal, deadline: Deadline) -> Site:
        """The one site that has the cluster. A site that cannot be asked and never could be is taken to have others."""
        sites = self._apart(await self.having(cluster, caller, deadline))
        if len(sites) > 1:
            names = ", ".join(site.name for site in sites)
            raise RequestError(Code.AMBIGUOUS_CLUSTER, f"Sites {names} have a cluster {cluster[:60]!r}: name the site.")
        if not sites:
            unknown = [site.name for site in self.registry if site.settings.clusters is None and site.name not in self._clusters]
            more = f" Not asked, or not to be asked: {', '.join(unknown)}." if unknown else ""
            retryable = bool(unknown)
            message = f"No site is known to have a cluster {cluster[:60]!r}.{more}"
            raise RequestError(Code.UNKNOWN_CLUSTER, message, retryable=retryable)
        return sites[0]

    async def having(self, cluster: str, caller: Principal, deadline: Deadline) -> list[Site]:
        """The sites that have the cluster, as far as that is known or can be asked."""
        believed = asyncio.get_running_loop().time() - BELIEVED
        await self._learn([instance for instance in self.registry if self._known_at(instance) < believed], caller, deadline)
        sites = self._having(cluster)
        if not sites:
            doubted = asyncio.get_running_loop().time() - DOUBTED
            await self._learn([instance for instance in self.registry if self._known_at(instance) < doubted], caller, deadline)
            sites = self._having(cluster)
        return sites

    def _having(self, cluster: str) -> list[Site]:
        """By the settings where they tell, whatever other sites claim; else by the sites' own lists."""
        declared = [instance for instance in self.registry if cluster in (instance.settings.clusters or ())]
        return declared or [instance for instance in self.registry if cluster in self._names(instance)]

    def _names(self, instance: Site) -> frozenset[str]:
        if instance.settings.clusters is not None:
            return frozenset(instance.settings.clusters)
        return self._clusters.get(instance.name, (frozenset[str](), 0.0))[0]

    def _known_at(self, instance: Site) -> float:
        if instance.settings.clusters is not None:
            return float("inf")
        return self._clusters.get(instance.name, (frozenset[str](), float("-inf")))[1]

    async def _learn(self, instances: Sequence[Site], caller: Principal, deadline: Deadline) -> None:
        async def ask(instance: Site, until: Deadline) -> frozenset[str]:
            context = await instance.context(caller, until, insists=False)
            return frozenset(cluster.name for cluster in await instance.origin.clusters(context, with_partitions=False))

        if not instances:
            return
        limits = [(instance, deadline.within(instance.settings.timeout)) for instance in instances]
        asks = [Ask(instance, partial(ask, instance, until), until) for instance, until in limits]
        now = asyncio.get_running_loop().time()
        for name, names in (await scatter(asks, patience=1.0)).items():
            if not isinstance(names, SiteError):
                self._clusters[name] = names, now


def _of_site(error: GatewayError) -> SiteError:
    return SiteError(error.code, error.site or "", error.message, retryable=error.retryable)
