"""Nodes at one site: how many are in use, their states (1.5), and what is measured on them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.identity.roles import Ability
from ccgateway.jobs.filters import StringInput
from ccgateway.jobs.nodes import (
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
    metrics_of_clusters,
)  # fmt: skip
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.asking import BEYOND_THE_END, Question, ask, refused_by
from ccgateway.site.releases import Dialect
from ccgateway.site.releases.query import QueryFailedError, QueryReply

__all__ = [
    "allocated_nodes", "global_metrics", "list_nodes", "node_by_id", "node_metrics", "node_metrics_page", "node_states",
    "node_states_over_time",
]  # fmt: skip

#: the ends of the calendar, in epoch seconds
_FIRST, _LAST = (int(end.replace(tzinfo=dt.UTC, microsecond=0).timestamp()) for end in (dt.datetime.min, dt.datetime.max))
_UNIT = "unit{base prefix}"
_METRICS = (
    f"metrics{{name scope metric{{{_UNIT} timestep series{{hostname id statistics{{avg min max}} data}} "
    "statisticsSeries{mean %s min max}}}"
)
_STATES = "schedulerState healthState"
_NODE = f"hostname cluster subCluster jobsRunning cpusAllocated memoryAllocated gpusAllocated {_STATES}"
_WITH_META = f"{_NODE} metaData healthData"


class _Counts(msgspec.Struct, rename="camel"):
    allocated_nodes: list[Count]


class _Items(msgspec.Struct):
    items: list[Node]


class _Nodes(msgspec.Struct):
    nodes: _Items


class _One(msgspec.Struct):
    node: Node | None


class _States(msgspec.Struct, rename="camel"):
    node_states: list[StateCount]


class _Timelines(msgspec.Struct, rename="camel"):
    node_states_timed: list[StateTimeline]


class _Measured(msgspec.Struct, rename="camel"):
    node_metrics: list[NodeMetrics]


class _Page(msgspec.Struct, rename="camel"):
    node_metrics_list: NodeMetricsPage


class _Metrics(msgspec.Struct, rename="camel"):
    global_metrics: list[GlobalMetric]


_COUNTS = msgspec.json.Decoder(QueryReply[_Counts])
_NODES = msgspec.json.Decoder(QueryReply[_Nodes])
_ONE = msgspec.json.Decoder(QueryReply[_One])
_NODE_STATES = msgspec.json.Decoder(QueryReply[_States])
_TIMELINES = msgspec.json.Decoder(QueryReply[_Timelines])
_MEASURED = msgspec.json.Decoder(QueryReply[_Measured])
_PAGE = msgspec.json.Decoder(QueryReply[_Page])
_METRIC_LIST = msgspec.json.Decoder(QueryReply[_Metrics])


async def allocated_nodes(site: Site, context: CallContext, cluster: str) -> list[Count]:
    """How many nodes run jobs, by sub-cluster. Sites count everybody's jobs for any token: ``SITE_UNAUTHORIZED`` here for one
    that may not see all of them."""
    if not context.credential.sees_all:
        raise refused_by(site.name, "allocatedNodes")
    question = Question("query($c:String!){allocatedNodes(cluster:$c){name count}}", {"c": cluster})
    return (await ask(site, context, "allocatedNodes", lambda _: question, _COUNTS)).allocated_nodes


async def list_nodes(site: Site, context: CallContext, filters: Sequence[NodeFilter], *, with_meta: bool) -> list[Node]:
    """The nodes that match, with their latest states; ``with_meta``: and what is kept with those."""
    name, fields = ("nodesWithMeta", _WITH_META) if with_meta else ("nodes", _NODE)
    question = Question(f"query($f:[NodeFilter!]){{nodes:{name}(filter:$f){{items{{{fields}}}}}}}", {"f": _written(filters)})
    return (await ask(site, context, name, lambda _: question, _NODES)).nodes.items


async def node_by_id(site: Site, context: CallContext, db_id: int) -> Node | None:
    """The node of that number. Sites show it to any token: ``SITE_UNAUTHORIZED`` here for one that may not list nodes."""
    if context.credential.roles is None or Ability.METRICS_OF_ALL not in context.credential.abilities:
        raise refused_by(site.name, "node")
    question = Question(f"query($i:ID!){{node(id:$i){{{_WITH_META}}}}}", {"i": str(db_id)})
    try:
        return (await ask(site, context, "node", lambda _: question, _ONE)).node
    except QueryFailedError as failed:
        if any("no rows in result set" in reason for reason in failed.reasons):
            return None
        raise


async def node_states(site: Site, context: CallContext, filters: Sequence[NodeFilter]) -> list[StateCount]:
    """How many nodes are in which state, by the scheduler and by the monitoring."""
    question = Question("query($f:[NodeFilter!]){nodeStates(filter:$f){state count}}", {"f": _written(filters)})
    return (await ask(site, context, "nodeStates", lambda _: question, _NODE_STATES)).node_states


async def node_states_over_time(
    site: Site, context: CallContext, filters: Sequence[NodeFilter], kind: str
) -> list[StateTimeline]:
    """The same over time; ``kind`` is one of ``STATE_KINDS``."""
    document = "query($f:[NodeFilter!],$t:String!){nodeStatesTimed(filter:$f,type:$t){state counts times}}"
    question = Question(document, {"f": _written(filters), "t": kind})
    found = (await ask(site, context, "nodeStatesTimed", lambda _: question, _TIMELINES)).node_states_timed
    if any(len(one.counts) != len(one.times) for one in found):
        raise SiteError(Code.BAD_ANSWER, site.name, "The site sent other numbers of counts than of times.")
    return found


async def node_metrics(site: Site, context: CallContext, wanted: NodeMetricsWanted) -> list[NodeMetrics]:
    """What is measured on each of the nodes that have any of it."""
    if wanted.is_nothing:
        return []

    def question(dialect: Dialect) -> Question:
        arguments = "cluster:$c,nodes:$n,scopes:$s,metrics:$m,from:$f,to:$t"
        declared = "$c:String!,$n:[String!],$s:[MetricScope!],$m:[String!],$f:Time!,$t:Time!"
        document = f"query({declared}){{nodeMetrics({arguments}){{{_measured(dialect)}}}}}"
        return Question(document, {**_variables(wanted), "n": wanted.nodes})

    return (await ask(site, context, "nodeMetrics", question, _MEASURED)).node_metrics


async def node_metrics_page(site: Site, context: CallContext, wanted: NodeListWanted) -> NodeMetricsPage:
    """One page of that. One past the end is empty, also at releases that fail on it."""

    def question(dialect: Dialect) -> Question | SiteError:
        declared = "$c:String!,$u:String!,$h:String!,$s:[MetricScope!],$m:[String!],$f:Time!,$t:Time!,$p:PageRequest,$r:Int"
        arguments = "cluster:$c,subCluster:$u,nodeFilter:$h,scopes:$s,metrics:$m,from:$f,to:$t,page:$p,resolution:$r"
        variables = {
            **_variables(wanted.wanted),
            "u": wanted.sub_cluster,
            "h": wanted.name,
            "p": {"itemsPerPage": wanted.size, "page": wanted.page},
            "r": wanted.resolution,
        }
        if "nodeMetricsList.stateFilter" in dialect.answers:
            declared, arguments = f"{declared},$x:String!", f"{arguments},stateFilter:$x"
            variables["x"] = wanted.state or ANY_STATE
        elif wanted.state not in ("", ANY_STATE):
            message = f"Release {dialect.name} of the site knows no states of nodes (nodeMetricsList.stateFilter)."
            return SiteError(Code.UNSUPPORTED, site.name, message)
        fields = f"items{{{_measured(dialect)}}} totalNodes hasNextPage"
        return Question(f"query({declared}){{nodeMetricsList({arguments}){{{fields}}}}}", variables)

    try:
        found = (await ask(site, context, "nodeMetricsList", question, _PAGE)).node_metrics_list
    except QueryFailedError as failed:
        if wanted.page == 1 or not any(map(BEYOND_THE_END.search, failed.reasons)):
            raise
        return NodeMetricsPage([], None, has_next_page=False)
    if len(found.items) > wanted.size:
        message = f"The site sent {len(found.items)} nodes where {wanted.size} were asked for."
        raise SiteError(Code.BAD_ANSWER, site.name, message)
    found.items.sort(key=lambda one: one.host)
    return found


async def global_metrics(site: Site, context: CallContext) -> list[GlobalMetric]:
    """The metrics of all clusters, as the site lists them, or as its clusters have them where its release has no such list."""
    try:
        return (await ask(site, context, "globalMetrics", lambda _: _LIST, _METRIC_LIST)).global_metrics
    except SiteError as error:
        if error.code is not Code.UNSUPPORTED:
            raise
    return metrics_of_clusters(await site.clusters(context, with_partitions=False))


#: what stands for every state
ANY_STATE = "all"
_LIST = Question(f"{{globalMetrics{{name {_UNIT} scope footprint availability{{cluster subClusters}}}}}}")


def _measured(dialect: Dialect) -> str:
    states = "nodeState metricHealth " if "nodeMetrics.nodeState" in dialect.answers else ""
    return f"host subCluster {states}{_METRICS % ('median' if 'median' in dialect.answers else '')}"


def _variables(wanted: NodeMetricsWanted) -> dict[str, object]:
    return {
        "c": wanted.cluster, "s": wanted.scopes, "m": wanted.metrics, "f": _time(wanted.start), "t": _time(wanted.end),
    }  # fmt: skip


def _time(seconds: int) -> str:
    # nothing is measured beyond the calendar, where a time in another zone may lie
    moment = dt.datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), dt.UTC)
    return moment.isoformat().replace("+00:00", "Z")


def _written(filters: Sequence[NodeFilter]) -> list[dict[str, object]]:
    return [
        {
            name: value
            for name, value in {
                "hostname": _text(one.hostname),
                "cluster": _text(one.cluster),
                "subCluster": _text(one.sub_cluster),
                "schedulerState": one.scheduler_state,
                "healthState": one.health_state,
                "timeStart": one.time_start,
            }.items()
            if value is not None
        }
        for one in filters
    ]


def _text(wanted: StringInput | None) -> Mapping[str, object] | None:
    if wanted is None:
        return None
    operators = {
        "eq": wanted.eq, "neq": wanted.neq, "startsWith": wanted.starts_with, "endsWith": wanted.ends_with,
        "contains": wanted.contains, "in": wanted.in_,
    }  # fmt: skip
    return {name: value for name, value in operators.items() if value is not None}
