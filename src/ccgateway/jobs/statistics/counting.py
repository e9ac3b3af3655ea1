"""What one site contributes to statistics, and how it is counted from rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from ccgateway.jobs.filters import JobFilter
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.statistics.figures import HOURS, Amount, Figure, Group, GroupBy
from ccgateway.jobs.statistics.histograms import Durations, SiteBins, metric_bin, spread

__all__ = ["HISTOGRAMS", "SHORT", "Counter", "Histogram", "SiteStatistics", "StatisticsWanted", "merge_histograms"]

#: seconds below which a job is short, where rows are counted: what sites go by unless they are configured otherwise
SHORT = 300

#: histogram → the row's attribute whose values it counts
HISTOGRAMS = {"histNumNodes": "num_nodes", "histNumCores": "num_hw_threads", "histNumAccs": "num_acc"}
DURATIONS = "histDuration"
_TIMES = {Figure.WALLTIME: None, Figure.NODE_HOURS: "num_nodes", Figure.CORE_HOURS: "num_hw_threads", Figure.ACC_HOURS: "num_acc"}
_SUMS = {Figure.NODES: "num_nodes", Figure.CORES: "num_hw_threads", Figure.ACCS: "num_acc"}
_GROUPS = {
    GroupBy.USER: "user", GroupBy.PROJECT: "project", GroupBy.CLUSTER: "cluster", GroupBy.SUBCLUSTER: "sub_cluster",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StatisticsWanted:
    """What one site is asked. ``histograms``: names of those wanted, without those of metrics; ``bins``: how the site divides
    each metric's range; ``is_exact``: what cannot be told exactly is counted from rows."""

    filters: tuple[JobFilter, ...] = ()
    group: GroupBy | None = None
    figures: frozenset[Figure] = frozenset()
    histograms: frozenset[str] = frozenset()
    durations: Durations = field(default_factory=lambda: Durations("1h", 48, 3600))
    bins: tuple[SiteBins, ...] = ()
    is_exact: bool = False

    @property
    def attributes(self) -> frozenset[str]:
        """The row attributes that counting reads."""
        needs = {_GROUPS[self.group]} if self.group in _GROUPS else set()
        if self.figures & (HOURS | {Figure.SHORT}) or DURATIONS in self.histograms:
            needs.add("duration")
        if Figure.RUNNING in self.figures:
            needs.add("state")
        if Figure.USERS in self.figures:
            needs.add("user")
        for figure, attribute in (_TIMES | _SUMS).items():
            if figure in self.figures and attribute is not None:
                needs.add(attribute)
        needs.update(HISTOGRAMS[name] for name in self.histograms if name in HISTOGRAMS)
        if self.bins:
            needs.add("footprint")
        return frozenset(needs)


class Histogram(msgspec.Struct):
    """Jobs by value (or upper edge, or bin from 1), and those beyond the last bin. ``refused``: why there is none."""

    counts: dict[int, int] = msgspec.field(default_factory=dict)
    overflow: int = 0
    refused: str | None = None


class SiteStatistics(msgspec.Struct):
    """What one site contributes. ``metrics``: histograms by metric, in the bins of the answer. ``scanned``: rows that were read
    for it; ``missed``: jobs that could not be read and are missing."""

    groups: list[Group] = msgspec.field(default_factory=list)
    histograms: dict[str, Histogram] = msgspec.field(default_factory=dict)
    metrics: dict[str, Histogram] = msgspec.field(default_factory=dict)
    scanned: int = 0
    missed: int = 0
    notes: list[str] = msgspec.field(default_factory=list)


class Counter:
    """Counts rows of one site, in memory that grows with the number of groups and not with that of jobs."""

    def __init__(self, wanted: StatisticsWanted, site: str) -> None:
        self._wanted, self._site = wanted, site
        self._attribute = _GROUPS.get(wanted.group) if wanted.group is not None else None
        self._sums: dict[str, dict[Figure, int]] = {}
        self._users: dict[str, set[str]] = {}
        self._histograms = {name: Histogram() for name in wanted.histograms}
        self._metrics: dict[str, dict[int, int]] = {one.metric: {} for one in wanted.bins}

    def add(self, rows: Iterable[JobRow]) -> None:
        """Counts these rows too."""
        for row in rows:
            self._add(row)

    def _add(self, row: JobRow) -> None:
        wanted = self._wanted
        key = getattr(row, self._attribute) if self._attribute else self._site if wanted.group is GroupBy.SITE else ""
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = dict.fromkeys(wanted.figures | {Figure.JOBS}, 0)
        sums[Figure.JOBS] += 1
        if Figure.RUNNING in sums:
            sums[Figure.RUNNING] += row.state == "running"
        if Figure.SHORT in sums:
            sums[Figure.SHORT] += row.duration < SHORT
        for figure, attribute in _TIMES.items():
            if figure in sums:
                sums[figure] += row.duration * (getattr(row, attribute) if attribute else 1)
        for figure, attribute in _SUMS.items():
            if figure in sums:
                sums[figure] += getattr(row, attribute)
        if Figure.USERS in sums:
            self._users.setdefault(key, set()).add(row.user)
        self._add_to_histograms(row)

    def _add_to_histograms(self, row: JobRow) -> None:
        wanted = self._wanted
        for name, histogram in self._histograms.items():
            value = wanted.durations.edge(row.duration) if name == DURATIONS else getattr(row, HISTOGRAMS[name])
            if value is None:
                histogram.overflow += 1
            else:
                histogram.counts[value] = histogram.counts.get(value, 0) + 1
        for bins in wanted.bins:
            held = (row.footprint or {}).get(bins.key)
            place = metric_bin(held, bins) if held is not None else None
            if place is not None:
                counts = self._metrics[bins.metric]
                counts[place] = counts.get(place, 0) + 1

    def result(self) -> SiteStatistics:
        """Everything counted so far; without groups there is one, also of no jobs."""
        if self._wanted.group is None and not self._sums:
            self._sums[""] = dict.fromkeys(self._wanted.figures | {Figure.JOBS}, 0)
        groups = []
        for key, sums in self._sums.items():
            amounts = {figure.value: Amount.exact(value) for figure, value in sums.items() if figure is not Figure.USERS}
            users = self._users.get(key, set()) if Figure.USERS in self._wanted.figures else None
            groups.append(Group(key, "", amounts, {}, users, [self._site]))
        metrics = {one.metric: Histogram(spread(self._metrics[one.metric], one)) for one in self._wanted.bins}
        return SiteStatistics(groups, self._histograms, metrics)


def merge_histograms(parts: Sequence[Histogram]) -> Histogram:
    """Counts added; refused as soon as one part is."""
    merged = Histogram()
    for part in parts:
        merged.refused = merged.refused or part.refused
        merged.overflow += part.overflow
        for value, jobs in part.counts.items():
            merged.counts[value] = merged.counts.get(value, 0) + jobs
    return merged
