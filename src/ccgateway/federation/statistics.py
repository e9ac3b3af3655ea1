"""Statistics over all sites: what each contributes, merged by the rules of ``jobs.statistics``, sorted and cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ccgateway.errors import Code, FederationError, GatewayError, RequestError, SiteError
from ccgateway.federation.lookups import Lookups
from ccgateway.federation.questions import EVERYTHING, PageRequest, Policy, SiteReport
from ccgateway.identity.principal import Principal
from ccgateway.jobs.clusters import Cluster, MetricConfig
from ccgateway.jobs.conditions import check_sizes, conditions_of
from ccgateway.jobs.filters import JobFilter
from ccgateway.jobs.statistics.counting import (
    DURATIONS,
    Histogram,
    SiteStatistics,
    StatisticsWanted,
    merge_histograms,
)
from ccgateway.jobs.statistics.figures import (
    Amount,
    Exactness,
    Figure,
    Group,
    GroupBy,
    Quality,
    cut,
    merge_groups,
    shown,
)
from ccgateway.jobs.statistics.histograms import MOST_BINS, Durations, MetricAxis, MetricPeak, align, duration_bins
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.registry import Registry
from ccgateway.tasks import side_by_side

__all__ = [
    "METRICS",
    "JobStatistics",
    "MetricHistogram",
    "Statistics",
    "StatisticsAnswer",
    "StatisticsQuestion",
    "configs_of",
    "insist",
    "report_counted",
]

#: the field with the histograms of metrics
METRICS = "histMetrics"
DEFAULT_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsQuestion:
    """A question for statistics. ``figures``, ``histograms``: names of those that the answer will show. ``sort_by``, ``page``: of
    the groups, largest first. ``exact``: what merging does not give exactly is counted from jobs, within the scan budget."""

    filters: Sequence[JobFilter] = ()
    figures: frozenset[Figure] = frozenset()
    histograms: frozenset[str] = frozenset()
    metrics: Sequence[str] = ()
    group_by: GroupBy | None = None
    sort_by: Figure | None = None
    page: PageRequest | None = None
    num_duration_bins: str | None = None
    num_metric_bins: int | None = None
    sites: Sequence[str] | None = None
    policy: Policy = Policy.PARTIAL
    exact: bool = False

    def __post_init__(self) -> None:
        if self.group_by is not None and self.histograms:
            raise RequestError(Code.BAD_REQUEST, "Histograms are of all jobs that match: they do not go with groups.")
        if self.num_metric_bins is not None and not 1 <= self.num_metric_bins <= MOST_BINS:
            raise RequestError(Code.BAD_REQUEST, f"numMetricBins: {self.num_metric_bins} is not between 1 and {MOST_BINS}.")
        if self.page is not None and (self.page.number < 1 or self.page.size < EVERYTHING or self.page.size == 0):
            raise RequestError(
                Code.BAD_REQUEST, "page: the number starts at 1; itemsPerPage is at least 1, or -1 for everything."
            )


@dataclass(frozen=True, slots=True)
class MetricHistogram:
    """The histogram of one metric: (bin, lower edge, upper edge, jobs); ``points`` is ``None`` where it is refused."""

    metric: str
    unit: str
    stat: str | None
    points: list[tuple[int, int, int, int]] | None


@dataclass(frozen=True, slots=True)
class JobStatistics:
    """The statistics of one group, or of all jobs that match. A histogram that is ``None`` is refused or was not asked for."""

    group: Group
    exactness: list[Exactness]
    histograms: Mapping[str, list[tuple[int, int]] | None]
    overflow: int | None = None
    metrics: Sequence[MetricHistogram] = ()


@dataclass(frozen=True, slots=True)
class StatisticsAnswer:
    """Groups in order, and what each site came to."""

    items: list[JobStatistics]
    reports: list[SiteReport]

    @property
    def complete(self) -> bool:
        """Whether no site is missing from it."""
        return all(report.is_complete for report in self.reports)


@dataclass(frozen=True, slots=True)
class _Merged:
    """What all sites contribute together."""

    groups: Mapping[str, Group]
    histograms: Mapping[str, Histogram]
    metrics: Mapping[str, Histogram]
    axes: Mapping[str, MetricAxis | str]
    durations: Durations
    reports: list[SiteReport]


@dataclass(frozen=True, slots=True)
class Statistics:
    """The use case. Asks as ``lookups`` does."""

    lookups: Lookups

    async def many(self, questions: Sequence[StatisticsQuestion], caller: Principal) -> list[StatisticsAnswer | GatewayError]:
        """One outcome for each. Those over the same jobs in the same groups are one question to the sites."""
        outcomes: dict[int, StatisticsAnswer | GatewayError] = {}

        async def answer(alike: Sequence[int]) -> None:
            try:
                merged = await self._merged(_together([questions[n] for n in alike]), caller)
            except GatewayError as error:
                outcomes.update(dict.fromkeys(alike, error))
            else:
                outcomes.update({n: _answer(questions[n], merged) for n in alike})

        async with side_by_side() as group:
            for alike in _alike(questions):
                group.create_task(answer(alike), name="statistics over the same jobs")
        return [outcomes[n] for n in range(len(questions))]

    async def _merged(self, question: StatisticsQuestion, caller: Principal) -> _Merged:
        check_sizes(question.filters)
        registry, limits = self.lookups.registry, self.lookups.limits
        instances = registry.chosen(question.sites, caller)
        for one in instances:
            conditions_of(question.filters, one.name)  # words that no release documents are refused before any site is asked
        durations = duration_bins(question.num_duration_bins)
        axes = await self._axes(question, caller) if METRICS in question.histograms else {}
        is_merged = len(instances) > 1 and question.group_by is not GroupBy.SITE
        wanted = StatisticsWanted(
            filters=tuple(question.filters),
            group=question.group_by,
            figures=question.figures,
            histograms=question.histograms - {METRICS},
            durations=durations,
            is_exact=question.exact and (is_merged or Figure.SHORT in question.figures),
        )

        async def ask(site: Site, context: CallContext) -> list[SiteStatistics]:
            aligned = [axis for axis in axes.values() if isinstance(axis, MetricAxis)]
            bins = tuple(axis.sites[site.name] for axis in aligned if site.name in axis.sites)
            found = await site.statistics(context, replace(wanted, bins=bins), budget=limits.scan_budget)
            for axis in aligned:
                if site.name not in axis.sites and _jobs_in(found):
                    reason = f"{site.name} does not say what {axis.metric} can reach there."
                    found.metrics[axis.metric] = Histogram(refused=reason)
            hidden[site.name] = site.hides_others(context.credential)
            return [found]

        hidden: dict[str, bool] = {}
        found, reports = await self.lookups.of_each_instance(caller, question.sites, question.policy, ask)
        parts = [part for (part,) in found.values()]
        for report in reports:
            if report.site in found:
                part = found[report.site][0]
                report_counted(report, part, _jobs_in(part), is_hidden=hidden[report.site])
        insist(reports, registry, question.policy)
        return _Merged(
            merge_groups(group for part in parts for group in part.groups),
            {name: merge_histograms([part.histograms[name] for part in parts]) for name in wanted.histograms},
            {metric: merge_histograms([part.metrics[metric] for part in parts if metric in part.metrics]) for metric in axes},
            axes,
            durations,
            reports,
        )

    async def _axes(self, question: StatisticsQuestion, caller: Principal) -> dict[str, MetricAxis | str]:
        """The bins of every metric, from what the sites' clusters say of it."""

        async def ask(site: Site, context: CallContext) -> list[Cluster]:
            return await site.clusters(context, with_partitions=False)

        names = dict.fromkeys(question.metrics)
        try:
            found, _ = await self.lookups.of_each(caller, question.sites, Policy.PARTIAL, ask)
        except FederationError:
            found = {}
        bins = DEFAULT_BINS if question.num_metric_bins is None else question.num_metric_bins
        named = {one.cluster.eq for one in question.filters if one.cluster is not None and one.cluster.eq is not None}
        axes: dict[str, MetricAxis | str] = {}
        for metric in names:
            peaks: list[MetricPeak] = []
            reason = None
            for site, clusters in found.items():
                chosen = [one for one in clusters if not named or {one.name} == named]
                peak = _peak(site, metric, chosen)
                if isinstance(peak, str):
                    reason = peak
                elif peak is not None:
                    peaks.append(peak)
            axes[metric] = reason or align(metric, peaks, bins)
        return axes


