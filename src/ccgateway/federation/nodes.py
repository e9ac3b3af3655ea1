"""Nodes over all sites: their states, added where they can be, and what is measured on the nodes of one cluster.

A cluster names its site, as for writes (``routing``). What several sites answer is merged like this:

* lists of nodes and of metrics stand one after the other, sites by number; a metric has the unit, scope and footprint of the
  first cluster that has it;
* counts of nodes by state are added;
* counts over time are added where their times are the very same at every site; else each site's stand beside the others',
  as nothing is known of a site's nodes between its times.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, FederationError, RequestError, SiteError
from ccgateway.federation.lookups import Lookups
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import Answer, Policy, SiteReport
from ccgateway.federation.routing import WriteRouter
from ccgateway.identity.principal import Principal
from ccgateway.jobs.clusters import Cluster
from ccgateway.jobs.nodes import (
    STATE_KINDS,
    ClusterMetrics,
    Count,
    GlobalMetric,
    Node,
    NodeFilter,
    NodeListWanted,
    NodeMetrics,
    NodeMetricsPage,
    NodeMetricsWanted,
    StateCount,
    StateTimeline,
    cluster_named,
    sum_over_nodes,
)  # fmt: skip
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries import nodes as queries

__all__ = ["Nodes"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Nodes:
    """The use cases."""

    lookups: Lookups
    router: WriteRouter

    # --- over all sites

    async def nodes(
        self,
        filters: Sequence[NodeFilter],
        caller: Principal,
        *,
        sites: Sequence[str] | None,
        policy: Policy,
        with_meta: bool,
    ) -> Answer[Node]:
        """The nodes that match, sites by number; ``with_meta``: with what is kept beside their states."""
        ask = partial(queries.list_nodes, filters=filters, with_meta=with_meta)
        by_site, reports = await self._states(filters, caller, sites, policy, ask)
        return Answer([_of_site(node, site) for site, some in by_site.items() for node in some], reports)

    async def node_states(
        self, filters: Sequence[NodeFilter], caller: Principal, *, sites: Sequence[str] | None, policy: Policy
    ) -> Answer[StateCount]:
        """How many nodes are in which state, over all sites."""
        by_site, reports = await self._states(filters, caller, sites, policy, partial(queries.node_states, filters=filters))
        total: dict[str, int] = {}
        for some in by_site.values():
            for count in some:
                total[count.state] = total.get(count.state, 0) + count.count
        return Answer([StateCount(state, count) for state, count in total.items()], reports)

    async def node_states_over_time(
        self, filters: Sequence[NodeFilter], kind: str, caller: Principal, *, sites: Sequence[str] | None, policy: Policy
    ) -> Answer[StateTimeline]:
        """The same over time, of ``kind`` ``node`` (the scheduler's states) or ``health`` (the monitoring's)."""
        if kind not in STATE_KINDS:
            raise RequestError(Code.BAD_REQUEST, f"type is one of {', '.join(STATE_KINDS)}.")
        ask = partial(queries.node_states_over_time, filters=filters, kind=kind)
        by_site, reports = await self._states(filters, caller, sites, policy, ask)
        return Answer(_merged(by_site), reports)

    async def global_metrics(self, caller: Principal, *, sites: Sequence[str] | None, policy: Policy) -> Answer[GlobalMetric]:
        """Every metric once, by name, and the clusters of all sites that have it."""
        by_site, reports = await self.lookups.of_each_instance(caller, sites, policy, queries.global_metrics)
        merged: dict[str, GlobalMetric] = {}
        for site, some in by_site.items():
            for metric in some:
                kept = merged.setdefault(metric.name, GlobalMetric(metric.name, metric.unit, metric.scope, metric.footprint, []))
                for part in metric.availability:
                    part.site = site
                kept.availability += metric.availability
        return Answer([merged[name] for name in sorted(merged)], reports)

    async def _states(
        self,
        filters: Sequence[NodeFilter],
        caller: Principal,
        sites: Sequence[str] | None,
        policy: Policy,
        ask: Callable[[Site, CallContext], Awaitable[list[T]]],
    ) -> tuple[dict[str, list[T]], list[SiteReport]]:
        cluster, deadline = cluster_named(filters), self._deadline()
        if sites is None and cluster is not None:
            open_to = {site.name for site in self.lookups.registry.open_to(caller)}
            sites = [site.name for site in await self.router.having(cluster, caller, deadline) if site.name in open_to] or None
        try:
            return await self.lookups.of_each_instance(caller, sites, policy, ask, deadline)
        except FederationError as error:
            # whoever asks for more in the same document is told the rest
            if policy is Policy.STRICT or any(cause.code is not Code.UNSUPPORTED for cause in error.causes):
                raise
            return {}, [self._lacking(cause) for cause in error.causes]

    def _lacking(self, cause: SiteError) -> SiteReport:
        report = SiteReport(cause.site, self.lookups.registry.one(cause.site).number)
        report.note_failure(cause)
        return report

    def _deadline(self) -> Deadline:
        return Deadline.of_request(self.lookups.limits.request_timeout)

    # --- at one site

    async def node(self, site: str, db_id: int, caller: Principal) -> Node:
        """The node with that number of the site. ``NOT_FOUND`` if there is none."""

        async def ask(instance: Site, context: CallContext) -> Node | None:
            return await queries.node_by_id(instance, context, db_id)

        node = await self._at(self.lookups.registry.one(site), caller, self._deadline(), ask)
        if node is None:
            raise RequestError(Code.NOT_FOUND, f"Site {site} has no node {db_id}.")
        return _of_site(node, site)

    async def node_named(self, site: str, cluster: str, hostname: str, caller: Principal) -> Node:
        """The node of that name. ``NOT_FOUND`` if there is none."""
        wanted = NodeFilter.of_node(cluster, hostname)

        async def ask(instance: Site, context: CallContext) -> list[Node]:
            return await queries.list_nodes(instance, context, [wanted], with_meta=True)

        deadline = self._deadline()
        for node in await self._at(self.lookups.registry.one(site), caller, deadline, ask):
            if (node.cluster, node.hostname) == (cluster, hostname):
                return _of_site(node, site)
        raise RequestError(Code.NOT_FOUND, f"Site {site} has no node {hostname[:60]!r} of cluster {cluster[:60]!r}.")

    async def allocated_nodes(self, cluster: str, site: str | None, caller: Principal) -> list[Count]:
        """How many nodes of the cluster run jobs, by sub-cluster: to those who see everybody's jobs."""

        async def ask(instance: Site, context: CallContext, _cluster: Cluster) -> list[Count]:
            return await queries.allocated_nodes(instance, context, cluster)

        return await self._of_cluster(cluster, site, caller, ask, self._deadline())

    async def node_metrics(
        self, wanted: NodeMetricsWanted, site: str | None, caller: Principal, *, budget: MetricsBudget
    ) -> list[NodeMetrics]:
        """What is measured on each of the nodes, by their names."""

        async def ask(instance: Site, context: CallContext, _cluster: Cluster) -> list[NodeMetrics]:
            return _taken(budget, instance.name, await queries.node_metrics(instance, context, wanted))

        _check_time(wanted)
        metrics = await self._of_cluster(wanted.cluster, site, caller, ask, budget.deadline)
        return sorted(metrics, key=lambda node: node.host)

    async def node_metrics_page(
        self, wanted: NodeListWanted, site: str | None, caller: Principal, *, budget: MetricsBudget
    ) -> NodeMetricsPage:
        """One page of that, by the nodes' names."""

        async def ask(instance: Site, context: CallContext, cluster: Cluster) -> NodeMetricsPage:
            if wanted.sub_cluster and wanted.sub_cluster not in {sub_cluster.name for sub_cluster in cluster.sub_clusters or ()}:
                message = f"Cluster {cluster.name!r} has no sub-cluster {wanted.sub_cluster[:60]!r}."
                raise RequestError(Code.BAD_REQUEST, message)
            page = await queries.node_metrics_page(instance, context, wanted)
            _taken(budget, instance.name, page.items)
            return page

        _check_time(wanted.wanted)
        most = self.lookups.limits.page_jobs
        if wanted.page < 1 or not 1 <= wanted.size <= most:
            message = f"page: the number starts at 1; itemsPerPage is 1 to {most}, the largest page (limits.page_jobs)."
            raise RequestError(Code.BAD_REQUEST, message)
        return await self._of_cluster(wanted.wanted.cluster, site, caller, ask, budget.deadline)

    async def cluster_metrics(
        self, wanted: NodeMetricsWanted, site: str | None, caller: Principal, *, budget: MetricsBudget
    ) -> ClusterMetrics:
        """What is measured, added up over the nodes."""
        return sum_over_nodes(await self.node_metrics(wanted, site, caller, budget=budget))

    async def _of_cluster(
        self,
        cluster: str,
        site: str | None,
        caller: Principal,
        ask: Callable[[Site, CallContext, Cluster], Awaitable[T]],
        deadline: Deadline,
    ) -> T:
        """Asks the site of the cluster, once it is known to have that: releases fail on one that they do not know."""

        async def checked(instance: Site, context: CallContext) -> T:
            known = {item.name: item for item in await instance.clusters(context, with_partitions=False)}
            if cluster not in known:
                raise RequestError(Code.UNKNOWN_CLUSTER, f"Site {instance.name} has no cluster {cluster[:60]!r}.")
            return await ask(instance, context, known[cluster])

        return await self._at(await self.router.site_of(site, cluster, caller, deadline), caller, deadline, checked)

    async def _at(
        self, instance: Site, caller: Principal, deadline: Deadline, ask: Callable[[Site, CallContext], Awaitable[T]]
    ) -> T:
        until = deadline.within(instance.settings.timeout)
        try:
            async with until.limit():
                return await ask(instance, await instance.context(caller, until))
        except TimeoutError:
            raise SiteError(Code.TIMEOUT, instance.name, "The site did not answer in time.") from None


