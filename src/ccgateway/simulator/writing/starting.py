"""``start_job``: a job begins, or is refused in one of many ways.

Release 1.5 lets a job without tags wait (:mod:`~ccgateway.simulator.waiting`); one with tags is visible at once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ccgateway.simulator.call import Call
from ccgateway.simulator.clusters import holds_node
from ccgateway.simulator.job import NULL, SHARED, Job
from ccgateway.simulator.messages import GoError, Response, encoder, json_error, json_response, text_response
from ccgateway.simulator.release import Release
from ccgateway.simulator.waiting import TwiceError
from ccgateway.simulator.writing.bodies import Start, TagGiven, bodies_of
from ccgateway.simulator.writing.labels import LabelError
from ccgateway.simulator.writing.refusing import RefusedError, bad_body, crashed
from ccgateway.simulator.writing.tagging import add_tag

__all__ = ["start_job"]

_DAY = 86400


def start_job(call: Call) -> Response:
    """A job begins."""
    changes = call.backend.changes
    try:
        given = bodies_of(call.release.name).start(call.request.body)
    except GoError as bad:
        return bad_body(bad)
    try:
        job = _checked(call, given)
        if changes.waiting is not None and not given.tags:
            changes.wait(job)
            return _started(call, job)
    except RefusedError as refused:
        return refused.response
    except TwiceError:
        columns = "job_cache.job_id, job_cache.cluster, job_cache.start_time"
        return _not_inserted(f"UNIQUE constraint failed: {columns}")
    return _tagged(call, changes.start(job), given.tags)


def _checked(call: Call, given: Start) -> Job:
    """The job as it is to be stored.

    Raises:
        RefusedError: it is no good, or there is one like it.
    """
    release = call.release
    state = given.job_state if release.start_honours_state else "running"
    sub_cluster = _sub_cluster(call, given)
    reason = _insane(given, state, release)
    if reason is not None:
        raise RefusedError(json_error(400, reason))
    for other in call.backend.jobs.find(given.job_id, given.cluster):
        if given.start_time - other.start_time < _DAY:  # signed: one that starts later is always in the way
            exists = "a job with that jobId, cluster and startTime already exists"
            raise RefusedError(json_error(422, f"{exists}: dbid: {other.id}, jobid: {other.job_id}"))
    _check_columns(call, given)
    return _job(given, state, sub_cluster, release)


def _sub_cluster(call: Call, given: Start) -> str:
    cluster = call.backend.cluster(given.cluster)
    if cluster is None:
        raise RefusedError(json_error(400, f"no such cluster: {given.cluster}"))
    parts: list[dict[str, Any]] = cluster.get("subClusters", [])
    if given.sub_cluster:
        if all(p["name"] != given.sub_cluster for p in parts):
            raise _misconfigured(f"already assigned subcluster {given.sub_cluster} unkown (cluster: {given.cluster})")
        return given.sub_cluster
    if not given.resources:
        raise _misconfigured("job without any resources/hosts")
    host = (given.resources[0] or {}).get("hostname", "")
    found = next((str(p["name"]) for p in parts if holds_node(str(p["nodes"]), host)), None)
    if found is None:
        raise _misconfigured(f"no subcluster found for cluster {given.cluster} and host {host}")
    return found


def _misconfigured(reason: str) -> RefusedError:
    return RefusedError(json_error(400, f"ARCHIVE/CLUSTERCONFIG > {reason}"))


def _insane(given: Start, state: str, release: Release) -> str | None:
    if state not in release.states:
        return f"not a valid job state: {state}"
    if not given.resources or not given.user:
        return "'resources' and 'user' should not be empty"
    if given.num_acc < 0 or given.num_hwthreads < 0 or given.num_nodes < 1:
        return "'numNodes', 'numAcc' or 'numHWThreads' invalid"
    if len(given.resources) != given.num_nodes:
        return f"len(resources) does not equal numNodes ({len(given.resources)} vs {given.num_nodes})"
    return None


def _check_columns(call: Call, given: Start) -> None:
    """The database's own checks; 1.5's table of waiting jobs has one more than that of visible ones."""
    release = call.release
    waits = not given.tags
    sharing = 0 <= given.exclusive <= 2 if release.exclusive_body else given.shared in SHARED
    good = {
        "smt": given.smt in {0, 1} or not (release.exclusive_body or waits),
        "exclusive": sharing,
        "monitoring_status": 0 <= given.monitoring_status <= 3,
    }
    failed = next((column for column, holds in good.items() if not holds), None)
    if failed is not None:
        raise RefusedError(_not_inserted(f"CHECK constraint failed: {release.checks[failed]}"))


def _job(given: Start, state: str, sub_cluster: str, release: Release) -> Job:
    resources = [r and {k: v for k, v in r.items() if k == "hostname" or v} for r in given.resources]
    return Job(
        id=0,
        job_id=given.job_id,
        user=given.user,
        project=given.project,
        cluster=given.cluster,
        sub_cluster=sub_cluster,
        partition=given.partition,
        num_nodes=given.num_nodes,
        num_hwthreads=given.num_hwthreads,
        num_acc=given.num_acc,
        smt=given.smt,
        exclusive=given.exclusive if release.exclusive_body else SHARED.index(given.shared),
        monitoring_status=given.monitoring_status,
        state=state,
        start_time=given.start_time,
        duration=given.duration,
        walltime=given.walltime,
        energy=given.energy,
        hosts=tuple(r["hostname"] for r in resources if r and "hostname" in r),
        resources=msgspec.Raw(encoder.encode(resources)),
        footprint=NULL if given.footprint is None else msgspec.Raw(encoder.encode(given.footprint)),
        meta_data=given.meta_data,
        array_job_id=given.array_job_id,
    )


def _tagged(call: Call, job: Job, tags: list[TagGiven | None]) -> Response:
    """The job is there; give it its tags, and fail with it if that fails."""
    for tag in tags:
        if tag is None:
            return crashed()
        try:
            job, _ = add_tag(call, job, tag)
        except LabelError as failed:
            refused = json_error(500, f"adding tag to new job {job.id} failed: {failed}")
            if not call.release.text_errors:
                return refused
            text = text_response(500, str(failed))  # both, one after the other
            return Response(500, text.body + refused.body, text.headers)
    return _started(call, job)


def _started(call: Call, job: Job) -> Response:
    return json_response({"id": job.id} if call.release.start_tells_id else {"msg": "success"}, status=201)


def _not_inserted(reason: str) -> Response:
    return json_error(500, f"insert into database failed: {reason}")
