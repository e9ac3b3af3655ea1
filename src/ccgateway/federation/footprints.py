"""Averages, samples and statistics of metrics of the jobs of all sites: concatenated, added, sorted, in one unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from math import isfinite

from msgspec import structs

from ccgateway.errors import Code, FederationError, RequestError, SiteError
from ccgateway.federation.lookups import Lookups
from ccgateway.federation.questions import Policy, SiteReport
from ccgateway.federation.statistics import configs_of, insist, report_counted
from ccgateway.identity.principal import Principal
from ccgateway.jobs.clusters import Cluster
from ccgateway.jobs.conditions import check_sizes, conditions_of
from ccgateway.jobs.filters import JobFilter
from ccgateway.jobs.statistics.footprints import (
    Footprints,
    FootprintsWanted,
    HeatmapWanted,
    JobSummaries,
    JobSummary,
    SummariesWanted,
    added,
    concatenated,
    factor,
)
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext

__all__ = ["FootprintsAnswer", "HeatmapAnswer", "JobFootprints", "MetricsQuestion", "SiteSummary", "SummariesAnswer"]

#: cells of a heat map
MOST_CELLS = 250_000
#: the metrics of the roofline
FLOPS, BANDWIDTH = "flops_any", "mem_bw"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsQuestion:
    """Which jobs, at which sites, and what to do without one."""

    filters: Sequence[JobFilter] = ()
    sites: Sequence[str] | None = None
    policy: Policy = Policy.PARTIAL


@dataclass(frozen=True, slots=True)
class FootprintsAnswer:
    """The averages of all jobs, the unit of each metric where it is known, and what each site came to."""

    footprints: Footprints
    units: Mapping[str, str]
    reports: list[SiteReport]


@dataclass(frozen=True, slots=True)
class HeatmapAnswer:
    """Cells by row and column, and what each site came to."""

    cells: list[list[float]]
    reports: list[SiteReport]


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """A job's statistics and the site that has it."""

    site: str
    job: JobSummary


@dataclass(frozen=True, slots=True)
class SummariesAnswer:
    """The jobs of all sites, oldest first, and what each site came to."""

    items: list[SiteSummary]
    reports: list[SiteReport]


_Unit = tuple[str, str]


