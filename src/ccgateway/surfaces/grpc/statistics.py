"""``JobsService.GetStatistics``: figures of the jobs that match, of all of them or group by group."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ccgateway.errors import GatewayError
from ccgateway.federation import statistics as values
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.statistics import METRICS, StatisticsQuestion
from ccgateway.jobs.statistics.counting import DURATIONS, HISTOGRAMS
from ccgateway.jobs.statistics.figures import Exactness, Figure, GroupBy, place_of
from ccgateway.surfaces.grpc.calls import Call
from ccgateway.surfaces.grpc.costs import check_filters
from ccgateway.surfaces.grpc.messages import report_message, unreachable_in
from ccgateway.surfaces.grpc.paging import page_of
from ccgateway.surfaces.grpc.requests import bad, filters_of, masked, policy_of, sites_of
from ccgateway.surfaces.ids import Ids
from ccgateway.v1 import statistics_pb2 as pb
from ccgateway.v1.jobs_service_pb2 import GetStatisticsRequest, GetStatisticsResponse

__all__ = ["Statistics"]


def _field(name: str) -> str:
    """GraphQL's name of a figure or a histogram as a field of ``JobStatistics``."""
    head, dot, metric = name.partition(".")
    return re.sub("([A-Z])", r"_\1", head).lower() + dot + metric


_FIGURES: Mapping[str, Figure] = {_field(figure.value): figure for figure in Figure}
#: field of ``JobStatistics`` → the histogram that it is filled from
_HISTOGRAMS: Mapping[str, str] = {_field(name): name for name in (*HISTOGRAMS, DURATIONS, METRICS)} | {
    "hist_duration_overflow": DURATIONS
}
_GROUPS: Mapping[int, GroupBy | None] = {pb.STATISTICS_GROUP_UNSPECIFIED: None} | {
    pb.StatisticsGroup.Value(f"STATISTICS_GROUP_{group.name}"): group for group in GroupBy
}
_BINS: Mapping[int, str | None] = {
    pb.DURATION_BINS_UNSPECIFIED: None,
    pb.DURATION_BINS_1_MINUTE: "1m",
    pb.DURATION_BINS_10_MINUTES: "10m",
    pb.DURATION_BINS_1_HOUR: "1h",
    pb.DURATION_BINS_6_HOURS: "6h",
    pb.DURATION_BINS_12_HOURS: "12h",
}


class Statistics:
    """The method."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def get_statistics(self, request: GetStatisticsRequest, call: Call) -> GetStatisticsResponse:
        """Figures of the jobs that match."""
        check_filters(request)
        question = self._question(request, call)
        (outcome,) = await self._gateway.statistics([question], call.caller)
        if isinstance(outcome, GatewayError):
            raise outcome
        sent = GetStatisticsRequest()
        sent.CopyFrom(request)
        for name in ("page_size", "page_token", "read_mask"):
            sent.ClearField(name)
        page, token = page_of(
            outcome.items,
            lambda item: place_of(item.group, question.sort_by),
            size=request.page_size,
            token=request.page_token,
            question=("statistics", sent.SerializeToString(deterministic=True)),
        )
        return GetStatisticsResponse(
            statistics=[_message(item, question) for item in page],
            next_page_token=token,
            complete=outcome.complete,
            unreachable=unreachable_in(outcome.reports),
            site_reports=map(report_message, outcome.reports),
        )

    def _question(self, request: GetStatisticsRequest, call: Call) -> StatisticsQuestion:
        if request.group_by not in _GROUPS:
            raise bad(f"group_by: {request.group_by} is not known.")
        if request.duration_bins not in _BINS:
            raise bad(f"duration_bins: {request.duration_bins} is not known.")
        if request.sort_by and request.sort_by not in _FIGURES:
            raise bad(f"sort_by: {request.sort_by[:60]!r} is none of the figures: {', '.join(_FIGURES)}.")
        by_default = [*_FIGURES, "hist_metrics"] if request.metrics else [*_FIGURES]
        fields = masked(request.read_mask, pb.JobStatistics, by_default)
        return StatisticsQuestion(
            filters=filters_of(request.filters, Ids(self._gateway.numbers)),
            figures=frozenset(figure for name, figure in _FIGURES.items() if name in fields),
            histograms=frozenset(name for field, name in _HISTOGRAMS.items() if field in fields),
            metrics=tuple(request.metrics),
            group_by=_GROUPS[request.group_by],
            sort_by=_FIGURES[request.sort_by] if request.sort_by else None,
            num_duration_bins=_BINS[request.duration_bins],
            num_metric_bins=request.metric_bins or None,
            sites=sites_of(request.sites),
            policy=policy_of(request.policy, call.caller),
            exact=request.exact,
        )


def _message(item: values.JobStatistics, question: StatisticsQuestion) -> pb.JobStatistics:
    message = pb.JobStatistics(
        id=item.group.id,
        name=item.group.name,
        hist_duration_overflow=item.overflow,
        hist_metrics=map(_metric, item.metrics),
        exactness=map(_exactness, item.exactness),
    )
    for name, figure in _FIGURES.items():
        amount = item.group.amount(figure) if figure in question.figures else None
        if amount is not None:
            setattr(message, name, amount.value)
    for name, points in item.histograms.items():
        if points is not None:
            bins = (pb.HistogramBin(value=value, count=count) for value, count in points)
            getattr(message, _field(name)).CopyFrom(pb.Histogram(bins=bins))
    return message


def _metric(one: values.MetricHistogram) -> pb.MetricHistogram:
    bins = [pb.MetricHistogramBin(bin=place, min=low, max=high, count=count) for place, low, high, count in one.points or ()]
    return pb.MetricHistogram(metric=one.metric, unit=one.unit, stat=one.stat or "", bins=bins)


def _exactness(one: Exactness) -> pb.FigureExactness:
    return pb.FigureExactness(
        figure=_field(one.figure),
        quality=f"FIGURE_QUALITY_{one.quality.name}",
        at_least=one.at_least,
        at_most=one.at_most,
        reason=one.reason or "",
    )
