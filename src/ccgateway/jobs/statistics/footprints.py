"""Averages of metrics by job, samples by intensity and performance, statistics of metrics by job: values, and their merging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ccgateway.jobs.filters import JobFilter
from ccgateway.jobs.statistics.histograms import scale_of

__all__ = [
    "Footprints",
    "FootprintsWanted",
    "HeatmapWanted",
    "JobSummaries",
    "JobSummary",
    "SummariesWanted",
    "Summary",
    "added",
    "chosen",
    "concatenated",
    "factor",
]


@dataclass(frozen=True, slots=True)
class FootprintsWanted:
    """``metrics``: the averages of which metrics, for each job that matches."""

    filters: tuple[JobFilter, ...]
    metrics: tuple[str, ...]


class Footprints(msgspec.Struct):
    """One entry for each job, in the same order in every list; ``None`` where the site has no average. The weights are minutes
    times the number of nodes and the like, 1 where a job has none. ``refused``: metrics without averages, and why."""

    node_hours: list[float] = msgspec.field(default_factory=list)
    acc_hours: list[float] = msgspec.field(default_factory=list)
    core_hours: list[float] = msgspec.field(default_factory=list)
    metrics: dict[str, list[float | None]] = msgspec.field(default_factory=dict)
    refused: dict[str, str] = msgspec.field(default_factory=dict)
    scanned: int = 0
    missed: int = 0
    notes: list[str] = msgspec.field(default_factory=list)


def concatenated(parts: Sequence[Footprints], metrics: Sequence[str]) -> Footprints:
    """All jobs; a metric that one part refuses is refused."""
    whole = Footprints()
    for part in parts:
        whole.node_hours += part.node_hours
        whole.acc_hours += part.acc_hours
        whole.core_hours += part.core_hours
        whole.refused = part.refused | whole.refused
    for metric in metrics:
        if metric not in whole.refused:
            whole.metrics[metric] = [value for part in parts for value in part.metrics[metric]]
    return whole


def factor(of: tuple[str, str], into: tuple[str, str]) -> float | None:
    """What a value in one unit (prefix, base) is multiplied with to be one in the other; ``None``: it cannot be converted."""
    one, other = scale_of(of[0]), scale_of(into[0])
    if of[1] != into[1] or one is None or other is None:
        return None
    return float(one / other)


@dataclass(frozen=True, slots=True)
class HeatmapWanted:
    """``rows`` by ``cols`` cells between the ends, of equal size by logarithm: x in flops for each byte, y in flops."""

    filters: tuple[JobFilter, ...]
    rows: int
    cols: int
    min_x: float
    min_y: float
    max_x: float
    max_y: float


def added(parts: Sequence[Sequence[Sequence[float]]], rows: int, cols: int) -> list[list[float]]:
    """Cells added one by one."""
    whole = [[0.0] * cols for _ in range(rows)]
    for part in parts:
        for row, cells in zip(whole, part, strict=True):
            for n, cell in enumerate(cells):
                row[n] += cell
    return whole


@dataclass(frozen=True, slots=True)
class SummariesWanted:
    """``metrics``: of which metrics; ``None``: of all that the site keeps."""

    filters: tuple[JobFilter, ...]
    metrics: tuple[str, ...] | None


class Summary(msgspec.Struct, frozen=True):
    """Average, lowest and highest value of one metric."""

    avg: float
    min: float
    max: float


class JobSummary(msgspec.Struct, rename="camel"):
    """One job and what its metrics come to."""

    id: int
    job_id: int
    start_time: int
    duration: int
    cluster: str
    sub_cluster: str
    num_nodes: int
    num_hw_threads: int
    num_accelerators: int
    stats: dict[str, Summary]


class JobSummaries(msgspec.Struct):
    """The jobs of one site that have statistics. ``without``: jobs that have none."""

    jobs: list[JobSummary] = msgspec.field(default_factory=list)
    without: int = 0
    scanned: int = 0
    missed: int = 0
    notes: list[str] = msgspec.field(default_factory=list)


def chosen(statistics: Mapping[str, Summary], metrics: Sequence[str] | None) -> dict[str, Summary]:
    """Those of the metrics that there are."""
    return {name: statistics[name] for name in (statistics if metrics is None else metrics) if name in statistics}
