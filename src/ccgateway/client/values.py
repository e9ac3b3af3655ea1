"""What a gateway tells, as values: jobs, sites, metrics, figures, and what orders came to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

__all__ = [
    "Exactness", "Figures", "FootprintValue", "Job", "JobKey", "JobStatistics", "Metric", "Missing", "NamedStatistics", "Outcome",
    "Resource", "Series", "Site", "SiteFailure", "SiteReport", "Statistics", "Tag", "Unit",
]  # fmt: skip

_WIRE = {"num_hw_threads": "numHWThreads", "smt": "SMT"}


def _wire(name: str) -> str:
    """The gateway's name of an attribute: ``numNodes`` for ``num_nodes``."""
    first, *rest = name.split("_")
    return _WIRE.get(name) or first + "".join(part.capitalize() for part in rest)


class _Value(msgspec.Struct, frozen=True, rename=_wire, kw_only=True):
    """A value with the gateway's names on the wire."""


class Missing(_Value, frozen=True):
    """What is missing of one site, and why: ``code`` and ``message``; ``retryable``: whether it may be there a little later."""

    site: str
    code: str
    message: str = ""
    retryable: bool = False

    def __str__(self) -> str:
        return f"{self.site}: {self.code}" + (f" ({self.message})" if self.message else "")


class SiteReport(_Value, frozen=True):
    """How one site took part in an answer. ``elapsed`` and ``cache_age`` in seconds; ``calls``: requests sent to it."""

    site: str
    number: int
    status: str
    code: str | None = None
    message: str | None = None
    retryable: bool = False
    elapsed: float = 0.0
    calls: int = 0
    scanned: int = 0
    returned: int = 0
    cache_age: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> Missing | None:
        """What is missing of the site; ``None`` if nothing is. A list that reads on (``SCAN_BUDGET``) lacks nothing."""
        if self.status in ("OK", "SKIPPED") or self.code == "SCAN_BUDGET":
            return None
        return Missing(site=self.site, code=self.code or "INTERNAL", message=self.message or "", retryable=self.retryable)


class SiteFailure(_Value, frozen=True):
    """The newest failure of a site; ``at``: when."""

    code: str
    message: str = ""
    at: datetime | None = None


class Site(_Value, frozen=True):
    """One cc-backend instance behind the gateway. ``elapsed``: seconds its answer took; ``since``: since when it is as it is."""

    name: str
    number: int
    release: str | None
    required: bool
    reachable: bool
    since: datetime
    elapsed: float | None
    last_error: SiteFailure | None
    capabilities: tuple[str, ...] = ()
    same_as: str | None = None


class Tag(_Value, frozen=True):
    """A tag: its type, its name, and who sees it (``global``, ``admin`` or a user's name)."""

    type: str
    name: str
    scope: str = "global"

    def __str__(self) -> str:
        return f"{self.type}:{self.name}"


class Resource(_Value, frozen=True):
    """One host of a job, and what it has of it; ``None``: all of it, or not known."""

    hostname: str
    hwthreads: tuple[int, ...] | None = None
    accelerators: tuple[str, ...] | None = None
    configuration: str | None = None


class FootprintValue(_Value, frozen=True):
    """One value that the site keeps with a job: a metric, a statistic of it (``avg``, ``max``), and its value."""

    name: str
    stat: str
    value: float


class JobKey(_Value, frozen=True):
    """What identifies a job for good."""

    site: str
    cluster: str
    job_id: int
    start_time: datetime