def _of_site(node: Node, site: str) -> Node:
    node.site = site
    return node


def _taken(budget: MetricsBudget, site: str, nodes: Sequence[NodeMetrics]) -> list[NodeMetrics]:
    budget.expect(site)
    budget.take(site, [piece for node in nodes for piece in node.metrics])
    return list(nodes)


def _check_time(wanted: NodeMetricsWanted) -> None:
    if wanted.start >= wanted.end:
        raise RequestError(Code.BAD_REQUEST, "from: it has to be before to.")


def _merged(by_site: dict[str, list[StateTimeline]]) -> list[StateTimeline]:
    by_state: dict[str, list[tuple[str, StateTimeline]]] = {}
    for site, some in by_site.items():
        for timeline in some:
            by_state.setdefault(timeline.state, []).append((site, timeline))
    merged: list[StateTimeline] = []
    for state, parts in by_state.items():
        if all(timeline.times == parts[0][1].times for _, timeline in parts):
            counts = [sum(column) for column in zip(*(timeline.counts for _, timeline in parts), strict=True)]
            merged.append(StateTimeline(state, counts, parts[0][1].times, tuple(site for site, _ in parts)))
        else:
            merged += [StateTimeline(state, timeline.counts, timeline.times, (site,)) for site, timeline in parts]
    return merged
