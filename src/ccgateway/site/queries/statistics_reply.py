"""What a site's own GraphQL tells of statistics: decoded, whole, and in the gateway's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.statistics.counting import DURATIONS, Histogram, SiteStatistics, StatisticsWanted
from ccgateway.jobs.statistics.figures import ADDED, HOURS, Amount, Figure, Group, GroupBy
from ccgateway.site.releases.query import QueryReply

__all__ = ["ELEMENTS", "Element", "StatisticsReply"]

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # what sums of many sites stay within 64 bits by


class _Point(msgspec.Struct):
    count: _Count
    value: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _MetricPoint(msgspec.Struct):
    bin: int
    count: _Count
    max: int | None = None


class _MetricPoints(msgspec.Struct):
    metric: str
    unit: str
    stat: str | None = None
    data: list[_MetricPoint] | None = None


class Element(msgspec.Struct, rename="camel"):
    """One element of an answer. Of what was asked for, nothing may be missing or null."""

    id: str | None = None
    name: str = ""
    total_jobs: _Count | None = None
    running_jobs: _Count | None = None
    short_jobs: _Count | None = None
    total_walltime: _Count | None = None
    total_nodes: _Count | None = None
    total_node_hours: _Count | None = None
    total_cores: _Count | None = None
    total_core_hours: _Count | None = None
    total_accs: _Count | None = None
    total_acc_hours: _Count | None = None
    hist_duration: list[_Point] | None = None
    hist_num_nodes: list[_Point] | None = None
    hist_num_cores: list[_Point] | None = None
    hist_num_accs: list[_Point] | None = None
    hist_metrics: list[_MetricPoints] | None = None


ELEMENTS = msgspec.json.Decoder(QueryReply[dict[str, list[Element]]], strict=False)
_ATTRIBUTES = dict(zip(Element.__struct_encode_fields__, Element.__struct_fields__, strict=True))


@dataclass(frozen=True, slots=True)
class StatisticsReply:
    """A reply, every part of which has to be there. ``answer``: its elements by part."""

    answer: Mapping[str, list[Element]]
    site: str

    def all(self, key: str) -> list[Element]:
        """The elements of one part."""
        elements = self.answer.get(key)
        if elements is None or (key[0] not in "tbm" and any(element.id is None for element in elements)):
            raise self._misfit()
        return elements

    def one(self, key: str) -> Element:
        """The only element of one part."""
        elements = self.all(key)
        if len(elements) != 1:
            raise self._misfit()
        return elements[0]

    def value(self, element: Element, figure: Figure) -> int:
        """One figure."""
        number: int | None = getattr(element, _ATTRIBUTES[figure.value])
        if number is None:
            raise self._misfit()
        return number

    def statistics(self, wanted: StatisticsWanted, *, fixed_bins: bool) -> SiteStatistics:
        """The figures, groups and histograms, without users and metrics."""
        is_grouped = wanted.group is not None and wanted.group is not GroupBy.SITE
        groups = []
        for element in self.all("t") if is_grouped else [self.one("t")]:
            if is_grouped and element.id is None:
                raise self._misfit()
            key = str(element.id) if is_grouped else self.site if wanted.group is GroupBy.SITE else ""
            groups.append(self._group(element, wanted, key, is_grouped=is_grouped))
        if wanted.group is GroupBy.SITE and not groups[0].amounts[Figure.JOBS.value].value:
            groups = []
        histograms = {} if is_grouped else self._histograms(self.one("t"), wanted, fixed_bins=fixed_bins)
        return SiteStatistics(groups, histograms)

    def _group(self, element: Element, wanted: StatisticsWanted, key: str, *, is_grouped: bool) -> Group:
        amounts = {}
        for figure in wanted.figures | {Figure.JOBS}:
            if figure is Figure.USERS:
                continue
            if figure in ADDED and not is_grouped:
                amounts[figure.value] = Amount.exact(sum(self.value(each, figure) for each in self.all("c")))
                continue
            value = self.value(element, figure)
            if figure in HOURS:
                amounts[figure.value] = Amount.whole_hours(value)
            elif figure is Figure.SHORT:
                amounts[figure.value] = Amount(value, max(0, value - self.value(element, Figure.RUNNING)), value)
            else:
                amounts[figure.value] = Amount.exact(value)
        return Group(key, element.name if is_grouped else "", amounts, {}, None, [self.site])

    def _histograms(self, element: Element, wanted: StatisticsWanted, *, fixed_bins: bool) -> dict[str, Histogram]:
        histograms = {}
        for name in wanted.histograms:
            points: list[_Point] | None = getattr(element, _ATTRIBUTES[name])
            if points is None:
                raise self._misfit()
            counts: dict[int, int] = {}
            for point in points:
                counts[point.value] = counts.get(point.value, 0) + point.count
            overflow = 0
            if name == DURATIONS:
                counts = counts if fixed_bins else wanted.durations.from_hours(counts) or {}
                edges = {edge for edge, _ in wanted.durations.points({})}
                if not counts.keys() <= edges:
                    raise self._misfit()
                # both were counted one after the other, while jobs may have started
                overflow = max(0, self.value(element, Figure.JOBS) - sum(counts.values()))
            histograms[name] = Histogram({value: jobs for value, jobs in counts.items() if jobs}, overflow)
        return histograms

    def _misfit(self) -> SiteError:
        return SiteError(Code.WRONG_RELEASE, self.site, "The site's own GraphQL left out what was asked for.")
