"""Values of metrics on their way: from one process to another, added up, and as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import TypeAlias

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ccgateway.telemetry.catalogue import METRICS, Across, Kind
from ccgateway.telemetry.catalogue import Metric as Described

__all__ = ["Sample", "Samples", "added", "lasting", "read_samples", "registry_of", "written_samples"]

_BY_NAME = {metric.name: metric for metric in METRICS}


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One value. ``labels``: the values of the metric's labels, in its order; of a histogram, ``value`` is the sum of what came,
    and ``buckets`` has how many came within each bound and not within the one before, the last without a bound."""

    metric: str
    labels: tuple[str, ...]
    value: float
    buckets: tuple[int, ...] = ()


Samples: TypeAlias = list[Sample]

_DECODER = msgspec.json.Decoder(Samples)


def written_samples(samples: Samples) -> bytes:
    """As they are sent to another process."""
    return msgspec.json.encode(samples)


def read_samples(text: bytes) -> Samples:
    """What another process sent. Raises ``msgspec.MsgspecError``."""
    return _DECODER.decode(text)


def added(parts: Iterable[Samples]) -> Samples:
    """What the processes' samples come to together."""
    found: dict[tuple[str, tuple[str, ...]], Sample] = {}
    for sample in (one for part in parts for one in part if one.metric in _BY_NAME):
        key = sample.metric, sample.labels
        before = found.get(key)
        found[key] = sample if before is None else _together(before, sample)
    return list(found.values())


def _together(one: Sample, other: Sample) -> Sample:
    match _BY_NAME[one.metric].across:
        case Across.SUM:
            buckets = tuple(a + b for a, b in zip(one.buckets, other.buckets, strict=True))
            return Sample(one.metric, one.labels, one.value + other.value, buckets)
        case Across.MOST:
            return max(one, other, key=lambda sample: sample.value)
        case Across.LEAST:
            return min(one, other, key=lambda sample: sample.value)


def lasting(samples: Samples) -> Samples:
    """What stays of the samples of a process that has ended: what it counted."""
    return [one for one in samples if one.metric in _BY_NAME and _BY_NAME[one.metric].kind is not Kind.GAUGE]


class _Told(Collector):
    def __init__(self, tell: Callable[[], Samples]) -> None:
        self._tell = tell

    def collect(self) -> Iterator[Metric]:
        """One family for each metric of the catalogue of which there is something to tell."""
        by_metric: dict[str, Samples] = {}
        for sample in self._tell():
            by_metric.setdefault(sample.metric, []).append(sample)
        for metric in METRICS:
            if metric.name in by_metric:
                yield _family(metric, by_metric[metric.name])


def registry_of(tell: Callable[[], Samples]) -> CollectorRegistry:
    """A registry of Prometheus' library, in which there is at any time what ``tell`` gives."""
    registry = CollectorRegistry()
    registry.register(_Told(tell))
    return registry


def _family(metric: Described, samples: Samples) -> Metric:
    if metric.kind is Kind.COUNTER:
        counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        for one in samples:
            counter.add_metric(one.labels, one.value)
        return counter
    if metric.kind is Kind.GAUGE:
        gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        for one in samples:
            gauge.add_metric(one.labels, one.value)
        return gauge
    histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
    for one in samples:
        histogram.add_metric(one.labels, list(zip(bounds, accumulate(one.buckets), strict=True)), one.value)
    return histogram
