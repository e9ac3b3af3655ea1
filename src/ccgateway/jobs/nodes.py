"""Nodes of clusters: their states, what is measured on them, and what that comes to for a whole cluster.

::

    NodeFilter                      which nodes, named as cc-backend names it
    Node, StateCount, StateTimeline what the scheduler and the monitoring say of nodes, now and over time
    NodeMetrics                     what is measured on one node ── MetricPiece
    ClusterMetrics                  the same, added up over the nodes (``sum_over_nodes``)
    GlobalMetric                    one metric, and the clusters that have it (``metrics_of_clusters``)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ccgateway.jobs.clusters import Cluster, MetricConfig, Unit, metrics_of
from ccgateway.jobs.filters import StringInput
from ccgateway.jobs.metrics import MetricPiece
from ccgateway.jobs.model import Int32

__all__ = [
    "STATE_KINDS", "ClusterMetric", "ClusterMetrics", "ClusterSupport", "Count", "GlobalMetric", "Node", "NodeFilter",
    "NodeListWanted", "NodeMetrics", "NodeMetricsPage", "NodeMetricsWanted", "StateCount", "StateTimeline", "cluster_named",
    "metrics_of_clusters", "sum_over_nodes",
]  # fmt: skip

#: whose states can be asked for over time: the scheduler's, the monitoring's
STATE_KINDS = ("node", "health")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFilter:
    """Every field of cc-backend 1.5's ``NodeFilter``; ``time_start`` in epoch seconds."""

    hostname: StringInput | None = None
    cluster: StringInput | None = None
    sub_cluster: StringInput | None = None
    scheduler_state: str | None = None
    health_state: str | None = None
    time_start: int | None = None

    @classmethod
    def of_node(cls, cluster: str, hostname: str) -> NodeFilter:
        """One node."""
        return cls(cluster=StringInput(eq=cluster), hostname=StringInput(eq=hostname))


def cluster_named(filters: Sequence[NodeFilter]) -> str | None:
    """The one cluster that nodes must be of to match, where the filters name it."""
    return next((one.cluster.eq for one in filters if one.cluster is not None and one.cluster.eq is not None), None)


class Count(msgspec.Struct):
    """How many there are of something."""

    name: str
    count: int


class Node(msgspec.Struct, rename="camel", kw_only=True):
    """One node, and what is known of it last; ``site``: whose node, once that is known."""

    hostname: str
    cluster: str
    sub_cluster: str
    jobs_running: int = 0
    cpus_allocated: int | None = None
    memory_allocated: int | None = None
    gpus_allocated: int | None = None
    scheduler_state: str = ""
    health_state: str = ""
    meta_data: Any = None
    health_data: Any = None
    site: str = ""


class StateCount(msgspec.Struct):
    """How many nodes are in one state."""

    state: str
    count: int


class StateTimeline(msgspec.Struct):
    """How many nodes were in one state at each of these times, epoch seconds; ``sites``: whose nodes, once that is known."""

    state: str
    counts: list[int]
    times: list[int]
    sites: tuple[str, ...] = ()


class NodeMetrics(msgspec.Struct, rename="camel", kw_only=True):
    """What is measured on one node. The states are empty where a release does not tell them."""

    host: str
    sub_cluster: str = ""
    node_state: str = ""
    metric_health: str = ""
    metrics: list[MetricPiece]


