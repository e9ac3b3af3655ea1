"""``delete_job`` by id and by key, ``delete_job_before``: from the database only, the archive keeps its entries."""

from __future__ import annotations

from ccgateway.simulator.call import Call
from ccgateway.simulator.job import Job
from ccgateway.simulator.messages import Response, json_error, json_response
from ccgateway.simulator.source import Selection
from ccgateway.simulator.writing.bodies import bodies_of
from ccgateway.simulator.writing.refusing import RefusedError, job_id_of, job_of_key

__all__ = ["delete_before", "delete_by_id", "delete_by_key"]

_GIVEN_BY_THE_SITE = frozenset({"app", "jobClass"})  # types of tags that count for nothing with omit-tagged=user


def delete_by_id(call: Call) -> Response:
    """Delete the job of this database id; whether there is one makes no difference to the answer."""
    try:
        db_id = job_id_of(call.path["id"])
    except RefusedError as refused:
        return refused.response
    call.backend.changes.delete(db_id)
    return _deleted(db_id)


def delete_by_key(call: Call) -> Response:
    """Delete the job that a key names."""
    try:
        _, job = job_of_key(call, bodies_of(call.release.name).delete)
    except RefusedError as refused:
        return refused.response
    call.backend.changes.delete(job.id)
    return _deleted(job.id)


def delete_before(call: Call) -> Response:
    """Delete the jobs that started before a time, running ones too (as the how-to page has it: that ended before it)."""
    release = call.release
    try:
        time = job_id_of(call.path["ts"], "ts")
    except RefusedError as refused:
        return refused.response
    omit = (call.request.value("omit-tagged") if release.omits_tagged else None) or "none"
    if omit not in {"none", "all", "user"}:
        return json_error(400, "omit-tagged must be one of: none, all, user")
    older = call.backend.jobs.select(Selection(latest=time - 1), 0, None)
    ids = [j.id for j in older if not _spared(j, omit) and not (release.deletes_by_end and _ran_at(j, time))]
    call.backend.changes.delete(*ids)
    return json_response({"msg": f"Successfully deleted {len(ids) if release.counts_deleted else 0} jobs"})


def _deleted(db_id: int) -> Response:
    return json_response({"msg": f"Successfully deleted job {db_id}"})


def _spared(job: Job, omit: str) -> bool:
    if omit == "none":
        return False
    return any(omit == "all" or tag.type not in _GIVEN_BY_THE_SITE for tag in job.tags)


def _ran_at(job: Job, time: int) -> bool:
    """Whether *job* still ran at *time*."""
    return job.running or job.start_time + job.duration >= time