#: the statistic of a metric that its footprint keeps, where a site does not say: what its own answer says is held against it
_USUAL_STATS = {"mem_used": "max"}


def _peak(site: str, metric: str, clusters: Sequence[Cluster]) -> MetricPeak | str | None:
    configs = [config for cluster in clusters for config in configs_of(cluster) if config.name == metric]
    if not configs:
        return None
    units = {(config.unit.prefix or "", config.unit.base) for config in configs}
    if len(units) > 1:
        return f"Clusters of {site} measure {metric} in different units: name one cluster."
    widest = max(configs, key=lambda config: config.peak)
    ((prefix, base),) = units
    return MetricPeak(site, base, prefix, widest.peak, widest.footprint or _USUAL_STATS.get(metric, "avg"))


def configs_of(cluster: Cluster) -> Iterable[MetricConfig]:
    """The metrics of a cluster; of its sub-clusters, where they are not told for the whole."""
    if cluster.metric_config:
        return cluster.metric_config
    return (config for part in cluster.sub_clusters or () for config in part.metric_config or ())


def _alike(questions: Sequence[StatisticsQuestion]) -> list[list[int]]:
    """The places of questions that go together."""
    found: dict[object, list[int]] = {}
    for n, one in enumerate(questions):
        sites = None if one.sites is None else tuple(one.sites)
        shape: object = None
        if one.histograms:
            shape = one.num_duration_bins, tuple(one.metrics), one.num_metric_bins
        found.setdefault((tuple(one.filters), one.group_by, sites, one.policy, one.exact, shape), []).append(n)
    return list(found.values())


