"""Metrics as the faces write them: samples as the site wrote them, everything else in 1.5.4's keys and order.

There may be ten thousand series, so that what is done for each of them counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Annotated

import msgspec

from ccgateway.errors import GatewayError
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.jobs import clusters as values
from ccgateway.jobs.metrics import JobMetric, JobRef, MetricPiece, MetricsWanted, Series, Statistics, StatisticsSeries
from ccgateway.jobs.model import JobRow
from ccgateway.surfaces.rest.calls import Call
from ccgateway.surfaces.rest.clusters import Unit

__all__ = [
    "DocumentedMetric",
    "Metric",
    "MetricByName",
    "NamedMetric",
    "by_metric_and_scope",
    "documented_metric",
    "metric",
    "own_scope",
    "read_metrics",
    "texts_of",
]

_MAYBE = {"type": ["number", "null"]}
SamplesText = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["array", "null"], "items": _MAYBE})]
StatisticsText = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object", "additionalProperties": {"type": "number"}})
]

_NULL = msgspec.Raw(b"null")
_EMPTY = msgspec.Raw(b"[]")
#: with two decimals, as every release writes them
_STATISTICS = b'{"min":%.2f,"avg":%.2f,"max":%.2f}'
_NO_STATISTICS = msgspec.Raw(_STATISTICS % (0, 0, 0))
_HOST, _ID = attrgetter("hostname"), attrgetter("id")


class MetricUnit(msgspec.Struct, gc=False):
    """With both of its keys, also where there is no prefix."""

    base: str
    prefix: str


class WrittenSeries(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    hostname: str
    id: str | None = None
    statistics: StatisticsText
    data: SamplesText


class PlainSeries(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One place's samples. ``id``: which socket, thread or accelerator. ``statistics``: null if the site gives none."""

    hostname: str
    id: str | None = None
    statistics: Statistics | None
    data: SamplesText


class WrittenAcross(msgspec.Struct, gc=False):
    """Over all series. What a site does not compute is null."""

    mean: SamplesText
    median: SamplesText
    min: SamplesText
    max: SamplesText


class Metric(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """One metric at one scope, in 1.5.4's order."""

    statistics_series: WrittenAcross | None = None
    unit: Unit
    series: list[WrittenSeries]
    timestep: int


class NamedMetric(msgspec.Struct, gc=False):
    """As ``GET jobs/metrics/{id}`` gives it."""

    name: str
    scope: str
    metric: Metric


class MetricByName(msgspec.Struct, gc=False):
    """As ``POST jobs/{id}`` gives it: the same keys in another order."""

    metric: Metric
    name: str
    scope: str


class DocumentedMetric(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """As the how-to page shows it: flat."""

    name: str
    scope: str
    unit: MetricUnit
    timestep: int
    series: list[PlainSeries]
    statistics_series: WrittenAcross | None = None


def own_scope(row: JobRow) -> MetricsWanted:
    """All metrics at the scope that cc-backend chooses for a job that is shown whole: core on one node, else node."""
    return MetricsWanted.of(None, ["core" if row.num_nodes == 1 else "node"])


async def read_metrics(call: Call, row: JobRow, wanted: MetricsWanted) -> JobMetricsAnswer:
    """These metrics of a job whose row was read, so that it need not be looked up again. Raises what they came to otherwise."""
    (outcome,) = await call.gateway.metrics_of([JobRef.of(row)], wanted, call.caller, budget=call.budget())
    if isinstance(outcome, GatewayError):
        raise outcome
    return outcome


def metric(one: JobMetric) -> Metric:
    """``one`` in 1.5.4's form."""
    unit = one.unit or values.Unit()
    return Metric(
        statistics_series=_across(one.statistics_series),
        unit=Unit(unit.base, unit.prefix or ""),
        series=_series(one.series),
        timestep=one.timestep,
    )


def documented_metric(piece: MetricPiece) -> DocumentedMetric:
    """``piece`` as the how-to page shows metrics."""
    one = piece.metric
    unit = one.unit or values.Unit()
    return DocumentedMetric(
        name=piece.name,
        scope=piece.scope,
        unit=MetricUnit(unit.base, unit.prefix or ""),
        timestep=one.timestep,
        series=[
            PlainSeries(hostname=its.hostname, id=its.id, statistics=its.statistics, data=its.data) for its in one.series or ()
        ],
        statistics_series=_across(one.statistics_series),
    )


def by_metric_and_scope(pieces: Iterable[MetricPiece]) -> dict[str, dict[str, Metric]]:
    """``pieces`` as ``GET jobs/{id}`` gives them."""
    found: dict[str, dict[str, Metric]] = {}
    for piece in pieces:
        found.setdefault(piece.name, {})[piece.scope] = metric(piece.metric)
    return found


def texts_of(pieces: Iterable[MetricPiece]) -> list[str]:
    """Everything in ``pieces`` that is no number."""
    found: list[str] = []
    for piece in pieces:
        unit, series = piece.metric.unit or values.Unit(), piece.metric.series or ()
        found += (piece.name, piece.scope, unit.base, unit.prefix or "")
        found += map(_HOST, series)
        found += filter(None, map(_ID, series))
    return found


def _series(series: Iterable[Series] | None) -> list[WrittenSeries]:
    return [
        WrittenSeries(
            hostname=one.hostname,
            id=one.id,
            statistics=(
                _NO_STATISTICS if (its := one.statistics) is None else msgspec.Raw(_STATISTICS % (its.min, its.avg, its.max))
            ),
            data=one.data,
        )
        for one in series or ()
    ]


def _across(one: StatisticsSeries | None) -> WrittenAcross | None:
    if one is None:
        return None
    return WrittenAcross(_or_null(one.mean), _or_null(one.median), one.min, one.max)


def _or_null(values: msgspec.Raw) -> msgspec.Raw:
    return _NULL if values == _EMPTY else values
