"""Counts what happened in this process, as the catalogue says, for next to nothing on the way of a request."""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from prometheus_client import ProcessCollector

from ccgateway import __version__
from ccgateway.telemetry.catalogue import METRICS, Kind
from ccgateway.telemetry.observer import CallOutcome, Observer
from ccgateway.telemetry.requests import RequestRecord
from ccgateway.telemetry.samples import Sample
from ccgateway.telemetry.states import SiteStates
from ccgateway.telemetry.tracing import Tracer

__all__ = ["Meter", "Source"]

#: gives samples when it is asked; called from whichever thread tells the metrics
Source = Callable[[], Iterable[Sample]]

_BOUNDS = {metric.name: metric.bounds for metric in METRICS if metric.kind is Kind.HISTOGRAM}
_OTHER = "other"
_OPERATIONS = {
    "start": "start", "stop": "stop", "tag": "tag", "untag": "untag", "edit meta": "edit", "delete": "delete",
    "delete before": "delete",
}  # fmt: skip
_OUTCOMES = frozenset({"done", "unchanged", "pending", "failed", "unknown"})
_FORMATS = frozenset({"csv", "grpc", "json", "jsonl", "parquet", "arrow"})


class _Histogram:
    """How often a value came within each bound."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Meter(Observer):
    """The counts of one process. ``follow`` says which sites there are and who else has something to tell.

    Reported to in one thread; told (``samples``) in any. States of sites, which it hears of, have their lines in the log;
    ``tracer`` is told of calls as well.
    """

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self._states = SiteStates()
        self._sites: frozenset[str] = frozenset()
        self._sources: tuple[Source, ...] = ()
        self._counts: dict[tuple[str, tuple[str, ...]], float] = {}
        #: calls under way by site, whether or not the site is still told of by its name when they end
        self._in_flight: Counter[str] = Counter()
        self._histograms: dict[tuple[str, tuple[str, ...]], _Histogram] = {}
        self._process = ProcessCollector(registry=None)

    def follow(self, sites: Iterable[str], sources: Iterable[Source]) -> None:
        """From now on these sites are told of by name, and these sources asked, and no others."""
        self._sites, self._sources = frozenset(sites), tuple(sources)

    # --- reports

    def request_began(self) -> None:
        """See ``Observer``."""
        self._count("ccgateway_requests_in_flight", ())

    def request_ended(self, record: RequestRecord, seconds: float) -> None:
        """See ``Observer``."""
        surface, kind, outcome = record.surface, record.kind, record.outcome()  # texts: their values take time to be had
        self._count("ccgateway_requests_in_flight", (), -1)
        self._count("ccgateway_requests_total", (surface, kind, outcome))
        self._observe("ccgateway_request_duration_seconds", (surface, kind), seconds)
        own = max(0.0, seconds - record.waited_by(record.began + seconds))
        self._observe("ccgateway_request_overhead_seconds", (surface,), own)
        if record.cost is not None:
            self._observe("ccgateway_query_cost", (surface,), record.cost)
        if record.code is not None:
            self._count("ccgateway_refusals_total", (surface, record.code))
        elif record.sites:
            for code in record.gaps:
                self._count("ccgateway_incomplete_answers_total", (code,))
        for site in record.cut:
            self._count("ccgateway_site_cut_by_patience_total", (self._known(site),))
        self._states.note_request(record)

    def call_began(self, site: str) -> None:
        """See ``Observer``."""
        self._in_flight[site] += 1

    def call_ended(self, site: str, outcome: CallOutcome, seconds: float) -> None:
        """See ``Observer``."""
        name = self._known(site)
        self._in_flight[site] -= 1
        self._count("ccgateway_site_calls_total", (name, outcome))
        self._observe("ccgateway_site_call_duration_seconds", (name,), seconds)
        self._states.note_call(site, outcome)
        if self.tracer is not None:
            self.tracer.call_ended(site, outcome, seconds)

    def site_changed(self, site: str, failure: str | None) -> None:
        """See ``Observer``."""
        self._states.note_change(site, failure)

    def place_waited_for(self, site: str, seconds: float) -> None:
        """See ``Observer``."""
        self._observe("ccgateway_site_place_wait_seconds", (self._known(site),), seconds)

    def redis_called(self, seconds: float) -> None:
        """See ``Observer``."""
        self._observe("ccgateway_redis_call_duration_seconds", (), seconds)

    def loop_came_round(self, seconds: float) -> None:
        """See ``Observer``."""
        self._observe("ccgateway_event_loop_lag_seconds", (), seconds)

    def written(self, operation: str, outcome: str) -> None:
        """See ``Observer``."""
        word = outcome.lower()
        labels = _OPERATIONS.get(operation, _OTHER), word if word in _OUTCOMES else _OTHER
        self._count("ccgateway_writes_total", labels)

    def rows_exported(self, format_name: str, rows: int) -> None:
        """See ``Observer``."""
        self._count("ccgateway_export_rows_total", (format_name if format_name in _FORMATS else _OTHER,), rows)

    def _known(self, site: str) -> str:
        return site if site in self._sites else _OTHER

    def _count(self, metric: str, labels: tuple[str, ...], by: float = 1) -> None:
        key = metric, labels
        self._counts[key] = self._counts.get(key, 0) + by

    def _observe(self, metric: str, labels: tuple[str, ...], value: float) -> None:
        key = metric, labels
        found = self._histograms.get(key)
        if found is None:
            found = self._histograms[key] = _Histogram(_BOUNDS[metric])
        found.observe(value)

    # --- what is told

    def samples(self) -> list[Sample]:
        """Everything, as it is now."""
        counts = [Sample(metric, labels, value) for (metric, labels), value in list(self._counts.items())]
        histograms = [
            Sample(metric, labels, found.total, tuple(found.counts)) for (metric, labels), found in list(self._histograms.items())
        ]
        calls: Counter[str] = Counter()
        for site, number in list(self._in_flight.items()):
            calls[self._known(site)] += number
        counts += [Sample("ccgateway_site_calls_in_flight", (site,), number) for site, number in calls.items()]
        info = Sample("ccgateway_build_info", (__version__, platform.python_version()), 1)
        told = chain.from_iterable(source() for source in self._sources)
        return [info, *counts, *histograms, *told, *self._of_process()]

    def _of_process(self) -> Iterator[Sample]:
        for family in self._process.collect():
            for sample in family.samples:
                yield Sample(sample.name, (), sample.value)
