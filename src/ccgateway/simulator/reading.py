"""The other reading endpoints of REST: single jobs, metrics, clusters, users, used nodes.

Handlers take a :class:`~.call.Call` and answer a :class:`~.messages.Response`; :mod:`routes` says
under which paths and to whom. The job list has a module of its own (:mod:`listing`).
"""

from __future__ import annotations

import msgspec

from ccgateway.simulator.call import Call
from ccgateway.simulator.job import Job
from ccgateway.simulator.messages import (
    JSON,
    TEXT,
    GoError,
    Response,
    json_error,
    json_response,
    parse_int,
    text_response,
)
from ccgateway.simulator.metrics import JobMetric
from ccgateway.simulator.release import Release
from ccgateway.simulator.scopes import SCOPES, Shown, shown_metrics
from ccgateway.simulator.shapes import Shape
from ccgateway.simulator.source import Selection

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


class _RefusedError(Exception):
    """A request that ends early with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def get_job(call: Call) -> Response:
    """One job, with all its metrics if asked for."""
    try:
        job = _job_of(call)
    except _RefusedError as refused:
        return refused.response
    release = call.release
    meta = call.backend.view(call.who, metadata=True).single(job)
    if not release.wrapped_single:
        return json_response(meta, jobs=1)
    if call.request.value("all-metrics") != "true":
        return json_response(Single(meta, None), jobs=1)
    if job.id in call.backend.broken_metrics:
        return Response(200)  # upstream logs the failure and says nothing
    data: dict[str, dict[str, JobMetric]] = {}
    for shown in _own_scope(call, job, None):
        data.setdefault(shown.name, {})[shown.scope] = shown.metric
    return json_response(Single(meta, data), jobs=1)


def post_job(call: Call) -> Response:
    """One job with the metrics named in the body."""
    try:
        job = _job_of(call)
        names = _metric_names(call.release, call.request.body)
    except _RefusedError as refused:
        return refused.response
    release = call.release
    view = call.backend.view(call.who, metadata=not release.bare_post_meta)
    meta = view.single(msgspec.structs.replace(job, tags=()) if release.bare_post_meta else job)
    if not release.wrapped_single:
        return json_response(meta, jobs=1)
    if job.id in call.backend.broken_metrics:
        return Response(200)
    return json_response(Single(meta, _own_scope(call, job, names)), jobs=1)


def job_metrics(call: Call) -> Response:
    """Metrics of one job at the scopes asked for; failures are told inside a 200."""
    release = call.release
    scopes = call.request.values("scope")
    unknown = next((s for s in scopes if s not in SCOPES), None)
    if unknown is not None:
        message = release.scope_refused.format(reason=f"SCHEMA/METRICS > {unknown} is not a valid MetricScope")
        return text_response(400, message) if release.text_errors else json_error(400, message)
    if release.howto:
        return _howto_metrics(call)
    try:
        job = call.backend.visible_job(call.who, parse_int(call.path["id"]))
    except GoError as bad:
        return _no_metrics(str(bad))
    if job is None:
        return _no_metrics(NO_ROWS)
    if not call.who.may_read_metrics_of(job.user):
        return _no_metrics(NOT_YOURS)
    if job.id in call.backend.broken_metrics:
        return _no_metrics(_STORE_FAILED)
    try:
        shown = shown_metrics(call.backend, job, call.request.values("metric") or None, scopes or None, endpoint="metrics")
    except GoError as bad:
        return _no_metrics(str(bad))
    return json_response({"data": {"jobMetrics": shown}, "error": None}, jobs=1)


def clusters(call: Call) -> Response:
    """All clusters, or the one named."""
    name = call.request.value("cluster")
    if not name:
        return json_response({"clusters": call.backend.clusters})
    cluster = call.backend.cluster(name)
    if cluster is None:
        return json_error(400, f"unknown cluster: {name}", content_types=2)
    return json_response({"clusters": [cluster]})


def users(call: Call) -> Response:
    """The user table, for admins."""
    release = call.release
    if not call.who.has("admin"):
        refused = release.users_refused
        return text_response(403, refused) if release.text_errors else json_error(403, refused)
    special = call.request.value("not-just-user") == "true"
    listed = [u.listed() for u in call.backend.users if not special or set(u.roles) - {"user"}]
    return json_response(listed, content_type=TEXT if release.text_errors else JSON)


def used_nodes(call: Call) -> Response:
    """Nodes of the jobs that run and started before ``ts``."""
    given = call.request.value("ts")
    if not given:
        return json_error(400, "missing required query parameter: ts")
    try:
        before = parse_int(given)
    except GoError as bad:
        return json_error(400, str(bad))
    wanted = Selection(latest=before - 1, states=frozenset({"running"}))
    running = call.backend.jobs.select(wanted, 0, None)
    found: dict[str, set[str]] = {}
    for job in running:
        found.setdefault(job.cluster, set()).update(job.hosts)
    return json_response({"usedNodes": {c: sorted(hosts) for c, hosts in found.items()}}, jobs=len(running))


def _job_of(call: Call) -> Job:
    """The job a path names.

    Raises:
        _RefusedError: not an id, no such job, not this principal's, or of a cluster without configuration.
    """
    release = call.release
    try:
        db_id = parse_int(call.path["id"])
    except GoError as bad:
        raise _RefusedError(json_error(400, f"integer expected in path for id: {bad}")) from bad
    job = call.backend.visible_job(call.who, db_id)
    if job is None:
        raise _RefusedError(json_error(422, release.job_not_found.format(id=db_id, reason=NO_ROWS)))
    if release.panics_without_cluster and call.backend.cluster(job.cluster) is None:
        raise _RefusedError(Response(500))
    return job


def _metric_names(release: Release, body: bytes) -> list[str] | None:
    """The body of POST jobs/{id}: a list of names, or null for all.

    Raises:
        _RefusedError: with what Go's decoder says.
    """
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
    raise _RefusedError(text_response(400, message) if release.text_errors else json_error(400, message))


def _own_scope(call: Call, job: Job, names: list[str] | None) -> list[Shown]:
    """Metrics at the scope the single-job endpoints choose."""
    scope = "core" if job.num_nodes == 1 else "node"
    return shown_metrics(call.backend, job, names, [scope], endpoint="job")


def _no_metrics(message: str) -> Response:
    return json_response({"data": None, "error": {"message": message}})


def _howto_metrics(call: Call) -> Response:
    try:
        job = _job_of(call)
    except _RefusedError as refused:
        return refused.response
    if job.id in call.backend.broken_metrics:
        return json_error(500, _STORE_FAILED)
    found = shown_metrics(
        call.backend, job, call.request.values("metric") or None, call.request.values("scope") or None, endpoint="metrics"
    )
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
