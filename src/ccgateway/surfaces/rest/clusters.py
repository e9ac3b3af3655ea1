"""Clusters and users as the faces write them: 1.5.4's keys and order, whatever release they come from."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ccgateway.jobs import clusters as values
from ccgateway.surfaces.rest.listing import SiteState

__all__ = ["Account", "Cluster", "Clusters", "account", "cluster"]


class Unit(msgspec.Struct, omit_defaults=True):
    base: str
    prefix: str = ""


class Value(msgspec.Struct):
    unit: Unit
    value: float


class SubClusterConfig(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    name: str
    unit: Unit
    peak: float
    normal: float
    caution: float
    alert: float
    footprint: str = ""
    energy: str
    lower_is_better: bool
    restrict: bool
    remove: bool


class MetricConfig(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    name: str
    unit: Unit
    peak: float
    normal: float
    caution: float
    alert: float
    energy: str
    scope: str
    aggregation: str
    footprint: str = ""
    sub_clusters: list[SubClusterConfig] = []
    timestep: int
    restrict: bool
    lower_is_better: bool


class Topology(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    node: list[int] | None
    socket: list[list[int]] | None
    memory_domain: list[list[int]] | None
    die: list[list[int] | None] = []
    core: list[list[int]] | None
    accelerators: list[values.Accelerator] = []


class SubCluster(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    name: str
    nodes: str
    processor_type: str
    topology: Topology
    flop_rate_scalar: Value
    flop_rate_simd: Value
    memory_bandwidth: Value
    metric_config: list[MetricConfig] = []
    footprint: list[str] = []
    energy_footprint: list[str] = []
    sockets_per_node: int
    cores_per_socket: int
    threads_per_core: int


class Cluster(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """``site`` only where it is to be shown."""

    name: str
    metric_config: list[MetricConfig]
    sub_clusters: list[SubCluster]
    site: str = ""


class Clusters(msgspec.Struct, omit_defaults=True):
    """``sites``: what each site came to, if one is missing."""

    clusters: list[Cluster]
    sites: dict[str, SiteState] | None = None


class Account(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A user; ``authType`` and ``authSource`` are always 0 in this list. ``site`` only where it is to be shown."""

    username: str
    name: str
    email: str
    roles: list[str]
    projects: list[str]
    auth_type: int
    auth_source: int
    site: str = ""


def account(user: values.User, *, site: str = "") -> Account:
    """``user`` in 1.5.4's form."""
    return Account(
        username=user.username,
        name=user.name,
        email=user.email,
        roles=user.roles or [],
        projects=user.projects or [],
        auth_type=0,
        auth_source=0,
        site=site,
    )


def cluster(one: values.Cluster, *, site: str = "") -> Cluster:
    """``one`` in 1.5.4's form; where a site tells settings for the cluster or for its parts alone, both are filled."""
    parts = one.sub_clusters or []
    # sites whose clusters are read through GraphQL name metrics per sub-cluster only
    settings = one.metric_config if one.metric_config is not None else _of_all(parts)
    return Cluster(
        name=one.name,
        metric_config=[_metric(config) for config in settings],
        sub_clusters=[_part(one, part) for part in parts],
        site=site,
    )


def _of_all(parts: Iterable[values.SubCluster]) -> list[values.MetricConfig]:
    found: dict[str, values.MetricConfig] = {}
    for part in parts:
        for config in part.metric_config or ():
            found.setdefault(config.name, config)
    return list(found.values())


def _part(whole: values.Cluster, one: values.SubCluster) -> SubCluster:
    settings = one.metric_config if one.metric_config is not None else values.metrics_of(whole, one.name)
    return SubCluster(
        name=one.name,
        nodes=one.nodes,
        processor_type=one.processor_type,
        topology=_topology(one.topology),
        flop_rate_scalar=_value(one.flop_rate_scalar),
        flop_rate_simd=_value(one.flop_rate_simd),
        memory_bandwidth=_value(one.memory_bandwidth),
        metric_config=[_metric(config) for config in settings],
        footprint=one.footprint or [],
        energy_footprint=one.energy_footprint or [],
        sockets_per_node=one.sockets_per_node,
        cores_per_socket=one.cores_per_socket,
        threads_per_core=one.threads_per_core,
    )


def _topology(one: values.Topology) -> Topology:
    return Topology(
        node=one.node,
        socket=one.socket,
        memory_domain=one.memory_domain,
        die=one.die or [],
        core=one.core,
        accelerators=one.accelerators or [],
    )


def _metric(one: values.MetricConfig) -> MetricConfig:
    return MetricConfig(
        name=one.name,
        unit=_unit(one.unit),
        peak=_number(one.peak),
        normal=_number(one.normal),
        caution=_number(one.caution),
        alert=_number(one.alert),
        energy=one.energy or "",
        scope=one.scope,
        aggregation=one.aggregation,
        footprint=one.footprint or "",
        sub_clusters=[_override(config) for config in one.sub_clusters or ()],
        timestep=one.timestep,
        restrict=bool(one.restrict),
        lower_is_better=bool(one.lower_is_better),
    )


def _override(one: values.SubClusterConfig) -> SubClusterConfig:
    return SubClusterConfig(
        name=one.name,
        unit=_unit(one.unit or values.Unit()),
        peak=_number(one.peak),
        normal=_number(one.normal),
        caution=_number(one.caution),
        alert=_number(one.alert),
        footprint=one.footprint or "",
        energy=one.energy or "",
        lower_is_better=bool(one.lower_is_better),
        restrict=bool(one.restrict),
        remove=bool(one.remove),
    )


def _unit(one: values.Unit) -> Unit:
    return Unit(one.base, one.prefix or "")


def _value(one: values.MetricValue) -> Value:
    return Value(_unit(one.unit), _number(one.value))


def _number(value: float | None) -> float:
    """Whole numbers are written without a point, as cc-backend does."""
    value = value or 0.0
    return int(value) if value.is_integer() else value
