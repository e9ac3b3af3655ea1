"""Which metrics at which scopes a job's answer holds: more than asked, less than asked, or what was asked before.

:func:`shown_metrics` follows cc-backend's habits: data of one scope is shown whatever was asked; ``flops_any`` and
``mem_bw`` gain a node scope when node is asked for; up to 1.3 that gain stays in the archive cache and changes later
answers. Answers are cached, by a key in which "all metrics" and "no metrics" are one: whoever asks first decides for both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ccgateway.simulator.clusters import Metric
from ccgateway.simulator.job import Job
from ccgateway.simulator.messages import GoError
from ccgateway.simulator.metrics import JobMetric, measured, sample_all, stored_scope, summed_per_node

if TYPE_CHECKING:
    from ccgateway.simulator.backend import Backend

__all__ = ["SCOPES", "CacheMemory", "Question", "Shown", "shown_metrics"]

SCOPES = frozenset({"node", "socket", "memoryDomain", "core", "hwthread", "accelerator"})
_SUMMED = frozenset({"flops_any", "mem_bw"})
_REMEMBERED = 4096
_LIFE_RUNNING, _LIFE_ENDED = 120, 5 * 3600


class Shown(msgspec.Struct):
    """One entry of ``jobMetrics``."""

    name: str
    scope: str
    metric: JobMetric


class Question(NamedTuple):
    """The key under which the site caches metrics: nothing tells "all" from "none", both are empty."""

    db_id: int
    state: str
    names: tuple[str, ...]
    scopes: tuple[str, ...]
    endpoint: str  #: the endpoints differ in resolution, which is part of the key from 1.4 on


class Chosen(NamedTuple):
    """One metric of an answer."""

    metric: str
    scopes: tuple[str, ...] | None  #: None: whatever the archive cache holds at the time


Choice = tuple[Chosen, ...]


class CacheMemory:
    """What the site's metric cache would still know."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Question, tuple[float, Choice]] = OrderedDict()
        self._summed: set[tuple[int, str]] = set()

    def choice(self, question: Question, now: float) -> Choice | None:
        """What was answered to this question not long ago."""
        until, choice = self._answers.get(question, (0.0, ()))
        return choice if now < until else None

    def keep_choice(self, question: Question, choice: Choice, until: float) -> None:
        self._answers[question] = (until, choice)
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)

    def has_sum(self, job: Job, metric: str) -> bool:
        return (job.id, metric) in self._summed

    def keep_sum(self, job: Job, metric: str) -> None:
        self._summed.add((job.id, metric))


def shown_metrics(
    backend: Backend,
    job: Job,
    names: Sequence[str] | None,
    scopes: Sequence[str] | None,
    *,
    endpoint: str,
    resolution: int | None = None,
) -> list[Shown]:
    """The metrics of *job*; None means that nothing was said about names, scopes or the seconds between samples."""
    release = backend.release
    now = backend.clock()
    key = "" if release.shared_archive else endpoint
    question = Question(job.id, job.state, tuple(names or ()), tuple(scopes or ()), key)
    choice = backend.cache.choice(question, now)
    if choice is None:
        choice = tuple(_choose(backend, job, names, scopes))
        backend.cache.keep_choice(question, choice, now + (_LIFE_RUNNING if job.running else _LIFE_ENDED))
    hardware = backend.hardware(job.cluster)
    metrics = {m.name: m for m in hardware.metrics}
    shown = []
    for name, chosen in choice:
        metric = metrics[name]
        stored = sample_all(job, metric, hardware, backend.now)
        for scope in _there(backend, job, metric) if chosen is None else chosen:
            samples = stored if scope == stored_scope(metric) else summed_per_node(stored)
            content = measured(metric, samples, statistics_from=release.statistics_from, median=release.median)
            shown.append(Shown(name, scope, content))
    every = backend.resampling if resolution is None else resolution
    if every and endpoint == "metrics" and not job.running:
        for one in shown:
            _thin_out(one.metric, every, release.thins_out_from)
    return shown


def _thin_out(metric: JobMetric, every: int, fewest: int) -> None:
    """As a site thins out what it reads from its archive: to fewer samples, under the statistics of all. ``fewest``: samples of
    a series that is long enough for that; 0: the release does not."""
    if every <= metric.timestep or not fewest:
        return
    if every % metric.timestep:
        raise GoError("resampler: the resolution is not a multiple of the timestep")
    texts = [bytes(series.data)[1:-1].split(b",") for series in metric.series]
    if max(map(len, texts), default=0) < fewest:
        return
    step, metric.timestep = every // metric.timestep, every
    for series, samples in zip(metric.series, texts, strict=True):
        series.data = msgspec.Raw(b"[%b]" % b",".join(samples[::step]))


def _choose(backend: Backend, job: Job, names: Sequence[str] | None, scopes: Sequence[str] | None) -> Iterator[Chosen]:
    """Which metrics at which scopes are answered to a question nobody asked before."""
    for metric in backend.hardware(job.cluster).metrics:
        if names is not None and metric.name not in names:
            continue
        there = _there(backend, job, metric)
        wanted = tuple(s for s in there if s in (scopes or ()))
        if len(there) > 1 and wanted:
            yield Chosen(metric.name, wanted)
            continue
        if "node" in (scopes or ()) and metric.name in _SUMMED and "node" not in there:
            there = (*there, "node")
            if _keeps(backend, job):
                backend.cache.keep_sum(job, metric.name)
        yield Chosen(metric.name, None if _keeps(backend, job) else there)


def _there(backend: Backend, job: Job, metric: Metric) -> tuple[str, ...]:
    """The scopes at hand: the stored one, and a sum that stayed in the archive cache."""
    stored = stored_scope(metric)
    return (stored, "node") if _keeps(backend, job) and backend.cache.has_sum(job, metric.name) else (stored,)


def _keeps(backend: Backend, job: Job) -> bool:
    return backend.release.shared_archive and not job.running
