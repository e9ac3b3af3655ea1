"""``Cluster`` and what it is made of. The fields read ``ccgateway.jobs.clusters`` values."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import strawberry

from ccgateway.federation.questions import SiteCluster
from ccgateway.jobs import clusters as values
from ccgateway.surfaces.graphql.fields import computed
from ccgateway.surfaces.graphql.scalars import MetricScope

__all__ = ["Accelerator", "Cluster", "MetricConfig", "MetricValue", "SubCluster", "SubClusterConfig", "Topology", "Unit"]


@strawberry.type(description="A unit: `prefix` `G` and `base` `F/s` are GF/s.")
class Unit:
    base: str = strawberry.field(description="The unit itself.")
    prefix: str | None = strawberry.field(description="The prefix before it; empty or null if none.")


@strawberry.type(description="A number with its unit.")
class MetricValue:
    name: str | None = strawberry.field(description="What it is, if the site says so.")
    unit: Unit = strawberry.field(description="Its unit.")
    value: float = strawberry.field(description="The number.")


@strawberry.type(description="An accelerator of a node.")
class Accelerator:
    id: str = strawberry.field(description="Its id, as in `Resource.accelerators`.")
    type: str = strawberry.field(description="What it is, such as `Nvidia GPU`.")
    model: str = strawberry.field(description="Its model.")


@strawberry.type(description="The hardware threads of a node, by level. A level that the site does not describe is null.")
class Topology:
    node: list[int] | None = strawberry.field(description="All hardware threads.")
    socket: list[list[int]] | None = strawberry.field(description="By socket.")
    memory_domain: list[list[int]] | None = strawberry.field(description="By memory domain.")
    die: list[list[int] | None] | None = strawberry.field(description="By die; sites send nulls in this list.")
    core: list[list[int]] | None = strawberry.field(description="By core.")
    accelerators: list[Accelerator] | None = strawberry.field(description="The accelerators.")


@strawberry.type(description="What differs for one sub-cluster from a metric's configuration; null means no difference.")
class SubClusterConfig:
    name: str = strawberry.field(description="The sub-cluster.")
    peak: float | None = strawberry.field(description="Highest value the hardware can reach there.")
    normal: float | None = strawberry.field(description="A usual value there.")
    caution: float | None = strawberry.field(description="Value that calls for attention there.")
    alert: float | None = strawberry.field(description="Value that calls for action there.")
    remove: bool | None = strawberry.field(description="Whether the metric does not exist there.")


def _overrides(config: strawberry.Parent[values.MetricConfig]) -> Sequence[values.SubClusterConfig]:
    return config.sub_clusters or ()


@strawberry.type(description="One metric of a cluster or sub-cluster.")
class MetricConfig:
    name: str = strawberry.field(description="The metric's name.")
    unit: Unit = strawberry.field(description="Its unit.")
    scope: MetricScope = strawberry.field(description="The finest scope it is measured at.")
    aggregation: str = strawberry.field(description="How values of finer scopes combine: `sum`, `avg`, or empty.")
    timestep: int = strawberry.field(description="Seconds between two values.")
    peak: float = strawberry.field(description="Highest value the hardware can reach.")
    normal: float | None = strawberry.field(description="A usual value.")
    caution: float = strawberry.field(description="Value that calls for attention.")
    alert: float = strawberry.field(description="Value that calls for action.")
    lower_is_better: bool | None = strawberry.field(
        description="Whether caution and alert are upper bounds; null at sites up to 1.3."
    )
    sub_clusters: list[SubClusterConfig] = computed(
        _overrides,
        description="What differs for sub-clusters. Empty below a sub-cluster: the values there already hold for it.",
    )


def _number_of_nodes(part: strawberry.Parent[values.SubCluster]) -> int:
    return values.count_nodes(part.nodes)


def _sub_cluster_metrics(part: strawberry.Parent[values.SubCluster]) -> Sequence[values.MetricConfig]:
    return part.metric_config or ()


def _sub_cluster_footprint(part: strawberry.Parent[values.SubCluster]) -> Sequence[str]:
    return part.footprint or ()


@strawberry.type(description="A part of a cluster whose nodes are alike.")
class SubCluster:
    name: str = strawberry.field(description="The sub-cluster's name.")
    nodes: str = strawberry.field(description="Its nodes in compact form, such as `an[001-064]`.")
    number_of_nodes: int = computed(_number_of_nodes, description="How many nodes that are.")
    processor_type: str = strawberry.field(description="The processors.")
    sockets_per_node: int = strawberry.field(description="Sockets of a node.")
    cores_per_socket: int = strawberry.field(description="Cores of a socket.")
    threads_per_core: int = strawberry.field(description="Hardware threads of a core.")
    flop_rate_scalar: MetricValue = strawberry.field(description="Peak scalar flop rate of a node.")
    flop_rate_simd: MetricValue = strawberry.field(description="Peak vector flop rate of a node.")
    memory_bandwidth: MetricValue = strawberry.field(description="Peak memory bandwidth of a node.")
    topology: Topology = strawberry.field(description="The hardware threads of a node.")
    metric_config: list[MetricConfig] = computed(
        _sub_cluster_metrics,
        description="The metrics that exist on this sub-cluster, with the values that hold for it.",
    )
    footprint: list[str] = computed(
        _sub_cluster_footprint,
        description="Names of the metrics in its jobs' footprints; empty at sites up to 1.3.",
    )


def _cluster_name(one: strawberry.Parent[SiteCluster]) -> str:
    return one.cluster.name


def _partitions(one: strawberry.Parent[SiteCluster]) -> Sequence[str]:
    return one.cluster.partitions or ()


def _cluster_metrics(one: strawberry.Parent[SiteCluster]) -> Sequence[values.MetricConfig]:
    return one.cluster.metric_config or ()


def _sub_clusters(one: strawberry.Parent[SiteCluster]) -> list[values.SubCluster]:
    return [_with_metrics(one.cluster, part) for part in one.cluster.sub_clusters or ()]


@strawberry.type(description="One cluster of one site. Clusters of the same name at two sites are two clusters.")
class Cluster:
    site: str = strawberry.field(description="The site that has it.")
    name: str = computed(_cluster_name, description="The cluster's name.")
    partitions: list[str] = computed(
        _partitions,
        description="Partitions that its jobs ran in; empty for jobs without one. Costs another request to the site.",
    )
    metric_config: list[MetricConfig] = computed(
        _cluster_metrics, description="Its metrics, with the values that hold for the cluster as a whole."
    )
    sub_clusters: list[SubCluster] = computed(_sub_clusters, description="Its sub-clusters.")


def _with_metrics(cluster: values.Cluster, part: values.SubCluster) -> values.SubCluster:
    if part.metric_config is not None:
        return part
    return msgspec.structs.replace(part, metric_config=values.metrics_of(cluster, part.name))
