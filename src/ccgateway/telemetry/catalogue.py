"""Every metric that the gateway tells, drawn once: name, type, labels, meaning, and what several processes make of it together.

Labels have closed sets of values. Never a user, a job, a cluster, a name of an operation or any other text of a caller is one: a
site's name, a code of ``errors``, or a word of the tables below.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["METRICS", "Across", "Kind", "Metric"]


class Kind(StrEnum):
    """The type of a metric, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(StrEnum):
    """What the values of several processes come to."""

    SUM = "sum"
    MOST = "most"
    LEAST = "least"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``name``: as it is asked for, without the suffixes of a histogram; ``bounds``: upper bounds of a histogram's
    buckets, in its unit."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()
    across: Across = Across.SUM


_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: of one site: fewer, as each site has its own
_SITE_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0)
_PLACE_SECONDS = (0.005, 0.05, 0.25, 1.0, 5.0)
_OWN_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0)
_LAG_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.25, 1.0, 5.0)
_COSTS = (10.0, 100.0, 500.0, 1000.0, 5000.0, 10_000.0, 50_000.0)


def _counter(name: str, *labels: str, words: str) -> Metric:
    return Metric(f"ccgateway_{name}", Kind.COUNTER, labels, words)


def _gauge(name: str, *labels: str, words: str, across: Across = Across.SUM) -> Metric:
    return Metric(f"ccgateway_{name}", Kind.GAUGE, labels, words, across=across)


def _histogram(name: str, *labels: str, bounds: tuple[float, ...], words: str) -> Metric:
    return Metric(f"ccgateway_{name}", Kind.HISTOGRAM, labels, words, bounds)


METRICS: tuple[Metric, ...] = (
    # requests
    _counter(
        "requests_total",
        "surface",
        "kind",
        "outcome",
        words="Requests that ended: on which face, what they asked for first, what they came to.",
    ),
    _histogram(
        "request_duration_seconds",
        "surface",
        "kind",
        bounds=_SECONDS,
        words="Time from a request's head to the beginning of its answer.",
    ),
    _histogram(
        "request_overhead_seconds",
        "surface",
        bounds=_OWN_SECONDS,
        words="The gateway's own part of it: less the time in which it waited for sites, for Redis or for the caller.",
    ),
    _gauge("requests_in_flight", words="Requests that are being answered."),
    _counter(
        "requests_turned_away_total",
        words="Requests turned away before anything was done for them, as the process had more to do than it can.",
    ),
    _gauge("overloaded", words="1 while requests are turned away for that, else 0.", across=Across.MOST),
    _counter("refusals_total", "surface", "code", words="Requests answered with an error, by the code of the first one."),
    _counter("incomplete_answers_total", "code", words="Parts that were missing from answers that were given, by the reason."),
    _histogram("query_cost", "surface", bounds=_COSTS, words="Estimated cost of a question (limits.query_cost is its limit)."),
    _counter("writes_total", "operation", "outcome", words="Writes to sites, by what became of them."),
    _counter("export_rows_total", "format", words="Rows written by exports."),
    # sites
    _counter("site_calls_total", "site", "outcome", words="HTTP requests to a site that ended, by how."),
    _histogram("site_call_duration_seconds", "site", bounds=_SITE_SECONDS, words="Time of each, without the wait for a place."),
    _histogram(
        "site_place_wait_seconds",
        "site",
        bounds=_PLACE_SECONDS,
        words="Waits for one of the places at a site (sites.NAME.concurrency); a request that finds one free does not wait.",
    ),
    _gauge("site_calls_in_flight", "site", words="HTTP requests to a site that are under way."),
    _counter(
        "site_cut_by_patience_total", "site", words="Questions to a site given up because others had answered (limits.patience)."
    ),
    _counter(
        "site_jobs_read_total",
        "site",
        "by",
        words="Jobs read from a site: where it evaluated the whole filter itself, and where the gateway had to test them.",
    ),
    _gauge(
        "site_up",
        "site",
        words="1 if the site answered when it was asked last, else 0; 0 before it is asked.",
        across=Across.MOST,
    ),
    _gauge(
        "site_last_change_timestamp_seconds",
        "site",
        words="Since when that is so, in seconds since the epoch.",
        across=Across.MOST,
    ),
    _gauge(
        "site_release_info",
        "site",
        "release",
        words="1 for the release that the site speaks, once it is known.",
        across=Across.MOST,
    ),
    _gauge(
        "site_clock_skew_seconds",
        "site",
        words="How far the site's clock is ahead of the gateway's (below 0: behind).",
        across=Across.MOST,
    ),
    _gauge(
        "site_token_expiry_timestamp_seconds",
        "site",
        words="When the site's own token expires, in seconds since the epoch.",
        across=Across.LEAST,
    ),
    _gauge(
        "site_certificate_expiry_timestamp_seconds",
        "site",
        words="When the site's TLS certificate expires, in seconds since the epoch.",
        across=Across.LEAST,
    ),
    _gauge("site_breaker_state", "site", words="The breaker before the site: 0 closed, 1 half open, 2 open.", across=Across.MOST),
    # cache
    _counter(
        "cache_lookups_total", "tier", "kind", "result", words="Entries looked for in the cache: where, what, and how that ended."
    ),
    _gauge("cache_memory_bytes", words="Bytes of the entries in memory."),
    _gauge("cache_memory_limit_bytes", words="Bytes that they may take (cache.memory_bytes)."),
    _gauge("cache_memory_entries", words="Entries in memory."),
    _counter("cache_memory_evictions_total", words="Entries that had to go for others."),
    _gauge("redis_up", words="1 while Redis is used, 0 while it is left alone; not there without one.", across=Across.LEAST),
    _counter("redis_trips_total", words="How often Redis was taken out of use."),
    _histogram("redis_call_duration_seconds", bounds=_PLACE_SECONDS, words="Time of one exchange with Redis."),
    # the process
    _histogram(
        "event_loop_lag_seconds",
        bounds=_LAG_SECONDS,
        words="How long the event loop, looked at four times a second, took to come round.",
    ),
    _gauge(
        "workers", "state", words="Processes that answer requests: those that were heard when this was asked for, and the others."
    ),
    _gauge("build_info", "version", "python", words="1, for the version that runs.", across=Across.MOST),
    Metric(
        "process_resident_memory_bytes",
        Kind.GAUGE,
        (),
        "Resident memory, of all processes that answer requests.",
        across=Across.SUM,
    ),
    Metric("process_virtual_memory_bytes", Kind.GAUGE, (), "Virtual memory, likewise.", across=Across.SUM),
    Metric("process_cpu_seconds_total", Kind.COUNTER, (), "Processor time, likewise."),
    Metric("process_open_fds", Kind.GAUGE, (), "Open file descriptors, likewise.", across=Across.SUM),
    Metric("process_max_fds", Kind.GAUGE, (), "File descriptors that each may have.", across=Across.LEAST),
    Metric(
        "process_start_time_seconds",
        Kind.GAUGE,
        (),
        "When the first of them began, in seconds since the epoch.",
        across=Across.LEAST,
    ),
)