class Job(_Value, frozen=True):
    """One job of one site.

    ``id`` (``"site:number"``) finds it again, ``job_id`` is the scheduler's number. ``duration`` and ``walltime`` in seconds,
    ``energy`` in kWh. ``resources``, ``footprint`` and ``meta_data`` are ``None`` unless they were asked for (``include``).
    """

    id: str
    site: str
    cluster: str
    sub_cluster: str
    job_id: int
    user: str
    project: str
    partition: str
    state: str
    start_time: datetime
    duration: int
    walltime: int
    num_nodes: int
    num_hw_threads: int
    num_acc: int
    smt: int
    shared: str
    array_job_id: int
    monitoring_status: int
    energy: float
    tags: tuple[Tag, ...] = ()
    resources: tuple[Resource, ...] | None = None
    footprint: tuple[FootprintValue | None, ...] | None = None
    meta_data: dict[str, Any] | None = None

    @property
    def key(self) -> JobKey:
        """What identifies the job for good."""
        return JobKey(site=self.site, cluster=self.cluster, job_id=self.job_id, start_time=self.start_time)

    @property
    def name(self) -> str | None:
        """The job's name, if its metadata were asked for and hold one."""
        name = (self.meta_data or {}).get("jobName")
        return name if isinstance(name, str) else None

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of its hosts, if its resources were asked for."""
        return tuple(one.hostname for one in self.resources or ())


class Statistics(_Value, frozen=True):
    """Average, lowest and highest value, in the unit of the metric."""

    avg: float
    min: float
    max: float


class Unit(_Value, frozen=True):
    """A unit: prefix ``G`` and base ``F/s`` are ``GF/s``."""

    base: str = ""
    prefix: str | None = None

    def __str__(self) -> str:
        return f"{self.prefix or ''}{self.base}"


class Series(_Value, frozen=True):
    """What was measured at one place: a host, or the part of it that ``id`` names. ``data``: samples, ``None`` for each gap."""

    hostname: str
    id: str | None = None
    statistics: Statistics | None = None
    data: tuple[float | None, ...] = ()


class Metric(_Value, frozen=True):
    """One metric of one job at one scope. Samples stand ``timestep`` seconds apart, from the job's start on."""

    name: str
    scope: str
    unit: Unit
    timestep: int
    series: tuple[Series, ...] = ()


class NamedStatistics(_Value, frozen=True):
    """What one metric of a job comes to."""

    name: str
    data: Statistics


class JobStatistics(_Value, frozen=True):
    """What the metrics of one job come to. ``job_id``: the scheduler's number; ``metrics``: by name."""

    site: str
    cluster: str
    id: int
    job_id: str
    duration: int
    num_nodes: int
    stats: tuple[NamedStatistics, ...]

    @property
    def metrics(self) -> dict[str, Statistics]:
        """Average, lowest and highest value of each metric, by its name."""
        return {one.name: one.data for one in self.stats}


class Exactness(_Value, frozen=True):
    """How far one figure can be trusted: ``EXACT``, ``BOUNDED`` (``at_least``, ``at_most``) or ``REFUSED``, and why."""

    figure: str
    quality: str
    at_least: int | None = None
    at_most: int | None = None
    reason: str | None = None


class Figures(_Value, frozen=True):
    """Figures of all jobs that match, or of one group of them (``id``). ``None``: not to be had; ``exactness`` says why.

    ``total_walltime`` and what ends in ``hours`` are hours used so far.
    """

    id: str
    name: str
    total_jobs: int | None
    running_jobs: int | None
    short_jobs: int | None
    total_users: int | None
    total_walltime: int | None
    total_nodes: int | None
    total_node_hours: int | None
    total_cores: int | None
    total_core_hours: int | None
    total_accs: int | None
    total_acc_hours: int | None
    exactness: tuple[Exactness, ...] = ()
    complete: bool = True
    sites: tuple[SiteReport, ...] = ()


class Outcome(_Value, frozen=True):
    """What one order came to: ``DONE``, ``UNCHANGED``, ``PENDING``, ``FAILED`` or ``UNKNOWN``.

    ``id``: the job's, if it has one; ``code`` and ``message``: why not, or what else there is to know.
    """

    outcome: str
    site: str | None = None
    id: str | None = None
    code: str | None = None
    message: str | None = None
    retryable: bool = False

    @property
    def is_good(self) -> bool:
        """Whether it is now as it was ordered, or will be."""
        return self.outcome in ("DONE", "UNCHANGED", "PENDING")
