"""What a site knows of its nodes: the states that its scheduler told, and what would be measured on them.

Samples are made up, a pure function of cluster, node, metric, place and time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from ccgateway.simulator.clusters import Hardware, Metric, names_in

__all__ = ["NodeTable", "StoredNode", "nodes_of", "places_of", "sampled"]

STATES = frozenset({"allocated", "reserved", "idle", "mixed", "down"})


@dataclass(slots=True)
class StoredNode:
    """A row of the node table, and every state that was told: (epoch seconds, of the scheduler, of the monitoring)."""

    id: int
    cluster: str
    sub_cluster: str
    hostname: str
    history: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def state(self) -> str:
        return self.history[-1][1]

    @property
    def health(self) -> str:
        return self.history[-1][2]


class NodeTable:
    """The nodes whose states were told."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], StoredNode] = {}

    def __iter__(self) -> Iterator[StoredNode]:
        return iter(sorted(self._rows.values(), key=lambda one: one.hostname))

    def by_id(self, number: int) -> StoredNode | None:
        return next((one for one in self._rows.values() if one.id == number), None)

    def find(self, cluster: str, hostname: str) -> StoredNode | None:
        return self._rows.get((cluster, hostname))

    def tell(self, cluster: str, sub_cluster: str, hostname: str, states: Sequence[str], at: int) -> None:
        """The scheduler says something of a node: the first word that the site knows counts. Everything is measured there."""
        new = StoredNode(len(self._rows) + 1, cluster, sub_cluster, hostname)
        row = self._rows.setdefault((cluster, hostname), new)
        row.history.append((at, next((one for one in states if one in STATES), "unknown"), "full"))


def sampled(metric: Metric, place: str, first: int, last: int) -> list[float]:
    """One sample for every time step between the two (epoch seconds) at ``place``, a text that no other place has."""
    steps = range(first // metric.timestep, last // metric.timestep)
    seed = f"{metric.name}/{place}"
    return [round(metric.peak * (0.2 + crc32(f"{seed}/{step}".encode()) % 600 / 1000), 2) for step in steps]


def places_of(metric: Metric, hardware: Hardware) -> list[str | None]:
    """Where a metric is measured on a node: on its sockets, or as a whole."""
    return [str(socket) for socket in range(hardware.sockets)] if metric.scope == "socket" else [None]


def nodes_of(cluster: dict[str, object], sub_cluster: str = "") -> list[tuple[str, str]]:
    """The nodes of a cluster's configuration, each with its sub-cluster."""
    parts = cluster["subClusters"]
    if not isinstance(parts, list):
        raise TypeError("a cluster lists its sub-clusters")
    return [(name, part["name"]) for part in parts if sub_cluster in ("", part["name"]) for name in names_in(part["nodes"])]
