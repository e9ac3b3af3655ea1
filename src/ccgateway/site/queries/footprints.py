"""Averages and statistics of metrics of one site's jobs, and its roofline's samples.

By its own GraphQL, which takes 500 jobs in one question at the most, window by window of start times. Where that cannot be,
averages and statistics are read from the job list, which has those of jobs that have ended; samples are nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from ccgateway.errors import Code, SiteError, forget_frames
from ccgateway.jobs.conditions import conditions_of
from ccgateway.jobs.filters import JobFilter
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.statistics.footprints import (
    Footprints,
    FootprintsWanted,
    HeatmapWanted,
    JobSummaries,
    JobSummary,
    SummariesWanted,
    Summary,
    chosen,
)
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.documents import started_within
from ccgateway.site.queries.filters import Filter
from ccgateway.site.queries.scanning import Scan
from ccgateway.site.queries.statistics import FALLS_BACK, ExactFilter, exact_filter
from ccgateway.site.queries.windows import MOST_JOBS, few_enough
from ccgateway.site.releases import Dialect
from ccgateway.site.releases.query import QueryReply

if TYPE_CHECKING:
    from ccgateway.site.instance import Instance

__all__ = ["read_footprints", "read_heatmap", "read_summaries"]

T = TypeVar("T")

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(map(str.capitalize, rest))


class _Weights(msgspec.Struct, rename="camel"):
    node_hours: list[float]
    acc_hours: list[float]
    core_hours: list[float]


class _Metric(msgspec.Struct):
    metric: str
    data: list[float | None]


class _Part(msgspec.Struct, rename="camel"):
    time_weights: _Weights
    metrics: list[_Metric]


class _Footprints(msgspec.Struct, rename="camel"):
    jobs_footprints: _Part


class _Heatmap(msgspec.Struct, rename="camel"):
    roofline_heatmap: list[list[Annotated[float, msgspec.Meta(ge=0)]]]


class _Named(msgspec.Struct):
    name: str
    data: Summary


class _Job(msgspec.Struct, rename=lambda name: "numHWThreads" if name == "num_hw_threads" else _camel(name)):
    id: _Count
    job_id: int
    start_time: int
    duration: int
    cluster: str
    sub_cluster: str
    num_nodes: int
    stats: list[_Named]
    num_hw_threads: int | None = None
    num_accelerators: int | None = None


class _Summaries(msgspec.Struct, rename="camel"):
    jobs_metric_stats: list[_Job]


_FOOTPRINTS = msgspec.json.Decoder(QueryReply[_Footprints], strict=False)
_HEATMAP = msgspec.json.Decoder(QueryReply[_Heatmap], strict=False)
_SUMMARIES = msgspec.json.Decoder(QueryReply[_Summaries], strict=False)
#: what a job's row holds of its archive entry
_ARCHIVED = msgspec.json.Decoder(dict[str, Summary] | None)


def _parts(dialect: Dialect, context: CallContext, filters: tuple[JobFilter, ...], site: str) -> ExactFilter | str:
    found = exact_filter(dialect, context, filters, site)
    if isinstance(found, ExactFilter) and found.without_running:
        return f"release {dialect.name} does not evaluate durations of jobs that run"
    return found


async def _told_or(
    site: Instance, context: CallContext, told: Callable[[Dialect], Awaitable[T | str]], counted: Callable[[str], Awaitable[T]]
) -> T:
    """What the site tells; what its rows come to, where it does not."""

    async def told_if_asked(dialect: Dialect) -> T | str:
        way = site.reads(context.credential)
        return await told(dialect) if way.by_query else way.reason

    try:
        found = await site.in_dialect(context, told_if_asked)
    except SiteError as error:
        if error.code not in FALLS_BACK | {Code.UNSUPPORTED}:
            raise
        forget_frames(error)
        return await counted("its own GraphQL does not answer the question as it should")
    return await counted(found) if isinstance(found, str) else found


# --- averages


async def read_footprints(site: Instance, context: CallContext, wanted: FootprintsWanted, budget: int) -> Footprints:
    """The averages of every job that matches. ``SCAN_BUDGET`` for more jobs than ``budget``."""

    async def told(dialect: Dialect) -> Footprints | str:
        filters = _parts(dialect, context, wanted.filters, site.name)
        if isinstance(filters, str):
            return filters
        whole = Footprints(metrics={metric: [] for metric in wanted.metrics})
        if filters.never:
            return whole
        document = (
            "query($f:[JobFilter!],$m:[String!]!){jobsFootprints(filter:$f,metrics:$m)"
            "{timeWeights{nodeHours accHours coreHours} metrics{metric data}}}"
        )
        for window in await few_enough(site, context, filters.elements, most=budget):
            variables = {"f": [*filters.elements, started_within(window)], "m": list(wanted.metrics)}
            _extend(whole, (await site.query(context, document, variables, _FOOTPRINTS)).jobs_footprints, site.name)
        return whole

    return await _told_or(site, context, told, lambda reason: _footprints_of_rows(site, context, wanted, budget, reason))


def _extend(whole: Footprints, part: _Part, site: str) -> None:
    weights, found = part.time_weights, {one.metric: one.data for one in part.metrics}
    sizes = {len(weights.node_hours), len(weights.acc_hours), len(weights.core_hours), *map(len, found.values())}
    if len(sizes) > 1 or found.keys() != whole.metrics.keys():
        raise SiteError(Code.WRONG_RELEASE, site, "The site's own GraphQL left out what was asked for.")
    whole.node_hours += weights.node_hours
    whole.acc_hours += weights.acc_hours
    whole.core_hours += weights.core_hours
    for metric, values in found.items():
        whole.metrics[metric] += values


async def _footprints_of_rows(
    site: Instance, context: CallContext, wanted: FootprintsWanted, budget: int, reason: str
) -> Footprints:
    whole = Footprints(metrics={metric: [] for metric in wanted.metrics})
    needs = frozenset({"duration", "num_nodes", "num_acc", "num_hw_threads", "monitoring_status", "state", "statistics_json"})
    scan = Scan(site, context, conditions_of(wanted.filters, site.name), needs, budget)
    running = 0
    async for rows in scan.pages():
        for row in rows:
            if row.monitoring_status in (0, 2):
                continue
            minutes = row.duration / 60
            whole.node_hours.append(minutes * row.num_nodes)
            whole.acc_hours.append(minutes * row.num_acc if row.num_acc else 1.0)
            whole.core_hours.append(minutes * row.num_hw_threads if row.num_hw_threads else 1.0)
            statistics = _statistics(row, site.name)
            running += statistics is None
            for metric, values in whole.metrics.items():
                held = (statistics or {}).get(metric)
                values.append(held.avg if held is not None else None)
    whole.scanned, whole.missed = scan.scanned, scan.missed
    note = f"footprints: read from this site's list of jobs, as {reason}."
    whole.notes.append(f"{note} {running} jobs have no averages there." if running else note)
    return whole


def _statistics(row: JobRow, site: str) -> Mapping[str, Summary] | None:
    try:
        found: Mapping[str, Summary] | None = _ARCHIVED.decode(row.statistics_json)
    except msgspec.MsgspecError:
        raise SiteError(Code.WRONG_RELEASE, site, "What the site's list says of a job's statistics does not fit.") from None
    return found


# --- samples


async def read_heatmap(site: Instance, context: CallContext, wanted: HeatmapWanted, budget: int) -> list[list[float]]:
    """The samples of every job that matches. Where the release does not evaluate the filter, the jobs are looked for first and
    then named by their ids; ``UNSUPPORTED`` where it does not know these either, as samples are nowhere else."""

    async def told(dialect: Dialect) -> list[list[float]] | str:
        if not (way := site.reads(context.credential)).by_query:
            return way.reason
        filters = _parts(dialect, context, wanted.filters, site.name)
        if isinstance(filters, str):
            return filters
        windows = [] if filters.never else await few_enough(site, context, filters.elements, most=budget)
        return await _samples(site, context, wanted, [[*filters.elements, started_within(window)] for window in windows])

    found = await site.in_dialect(context, told)
    if not isinstance(found, str):
        return found
    ids = [
        row.id
        async for rows in Scan(site, context, conditions_of(wanted.filters, site.name), frozenset(), budget).pages()
        for row in rows
    ]

    async def named(dialect: Dialect) -> list[list[float]]:
        if ids and not (dialect.statistics.finds_ids and site.reads(context.credential).by_query):
            raise SiteError(Code.UNSUPPORTED, site.name, f"Samples cannot be had by this filter or token: {found}.")
        parts = [ids[start : start + MOST_JOBS] for start in range(0, len(ids), MOST_JOBS)]
        return await _samples(site, context, wanted, [[{"dbId": [str(one) for one in part]}] for part in parts])

    return await site.in_dialect(context, named)


async def _samples(
    site: Instance, context: CallContext, wanted: HeatmapWanted, questions: Sequence[Sequence[Filter]]
) -> list[list[float]]:
    document = (
        "query($f:[JobFilter!]!,$r:Int!,$c:Int!,$ax:Float!,$ay:Float!,$bx:Float!,$by:Float!)"
        "{rooflineHeatmap(filter:$f,rows:$r,cols:$c,minX:$ax,minY:$ay,maxX:$bx,maxY:$by)}"
    )
    ends = {"ax": wanted.min_x, "ay": wanted.min_y, "bx": wanted.max_x, "by": wanted.max_y}
    whole = [[0.0] * wanted.cols for _ in range(wanted.rows)]
    for filters in questions:
        variables = {"f": filters, "r": wanted.rows, "c": wanted.cols, **ends}
        cells = (await site.query(context, document, variables, _HEATMAP)).roofline_heatmap
        if [len(row) for row in cells] != [wanted.cols] * wanted.rows or not all(
            map(isfinite, (v for row in cells for v in row))
        ):
            raise SiteError(Code.WRONG_RELEASE, site.name, "The site's heat map has another size than was asked for.")
        for row, more in zip(whole, cells, strict=True):
            row[:] = [one + other for one, other in zip(row, more, strict=True)]
    return whole


# --- statistics of each job


async def read_summaries(site: Instance, context: CallContext, wanted: SummariesWanted, budget: int) -> JobSummaries:
    """The statistics of every job that matches, oldest first. ``SCAN_BUDGET`` for more jobs than ``budget``."""

    async def told(dialect: Dialect) -> JobSummaries | str:
        if not dialect.statistics.summaries:
            return f"release {dialect.name} does not tell them otherwise"
        if wanted.metrics is None:
            return "it tells them of named metrics only"
        filters = _parts(dialect, context, wanted.filters, site.name)
        if isinstance(filters, str):
            return filters
        found = JobSummaries()
        if filters.never:
            return found
        document = (
            "query($f:[JobFilter!],$m:[String!]){jobsMetricStats(filter:$f,metrics:$m){id jobId startTime duration cluster "
            "subCluster numNodes numHWThreads numAccelerators stats{name data{avg min max}}}}"
        )
        for window in reversed(await few_enough(site, context, filters.elements, most=budget)):
            variables = {"f": [*filters.elements, started_within(window)], "m": list(wanted.metrics)}
            found.jobs += [_told(job) for job in (await site.query(context, document, variables, _SUMMARIES)).jobs_metric_stats]
        return found

    return await _told_or(site, context, told, lambda reason: _summaries_of_rows(site, context, wanted, budget, reason))


def _told(job: _Job) -> JobSummary:
    return JobSummary(
        job.id, job.job_id, job.start_time, job.duration, job.cluster, job.sub_cluster, job.num_nodes,
        job.num_hw_threads or 0, job.num_accelerators or 0, {one.name: one.data for one in job.stats},
    )  # fmt: skip


async def _summaries_of_rows(
    site: Instance, context: CallContext, wanted: SummariesWanted, budget: int, reason: str
) -> JobSummaries:
    found = JobSummaries()
    needs = frozenset({"duration", "sub_cluster", "num_nodes", "num_acc", "num_hw_threads", "statistics_json"})
    scan = Scan(site, context, conditions_of(wanted.filters, site.name), needs, budget)
    async for rows in scan.pages():
        for row in rows:
            statistics = _statistics(row, site.name)
            if statistics is None:
                found.without += 1
                continue
            found.jobs.append(
                JobSummary(
                    row.id,
                    row.job_id,
                    row.start_time,
                    row.duration,
                    row.cluster,
                    row.sub_cluster,
                    row.num_nodes,
                    row.num_hw_threads,
                    row.num_acc,
                    chosen(statistics, wanted.metrics),
                )
            )
    found.jobs.sort(key=lambda job: (job.start_time, job.id))
    found.scanned, found.missed = scan.scanned, scan.missed
    note = f"statistics of jobs: read from this site's list of jobs, as {reason}."
    found.notes.append(f"{note} {found.without} jobs have none there, such as those that run." if found.without else note)
    return found
