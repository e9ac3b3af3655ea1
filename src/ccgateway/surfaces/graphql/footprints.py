"""``Footprints`` and ``JobStats``, and the fields about metrics of many jobs: averages, samples, statistics."""

from __future__ import annotations

from typing import Annotated

import strawberry

from ccgateway.federation.footprints import MetricsQuestion, SiteSummary
from ccgateway.jobs.statistics.figures import Exactness, Quality
from ccgateway.jobs.statistics.footprints import HeatmapWanted
from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.inputs import JobFilter, Policy, PolicyArgument, SitesArgument, filter_values
from ccgateway.surfaces.graphql.metrics import MetricStatistics, NamedStats
from ccgateway.surfaces.graphql.scalars import Int64

__all__ = ["Footprints", "JobStats", "jobs_footprints", "jobs_metric_stats", "roofline_heatmap"]

argument = strawberry.argument
FilterArgument = Annotated[list[JobFilter] | None, argument(description="All of these must hold.")]


@strawberry.type(description="What each job weighs, in minutes times its parts; 1 where a job has none.")
class TimeWeights:
    node_hours: list[float | None] = strawberry.field(description="Minutes times nodes.")
    acc_hours: list[float | None] = strawberry.field(description="Minutes times accelerators.")
    core_hours: list[float | None] = strawberry.field(description="Minutes times hardware threads.")


@strawberry.type(description="One metric's averages.")
class MetricFootprints:
    metric: str = strawberry.field(description="The metric.")
    unit: str | None = strawberry.field(description="The unit of all of them; null where no site says any.")
    data: list[float | None] | None = strawberry.field(
        description="One average for each job; null for a job that has none. Null as a whole where sites' units cannot be "
        "converted: `extensions.exactness` says so."
    )


@strawberry.type(description="Averages of metrics of many jobs. All lists have the same jobs in the same order.")
class Footprints:
    time_weights: TimeWeights = strawberry.field(description="What each job weighs.")
    metrics: list[MetricFootprints] = strawberry.field(description="The metrics, in the order asked for.")


@strawberry.type(description="One job and what its metrics come to.")
class JobStats:
    site: str = strawberry.field(description="The site that has it.")
    id: Int64 = strawberry.field(description="The job's integer id over all sites, as in the REST interfaces.")
    job_id: str = strawberry.field(description="The scheduler's job number.")
    start_time: Int64 = strawberry.field(description="When it started, in seconds since 1970.")
    duration: Int64 = strawberry.field(description="Seconds of run time so far.")
    cluster: str = strawberry.field(description="The cluster.")
    sub_cluster: str = strawberry.field(description="The sub-cluster.")
    num_nodes: int = strawberry.field(description="Number of nodes.")
    num_hw_threads: int | None = strawberry.field(name="numHWThreads", description="Number of hardware threads.")
    num_accelerators: int | None = strawberry.field(description="Number of accelerators.")
    stats: list[NamedStats] = strawberry.field(description="What its metrics come to, in the units of its cluster.")


def _question(info: Info, filters: list[JobFilter] | None, sites: list[str] | None, policy: Policy) -> MetricsQuestion:
    return MetricsQuestion(
        filters=filter_values(filters, info.context.ids), sites=sites, policy=policy.to_value().of(info.context.caller)
    )


async def jobs_footprints(
    info: Info,
    metrics: Annotated[list[str], argument(description="Names of metrics.")],
    filter: FilterArgument = None,  # noqa: A002
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
) -> Footprints:
    context = info.context
    answer = await context.gateway.footprints(_question(info, filter, sites, policy), metrics, context.caller)
    context.note_gaps(info, answer.reports)
    for report in answer.reports:
        context.note(report)
    found = answer.footprints
    context.note_exactness(info, (Exactness(metric, Quality.REFUSED, reason=reason) for metric, reason in found.refused.items()))
    return Footprints(
        time_weights=TimeWeights(
            node_hours=list(found.node_hours), acc_hours=list(found.acc_hours), core_hours=list(found.core_hours)
        ),
        metrics=[
            MetricFootprints(metric=name, unit=answer.units.get(name), data=found.metrics.get(name))
            for name in dict.fromkeys(metrics)
        ],
    )


async def roofline_heatmap(
    info: Info,
    *,
    filter: Annotated[list[JobFilter], argument(description="All of these must hold.")],  # noqa: A002
    rows: Annotated[int, argument(description="Rows of the answer.")],
    cols: Annotated[int, argument(description="Columns of the answer.")],
    min_x: Annotated[float, argument(description="Where columns begin; above 0. Columns are of equal width by logarithm.")],
    min_y: Annotated[float, argument(description="Where rows begin; above 0. Rows are of equal height by logarithm.")],
    max_x: Annotated[float, argument(description="Where columns end.")],
    max_y: Annotated[float, argument(description="Where rows end.")],
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
) -> list[list[float]]:
    context = info.context
    wanted = HeatmapWanted(filter_values(filter, context.ids), rows, cols, min_x, min_y, max_x, max_y)
    answer = await context.gateway.heatmap(_question(info, filter, sites, policy), wanted, context.caller)
    context.note_gaps(info, answer.reports)
    return answer.cells


async def jobs_metric_stats(
    info: Info,
    filter: FilterArgument = None,  # noqa: A002
    metrics: Annotated[list[str] | None, argument(description="Names of metrics; all of them if left out.")] = None,
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
) -> list[JobStats]:
    context = info.context
    answer = await context.gateway.summaries(_question(info, filter, sites, policy), metrics, context.caller)
    context.note_gaps(info, answer.reports)
    for report in answer.reports:
        context.note(report)
    numbers = context.gateway.numbers
    return [_shown(one, numbers[one.site]) for one in answer.items]


def _shown(one: SiteSummary, number: int) -> JobStats:
    job = one.job
    return JobStats(
        site=one.site,
        id=Int64(job.id * 1000 + number),
        job_id=str(job.job_id),
        start_time=Int64(job.start_time),
        duration=Int64(job.duration),
        cluster=job.cluster,
        sub_cluster=job.sub_cluster,
        num_nodes=job.num_nodes,
        num_hw_threads=job.num_hw_threads,
        num_accelerators=job.num_accelerators,
        stats=[
            NamedStats(name=name, data=MetricStatistics(avg=data.avg, min=data.min, max=data.max))
            for name, data in job.stats.items()
        ],
    )