@dataclass(frozen=True, slots=True)
class JobFootprints:
    """The use cases. Asks as ``lookups`` does. A site gives at most as many jobs as a page may have, and as may be read."""

    lookups: Lookups

    async def footprints(self, question: MetricsQuestion, metrics: Sequence[str], caller: Principal) -> FootprintsAnswer:
        """One average of each metric for every job that matches."""
        names = tuple(dict.fromkeys(metrics))
        self._check(question, caller)
        units = await self._units(question, names, caller)
        wanted = FootprintsWanted(tuple(question.filters), names)
        hidden: dict[str, bool] = {}

        async def ask(site: Site, context: CallContext) -> list[Footprints]:
            hidden[site.name] = site.hides_others(context.credential)
            return [await site.footprints(context, wanted, budget=self._budget)]

        found, reports = await self.lookups.of_each_instance(caller, question.sites, question.policy, ask)
        for report in reports:
            if report.site in found:
                part = found[report.site][0]
                report_counted(report, part, len(part.node_hours), is_hidden=hidden[report.site])
        insist(reports, self.lookups.registry, question.policy)
        parts = [_converted(part, {metric: units[metric].of(site) for metric in names}) for site, (part,) in found.items()]
        shown = {metric: "".join(one.unit) for metric, one in units.items() if one.unit is not None}
        return FootprintsAnswer(concatenated(parts, names), shown, reports)

    async def heatmap(self, question: MetricsQuestion, wanted: HeatmapWanted, caller: Principal) -> HeatmapAnswer:
        """The samples of every job that matches, added up."""
        if wanted.rows < 1 or wanted.cols < 1 or wanted.rows * wanted.cols > MOST_CELLS:
            raise RequestError(Code.BAD_REQUEST, f"rows and cols are at least 1, and no more than {MOST_CELLS} cells together.")
        ends = wanted.min_x, wanted.max_x, wanted.min_y, wanted.max_y
        is_finite = all(map(isfinite, ends)) and min(ends) > 0
        if not is_finite or wanted.min_x >= wanted.max_x or wanted.min_y >= wanted.max_y:
            raise RequestError(Code.BAD_REQUEST, "minX and minY are above 0; minX is below maxX, and minY below maxY.")
        self._check(question, caller)
        units = await self._units(question, (FLOPS, BANDWIDTH), caller)

        async def ask(site: Site, context: CallContext) -> list[list[list[float]]]:
            flops, bandwidth = units[FLOPS].of(site.name), units[BANDWIDTH].of(site.name)
            if isinstance(flops, str) or isinstance(bandwidth, str):
                raise SiteError(Code.UNSUPPORTED, site.name, flops if isinstance(flops, str) else str(bandwidth))
            up, along = flops, flops / bandwidth
            own = replace(
                wanted,
                min_x=wanted.min_x / along, max_x=wanted.max_x / along, min_y=wanted.min_y / up, max_y=wanted.max_y / up,
            )  # fmt: skip
            return [await site.heatmap(context, own, budget=self._budget)]

        found, reports = await self.lookups.of_each_instance(caller, question.sites, question.policy, ask)
        insist(reports, self.lookups.registry, question.policy)
        return HeatmapAnswer(added([part for (part,) in found.values()], wanted.rows, wanted.cols), reports)

    async def summaries(self, question: MetricsQuestion, metrics: Sequence[str] | None, caller: Principal) -> SummariesAnswer:
        """The statistics of every job that matches, oldest first, ties by site. A job has none of a metric that its cluster does
        not measure: some releases say zeros then."""
        self._check(question, caller)
        clusters = await self._clusters(question, caller) if metrics else {}
        wanted = SummariesWanted(tuple(question.filters), None if metrics is None else tuple(dict.fromkeys(metrics)))
        hidden: dict[str, bool] = {}

        async def ask(site: Site, context: CallContext) -> list[JobSummaries]:
            hidden[site.name] = site.hides_others(context.credential)
            return [await site.summaries(context, wanted, budget=self._budget)]

        found, reports = await self.lookups.of_each_instance(caller, question.sites, question.policy, ask)
        for report in reports:
            if report.site in found:
                part = found[report.site][0]
                report_counted(report, part, len(part.jobs), is_hidden=hidden[report.site])
        insist(reports, self.lookups.registry, question.policy)
        items = []
        for site, (part,) in found.items():
            measured = {one.name: {config.name for config in configs_of(one)} for one in clusters.get(site, ())}
            items += [SiteSummary(site, _measured(job, measured.get(job.cluster))) for job in part.jobs]
        return SummariesAnswer(sorted(items, key=lambda one: (one.job.start_time, one.site, one.job.id)), reports)

    @property
    def _budget(self) -> int:
        return min(self.lookups.limits.scan_budget, self.lookups.limits.page_jobs)

    def _check(self, question: MetricsQuestion, caller: Principal) -> None:
        check_sizes(question.filters)
        for one in self.lookups.registry.chosen(question.sites, caller):
            conditions_of(question.filters, one.name)

    async def _units(self, question: MetricsQuestion, metrics: Sequence[str], caller: Principal) -> dict[str, _Units]:
        clusters = await self._clusters(question, caller)
        return {metric: _Units(metric, _units_at(metric, clusters)) for metric in metrics}

    async def _clusters(self, question: MetricsQuestion, caller: Principal) -> Mapping[str, Sequence[Cluster]]:
        """The clusters of each site that tells them."""

        async def ask(site: Site, context: CallContext) -> list[Cluster]:
            return await site.clusters(context, with_partitions=False)

        try:
            found, _ = await self.lookups.of_each(caller, question.sites, Policy.PARTIAL, ask)
        except FederationError:
            return {}
        return found


def _measured(job: JobSummary, metrics: Set[str] | None) -> JobSummary:
    """The job without statistics of metrics that its cluster does not have, where it is known which it has."""
    if metrics is None or job.stats.keys() <= metrics:
        return job
    return structs.replace(job, stats={name: its for name, its in job.stats.items() if name in metrics})


def _units_at(metric: str, found: Mapping[str, Sequence[Cluster]]) -> dict[str, set[_Unit]]:
    """The units in which each site's clusters have the metric."""
    return {
        site: {
            (config.unit.prefix or "", config.unit.base)
            for one in clusters
            for config in configs_of(one)
            if config.name == metric
        }
        for site, clusters in found.items()
    }


@dataclass(frozen=True, slots=True)
class _Units:
    """The units of one metric by site. That of the first site is everybody's."""

    metric: str
    at: Mapping[str, set[_Unit]]

    @property
    def unit(self) -> _Unit | None:
        """The unit of the answer; ``None`` where no site says any."""
        return next((min(units) for units in self.at.values() if units), None)

    def of(self, site: str) -> float | str:
        """What the site's values are multiplied with, or why they cannot be converted; a site without a unit has none."""
        units, into = self.at.get(site) or set(), self.unit
        if not units or into is None:
            return 1.0
        if len(units) > 1:
            return f"Clusters of {site} measure {self.metric} in different units."
        found = factor(next(iter(units)), into)
        return f"The units of {self.metric} at {site} cannot be converted." if found is None else found


def _converted(part: Footprints, factors: Mapping[str, float | str]) -> Footprints:
    refused = {metric: reason for metric, reason in factors.items() if isinstance(reason, str) and part.node_hours}
    metrics: dict[str, list[float | None]] = {}
    for metric, by in factors.items():
        values = part.metrics[metric]
        if isinstance(by, float) and by != 1.0:
            values = [None if value is None else value * by for value in values]
        metrics[metric] = values
    return Footprints(part.node_hours, part.acc_hours, part.core_hours, metrics, refused)
