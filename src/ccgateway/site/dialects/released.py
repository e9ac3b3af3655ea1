"""cc-backend 1.2 to 1.5 as real instances behave (contract: recorded exchanges of 1.2.2, 1.3.1, 1.4.4 and 1.5.4)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

from ccgateway.jobs.conditions import Push
from ccgateway.jobs.metrics import MetricPiece
from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE, Epoch, JobRow
from ccgateway.site.credentials import Credential
from ccgateway.site.decoding import Computed, Wire, epoch, page_decoder, wrapped_decoder
from ccgateway.site.dialects.base import METADATA, Dialect, ReadPlan, Window, query_request
from ccgateway.site.dialects.metrics import hosts_mixed
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.replies import decode

__all__ = ["RELEASED", "Released"]

_KEYS = {"num_hw_threads": "numHwthreads", "state": "jobState"}
_EXCLUSIVE = {"shared": Computed((("exclusive", int, msgspec.NODEFAULT),), lambda n: SHARED_BY_EXCLUSIVE.get(n, "none"))}
_START_TEXT = {"start_time": Computed((("startTime", Epoch | dt.datetime, msgspec.NODEFAULT),), epoch)}
_BEFORE_1_4 = frozenset({"energy", "footprint"})

_OLD_STATES = frozenset({"running", "completed", "failed", "cancelled", "stopped", "timeout", "preempted", "out_of_memory"})
_NEW_STATES = (_OLD_STATES - {"stopped"}) | {"boot_fail", "deadline", "node_fail", "pending", "suspended"}


@dataclass(frozen=True, eq=False)
class Released(Dialect):
    """One released series. ``in_list`` and ``single``: how jobs are written in lists and alone.

    ``job_path``: whether ``GET jobs/{id}`` exists (else ``POST``, which knows neither tags nor metadata);
    ``clusters_rest``: whether ``GET clusters/`` does; ``metrics_below``: the document part that metric settings stand in;
    ``mixes_hosts``: whether metrics derived at node scope are of all hosts together.
    """

    name: str
    isolates: bool
    states: frozenset[str]
    pushes: frozenset[str]
    in_list: Wire
    single: Wire
    capabilities: tuple[str, ...]
    job_by_get: bool = True
    clusters_rest: bool = True
    metrics_in_subclusters: bool = True
    lacks: Mapping[str, str] = field(default_factory=dict)
    mixes_hosts: bool = True

    @property
    def missing_in_single(self) -> frozenset[str]:  # type: ignore[override]
        """1.2 tells tags and metadata in lists only."""
        return frozenset() if self.job_by_get else frozenset({"tags"}) | METADATA

    def accepts(self, push: Push) -> bool:
        """Kinds by table; an empty text cannot be asked for."""
        return push.kind in self.pushes and push.value != ""

    def list_request(self, root: str, plan: ReadPlan, window: Window, size: int, page: int) -> SiteRequest:
        """``GET jobs/``; both ends of ``start-time`` are needed and inclusive."""
        query: list[tuple[str, Any]] = [("start-time", f"{window.earliest}-{window.latest}"), ("items-per-page", size)]
        if page > 1:
            query.append(("page", page))
        for push in plan.pushed:
            query += [("state", state) for state in sorted(push.value)] if push.kind == "state" else [(push.kind, push.value)]
        if plan.with_metadata:
            query.append(("with-metadata", "true"))
        return SiteRequest("GET", f"{root}/jobs/?{urlencode(query)}", rows=size)

    def list_rows(self, answer: SiteAnswer, site: str, attributes: frozenset[str]) -> list[JobRow]:
        """``{"jobs": […]}``."""
        return decode(answer, page_decoder(site, self.in_list, attributes), site).jobs

    def job_request(self, root: str, db_id: int) -> SiteRequest:
        """``GET jobs/{id}``; on 1.2 ``POST`` for a metric that does not exist, as an empty list would load them all."""
        if self.job_by_get:
            return SiteRequest("GET", f"{root}/jobs/{db_id}")
        return SiteRequest("POST", f"{root}/jobs/{db_id}", b'["-"]')

    def job_row(self, answer: SiteAnswer, site: str, attributes: frozenset[str]) -> JobRow:
        """``{"Meta": …}``."""
        return decode(answer, wrapped_decoder(site, self.single, attributes), site).meta

    def metric_notes(self, pieces: Sequence[MetricPiece]) -> list[str]:
        """Up to 1.4: which metrics have the sum over all hosts where each host's own should stand."""
        mixed = hosts_mixed(pieces) if self.mixes_hosts else []
        if not mixed:
            return []
        words = (
            f"scopes: at node scope, each host has the sum over all hosts in {', '.join(mixed)} (a fault of releases up to 1.4)."
        )
        return [f"{words} Ask for the finer scope that the site keeps."]

    def clusters_request(self, credential: Credential) -> SiteRequest:
        """REST where there is one and the token may use it; else the site's GraphQL, which any token may ask for clusters."""
        if self.clusters_rest and self.root(credential) == "/api":
            return SiteRequest("GET", "/api/clusters/")
        return query_request(_clusters_document(self.metrics_in_subclusters))


