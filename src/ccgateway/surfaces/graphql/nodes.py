"""Nodes: their states, and what is measured on them; metrics over all clusters. The types read
``ccgateway.jobs.nodes`` values.
"""

from __future__ import annotations

import re
from typing import Annotated

import strawberry

from ccgateway.errors import Code, RequestError
from ccgateway.federation.questions import SiteReport
from ccgateway.jobs import nodes as values
from ccgateway.jobs.filters import StringInput as TextValue
from ccgateway.jobs.model import parse_job_id
from ccgateway.surfaces.graphql.clusters import Unit
from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.fields import computed
from ccgateway.surfaces.graphql.inputs import (
    OrderByInput,
    PageRequest,
    Policy,
    PolicyArgument,
    SitesArgument,
    StringInput,
    time_value,
)
from ccgateway.surfaces.graphql.metrics import JobMetricWithName
from ccgateway.surfaces.graphql.scalars import (
    AnyValue,
    Int64,
    MetricScope,
    MonitoringState,
    NullableFloat,
    SchedulerState,
    Time,
)  # fmt: skip

__all__ = [
    "ClusterMetrics", "Count", "GlobalMetricListItem", "Node", "NodeFilter", "NodeMetrics", "NodeStateResultList", "NodeStates",
    "NodeStatesTimed", "NodesResultList", "allocated_nodes", "cluster_metrics", "global_metrics", "node", "node_metrics",
    "node_metrics_list", "node_states", "node_states_timed", "nodes", "nodes_with_meta",
]  # fmt: skip

argument = strawberry.argument
#: nodes on a page when nobody says how many
DEFAULT_PAGE = 10

ClusterArgument = Annotated[str, argument(description="The cluster. It names its site.")]
SiteArgument = Annotated[str | None, argument(description="The site, where several have a cluster of that name.")]
NamesArgument = Annotated[list[str] | None, argument(description="Names of metrics; all of the cluster's if left out.")]
ScopesArgument = Annotated[list[MetricScope] | None, argument(description="Scopes; those that the site chooses if left out.")]
FromArgument = Annotated[Time, argument(name="from", description="From when on.")]
ToArgument = Annotated[Time, argument(description="Until when.")]
FilterArgument = Annotated[
    list["NodeFilter"] | None,
    argument(description="All of these must hold. Where they name a cluster (`cluster: {eq: …}`), only its site is asked."),
]
UnusedOrder = Annotated[
    OrderByInput | None, argument(description="Has no effect, as in cc-backend: nodes come by site, then by name.")
]


# --- what callers write


@strawberry.input(description="Restrictions on nodes: all fields that are set must hold. Sites of the series 1.5 evaluate them.")
class NodeFilter:
    hostname: StringInput | None = strawberry.field(default=None, description="The node's name.")
    cluster: StringInput | None = strawberry.field(default=None, description="Name of the cluster.")
    sub_cluster: StringInput | None = strawberry.field(default=None, description="Name of the sub-cluster.")
    scheduler_state: SchedulerState | None = strawberry.field(default=None, description="What the scheduler says of it.")
    health_state: MonitoringState | None = strawberry.field(default=None, description="What the monitoring says of it.")
    time_start: int | None = strawberry.field(
        default=None, description="Epoch seconds: states since then, where they are asked for over time."
    )

    def to_value(self) -> values.NodeFilter:
        def text(one: StringInput | None) -> TextValue | None:
            return None if one is None else one.to_value()

        return values.NodeFilter(
            hostname=text(self.hostname),
            cluster=text(self.cluster),
            sub_cluster=text(self.sub_cluster),
            scheduler_state=self.scheduler_state,
            health_state=self.health_state,
            time_start=self.time_start,
        )


def _filters(filters: list[NodeFilter] | None) -> tuple[values.NodeFilter, ...]:
    return tuple(one.to_value() for one in filters or ())


# --- what they get


