"""Clusters as messages."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ccgateway.jobs import clusters as values
from ccgateway.v1 import cluster_pb2 as pb
from ccgateway.v1.metrics_pb2 import Unit

__all__ = ["BY_DEFAULT", "cluster_message"]

#: what is shown unless other fields are asked for: partitions cost another request to each site
BY_DEFAULT = frozenset(pb.Cluster.DESCRIPTOR.fields_by_name) - {"partitions"}


def cluster_message(site: str, cluster: values.Cluster, fields: Collection[str]) -> pb.Cluster:
    """A cluster of a site with those fields."""
    message = pb.Cluster(site=site, name=cluster.name)
    if "partitions" in fields:
        message.partitions.extend(cluster.partitions or ())
    if "metric_configs" in fields:
        message.metric_configs.extend(map(_config, cluster.metric_config or ()))
    if "sub_clusters" in fields:
        message.sub_clusters.extend(_sub_cluster(cluster, part) for part in cluster.sub_clusters or ())
    return message


def _unit(unit: values.Unit) -> Unit:
    return Unit(base=unit.base, prefix=unit.prefix or "")


def _config(one: values.MetricConfig) -> pb.MetricConfig:
    return pb.MetricConfig(
        name=one.name,
        unit=_unit(one.unit),
        scope=one.scope,
        aggregation=one.aggregation,
        timestep_seconds=one.timestep,
        peak=one.peak,
        normal=one.normal,
        caution=one.caution,
        alert=one.alert,
        lower_is_better=one.lower_is_better,
        sub_clusters=map(_override, one.sub_clusters or ()),
    )


def _override(one: values.SubClusterConfig) -> pb.SubClusterConfig:
    return pb.SubClusterConfig(
        name=one.name, peak=one.peak, normal=one.normal, caution=one.caution, alert=one.alert, remove=one.remove
    )


def _sub_cluster(cluster: values.Cluster, part: values.SubCluster) -> pb.SubCluster:
    configs = part.metric_config if part.metric_config is not None else values.metrics_of(cluster, part.name)
    return pb.SubCluster(
        name=part.name,
        nodes=part.nodes,
        node_count=values.count_nodes(part.nodes),
        processor_type=part.processor_type,
        sockets_per_node=part.sockets_per_node,
        cores_per_socket=part.cores_per_socket,
        threads_per_core=part.threads_per_core,
        flop_rate_scalar=_value(part.flop_rate_scalar),
        flop_rate_simd=_value(part.flop_rate_simd),
        memory_bandwidth=_value(part.memory_bandwidth),
        topology=_topology(part.topology),
        metric_configs=map(_config, configs),
        footprint=part.footprint or (),
    )


def _value(one: values.MetricValue) -> pb.MetricValue:
    return pb.MetricValue(name=one.name or "", unit=_unit(one.unit), value=one.value)


def _topology(one: values.Topology) -> pb.Topology:
    return pb.Topology(
        node=one.node or (),
        sockets=_threads(one.socket),
        memory_domains=_threads(one.memory_domain),
        dies=_threads(one.die),
        cores=_threads(one.core),
        accelerators=[pb.Accelerator(id=each.id, type=each.type, model=each.model) for each in one.accelerators or ()],
    )


def _threads(parts: Iterable[list[int] | None] | None) -> list[pb.HardwareThreads]:
    return [pb.HardwareThreads(ids=part or ()) for part in parts or ()]