def _together(questions: Sequence[StatisticsQuestion]) -> StatisticsQuestion:
    figures = frozenset[Figure]().union(*(one.figures | ({one.sort_by} if one.sort_by else set()) for one in questions))
    histograms = frozenset[str]().union(*(one.histograms for one in questions))
    return replace(questions[0], figures=figures, histograms=histograms, page=None, sort_by=None)


def _jobs_in(found: SiteStatistics) -> int:
    return sum(group.amounts[Figure.JOBS.value].value for group in found.groups)


def insist(reports: Sequence[SiteReport], registry: Registry, policy: Policy) -> None:
    """Raises ``FederationError`` where a site is missing for its budget that must not be missing: a list would go on by its
    cursor, a sum cannot."""
    spent = [
        SiteError(report.code, report.site, report.message or "")
        for report in reports
        if report.code is Code.SCAN_BUDGET and (policy is Policy.STRICT or registry.one(report.site).settings.required)
    ]
    if spent:
        names = ", ".join(str(error.site) for error in spent)
        raise FederationError(Code.INCOMPLETE, f"Not complete without {names}, which must not be missing.", spent)


class _Counted(Protocol):
    scanned: int
    missed: int
    notes: list[str]


def report_counted(report: SiteReport, part: _Counted, returned: int, *, is_hidden: bool) -> None:
    """What a site's part says of how it was read. ``returned``: its jobs in the answer. ``is_hidden``: other people's jobs are
    dropped from what it sends, so that nothing may tell how many there were."""
    report.scanned, report.notes, report.returned = part.scanned, list(part.notes), returned
    if is_hidden:
        report.calls = min(report.calls, 1)
    if part.missed:
        what = "Some jobs may be" if is_hidden else "1 job is" if part.missed == 1 else f"{part.missed} jobs are"
        report.note_gap(Code.UNREADABLE_JOBS, f"{what} missing from the figures, as the site cannot read them.")


def _answer(question: StatisticsQuestion, merged: _Merged) -> StatisticsAnswer:
    figures = sorted(question.figures)
    groups: list[Group] = list(merged.groups.values())
    if question.group_by is None:
        groups = groups or [Group("") if merged.reports else Group("", amounts={one.value: Amount.exact(0) for one in figures})]
    else:
        size, skip = None, 0
        if question.page is not None and question.page.size != EVERYTHING:
            size, skip = question.page.size, (question.page.number - 1) * question.page.size
        groups = cut(groups, question.sort_by, skip=skip, size=size)
    items = [_shown(question, merged, group, figures) for group in groups]
    return StatisticsAnswer(items, merged.reports)


def _shown(question: StatisticsQuestion, merged: _Merged, group: Group, figures: Sequence[Figure]) -> JobStatistics:
    exactness = shown(group, figures)
    histograms: dict[str, list[tuple[int, int]] | None] = {}
    overflow: int | None = None
    for name in sorted(question.histograms - {METRICS}):
        histogram = merged.histograms[name]
        exactness.append(_trust(name, histogram))
        if histogram.refused is not None:
            histograms[name] = None
        elif name == DURATIONS:
            histograms[name], overflow = merged.durations.points(histogram.counts), histogram.overflow
        else:
            histograms[name] = sorted(histogram.counts.items())
    metrics = []
    for metric in dict.fromkeys(question.metrics) if METRICS in question.histograms else ():
        axis = merged.axes[metric]
        histogram = merged.metrics[metric] if isinstance(axis, MetricAxis) else Histogram(refused=axis)
        exactness.append(_trust(f"{METRICS}.{metric}", histogram, axis))
        points = axis.points(histogram.counts) if isinstance(axis, MetricAxis) and histogram.refused is None else None
        unit, stat = (axis.unit, axis.stat) if isinstance(axis, MetricAxis) else ("", None)
        metrics.append(MetricHistogram(metric, unit, stat, points))
    return JobStatistics(group, exactness, histograms, overflow, metrics)


def _trust(name: str, histogram: Histogram, axis: MetricAxis | str | None = None) -> Exactness:
    if histogram.refused is not None:
        return Exactness(name, Quality.REFUSED, reason=histogram.refused)
    if isinstance(axis, MetricAxis) and not axis.is_exact:
        reason = "The sites' peaks differ: a value exactly on an edge of a bin may be counted in the one beside it."
        return Exactness(name, Quality.BOUNDED, reason=reason)
    return Exactness(name, Quality.EXACT)
