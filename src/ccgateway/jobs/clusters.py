"""Clusters, as a site describes them, and its users. Units and scopes are the site's own words.

Sources: ``GET /api/clusters/`` (1.3 and later) and, for what REST lacks (``partitions``; everything on 1.2), ``POST /query``.
Absent numbers are 0, absent texts empty, absent topology levels ``None``, as in cc-backend's GraphQL schema.
"""

from __future__ import annotations

import re

import msgspec

from ccgateway.jobs.model import Int32

__all__ = [
    "Accelerator",
    "Cluster",
    "MetricConfig",
    "MetricValue",
    "SubCluster",
    "SubClusterConfig",
    "Topology",
    "Unit",
    "User",
    "count_nodes",
    "metrics_of",
]


class _Named(msgspec.Struct, rename="camel"):
    pass


class Unit(_Named):
    base: str = ""
    prefix: str | None = None


class MetricValue(_Named):
    unit: Unit = msgspec.field(default_factory=Unit)
    value: float = 0.0
    name: str | None = None


class SubClusterConfig(_Named):
    """What differs for one sub-cluster from the cluster's metric configuration."""

    name: str = ""
    peak: float | None = None
    normal: float | None = None
    caution: float | None = None
    alert: float | None = None
    remove: bool | None = None
    unit: Unit | None = None
    footprint: str | None = None
    energy: str | None = None
    lower_is_better: bool | None = None
    restrict: bool | None = None


class MetricConfig(_Named):
    """One metric: its unit, finest scope, sampling interval (``timestep``, s) and thresholds."""

    name: str = ""
    unit: Unit = msgspec.field(default_factory=Unit)
    scope: str = "node"
    aggregation: str = ""
    timestep: Int32 = 0
    peak: float = 0.0
    normal: float | None = None
    caution: float = 0.0
    alert: float = 0.0
    lower_is_better: bool | None = None
    footprint: str | None = None
    sub_clusters: list[SubClusterConfig] | None = None
    energy: str | None = None
    restrict: bool | None = None


class Accelerator(_Named):
    id: str = ""
    type: str = ""
    model: str = ""


class Topology(_Named):
    """Hardware threads by level; ``die`` and ``accelerators`` are ``None`` where the site does not give them."""

    node: list[Int32] | None = None
    socket: list[list[Int32]] | None = None
    memory_domain: list[list[Int32]] | None = None
    die: list[list[Int32] | None] | None = None
    core: list[list[Int32]] | None = None
    accelerators: list[Accelerator] | None = None


class SubCluster(_Named):
    name: str = ""
    nodes: str = ""
    processor_type: str = ""
    sockets_per_node: Int32 = 0
    cores_per_socket: Int32 = 0
    threads_per_core: Int32 = 0
    flop_rate_scalar: MetricValue = msgspec.field(default_factory=MetricValue)
    flop_rate_simd: MetricValue = msgspec.field(default_factory=MetricValue)
    memory_bandwidth: MetricValue = msgspec.field(default_factory=MetricValue)
    topology: Topology = msgspec.field(default_factory=Topology)
    metric_config: list[MetricConfig] | None = None
    footprint: list[str] | None = None
    energy_footprint: list[str] | None = None


class Cluster(_Named):
    """One cluster of one site. ``partitions`` is ``None`` until it was asked for."""

    name: str
    metric_config: list[MetricConfig] | None = None
    sub_clusters: list[SubCluster] | None = None
    partitions: list[str] | None = None


class User(msgspec.Struct, rename="camel"):
    """An account of one site's own user table."""

    username: str
    name: str = ""
    email: str = ""
    roles: list[str] | None = None
    projects: list[str] | None = None


def metrics_of(cluster: Cluster, sub_cluster: str) -> list[MetricConfig]:
    """The metrics of a sub-cluster of a release that names them on the cluster only (≤1.3), as 1.4 would name them:
    overrides applied, removed metrics left out, ``sub_clusters`` empty."""
    found = []
    for config in cluster.metric_config or ():
        override = next((one for one in config.sub_clusters or () if one.name == sub_cluster), None)
        if override is not None and override.remove:
            continue
        changes = {
            name: value
            for name in ("peak", "normal", "caution", "alert")
            if override is not None and (value := getattr(override, name)) is not None
        }
        found.append(msgspec.structs.replace(config, sub_clusters=[], **changes))
    return found


_HOSTS = re.compile(r"(?:[^,\[]|\[[^\]]*\]?)+")
_GROUP = re.compile(r"\[([^\[\]]*)\]")
#: what the schema can show; no cluster has more
MOST_NODES = 2**31 - 1
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")


def count_nodes(nodes: str) -> int:
    """How many hosts a compact node list names: ``"an[001-064],login1"`` → 65. What it cannot read counts as one host."""
    total = 0
    for part in _HOSTS.findall(nodes):
        if not part.strip():
            continue
        count = 1
        for group in _GROUP.findall(part):
            spans = [_RANGE.fullmatch(span.strip()) for span in group.split(",")]
            count *= sum(max(1, int(m[2]) - int(m[1]) + 1) if m else 1 for m in spans)
            if count > MOST_NODES:
                return MOST_NODES
        total += count
    return min(total, MOST_NODES)
