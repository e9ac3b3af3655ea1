"""``JobsStatistics`` and what it is made of, and the field that gives it."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import strawberry

from ccgateway.errors import GatewayError
from ccgateway.federation import statistics as values
from ccgateway.federation.statistics import StatisticsAnswer, StatisticsQuestion
from ccgateway.jobs.statistics import figures as rules
from ccgateway.jobs.statistics.counting import DURATIONS, HISTOGRAMS
from ccgateway.jobs.statistics.figures import FIGURES, Figure
from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.inputs import JobFilter, PageRequest, Policy, PolicyArgument, SitesArgument, filter_values
from ccgateway.surfaces.graphql.scalars import Int64
from ccgateway.surfaces.graphql.sites import SiteReport

__all__ = ["Aggregate", "JobsStatistics", "SortByAggregate", "jobs_statistics"]

argument = strawberry.argument


@strawberry.enum(description="By what jobs are grouped.")
class Aggregate(Enum):
    USER = strawberry.enum_value("USER", description="By user.")
    PROJECT = strawberry.enum_value("PROJECT", description="By project.")
    CLUSTER = strawberry.enum_value("CLUSTER", description="By the name of the cluster.")
    SUBCLUSTER = strawberry.enum_value("SUBCLUSTER", description="By the name of the sub-cluster.")
    SITE = strawberry.enum_value("SITE", description="By site (the gateway's own).")


@strawberry.enum(description="By what groups are sorted, largest first.")
class SortByAggregate(Enum):
    TOTALWALLTIME = strawberry.enum_value("TOTALWALLTIME", description="By `totalWalltime`.")
    TOTALJOBS = strawberry.enum_value("TOTALJOBS", description="By `totalJobs`.")
    TOTALUSERS = strawberry.enum_value("TOTALUSERS", description="By `totalUsers`.")
    TOTALNODES = strawberry.enum_value("TOTALNODES", description="By `totalNodes`.")
    TOTALNODEHOURS = strawberry.enum_value("TOTALNODEHOURS", description="By `totalNodeHours`.")
    TOTALCORES = strawberry.enum_value("TOTALCORES", description="By `totalCores`.")
    TOTALCOREHOURS = strawberry.enum_value("TOTALCOREHOURS", description="By `totalCoreHours`.")
    TOTALACCS = strawberry.enum_value("TOTALACCS", description="By `totalAccs`.")
    TOTALACCHOURS = strawberry.enum_value("TOTALACCHOURS", description="By `totalAccHours`.")


@strawberry.enum(name="FigureQuality", description="How far a figure can be trusted.")
class Quality(Enum):
    EXACT = strawberry.enum_value("EXACT", description="It is what counting all jobs at once would give.")
    BOUNDED = strawberry.enum_value("BOUNDED", description="The true value lies between `atLeast` and `atMost`.")
    REFUSED = strawberry.enum_value("REFUSED", description="It cannot be had; `reason` says why.")


@strawberry.type(description="How far one figure can be trusted.")
class FigureExactness:
    figure: str = strawberry.field(description="The field; for the histogram of a metric `histMetrics.` and its name.")
    quality: Quality = strawberry.field(description="How far it can be trusted.")
    at_least: Int64 | None = strawberry.field(description="The true value is no smaller; null for histograms.")
    at_most: Int64 | None = strawberry.field(description="The true value is no larger; null for histograms.")
    reason: str | None = strawberry.field(description="Why it is not exact; null if it is.")


@strawberry.type(description="One bin of a histogram.")
class HistoPoint:
    count: Int64 = strawberry.field(description="How many jobs.")
    value: Int64 = strawberry.field(
        description="The number itself; of durations, the upper edge of the bin in seconds, which is not part of it."
    )


@strawberry.type(description="One bin of the histogram of a metric.")
class MetricHistoPoint:
    bin: int | None = strawberry.field(description="Which bin, from 1.")
    count: Int64 = strawberry.field(description="How many jobs.")
    min: Int64 | None = strawberry.field(description="Where it begins, as a whole number.")
    max: Int64 | None = strawberry.field(description="Where it ends, as a whole number.")


@strawberry.type(description="The histogram of what jobs' footprints say of one metric, from 0 to the metric's peak.")
class MetricHistoPoints:
    metric: str = strawberry.field(description="The metric.")
    unit: str = strawberry.field(description="The unit of the bins; other sites' values are converted into it.")
    stat: str | None = strawberry.field(description="Which statistic of a job is counted.")
    data: list[MetricHistoPoint] | None = strawberry.field(description="The bins; null if refused: `exactness` says why.")


@strawberry.type(
    description="Figures of the jobs that match, at all sites together. A figure that cannot be had is null, and `exactness` "
    "says why; it also says how far others may be off."
)
class JobsStatistics:
    id: strawberry.ID = strawberry.field(description="User, project, cluster, sub-cluster or site; empty without `groupBy`.")
    name: str = strawberry.field(description="The user's full name, where a site knows it.")
    total_users: Int64 | None = strawberry.field(description="Distinct users, by their names, over all sites.")
    total_jobs: Int64 | None = strawberry.field(description="Jobs.")
    running_jobs: Int64 | None = strawberry.field(description="Jobs that run.")
    short_jobs: Int64 | None = strawberry.field(
        description="Jobs shorter than each site's own limit; 300 seconds where jobs are counted one by one."
    )
    total_walltime: Int64 | None = strawberry.field(description="Hours used so far.")
    total_nodes: Int64 | None = strawberry.field(description="Nodes of all jobs together.")
    total_node_hours: Int64 | None = strawberry.field(description="Node hours used so far.")
    total_cores: Int64 | None = strawberry.field(description="Hardware threads of all jobs together.")
    total_core_hours: Int64 | None = strawberry.field(description="Core hours used so far.")
    total_accs: Int64 | None = strawberry.field(description="Accelerators of all jobs together.")
    total_acc_hours: Int64 | None = strawberry.field(description="Accelerator hours used so far.")
    hist_duration: list[HistoPoint] | None = strawberry.field(
        description="Jobs by duration, in bins of `numDurationBins`; null if refused."
    )
    hist_duration_overflow: Int64 | None = strawberry.field(description="Jobs longer than the last bin of `histDuration`.")
    hist_num_nodes: list[HistoPoint] | None = strawberry.field(description="Jobs by number of nodes; null if refused.")
    hist_num_cores: list[HistoPoint] | None = strawberry.field(description="Jobs by number of hardware threads; null if refused.")
    hist_num_accs: list[HistoPoint] | None = strawberry.field(description="Jobs by number of accelerators; null if refused.")
    hist_metrics: list[MetricHistoPoints] | None = strawberry.field(description="Histograms of `metrics`.")
    exactness: list[FigureExactness] = strawberry.field(description="How far each figure can be trusted that was asked for.")
    complete: bool = strawberry.field(description="Whether no site is missing from the figures.")
    sites: list[SiteReport] = strawberry.field(description="One report per site asked.")


#: word of ``SortByAggregate`` → field
_SORTS = {name.upper(): name for name in FIGURES}


# --- the field of Query


async def jobs_statistics(
    info: Info,
    *,
    filter: Annotated[list[JobFilter] | None, argument(description="All of these must hold.")] = None,  # noqa: A002
    metrics: Annotated[list[str] | None, argument(description="Metrics of `histMetrics`.")] = None,
    page: Annotated[PageRequest | None, argument(description="One page of the groups; all of them if left out.")] = None,
    sort_by: Annotated[SortByAggregate | None, argument(description="Largest first; by id if left out.")] = None,
    group_by: Annotated[Aggregate | None, argument(description="One element for each of these.")] = None,
    num_duration_bins: Annotated[
        str | None,
        argument(description="`1m`, `10m`, `1h` (if left out), `6h` or `12h`; any other word means 24 bins of an hour."),
    ] = None,
    num_metric_bins: Annotated[int | None, argument(description="Bins of `histMetrics`; 10 if left out.")] = None,
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
    exact: Annotated[
        bool,
        argument(
            description="Count from jobs what merging does not give exactly. What that takes more jobs for than "
            "`limits.scan_budget` is null."
        ),
    ] = False,
) -> list[JobsStatistics]:
    names = {child.name for child in info.selection.children}
    question = StatisticsQuestion(
        filters=filter_values(filter, info.context.ids),
        figures=frozenset(FIGURES[name] for name in names if name in FIGURES),
        histograms=_histograms(names),
        metrics=tuple(metrics or ()),
        group_by=None if group_by is None else rules.GroupBy[group_by.name],
        sort_by=None if sort_by is None else FIGURES[_SORTS[sort_by.name]],
        page=None if page is None else page.to_value(),
        num_duration_bins=num_duration_bins,
        num_metric_bins=num_metric_bins,
        sites=sites,
        policy=policy.to_value().of(info.context.caller),
        exact=exact,
    )
    outcome = await info.context.statistics.one(question)
    if isinstance(outcome, GatewayError):
        raise outcome
    info.context.note_gaps(info, outcome.reports)
    for report in outcome.reports:
        info.context.note(report)
    info.context.note_exactness(info, (one for item in outcome.items for one in item.exactness))
    return [_shown(item, outcome) for item in outcome.items]


def _histograms(names: set[str]) -> frozenset[str]:
    wanted = {name for name in names if name in HISTOGRAMS or name in (DURATIONS, values.METRICS)}
    return frozenset(wanted | ({DURATIONS} if "histDurationOverflow" in names else set()))


def _shown(item: values.JobStatistics, answer: StatisticsAnswer) -> JobsStatistics:
    group = item.group

    def amount(figure: Figure) -> Int64 | None:
        found = group.amount(figure)
        return None if found is None else Int64(found.value)

    def points(name: str) -> list[HistoPoint] | None:
        found = item.histograms.get(name)
        return None if found is None else [HistoPoint(count=Int64(count), value=Int64(value)) for value, count in found]

    return JobsStatistics(
        id=strawberry.ID(group.id),
        name=group.name,
        total_users=amount(Figure.USERS),
        total_jobs=amount(Figure.JOBS),
        running_jobs=amount(Figure.RUNNING),
        short_jobs=amount(Figure.SHORT),
        total_walltime=amount(Figure.WALLTIME),
        total_nodes=amount(Figure.NODES),
        total_node_hours=amount(Figure.NODE_HOURS),
        total_cores=amount(Figure.CORES),
        total_core_hours=amount(Figure.CORE_HOURS),
        total_accs=amount(Figure.ACCS),
        total_acc_hours=amount(Figure.ACC_HOURS),
        hist_duration=points(DURATIONS),
        hist_duration_overflow=None if item.overflow is None else Int64(item.overflow),
        hist_num_nodes=points("histNumNodes"),
        hist_num_cores=points("histNumCores"),
        hist_num_accs=points("histNumAccs"),
        hist_metrics=[_metric(one) for one in item.metrics],
        exactness=[_exactness(one) for one in item.exactness],
        complete=answer.complete,
        sites=answer.reports,  # type: ignore[arg-type]  # its fields are read off the federation's reports
    )


def _metric(one: values.MetricHistogram) -> MetricHistoPoints:
    data = None
    if one.points is not None:
        data = [
            MetricHistoPoint(bin=place, count=Int64(count), min=Int64(low), max=Int64(high))
            for place, low, high, count in one.points
        ]
    return MetricHistoPoints(metric=one.metric, unit=one.unit, stat=one.stat, data=data)


def _exactness(one: rules.Exactness) -> FigureExactness:
    return FigureExactness(
        figure=one.figure,
        quality=Quality[one.quality.name],
        at_least=None if one.at_least is None else Int64(one.at_least),
        at_most=None if one.at_most is None else Int64(one.at_most),
        reason=one.reason,
    )