@strawberry.type(description="How many there are of something.")
class Count:
    name: str = strawberry.field(description="Of what.")
    count: int = strawberry.field(description="How many.")


def _node_id(one: strawberry.Parent[values.Node]) -> str:
    return f"{one.site}:{one.cluster}:{one.hostname}"


def _nothing() -> None:
    return None


@strawberry.type(description="One node of one site of the series 1.5, and what is known of it last.")
class Node:
    id: strawberry.ID = computed(
        _node_id, description="The node's id over all sites, `site:cluster:hostname`: sites do not tell their own numbers."
    )
    site: str = strawberry.field(description="The site that has it.")
    hostname: str = strawberry.field(description="Its name.")
    cluster: str = strawberry.field(description="The cluster.")
    sub_cluster: str = strawberry.field(description="The sub-cluster.")
    jobs_running: int = strawberry.field(description="Jobs on it; 0 in lists, as sites have it.")
    cpus_allocated: int | None = strawberry.field(description="Processors that jobs have.")
    memory_allocated: int | None = strawberry.field(description="Memory that jobs have.")
    gpus_allocated: int | None = strawberry.field(description="Accelerators that jobs have.")
    scheduler_state: SchedulerState = strawberry.field(description="What the scheduler says of it.")
    health_state: MonitoringState = strawberry.field(description="What the monitoring says of it.")
    meta_data: AnyValue | None = strawberry.field(description="What the site keeps with it.")
    health_data: AnyValue | None = strawberry.field(description="Which metrics come late or not.")


@strawberry.type(description="Nodes.")
class NodeStateResultList:
    items: list[Node] = strawberry.field(description="The nodes, by site and name.")
    count: int | None = strawberry.field(description="How many they are.")


@strawberry.type(description="How many nodes are in one state.")
class NodeStates:
    state: str = strawberry.field(description="A state, of the scheduler or of the monitoring.")
    count: int = strawberry.field(description="How many nodes, over all sites.")


@strawberry.type(description="How many nodes were in one state over time.")
class NodeStatesTimed:
    state: str = strawberry.field(description="The state.")
    counts: list[int] = strawberry.field(description="How many nodes, for each of the times.")
    times: list[Int64] = strawberry.field(description="Epoch seconds, rising.")
    sites: list[str] = strawberry.field(
        description="The sites whose nodes are counted. Several where they counted at the very same times; else each site has an "
        "entry of its own, as nothing is known of its nodes between its times."
    )


@strawberry.type(description="What is measured on one node.")
class NodeMetrics:
    host: str = strawberry.field(description="The node's name.")
    node_state: str = strawberry.field(description="What the scheduler says of it; empty up to 1.4, or where nothing is known.")
    metric_health: str = strawberry.field(description="What the monitoring says of it; empty likewise.")
    sub_cluster: str = strawberry.field(description="The sub-cluster.")
    metrics: list[JobMetricWithName] = strawberry.field(description="What is measured.")


@strawberry.type(description="A page of nodes, and what is measured on them.")
class NodesResultList:
    items: list[NodeMetrics] = strawberry.field(description="The nodes, by name.")
    offset: int | None = computed(_nothing, description="Always null, as in cc-backend.")
    limit: int | None = computed(_nothing, description="Always null, as in cc-backend.")
    count: int | None = computed(_nothing, description="Always null, as in cc-backend.")
    total_nodes: int | None = strawberry.field(description="How many nodes match; null beyond the last page up to 1.4.")
    has_next_page: bool | None = strawberry.field(description="Whether there are more.")


@strawberry.type(description="One metric added up over nodes.")
class ClusterMetricWithName:
    name: str = strawberry.field(description="The metric's name.")
    unit: Unit | None = strawberry.field(description="Its unit, as it is measured on a node.")
    timestep: int = strawberry.field(description="Seconds from one sample to the next.")
    data: list[NullableFloat | None] = strawberry.field(description="The sum of each sample over the nodes that have it.")


