"""The other reading endpoints of REST: single jobs, metrics, clusters, users, used nodes.

Handlers take (backend, request, principal, path parameters) and answer a :class:`~.messages.Response`; :mod:`routes` says
under which paths and to whom. The job list has a module of its own (:mod:`listing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ccgateway.simulator.gate import Principal
from ccgateway.simulator.job import Job
from ccgateway.simulator.messages import (
    JSON,
    TEXT,
    GoError,
    Request,
    Response,
    json_error,
    json_response,
    parse_int,
    text_response,
)
from ccgateway.simulator.metrics import JobMetric
from ccgateway.simulator.scopes import SCOPES, Shown, shown_metrics
from ccgateway.simulator.shapes import Shape
from ccgateway.simulator.source import Selection

if TYPE_CHECKING:
    from ccgateway.simulator.backend import Backend

__all__ = ["clusters", "get_job", "job_metrics", "post_job", "used_nodes", "users"]

NO_ROWS = "sql: no rows in result set"
NOT_YOURS = "you are not allowed to see this job"
_STORE_FAILED = "the metric store has no data for this job"


class Single(msgspec.Struct, rename="pascal"):
    """``{"Meta", "Data"}``."""

    meta: Shape
    data: object


class HowtoMetric(msgspec.Struct):
    """A metric as the how-to page shows it: flat, one entry per metric and scope."""

    name: str
    scope: str
    unit: dict[str, str]
    timestep: int
    series: list[object]


class _Refused(Exception):
    """A request that ends early with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def get_job(backend: Backend, request: Request, who: Principal, path: dict[str, str]) -> Response:
    """One job, with all its metrics if asked for."""
    try:
        job = _job_of(backend, who, path["id"])
    except _Refused as refused:
        return refused.response
    release = backend.release
    meta = backend.view(who, metadata=True).single(job)
    if not release.wrapped_single:
        return json_response(meta, jobs=1)
    if request.value("all-metrics") != "true":
        return json_response(Single(meta, None), jobs=1)
    if job.id in backend.broken_metrics:
        return Response(200)  # upstream logs the failure and says nothing
    data: dict[str, dict[str, JobMetric]] = {}
    for shown in _own_scope(backend, job, None):
        data.setdefault(shown.name, {})[shown.scope] = shown.metric
    return json_response(Single(meta, data), jobs=1)


def post_job(backend: Backend, request: Request, who: Principal, path: dict[str, str]) -> Response:
    """One job with the metrics named in the body."""
    try:
        job = _job_of(backend, who, path["id"])
        names = _metric_names(backend, request.body)
    except _Refused as refused:
        return refused.response
    release = backend.release
    view = backend.view(who, metadata=not release.bare_post_meta)
    meta = view.single(msgspec.structs.replace(job, tags=()) if release.bare_post_meta else job)
    if not release.wrapped_single:
        return json_response(meta, jobs=1)
    if job.id in backend.broken_metrics:
        return Response(200)
    return json_response(Single(meta, _own_scope(backend, job, names)), jobs=1)


def job_metrics(backend: Backend, request: Request, who: Principal, path: dict[str, str]) -> Response:
    """Metrics of one job at the scopes asked for; failures are told inside a 200."""
    release = backend.release
    scopes = request.values("scope")
    unknown = next((s for s in scopes if s not in SCOPES), None)
    if unknown is not None:
        message = release.scope_refused.format(reason=f"SCHEMA/METRICS > {unknown} is not a valid MetricScope")
        return text_response(400, message) if release.text_errors else json_error(400, message)
    if release.howto:
        return _howto_metrics(backend, request, who, path["id"])
    try:
        job = backend.visible_job(who, parse_int(path["id"]))
    except GoError as bad:
        return _no_metrics(str(bad))
    if job is None:
        return _no_metrics(NO_ROWS)
    if not who.may_read_metrics_of(job.user):
        return _no_metrics(NOT_YOURS)
    if job.id in backend.broken_metrics:
        return _no_metrics(_STORE_FAILED)
    shown = shown_metrics(backend, job, request.values("metric") or None, scopes or None)
    return json_response({"data": {"jobMetrics": shown}, "error": None}, jobs=1)


