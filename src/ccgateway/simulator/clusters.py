"""Cluster configurations: a synthetic one in each release's shape, and what the simulator reads out of any.

:func:`synthetic_cluster` builds one; :class:`Metric` and :class:`Hardware` are the parts metrics are generated from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ccgateway.simulator.release import Release

__all__ = ["Hardware", "Metric", "hardware_of", "holds_node", "names_in", "nodes_in", "synthetic_cluster"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as a cluster configures it."""

    name: str
    unit: Mapping[str, str]
    scope: str
    peak: float
    timestep: int
    footprint: str | None


@dataclass(frozen=True, slots=True)
class Hardware:
    """What metrics of a job on this cluster look like."""

    metrics: tuple[Metric, ...]
    sockets: int


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    unit: dict[str, str]
    scope: str
    aggregation: str
    peak: float
    footprint: str | None = None
    energy: str = ""


_ROWS = (
    _Row("cpu_load", {"base": ""}, "node", "avg", 16, "avg"),
    _Row("mem_used", {"base": "B", "prefix": "G"}, "node", "sum", 64, "max"),
    _Row("flops_any", {"base": "F/s", "prefix": "G"}, "hwthread", "sum", 500, "avg"),
    _Row("mem_bw", {"base": "B/s", "prefix": "G"}, "socket", "sum", 100, "avg"),
    _Row("cpu_power", {"base": "W"}, "socket", "sum", 300, None, "power"),
)


def synthetic_cluster(name: str, release: Release, *, nodes: int = 64) -> dict[str, Any]:
    """A cluster of two-socket nodes in *release*'s shape; they are called after the first letter of *name*."""
    metrics = [_metric(row, release) for row in _ROWS]
    cores = list(range(8))
    halves = [cores[:4], cores[4:]]
    sub: dict[str, Any] = {
        "name": "main",
        "nodes": f"{name[0]}n[001-{nodes:03d}]",
        "processorType": "Synthetic CPU",
        "socketsPerNode": 2,
        "coresPerSocket": 4,
        "threadsPerCore": 1,
        "flopRateScalar": _quantity(50, "F/s"),
        "flopRateSimd": _quantity(400, "F/s"),
        "memoryBandwidth": _quantity(100, "B/s"),
        "topology": {"node": cores, "socket": halves, "memoryDomain": halves, "core": [[c] for c in cores]},
    }
    if release.tag_scopes:  # from 1.4 on, sub-clusters show the effective configuration
        sub |= {
            "metricConfig": metrics,
            "footprint": [r.name for r in _ROWS if r.footprint],
            "energyFootprint": [r.name for r in _ROWS if r.energy],
        }
    return {"name": name, "metricConfig": metrics, "subClusters": [sub]}


def hardware_of(cluster: Mapping[str, Any]) -> Hardware:
    """Read a cluster in any release's shape."""
    topology = cluster["subClusters"][0].get("topology", {}) if cluster.get("subClusters") else {}
    return Hardware(
        metrics=tuple(
            Metric(
                name=m["name"],
                unit=m.get("unit", {"base": ""}),
                scope=m.get("scope", "node"),
                peak=m.get("peak") or 1.0,
                timestep=m.get("timestep") or 60,
                footprint=m.get("footprint") or None,
            )
            for m in cluster.get("metricConfig", ())
        ),
        sockets=max(1, len(topology.get("socket") or ())),
    )


def nodes_in(compact: str) -> int:
    """How many nodes a list such as ``an[001-064,070],login1`` names."""
    return sum(last - first + 1 for _, first, last, _ in _spans(compact))


def names_in(compact: str) -> list[str]:
    """The nodes that such a list names, in its order."""
    return [
        f"{prefix}{number:0{width}d}" if width else prefix
        for prefix, first, last, width in _spans(compact)
        for number in range(first, last + 1)
    ]


def holds_node(compact: str, host: str) -> bool:
    """Whether such a list names *host*; ``*`` names every one."""
    if compact == "*":
        return True
    for prefix, first, last, width in _spans(compact):
        number = host[len(prefix) :]
        if not host.startswith(prefix) or len(number) != width:
            continue
        if not width or (number.isdecimal() and first <= int(number) <= last):
            return True
    return False


def _spans(compact: str) -> Iterator[tuple[str, int, int, int]]:
    """Prefix, first and last number and their width; a name without brackets is a span of width 0."""
    for part in re.findall(r"[^,\[]+\[[^\]]*\]|[^,]+", compact):
        inside = re.fullmatch(r"(.*)\[(.*)\]", part)
        if inside is None:
            yield part, 1, 1, 0
            continue
        for span in inside.group(2).split(","):
            first, _, last = span.partition("-")
            yield inside.group(1), int(first), int(last or first), len(first)


def _metric(row: _Row, release: Release) -> dict[str, Any]:
    metric: dict[str, Any] = {
        "name": row.name,
        "unit": row.unit,
        "scope": row.scope,
        "aggregation": row.aggregation,
        "timestep": 60,
        "peak": row.peak,
        "normal": row.peak / 2,
        "caution": row.peak / 4,
        "alert": row.peak / 8,
    }
    if release.tag_scopes:
        metric |= {"energy": row.energy, "lowerIsBetter": False}
        if row.footprint:
            metric["footprint"] = row.footprint
    if release.chi:
        metric["restrict"] = False
    return metric


def _quantity(value: float, base: str) -> dict[str, Any]:
    return {"unit": {"base": base, "prefix": "G"}, "value": value}