class NodeMetricsPage(msgspec.Struct, rename="camel"):
    """Some of the nodes that match, and how many do."""

    items: list[NodeMetrics]
    total_nodes: int | None = None
    has_next_page: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMetricsWanted:
    """What was measured on nodes of a cluster, ``start`` to ``end`` in epoch seconds; ``None``: all nodes, metrics, scopes."""

    cluster: str
    nodes: tuple[str, ...] | None = None
    scopes: tuple[str, ...] | None = None
    metrics: tuple[str, ...] | None = None
    start: int
    end: int

    @property
    def is_nothing(self) -> bool:
        """Whether an empty list asks for nothing. It must not be sent, as releases take it for "all" or for a mistake."""
        return () in (self.nodes, self.metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeListWanted:
    """A page of that, by the nodes' names: of nodes of a sub-cluster (empty: of all), in a state (empty: in any), whose names
    hold a text; ``resolution`` in seconds between two samples, 0 for what there is, ``None`` for the site's choice."""

    wanted: NodeMetricsWanted
    sub_cluster: str = ""
    state: str = ""
    name: str = ""
    size: int
    page: int
    resolution: int | None = None


class ClusterMetric(msgspec.Struct):
    """One metric added up over nodes, ``timestep`` seconds from sample to sample; ``data`` is JSON text, as samples are."""

    name: str
    unit: Unit | None
    timestep: Int32
    data: msgspec.Raw


class ClusterMetrics(msgspec.Struct):
    """Metrics added up over the nodes that have them. ``left_out``: metrics, and how many nodes' samples could not be added."""

    node_count: int
    metrics: list[ClusterMetric]
    left_out: Mapping[str, int]


_SAMPLES = msgspec.json.Decoder(list[float | None])


def sum_over_nodes(nodes: Iterable[NodeMetrics]) -> ClusterMetrics:
    """The sum of every metric over the nodes, sample by sample: what a node lacks is left out of the sum, and where no node has
    a value there is none. Two decimals, as cc-backend keeps them. Samples at another distance or in another unit than most
    nodes' cannot be added, so they are left out and counted."""
    hosts, found = set[str](), dict[str, list[tuple[Int32, Unit | None, list[float | None]]]]()
    for node in nodes:
        for piece in node.metrics:
            for series in piece.metric.series or ():
                samples = _SAMPLES.decode(series.data)
                if any(value is not None for value in samples):
                    hosts.add(node.host)
                    found.setdefault(piece.name, []).append((piece.metric.timestep, piece.metric.unit, samples))
    metrics, left_out = [], {}
    for name, parts in found.items():
        counted = Counter((timestep, _unit(unit)) for timestep, unit, _ in parts)
        (timestep, (prefix, base)), most = counted.most_common(1)[0]
        alike = [samples for step, unit, samples in parts if (step, _unit(unit)) == (timestep, (prefix, base))]
        metrics.append(ClusterMetric(name, Unit(base, prefix), timestep, _added(alike)))
        if most < len(parts):
            left_out[name] = len(parts) - most
    return ClusterMetrics(len(hosts), metrics, left_out)


def _unit(unit: Unit | None) -> tuple[str, str]:
    return (unit.prefix or "", unit.base) if unit is not None else ("", "")


def _added(parts: Sequence[Sequence[float | None]]) -> msgspec.Raw:
    total: list[float | None] = [None] * max(map(len, parts))
    for samples in parts:
        for place, value in enumerate(samples):
            if value is not None:
                total[place] = (total[place] or 0.0) + value
    return msgspec.Raw(msgspec.json.encode([None if value is None else round(value, 2) for value in total]))


class ClusterSupport(msgspec.Struct, rename="camel"):
    """The sub-clusters of a cluster that have a metric; ``site``: whose cluster, once that is known."""

    cluster: str
    sub_clusters: list[str]
    site: str = ""


class GlobalMetric(msgspec.Struct):
    """One metric, as the first cluster that has it defines it. ``footprint``: the statistic kept with jobs; empty if none is."""

    name: str
    unit: Unit
    scope: str
    footprint: str | None
    availability: list[ClusterSupport]


def metrics_of_clusters(clusters: Iterable[Cluster]) -> list[GlobalMetric]:
    """The metrics that these clusters have, for releases that do not list them so."""
    found: dict[str, GlobalMetric] = {}
    for cluster in clusters:
        having: dict[str, tuple[MetricConfig, list[str]]] = {}
        for part in cluster.sub_clusters or ():
            for config in part.metric_config if part.metric_config is not None else metrics_of(cluster, part.name):
                having.setdefault(config.name, (config, []))[1].append(part.name)
        for name, (config, parts) in having.items():
            one = found.setdefault(name, GlobalMetric(name, config.unit, config.scope, config.footprint or "", []))
            one.availability.append(ClusterSupport(cluster.name, parts))
    return list(found.values())
