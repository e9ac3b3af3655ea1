"""``JobMetricWithName`` and what it is made of, statistics of it, and the fields that give them.

The types read ``ccgateway.jobs.metrics`` values. Lists of samples are JSON text there, and are passed on as that text:
execution and projection alike take a ``msgspec.Raw`` for a list that is already written (``execution``, ``projection``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import strawberry

from ccgateway.errors import GatewayError
from ccgateway.jobs import metrics as values
from ccgateway.jobs import model
from ccgateway.jobs.metrics import JobRef, MetricPiece, MetricsWanted
from ccgateway.surfaces.graphql.clusters import Unit
from ccgateway.surfaces.graphql.context import Info, RequestContext
from ccgateway.surfaces.graphql.scalars import MetricScope, NullableFloat

__all__ = [
    "IdArgument", "JobMetric", "JobMetricWithName", "MetricStatistics", "NamedStats", "NamedStatsWithScope", "ScopedStats",
    "Series", "StatsSeries", "job_metrics", "job_stats", "load_metrics", "metrics_of_row", "scoped_job_stats",
]  # fmt: skip

argument = strawberry.argument
IdArgument = Annotated[
    strawberry.ID, argument(description="The job's id, `site:number`; a number as the REST faces give it works too.")
]
NamesArgument = Annotated[
    list[str] | None, argument(description="Names of metrics; all of them if left out, none if the list is empty.")
]
ScopesArgument = Annotated[
    list[MetricScope] | None,
    argument(
        description="Scopes; if left out or empty, those that the site chooses. A site gives a metric at the scopes that it "
        "keeps, also where others are asked for: `scope` tells. A site whose token for the gateway has the role `api` alone "
        "always chooses itself."
    ),
]
ResolutionArgument = Annotated[
    int | None,
    argument(
        description="Seconds between two samples, a multiple of the metric's own; 0: the finest that there are. Sites of release "
        "1.4 and later make long series of ended jobs that coarse; without it, as coarse as they are configured to. `timestep` "
        "tells what came, and `extensions.notes` where that is not what was asked for."
    ),
]


@strawberry.type(description="Average, lowest and highest value.")
class MetricStatistics:
    avg: float = strawberry.field(description="The average.")
    min: float = strawberry.field(description="The lowest value.")
    max: float = strawberry.field(description="The highest value.")


@strawberry.type(description="The samples of one place: a host, or one socket, core, hardware thread or accelerator of it.")
class Series:
    hostname: str = strawberry.field(description="The host.")
    id: str | None = strawberry.field(description="Which part of the host, in the site's words; null for the host as a whole.")
    statistics: MetricStatistics | None = strawberry.field(
        description="Of the whole series, also where the samples were thinned out; null if the site gives none."
    )
    data: list[NullableFloat | None] = strawberry.field(
        description="The samples, `timestep` seconds apart, from the job's start on; null where one is missing. The series of "
        "one metric may differ in length."
    )


@strawberry.type(
    description="All series of a metric, taken together sample by sample. Sites compute it where there are many series; what the "
    "site's release does not compute is an empty list: up to 1.3 `median`, from 1.4 on mostly `mean`."
)
class StatsSeries:
    mean: list[NullableFloat | None] = strawberry.field(description="The mean of each sample.")
    median: list[NullableFloat | None] = strawberry.field(description="The median of each sample.")
    min: list[NullableFloat | None] = strawberry.field(description="The lowest of each sample.")
    max: list[NullableFloat | None] = strawberry.field(description="The highest of each sample.")


@strawberry.type(description="One metric of one job at one scope.")
class JobMetric:
    unit: Unit | None = strawberry.field(description="The unit of the samples.")
    timestep: int = strawberry.field(description="Seconds from one sample to the next; 0 where the site has no series.")
    series: list[Series] | None = strawberry.field(description="One series for each place.")
    statistics_series: StatsSeries | None = strawberry.field(
        description="All of them taken together; null if the site gives none."
    )


@strawberry.type(description="One metric of one job at one scope, with its name.")
class JobMetricWithName:
    name: str = strawberry.field(description="The metric's name.")
    scope: MetricScope = strawberry.field(description="What one series measures.")
    metric: JobMetric = strawberry.field(description="The metric itself.")


@strawberry.type(description="What one metric of a job comes to.")
class NamedStats:
    name: str = strawberry.field(description="The metric's name.")
    data: MetricStatistics = strawberry.field(
        description="Mean of the nodes' averages, lowest and highest value. Where the site keeps the metric at finer scopes "
        "only, over the series of the coarsest of them."
    )


@strawberry.type(description="What one place of a job comes to.")
class ScopedStats:
    hostname: str = strawberry.field(description="The host.")
    id: str | None = strawberry.field(description="Which part of the host; null for the host as a whole.")
    data: MetricStatistics = strawberry.field(description="Average, lowest and highest value of its series.")


@strawberry.type(description="What the places of a job come to in one metric at one scope.")
class NamedStatsWithScope:
    name: str = strawberry.field(description="The metric's name.")
    scope: MetricScope = strawberry.field(description="What one series measures.")
    stats: list[ScopedStats] = strawberry.field(description="One for each series that has statistics.")


# --- the fields of Query


async def job_metrics(
    info: Info,
    id: IdArgument,  # noqa: A002
    metrics: NamesArgument = None,
    scopes: ScopesArgument = None,
    resolution: ResolutionArgument = None,
) -> list[MetricPiece]:
    return await _pieces(info, id, MetricsWanted.of(metrics, scopes, resolution))


async def job_stats(info: Info, id: IdArgument, metrics: NamesArgument = None) -> list[NamedStats]:  # noqa: A002
    context = info.context
    wanted = MetricsWanted.of(metrics, ("node",))
    answer = await context.gateway.job_metrics(context.ids.named(id), wanted, context.caller, budget=context.budget)
    context.note_age(answer.report)
    by_name: dict[str, list[MetricPiece]] = {}
    for piece in answer.pieces:
        by_name.setdefault(piece.name, []).append(piece)
    found = ((name, values.summary(same)) for name, same in by_name.items())
    return [NamedStats(name=name, data=_shown(data)) for name, data in found if data is not None]


async def scoped_job_stats(
    info: Info,
    id: IdArgument,  # noqa: A002
    metrics: NamesArgument = None,
    scopes: ScopesArgument = None,
) -> list[NamedStatsWithScope]:
    pieces = await _pieces(info, id, MetricsWanted.of(metrics, scopes))
    return [NamedStatsWithScope(name=one.name, scope=MetricScope(one.scope), stats=_scoped(one)) for one in pieces]


def _scoped(piece: MetricPiece) -> list[ScopedStats]:
    return [
        ScopedStats(hostname=one.hostname, id=one.id, data=_shown(one.statistics))
        for one in piece.metric.series or ()
        if one.statistics is not None
    ]


def _shown(statistics: values.Statistics) -> MetricStatistics:
    return MetricStatistics(avg=statistics.avg, min=statistics.min, max=statistics.max)


async def _pieces(info: Info, job_id: str, wanted: MetricsWanted) -> list[MetricPiece]:
    context = info.context
    answer = await context.gateway.job_metrics(context.ids.named(job_id), wanted, context.caller, budget=context.budget)
    context.note(answer.report)
    return answer.pieces


# --- Job.metrics


async def metrics_of_row(
    row: strawberry.Parent[model.JobRow],
    info: Info,
    metrics: NamesArgument = None,
    scopes: ScopesArgument = None,
    resolution: ResolutionArgument = None,
) -> list[MetricPiece]:
    outcome = await info.context.metrics.one(JobRef.of(row), MetricsWanted.of(metrics, scopes, resolution))
    if isinstance(outcome, GatewayError):
        raise outcome
    return outcome


async def load_metrics(
    context: RequestContext, rows: Sequence[model.JobRow], arguments: Mapping[str, Any]
) -> list[list[MetricPiece] | GatewayError]:
    """The metrics of every row, for the arguments of ``Job.metrics`` as graphql-core coerces them."""
    wanted = MetricsWanted.of(arguments.get("metrics"), arguments.get("scopes"), arguments.get("resolution"))
    return await context.metrics.many([JobRef.of(row) for row in rows], wanted)
