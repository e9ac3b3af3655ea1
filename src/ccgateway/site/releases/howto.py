"""The API as ClusterCockpit's how-to page documents it: a dialect of its own, since no release behaves so.

Filters ``user``, ``project``, ``startTime[from]``, ``startTime[to]``, ``numNodes[from]``, ``items_per_page``; a single job is
the flat object, with ``state``; metrics are a flat list; jobs are stopped by id, and any keys of metadata edited at once. What
the page leaves open is read leniently: ``jobState`` for ``state``, a job wrapped in ``Meta``, ``exclusive`` for ``shared``, a
start time as text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from ccgateway.jobs.conditions import Push
from ccgateway.jobs.metrics import MetricPiece, MetricsWanted
from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE, STATES, Epoch, JobKey, JobRow
from ccgateway.jobs.writes import StopJob, Target
from ccgateway.site.credentials import Credential
from ccgateway.site.decoding import Computed, Wire, epoch, flat_decoder
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.releases.dialect import Dialect, without_nulls, write_request
from ccgateway.site.releases.metric_answers import MetricsRoute, howto_pieces
from ccgateway.site.releases.reads import ReadPlan, Window
from ccgateway.site.replies import decode

__all__ = ["HOWTO"]

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


@dataclass(frozen=True, eq=False, kw_only=True)
class _HowTo(Dialect):
    """The one documented form."""

    def accepts(self, push: Push) -> bool:
        """One state at a time, as the page shows it; any documented parameter."""
        return super().accepts(push) and (push.kind != "state" or len(push.value) == 1)

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

    def job_row(self, answer: SiteAnswer, site: str, attributes: frozenset[str]) -> JobRow:
        """The flat object, or one wrapped in ``Meta``."""
        if answer.body.lstrip()[:20].replace(b" ", b"").startswith(b'{"Meta"'):
            return super().job_row(answer, site, attributes)
        return decode(answer, flat_decoder(site, self.single, attributes), site)

    def metrics_route(self, credential: Credential) -> MetricsRoute:  # noqa: ARG002 - the page knows one way
        """``GET jobs/metrics/{id}``, whatever the token."""
        return MetricsRoute(by_post=False)

    def _pieces(self, answer: SiteAnswer, site: str, wanted: MetricsWanted, route: MetricsRoute) -> list[MetricPiece]:  # noqa: ARG002
        return howto_pieces(answer, site, wanted)

    def stop_request(self, target: Target, command: StopJob) -> SiteRequest:
        """``POST stop_job/{id}``."""
        if target.db_id is None:
            return super().stop_request(target, command)
        body = {**without_nulls({"cluster": target.cluster}), "jobState": command.state, "stopTime": command.stop_time}
        return write_request("POST", f"jobs/stop_job/{target.db_id}", body)

    def meta_requests(
        self,
        key: JobKey,  # noqa: ARG002 - the page knows ids only
        db_id: int,
        values: Mapping[str, str],
    ) -> list[tuple[dict[str, str], SiteRequest]]:
        """``PATCH edit_meta/{id}`` with all keys."""
        return [(dict(values), write_request("PATCH", f"jobs/edit_meta/{db_id}", dict(values)))]


HOWTO = _HowTo(
    name="howto",
    capabilities=("jobs", "job", "clusters", "users", "isolation", "project-filter", "user-filter", "nodes-filter"),
    states=frozenset(STATES),
    # what it reads
    pushes=frozenset({"state", *_PARAMETERS}),
    in_list=_WIRE,
    single=_WIRE,
    no_job=frozenset({404, 422}),
    query=None,
    # what it writes
    shared_key="shared",
)
