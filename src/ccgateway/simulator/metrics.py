"""Metrics of jobs, made up: a pure function of the job, the metric and the place, the same at every reading.

:func:`measured` gives one metric at its stored scope, :func:`summed_per_node` derives the node scope from a finer one;
:func:`statistics_of` and :func:`footprint_of` are what the archive and the database keep of them.
Numbers are written as cc-backend writes them, with exactly two decimals, straight to bytes: series are never Python floats
on their way to the client.
"""

from __future__ import annotations

import random
import statistics as st
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import msgspec

from ccgateway.simulator.clusters import Hardware, Metric
from ccgateway.simulator.job import Job

__all__ = ["JobMetric", "Series", "StatisticsSeries", "footprint_of", "measured", "statistics_of", "summed_per_node"]

_TABLE = 4096
_LONGEST = 10_080  # samples of one series; only jobs whose clock is far off have more
_encode = msgspec.json.Encoder().encode


class Statistics(msgspec.Struct):
    """Of one series."""

    min: msgspec.Raw
    avg: msgspec.Raw
    max: msgspec.Raw


class Series(msgspec.Struct, omit_defaults=True):
    """One place's samples."""

    hostname: str
    statistics: Statistics
    data: msgspec.Raw
    id: str | None = None


class StatisticsSeries(msgspec.Struct, omit_defaults=True):
    """Across all series; up to 1.3 there is no median, from 1.4 on the mean is null."""

    mean: msgspec.Raw | None
    min: msgspec.Raw
    max: msgspec.Raw
    median: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class JobMetric(msgspec.Struct, omit_defaults=True, rename="camel"):
    """One metric at one scope."""

    unit: dict[str, str]
    timestep: int
    series: list[Series]
    statistics_series: StatisticsSeries | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class _Table:
    """Made-up samples of one metric, twice over so that any slice is contiguous."""

    values: list[float]
    texts: list[bytes]


@lru_cache(maxsize=64)
def _table(metric: str, peak: float) -> _Table:
    rng = random.Random(f"{metric}/{peak}")
    values = [round(rng.uniform(0.2, 0.9) * peak, 2) for _ in range(_TABLE)]
    values *= 2
    return _Table(values, [b"%.2f" % v for v in values])


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one place, with one gap in some."""

    hostname: str
    id: str | None
    values: list[float]
    texts: list[bytes]
    gap: int | None


def _samples(job: Job, metric: Metric, length: int, hostname: str, place: str | None) -> Samples:
    table = _table(metric.name, metric.peak)
    seed = crc32(f"{job.cluster}/{job.job_id}/{job.start_time}/{metric.name}/{hostname}/{place}".encode())
    values: list[float] = []
    texts: list[bytes] = []
    while len(values) < length:  # longer than the table: start over
        at, rest = seed % _TABLE, min(_TABLE, length - len(values))
        values += table.values[at : at + rest]
        texts += table.texts[at : at + rest]
    gap = length // 2 if length > 2 and seed % 10 == 0 else None
    if gap is not None:
        texts[gap] = b"null"
    return Samples(hostname, place, values, texts, gap)


def _places(job: Job, metric: Metric, hardware: Hardware) -> list[tuple[str, str | None]]:
    if stored_scope(metric) == "node":
        return [(h, None) for h in job.hosts]
    return [(h, str(socket)) for h in job.hosts for socket in range(hardware.sockets)]


def stored_scope(metric: Metric) -> str:
    """Sockets are stored as such, everything else is made up per node."""
    return "socket" if metric.scope == "socket" else "node"


def sample_all(job: Job, metric: Metric, hardware: Hardware, now: int) -> list[Samples]:
    """Samples of *metric* at its stored scope."""
    length = min(max(1, job.lasted(now) // metric.timestep), _LONGEST)
    return [_samples(job, metric, length, host, place) for host, place in _places(job, metric, hardware)]


def measured(metric: Metric, samples: list[Samples], *, statistics_from: int, median: bool) -> JobMetric:
    """One metric as the API shows it."""
    result = JobMetric(dict(metric.unit), metric.timestep, [_series(s) for s in samples])
    if len(samples) >= statistics_from:
        result.statistics_series = _across(samples, median=median)
    return result


def summed_per_node(samples: list[Samples]) -> list[Samples]:
    """The node scope of a metric stored per socket."""
    hosts: dict[str, list[Samples]] = {}
    for s in samples:
        hosts.setdefault(s.hostname, []).append(s)
    result = []
    for host, parts in hosts.items():
        values = [round(sum(column), 2) for column in zip(*(p.values for p in parts), strict=True)]
        texts = [b"%.2f" % v for v in values]
        gap = next((p.gap for p in parts if p.gap is not None), None)
        if gap is not None:
            texts[gap] = b"null"
        result.append(Samples(host, None, values, texts, gap))
    return result


def statistics_of(job: Job, hardware: Hardware) -> msgspec.Raw:
    """What ``meta.json`` keeps: metric → unit, avg, min, max."""
    kept = {}
    for metric in hardware.metrics:
        values = [v for s in sample_all(job, metric, hardware, 0) for v in s.values]
        if values:
            average = round(sum(values) / len(values), 2)
            kept[metric.name] = {"unit": metric.unit, "avg": average, "min": min(values), "max": max(values)}
    return msgspec.Raw(_encode(kept))


def footprint_of(job: Job, hardware: Hardware) -> msgspec.Raw:
    """What the database keeps: ``<metric>_<statistic>`` → value."""
    kept = msgspec.json.decode(statistics_of(job, hardware))
    chosen = {f"{m.name}_{m.footprint}": kept[m.name][m.footprint] for m in hardware.metrics if m.footprint and m.name in kept}
    return msgspec.Raw(_encode(chosen or None))


def _series(samples: Samples) -> Series:
    values = samples.values if samples.gap is None else samples.values[: samples.gap] + samples.values[samples.gap + 1 :]
    summary = Statistics(_raw(min(values)), _raw(sum(values) / len(values)), _raw(max(values)))
    return Series(samples.hostname, summary, msgspec.Raw(b"[" + b",".join(samples.texts) + b"]"), samples.id)


def _across(samples: list[Samples], *, median: bool) -> StatisticsSeries:
    columns = list(zip(*(s.values for s in samples), strict=True))
    lowest = _raw_list([min(c) for c in columns])
    highest = _raw_list([max(c) for c in columns])
    if median:
        return StatisticsSeries(None, lowest, highest, _raw_list([st.median(c) for c in columns]))
    return StatisticsSeries(_raw_list([sum(c) / len(c) for c in columns]), lowest, highest)


def _raw(value: float) -> msgspec.Raw:
    return msgspec.Raw(b"%.2f" % value)


def _raw_list(values: list[float]) -> msgspec.Raw:
    return msgspec.Raw(b"[" + b",".join([b"%.2f" % v for v in values]) + b"]")
