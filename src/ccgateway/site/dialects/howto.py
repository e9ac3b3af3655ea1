"""The API as ClusterCockpit's how-to page documents it: a dialect of its own, since no release behaves so.

Filters ``user``, ``project``, ``startTime[from]``, ``startTime[to]``, ``numNodes[from]``, ``items_per_page``; a single job is
the flat object, with ``state``; metrics are a flat list. What the page leaves open is read leniently: ``jobState`` for
``state``, a job wrapped in ``Meta``, ``exclusive`` for ``shared``, a start time as text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

from ccgateway.jobs.conditions import Push
from ccgateway.jobs.metrics import MetricPiece, MetricsWanted
from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE, STATES, Epoch, JobRow
from ccgateway.site.credentials import Credential
from ccgateway.site.decoding import Computed, Wire, epoch, flat_decoder, page_decoder, wrapped_decoder
from ccgateway.site.dialects.base import Dialect, ReadPlan, Window
from ccgateway.site.dialects.metrics import MetricsRoute, howto_pieces
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.replies import decode

__all__ = ["HOWTO", "HowTo"]

_WIRE = Wire(
    {"num_hw_threads": "numHwthreads"},
    {
        "state": Computed((("state", str, ""), ("jobState", str, "")), lambda state, job_state: state or job_state),
        "start_time": Computed((("startTime", Epoch | dt.datetime, msgspec.NODEFAULT),), epoch),
        "shared": Computed(
            (("shared", str | None, None), ("exclusive", int, 1)),
            lambda shared, exclusive: shared or SHARED_BY_EXCLUSIVE.get(exclusive, "none"),
        ),
    },
)
_PARAMETERS = {"cluster": "cluster", "user": "user", "project": "project", "min_nodes": "numNodes[from]"}


@dataclass(frozen=True, eq=False)
class HowTo(Dialect):
    """The one documented form."""

    name: str = "howto"
    isolates: bool = True
    states: frozenset[str] = frozenset(STATES)
    capabilities: tuple[str, ...] = (
        "jobs",
        "job",
        "clusters",
        "users",
        "isolation",
        "project-filter",
        "user-filter",
        "nodes-filter",
    )

    lacks: Mapping[str, str] = field(default_factory=dict)

    def accepts(self, push: Push) -> bool:
        """One state at a time, as the page shows it; any documented parameter."""
        if push.kind == "state":
            return len(push.value) == 1
        return push.kind in _PARAMETERS and push.value != ""

    def list_request(self, root: str, plan: ReadPlan, window: Window, size: int, page: int) -> SiteRequest:
        """``GET jobs/`` with the page's parameters."""
        query: list[tuple[str, Any]] = [
            ("startTime[from]", window.earliest), ("startTime[to]", window.latest), ("items_per_page", size), ("page", page),
        ]  # fmt: skip
        query += [
            ("state", next(iter(push.value))) if push.kind == "state" else (_PARAMETERS[push.kind], push.value)
            for push in plan.pushed
        ]
        return SiteRequest("GET", f"{root}/jobs/?{urlencode(query)}", rows=size)

    def list_rows(self, answer: SiteAnswer, site: str, attributes: frozenset[str]) -> list[JobRow]:
        """``{"jobs": […]}``."""
        return decode(answer, page_decoder(site, _WIRE, attributes), site).jobs

    def job_request(self, root: str, db_id: int) -> SiteRequest:
        """``GET jobs/{id}``."""
        return SiteRequest("GET", f"{root}/jobs/{db_id}")

    def job_row(self, answer: SiteAnswer, site: str, attributes: frozenset[str]) -> JobRow:
        """The flat object, or one wrapped in ``Meta``."""
        if answer.body.lstrip()[:20].replace(b" ", b"").startswith(b'{"Meta"'):
            return decode(answer, wrapped_decoder(site, _WIRE, attributes), site).meta
        return decode(answer, flat_decoder(site, _WIRE, attributes), site)

    def metrics_route(self, credential: Credential) -> MetricsRoute:  # noqa: ARG002 - the page knows one way
        """``GET jobs/metrics/{id}``, whatever the token."""
        return MetricsRoute(by_post=False)

    def metric_pieces(self, answer: SiteAnswer, site: str, wanted: MetricsWanted, route: MetricsRoute) -> list[MetricPiece]:  # noqa: ARG002
        """``{"metrics": […]}``."""
        return howto_pieces(answer, site, wanted)

    def clusters_request(self, credential: Credential) -> SiteRequest:  # noqa: ARG002 - the page knows one way
        """``GET clusters/``."""
        return SiteRequest("GET", "/api/clusters/")

    def partitions_request(self) -> SiteRequest | None:
        """The page documents no way to learn them."""
        return None


HOWTO = HowTo()