def _clusters_document(metrics_in_subclusters: bool) -> str:  # noqa: FBT001 - one reading, one place
    unit, value = "unit{base prefix}", "{unit{base prefix} value}"
    thresholds = "peak normal caution alert"
    metrics = f"metricConfig{{name {unit} scope aggregation timestep {thresholds} %s subClusters{{name {thresholds} remove}}}}"
    above = "" if metrics_in_subclusters else metrics % ""
    below = f"footprint {metrics % 'lowerIsBetter'}" if metrics_in_subclusters else ""
    rates = f"flopRateScalar{value} flopRateSimd{value} memoryBandwidth{value}"
    topology = "topology{node socket memoryDomain die core accelerators{id type model}}"
    cores = "socketsPerNode coresPerSocket threadsPerCore"
    return f"{{clusters{{name {above} subClusters{{name nodes processorType {cores} {rates} {topology} {below}}}}}}}"


_NO_FOOTPRINT = "Releases up to 1.3 keep no footprints: metricStats matches none of this site's jobs."
_NO_ENERGY = "Releases up to 1.3 do not know energy: it counts as 0."

_1_3 = Released(
    name="1.3",
    isolates=False,
    states=_OLD_STATES,
    pushes=frozenset({"state", "cluster"}),
    in_list=Wire(_KEYS, _EXCLUSIVE, _BEFORE_1_4),
    single=Wire(_KEYS, _EXCLUSIVE | _START_TEXT, _BEFORE_1_4),
    capabilities=("jobs", "job", "clusters", "users"),
    metrics_in_subclusters=False,
    lacks={"metric_stats": _NO_FOOTPRINT, "energy": _NO_ENERGY},
)

RELEASED: dict[str, Released] = {
    "1.2": Released(
        name="1.2",
        isolates=False,
        states=_OLD_STATES,
        pushes=_1_3.pushes,
        in_list=_1_3.in_list,
        single=_1_3.single,
        capabilities=_1_3.capabilities,
        job_by_get=False,
        clusters_rest=False,
        metrics_in_subclusters=False,
        lacks=_1_3.lacks,
    ),
    "1.3": _1_3,
    "1.4": Released(
        name="1.4",
        isolates=True,
        states=_OLD_STATES,
        pushes=frozenset({"state", "cluster"}),
        in_list=Wire(_KEYS, _EXCLUSIVE),
        single=Wire(_KEYS, _EXCLUSIVE | _START_TEXT),
        capabilities=("jobs", "job", "clusters", "users", "isolation", "footprint", "energy"),
    ),
    "1.5": Released(
        name="1.5",
        isolates=True,
        states=_NEW_STATES,
        pushes=frozenset({"state", "cluster", "project"}),
        in_list=Wire(_KEYS),
        single=Wire(_KEYS),
        capabilities=("jobs", "job", "clusters", "users", "isolation", "footprint", "energy", "project-filter"),
        mixes_hosts=False,
    ),
}
