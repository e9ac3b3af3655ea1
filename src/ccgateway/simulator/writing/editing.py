"""``edit_meta``, by id and (in 1.5) by key: the database first, the archive entry of an ended job after it."""

from __future__ import annotations

from collections.abc import Sequence

from ccgateway.simulator.call import Call
from ccgateway.simulator.job import Job
from ccgateway.simulator.messages import GoError, Response, json_response, parse_int, text_response
from ccgateway.simulator.writing.bodies import MetaEdit, bodies_of
from ccgateway.simulator.writing.refusing import NO_ROWS, RefusedError, crashed, job_of_key, worded

__all__ = ["edit_by_id", "edit_by_key"]


def edit_by_id(call: Call) -> Response:
    """Set metadata of the job of this database id."""
    release = call.release
    try:
        db_id = parse_int(call.path["id"])
    except GoError as bad:
        return worded(release, 400, "parsing job ID failed", bad)
    job = call.backend.visible_job(call.who, db_id)
    if job is None:
        return worded(release, 404, "finding job failed", NO_ROWS)
    try:
        edits = bodies_of(release.name).metadata(call.request.body)
    except GoError as bad:
        return worded(release, 400, "decoding request failed", bad)
    return _edited(call, job, edits) or _answer(call, job.id)


def edit_by_key(call: Call) -> Response:
    """Set metadata of the job that a key names."""
    try:
        given, job = job_of_key(call, bodies_of(call.release.name).metadata_by_key)
    except RefusedError as refused:
        return refused.response
    failed = _edited(call, job, [given.payload])
    if failed is not None and failed.body:
        return text_response(500, call.backend.archive.entry_missing(job) or "")  # this endpoint still says so in plain text
    return failed or _answer(call, job.id)


def _edited(call: Call, job: Job, edits: Sequence[MetaEdit]) -> Response | None:
    """What went wrong after the database had changed."""
    backend = call.backend
    crashes = call.release.null_metadata_crashes and backend.archive.crashes_on_metadata(job)
    for edit in edits:
        job = backend.changes.edit(job, edit.key, edit.value)
    missing = backend.archive.entry_missing(job)
    if missing is not None:
        return worded(call.release, 500, "updating metadata failed", missing)
    return crashed() if crashes else None


def _answer(call: Call, db_id: int) -> Response:
    job = call.backend.jobs.get(db_id)
    if job is None:
        raise KeyError(db_id)
    view = call.backend.view(call.who, metadata=True)
    return json_response(view.single_with(job, ()), jobs=1)