@strawberry.type(description="What is measured in a cluster.")
class ClusterMetrics:
    node_count: int = strawberry.field(description="How many nodes have any of it.")
    metrics: list[ClusterMetricWithName] = strawberry.field(description="The metrics, added up over them.")


@strawberry.type(description="The sub-clusters of a cluster that have a metric.")
class ClusterSupport:
    site: str = strawberry.field(description="The site that has the cluster.")
    cluster: str = strawberry.field(description="The cluster.")
    sub_clusters: list[str] = strawberry.field(description="Its sub-clusters that have the metric.")


@strawberry.type(description="One metric, as the first cluster that has it defines it.")
class GlobalMetricListItem:
    name: str = strawberry.field(description="The metric's name.")
    unit: Unit = strawberry.field(description="Its unit.")
    scope: MetricScope = strawberry.field(description="The finest scope it is measured at.")
    footprint: str | None = strawberry.field(description="The statistic of it that is kept with jobs; empty if none is.")
    availability: list[ClusterSupport] = strawberry.field(description="Which clusters have it, of all sites.")


# --- the fields of Query


async def global_metrics(
    info: Info, sites: SitesArgument = None, policy: PolicyArgument = Policy.PARTIAL
) -> list[values.GlobalMetric]:
    context = info.context
    policy_value = policy.to_value().of(context.caller)
    answer = await context.gateway.nodes.global_metrics(context.caller, sites=sites, policy=policy_value)
    context.note_gaps(info, answer.reports)
    return answer.items


async def allocated_nodes(info: Info, cluster: ClusterArgument, site: SiteArgument = None) -> list[values.Count]:
    return await info.context.gateway.nodes.allocated_nodes(cluster, site, info.context.caller)


async def node(
    info: Info,
    id: Annotated[  # noqa: A002
        strawberry.ID,
        argument(description="The node, by `Node.id`; the site's own number works too: `site:7`, or as one integer `7001`."),
    ],
) -> values.Node:
    context = info.context
    if (named := _NODE.fullmatch(id)) is not None:
        site, cluster, hostname = named.groups()
        return await context.gateway.nodes.node_named(site, cluster, hostname, context.caller)
    site, db_id = parse_job_id(context.ids.named(id))
    return await context.gateway.nodes.node(site, db_id, context.caller)


async def nodes(
    info: Info,
    filter: FilterArgument = None,  # noqa: A002
    order: UnusedOrder = None,  # noqa: ARG001
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
) -> NodeStateResultList:
    return await _nodes(info, filter, sites, policy, with_meta=False)


async def nodes_with_meta(
    info: Info,
    filter: FilterArgument = None,  # noqa: A002
    order: UnusedOrder = None,  # noqa: ARG001
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
) -> NodeStateResultList:
    return await _nodes(info, filter, sites, policy, with_meta=True)


async def _nodes(
    info: Info, filters: list[NodeFilter] | None, sites: list[str] | None, policy: Policy, *, with_meta: bool
) -> NodeStateResultList:
    context = info.context
    answer = await context.gateway.nodes.nodes(
        _filters(filters), context.caller, sites=sites, policy=policy.to_value().of(context.caller), with_meta=with_meta
    )
    context.note_gaps(info, answer.reports)
    return NodeStateResultList(items=answer.items, count=len(answer.items))  # type: ignore[arg-type]  # values stand behind types


async def node_states(
    info: Info,
    filter: FilterArgument = None,  # noqa: A002
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
) -> list[values.StateCount]:
    context = info.context
    answer = await context.gateway.nodes.node_states(
        _filters(filter), context.caller, sites=sites, policy=policy.to_value().of(context.caller)
    )
    context.note_gaps(info, answer.reports)
    return answer.items


