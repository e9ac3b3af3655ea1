"""Which metrics at which scopes a job's answer holds: more than asked, less than asked, or what was asked before.

:func:`shown_metrics` follows cc-backend's habits: data of one scope is shown whatever was asked; ``flops_any`` and
``mem_bw`` gain a node scope when node is asked for; up to 1.3 that gain stays in the archive cache and changes later
answers; and because the cache key of "all metrics" equals that of "no metrics", whoever asks first decides for both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ccgateway.simulator.job import Job
from ccgateway.simulator.metrics import JobMetric, Samples, measured, sample_all, stored_scope, summed_per_node

if TYPE_CHECKING:
    from ccgateway.simulator.backend import Backend

__all__ = ["SCOPES", "CacheMemory", "Shown", "shown_metrics"]

SCOPES = frozenset({"node", "socket", "memoryDomain", "core", "hwthread", "accelerator"})
_SUMMED = frozenset({"flops_any", "mem_bw"})
_REMEMBERED = 4096
_LIFE_RUNNING, _LIFE_ENDED = 120, 5 * 3600


class Shown(msgspec.Struct):
    """One entry of ``jobMetrics``."""

    name: str
    scope: str
    metric: JobMetric


class CacheMemory:
    """What the site's metric cache would still know."""

    def __init__(self) -> None:
        self._everything: OrderedDict[tuple[int, str, tuple[str, ...]], tuple[float, bool]] = OrderedDict()
        self._summed: set[tuple[int, str]] = set()

    def everything(self, job: Job, scopes: Sequence[str], now: float, *, wanted: bool) -> bool:
        """Whether "all metrics" (*wanted*) or "none" is answered: the first of both to be asked decides."""
        key = (job.id, job.state, tuple(scopes))
        until, answered = self._everything.get(key, (0.0, wanted))
        if now >= until:
            answered = wanted
            self._everything[key] = (now + (_LIFE_RUNNING if job.running else _LIFE_ENDED), answered)
            if len(self._everything) > _REMEMBERED:
                self._everything.popitem(last=False)
        return answered

    def has_sum(self, job: Job, metric: str) -> bool:
        return (job.id, metric) in self._summed

    def keep_sum(self, job: Job, metric: str) -> None:
        self._summed.add((job.id, metric))


def shown_metrics(
    backend: Backend, job: Job, names: Sequence[str] | None, scopes: Sequence[str] | None
) -> list[Shown]:
    """The metrics of *job*; None means that nothing was said about names or scopes."""
    release = backend.release
    hardware = backend.hardware(job.cluster)
    if not names and not release.howto:
        wanted = names is None
        if not backend.cache.everything(job, scopes or (), backend.clock(), wanted=wanted):
            return []
        names = None
    chosen = [m for m in hardware.metrics if names is None or m.name in names]
    shown = []
    for metric in chosen:
        at_scope: dict[str, list[Samples]] = {}
        samples = sample_all(job, metric, hardware, backend.now)
        stored = stored_scope(metric)
        at_scope[stored] = samples
        keeps = release.shared_archive and not job.running
        if keeps and backend.cache.has_sum(job, metric.name):
            at_scope["node"] = summed_per_node(samples)
        filtered = names is not None or scopes is not None
        if filtered and len(at_scope) > 1:
            at_scope = {s: at_scope[s] for s in scopes or () if s in at_scope} or at_scope
        elif "node" in (scopes or ()) and metric.name in _SUMMED and "node" not in at_scope:
            at_scope["node"] = summed_per_node(samples)
            if keeps:
                backend.cache.keep_sum(job, metric.name)
        shown += [
            Shown(
                metric.name,
                scope,
                measured(metric, found, statistics_from=release.statistics_from, median=release.median),
            )
            for scope, found in at_scope.items()
        ]
    return shown