def clusters(backend: Backend, request: Request, who: Principal, _path: dict[str, str]) -> Response:
    """All clusters, or the one named."""
    name = request.value("cluster")
    if not name:
        return json_response({"clusters": backend.clusters})
    cluster = backend.cluster(name)
    if cluster is None:
        return json_error(400, f"unknown cluster: {name}", content_types=2)
    return json_response({"clusters": [cluster]})


def users(backend: Backend, request: Request, who: Principal, _path: dict[str, str]) -> Response:
    """The user table, for admins."""
    release = backend.release
    if not who.has("admin"):
        refused = release.users_refused
        return text_response(403, refused) if release.text_errors else json_error(403, refused)
    special = request.value("not-just-user") == "true"
    listed = [u.listed() for u in backend.users if not special or set(u.roles) - {"user"}]
    return json_response(listed, content_type=TEXT if release.text_errors else JSON)


def used_nodes(backend: Backend, request: Request, who: Principal, _path: dict[str, str]) -> Response:
    """Nodes of the jobs that run and started before ``ts``."""
    given = request.value("ts")
    if not given:
        return json_error(400, "missing required query parameter: ts")
    try:
        before = parse_int(given)
    except GoError as bad:
        return json_error(400, str(bad))
    wanted = Selection(latest=before - 1, states=frozenset({"running"}))
    running = backend.jobs.select(wanted, 0, None, ties_by_duration=False)
    found: dict[str, set[str]] = {}
    for job in running:
        found.setdefault(job.cluster, set()).update(job.hosts)
    return json_response({"usedNodes": {c: sorted(hosts) for c, hosts in found.items()}}, jobs=len(running))


def _job_of(backend: Backend, who: Principal, text: str) -> Job:
    """The job a path names.

    Raises:
        _Refused: not an id, no such job, not this principal's, or of a cluster without configuration.
    """
    release = backend.release
    try:
        db_id = parse_int(text)
    except GoError as bad:
        raise _Refused(json_error(400, f"integer expected in path for id: {bad}")) from bad
    job = backend.visible_job(who, db_id)
    if job is None:
        raise _Refused(json_error(422, release.job_not_found.format(id=db_id, reason=NO_ROWS)))
    if release.panics_without_cluster and backend.cluster(job.cluster) is None:
        raise _Refused(Response(500))
    return job


def _metric_names(backend: Backend, body: bytes) -> list[str] | None:
    """The body of POST jobs/{id}: a list of names, or null for all.

    Raises:
        _Refused: with what Go's decoder says.
    """
    release = backend.release
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.DecodeError:
        reason = "unexpected EOF" if body.strip() else "EOF"
    else:
        if decoded is None:
            return None
        if isinstance(decoded, list) and all(isinstance(name, str) for name in decoded):
            return decoded
        kinds = {dict: "object", str: "string", bool: "bool", int: "number", float: "number"}
        wrong = next((x for x in decoded if not isinstance(x, str)), decoded) if isinstance(decoded, list) else decoded
        target = "string" if isinstance(decoded, list) else release.request_type
        reason = f"json: cannot unmarshal {kinds.get(type(wrong), 'array')} into Go value of type {target}"
    message = release.body_refused.format(reason=reason)
    raise _Refused(text_response(400, message) if release.text_errors else json_error(400, message))


def _own_scope(backend: Backend, job: Job, names: list[str] | None) -> list[Shown]:
    """Metrics at the scope the single-job endpoints choose."""
    scope = "core" if job.num_nodes == 1 else "node"
    return shown_metrics(backend, job, names, [scope])


def _no_metrics(message: str) -> Response:
    return json_response({"data": None, "error": {"message": message}})


def _howto_metrics(backend: Backend, request: Request, who: Principal, text: str) -> Response:
    try:
        job = _job_of(backend, who, text)
    except _Refused as refused:
        return refused.response
    if job.id in backend.broken_metrics:
        return json_error(500, _STORE_FAILED)
    found = shown_metrics(backend, job, request.values("metric") or None, request.values("scope") or None)
    flat = [
        HowtoMetric(
            name=f.name,
            scope=f.scope,
            unit={"base": f.metric.unit.get("base", ""), "prefix": f.metric.unit.get("prefix", "")},
            timestep=f.metric.timestep,
            series=list(f.metric.series),
        )
        for f in found
    ]
    return json_response({"metrics": flat}, jobs=1)
