"""``stop_job``, by key and (up to 1.3) by id: a job ends; its archive entry comes later."""

from __future__ import annotations

import dataclasses

from ccgateway.simulator.call import Call
from ccgateway.simulator.job import Job
from ccgateway.simulator.messages import Response, json_error, json_response
from ccgateway.simulator.writing.bodies import Stop, bodies_of
from ccgateway.simulator.writing.refusing import NO_ROWS, RefusedError, job_id_of, one_of, readable, with_job_id

__all__ = ["stop_by_id", "stop_by_key"]


def stop_by_key(call: Call) -> Response:
    """End the job that a key names; one that only waits to become visible is found first."""
    try:
        stop = _read(call)
        job_id = with_job_id(stop)
    except RefusedError as refused:
        return refused.response
    changes = call.backend.changes
    waiting = changes.waiting.find(job_id, stop.cluster, stop.start_time) if changes.waiting else []
    if waiting:
        job = waiting[-1]
        return _refusal(call, job, stop) or _ended(call, changes.commit(job), stop)
    job_there = one_of(changes.jobs.find(job_id, stop.cluster, stop.start_time), call.release)
    return _stopped(call, job_there, stop)


def stop_by_id(call: Call) -> Response:
    """End the job of this database id, whatever the body says about it."""
    try:
        stop = _read(call)
        db_id = job_id_of(call.path["id"])
    except RefusedError as refused:
        return refused.response
    return _stopped(call, call.backend.jobs.get(db_id), stop)


def _read(call: Call) -> Stop:
    return readable(bodies_of(call.release.name).stop, call.request.body)


def _stopped(call: Call, job: Job | None, stop: Stop) -> Response:
    if job is None:
        return json_error(call.release.stop_missing, f"finding job failed: {NO_ROWS}")
    return _refusal(call, job, stop) or _ended(call, job, stop)


def _refusal(call: Call, job: Job, stop: Stop) -> Response | None:
    """Why *job* cannot end like that."""
    state_is_bad = bool(stop.job_state) and stop.job_state not in call.release.states
    if not call.release.stop_explains:
        if stop.stop_time <= job.start_time or not job.running:
            return json_error(400, "stopTime must be larger than startTime and only running jobs can be stopped")
        return json_error(400, f'invalid job state: "{stop.job_state}"') if state_is_bad else None
    name = f"jobId {job.job_id} (id {job.id}) on {job.cluster} :"
    if not job.running:
        return json_error(422, f"{name} job has already been stopped (state is: {job.state})")
    if stop.stop_time < job.start_time:
        reason = f"stopTime {stop.stop_time} must be larger/equal than startTime {job.start_time}"
        return json_error(400, f"{name} {reason}")
    return json_error(400, f'{name} invalid requested job state: "{stop.job_state}"') if state_is_bad else None


def _ended(call: Call, job: Job | None, stop: Stop) -> Response:
    if job is None:  # its place was taken while it waited
        return json_error(500, "UNIQUE constraint failed: job.job_id, job.cluster, job.start_time")
    ended = call.backend.changes.stop(job, stop.job_state or "completed", stop.stop_time)
    view = dataclasses.replace(call.backend.view(call.who, metadata=False), now=stop.stop_time)
    return json_response(view.single_with(ended, ()), jobs=1)
