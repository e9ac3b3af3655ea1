"""Which site an order goes to, and which job of it is meant.

A job id names its site. Where only a cluster is named, it goes to the one site that has it, by the settings or by the site's own
list; where not even that is named, the job is looked for at every site. What destroys at several sites has to name them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, FederationError, GatewayError, RequestError, SiteError
from ccgateway.federation.scatter import Ask, scatter
from ccgateway.identity.principal import Principal
from ccgateway.jobs.conditions import conditions_of
from ccgateway.jobs.filters import JobFilter, StringInput, TimeRange
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.writes import Target
from ccgateway.site.instance import Instance, JobsWanted
from ccgateway.site.reading import JobStream
from ccgateway.site.registry import Registry

__all__ = ["EVERY_SITE", "Placed", "Places"]

#: stands for all sites where sites have to be named
EVERY_SITE = "*"
#: seconds for which a site's cluster list is believed, and after which one is asked again before a cluster is called unknown
BELIEVED, DOUBTED = 300.0, 10.0
#: jobs read at a time
PAGE = 1000


class Placed(NamedTuple):
    """An order's site and job."""

    instance: Instance
    target: Target


@dataclass(slots=True)
class Places:
    """Knows the sites' clusters, as they were last asked. ``budget``: jobs of a site that are looked through for one."""

    registry: Registry
    budget: int
    _clusters: dict[str, tuple[frozenset[str], float]] = field(default_factory=dict)

    def named(self, sites: Sequence[str] | None) -> list[Instance]:
        """The sites of an order that destroys. ``BAD_REQUEST`` if none is named, unless there is only one."""
        if sites is None:
            if len(self.registry) == 1:
                return list(self.registry)
            names = ", ".join(one.name for one in self.registry) or "none are configured"
            message = f'Name the sites that this is for, or "{EVERY_SITE}" for all of them. Sites: {names}.'
            raise RequestError(Code.BAD_REQUEST, message)
        if not sites:
            raise RequestError(Code.BAD_REQUEST, "The list of sites is empty.")
        return list(self.registry) if EVERY_SITE in sites else self.registry.chosen(sites)

    async def place(self, target: Target, caller: Principal, deadline: Deadline, *, prefer_running: bool = False) -> Placed:
        """The site of ``target``, and the job that parts of a key mean there: the newest (``prefer_running``: that runs).

        Parts of a key of which no job shows are given back as they are. Raises ``RequestError`` (``UNKNOWN_SITE``,
        ``UNKNOWN_CLUSTER``, ``AMBIGUOUS_CLUSTER``, ``AMBIGUOUS_JOB``) or what kept sites from being asked.
        """
        if target.site is not None:
            instance = self.registry.one(target.site)
        elif len(self.registry) == 1:
            (instance,) = self.registry
        elif target.cluster is not None:
            instance = await self.of_cluster(target.cluster, caller, deadline)
        else:
            return await self._anywhere(target, caller, deadline, prefer_running=prefer_running)
        return await self._at(instance, target, caller, deadline, prefer_running=prefer_running)

    async def _at(
        self, instance: Instance, target: Target, caller: Principal, deadline: Deadline, *, prefer_running: bool
    ) -> Placed:
        whole = Target(
            site=instance.name,
            db_id=target.db_id,
            cluster=target.cluster,
            job_id=target.job_id,
            start_time=target.start_time,
        )
        if whole.db_id is not None or whole.key is not None:
            return Placed(instance, whole)
        for running in (True, False) if prefer_running else (False,):
            row = await self._newest(instance, target, caller, deadline, running=running)
            if row is not None:
                key = row.key
                whole = Target(site=key.site, db_id=row.id, cluster=key.cluster, job_id=key.job_id, start_time=key.start_time)
                break
        return Placed(instance, whole)

    async def _newest(
        self, instance: Instance, target: Target, caller: Principal, deadline: Deadline, *, running: bool
    ) -> JobRow | None:
        wanted = JobFilter(
            cluster=StringInput(eq=target.cluster) if target.cluster is not None else None,
            job_id=StringInput(eq=str(target.job_id)),
            start_time=TimeRange(target.start_time, target.start_time) if target.start_time is not None else None,
            state=("running",) if running else None,
        )
        visit = await instance.visit(caller, deadline.within(instance.settings.timeout))
        jobs = JobsWanted(conditions_of((wanted,), instance.name), frozenset())
        stream = JobStream(instance, visit, jobs)  # from the site itself, not from what is remembered of it
        while not stream.done and not stream.rows:
            if stream.scanned > self.budget:
                message = f"Not among the newest {self.budget} jobs of the site. Give startTime: then it is found at once."
                raise SiteError(Code.SCAN_BUDGET, instance.name, message)
            await stream.read(PAGE)
        return max(stream.rows, key=lambda row: row.start_time, default=None)

    async def _anywhere(self, target: Target, caller: Principal, deadline: Deadline, *, prefer_running: bool) -> Placed:
        async def look(instance: Instance) -> Placed | GatewayError:
            try:
                return await self._at(instance, target, caller, deadline, prefer_running=prefer_running)
            except GatewayError as error:
                return error

        looked = await asyncio.gather(*(look(instance) for instance in self.registry))
        found = [one for one in looked if isinstance(one, Placed) and one.target.db_id is not None]
        if len(found) > 1:
            names = " and ".join(one.instance.name for one in found[:2])
            raise RequestError(Code.AMBIGUOUS_JOB, f"Sites {names} have a job {target.job_id}: name the cluster or the site.")
        failed = [_of_site(one) for one in looked if isinstance(one, GatewayError)]
        if failed:
            message = f"Not every site could be asked for job {target.job_id}: name the cluster or the site."
            raise FederationError(Code.INCOMPLETE, message, failed)
        if not found:
            raise RequestError(Code.NOT_FOUND, f"No site shows a job {target.job_id}.")
        return found[0]

    # --- clusters

    async def of_cluster(self, cluster: str, caller: Principal, deadline: Deadline) -> Instance:
        """The one site that has the cluster. A site that cannot be asked and never could be is taken to have others."""
        believed = asyncio.get_running_loop().time() - BELIEVED
        await self._learn([one for one in self.registry if self._known_at(one) < believed], caller, deadline)
        found = self._having(cluster)
        if not found:
            doubted = asyncio.get_running_loop().time() - DOUBTED
            await self._learn([one for one in self.registry if self._known_at(one) < doubted], caller, deadline)
            found = self._having(cluster)
        if len(found) > 1:
            names = ", ".join(one.name for one in found)
            raise RequestError(Code.AMBIGUOUS_CLUSTER, f"Sites {names} have a cluster {cluster[:60]!r}: name the site.")
        if not found:
            unknown = [one.name for one in self.registry if one.settings.clusters is None and one.name not in self._clusters]
            more = f" Not asked, or not to be asked: {', '.join(unknown)}." if unknown else ""
            retryable = bool(unknown)
            message = f"No site is known to have a cluster {cluster[:60]!r}.{more}"
            raise RequestError(Code.UNKNOWN_CLUSTER, message, retryable=retryable)
        return found[0]

    def _having(self, cluster: str) -> list[Instance]:
        return [one for one in self.registry if cluster in self._names(one)]

    def _names(self, instance: Instance) -> frozenset[str]:
        if instance.settings.clusters is not None:
            return frozenset(instance.settings.clusters)
        return self._clusters.get(instance.name, (frozenset[str](), 0.0))[0]

    def _known_at(self, instance: Instance) -> float:
        if instance.settings.clusters is not None:
            return float("inf")
        return self._clusters.get(instance.name, (frozenset[str](), float("-inf")))[1]

    async def _learn(self, instances: Sequence[Instance], caller: Principal, deadline: Deadline) -> None:
        async def ask(instance: Instance, until: Deadline) -> frozenset[str]:
            visit = await instance.visit(caller, until)
            return frozenset(one.name for one in await instance.clusters(visit, with_partitions=False))

        if not instances:
            return
        limits = [(one, deadline.within(one.settings.timeout)) for one in instances]
        asks = [Ask(one, partial(ask, one, until), until) for one, until in limits]
        now = asyncio.get_running_loop().time()
        for name, names in (await scatter(asks, patience=1.0)).items():
            if not isinstance(names, SiteError):
                self._clusters[name] = names, now


def _of_site(error: GatewayError) -> SiteError:
    return SiteError(error.code, error.site or "", error.message, retryable=error.retryable)