async def node_states_timed(
    info: Info,
    type: Annotated[str, argument(description="`node`: by the scheduler; `health`: by the monitoring.")],  # noqa: A002
    filter: FilterArgument = None,  # noqa: A002
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
) -> list[values.StateTimeline]:
    context = info.context
    answer = await context.gateway.nodes.node_states_over_time(
        _filters(filter), type, context.caller, sites=sites, policy=policy.to_value().of(context.caller)
    )
    context.note_gaps(info, answer.reports)
    return answer.items


async def node_metrics(
    info: Info,
    *,
    cluster: ClusterArgument,
    nodes: Annotated[list[str] | None, argument(description="Names of nodes; all that have data if left out.")] = None,
    scopes: ScopesArgument = None,
    metrics: NamesArgument = None,
    from_: FromArgument,
    to: ToArgument,
    site: SiteArgument = None,
) -> list[values.NodeMetrics]:
    wanted = _wanted(cluster, from_, to, nodes=nodes, scopes=scopes, metrics=metrics)
    context = info.context
    return await context.gateway.nodes.node_metrics(wanted, site, context.caller, budget=context.budget)


async def node_metrics_list(
    info: Info,
    *,
    cluster: ClusterArgument,
    sub_cluster: Annotated[str, argument(description="The sub-cluster; all if empty.")] = "",
    state_filter: Annotated[
        str, argument(description="A state of the scheduler, `all` (or empty), or `notindb`: nodes without any (1.5).")
    ] = "",
    node_filter: Annotated[str, argument(description="A text that the nodes' names hold; all if empty.")] = "",
    scopes: ScopesArgument = None,
    metrics: NamesArgument = None,
    from_: FromArgument,
    to: ToArgument,
    page: Annotated[PageRequest | None, argument(description="The page; the first ten nodes if left out.")] = None,
    resolution: Annotated[
        int | None, argument(description="Seconds between two samples; 0: as they were measured. The site's choice if left out.")
    ] = None,
    site: SiteArgument = None,
) -> values.NodeMetricsPage:
    context = info.context
    wanted = values.NodeListWanted(
        wanted=_wanted(cluster, from_, to, scopes=scopes, metrics=metrics),
        sub_cluster=sub_cluster,
        state=state_filter,
        name=node_filter,
        size=page.items_per_page if page else DEFAULT_PAGE,
        page=page.page if page else 1,
        resolution=resolution,
    )
    return await context.gateway.nodes.node_metrics_page(wanted, site, context.caller, budget=context.budget)


async def cluster_metrics(
    info: Info,
    *,
    cluster: ClusterArgument,
    metrics: NamesArgument = None,
    from_: FromArgument,
    to: ToArgument,
    site: SiteArgument = None,
) -> values.ClusterMetrics:
    context, wanted = info.context, _wanted(cluster, from_, to, scopes=[MetricScope("node")], metrics=metrics)
    found = await context.gateway.nodes.cluster_metrics(wanted, site, context.caller, budget=context.budget)
    if found.left_out:
        report = SiteReport(site or cluster, 0)
        report.notes = [
            f"{name}: {count} nodes have another unit or another time between samples than most, and are left out."
            for name, count in found.left_out.items()
        ]
        context.note(report)
    return found


_NODE = re.compile(r"([^:]+):([^:]+):(.+)")


def _wanted(
    cluster: str,
    start: Time,
    end: Time,
    *,
    nodes: list[str] | None = None,
    scopes: list[MetricScope] | None = None,
    metrics: list[str] | None = None,
) -> values.NodeMetricsWanted:
    began, ended = time_value(start), time_value(end)
    if began is None or ended is None:
        raise RequestError(Code.BAD_REQUEST, "from and to are times.")

    def distinct(words: list[str] | list[MetricScope] | None) -> tuple[str, ...] | None:
        return None if words is None else tuple(dict.fromkeys(words))

    return values.NodeMetricsWanted(
        cluster=cluster, nodes=distinct(nodes), scopes=distinct(scopes) or None, metrics=distinct(metrics), start=began, end=ended
    )
