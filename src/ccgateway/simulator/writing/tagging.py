"""Tags by REST: onto a job, off it, and out of the site.

Not atomic: what came before the entry that fails stays done.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ccgateway.simulator.call import Call
from ccgateway.simulator.job import Job, Tag
from ccgateway.simulator.messages import GoError, Response, json_response, parse_int, text_response
from ccgateway.simulator.writing.bodies import TagGiven, bodies_of
from ccgateway.simulator.writing.labels import TAKEN, LabelError, may_label_by_rest, put_on, take_off
from ccgateway.simulator.writing.refusing import NO_ROWS, RefusedError, crashed, worded

__all__ = ["add_tag", "drop_tags", "tag_job", "untag_job"]

_REMOVABLE = frozenset({"global", "admin"})


def tag_job(call: Call) -> Response:
    """Put tags on a job; new ones are created."""
    try:
        job = _job_of(call)
        given = _tags_of(call)
    except RefusedError as refused:
        return refused.response
    shown = _visible(call, job)
    for one in given:
        if one is None:
            return crashed()
        try:
            job, tag = add_tag(call, job, one)
        except LabelError as failed:
            return worded(call.release, 500, "adding tag failed", failed)
        shown.append(replace(tag, scope=one.scope))  # as it was asked for, even if this caller never sees it again
    return _answer(call, job, shown)


def untag_job(call: Call) -> Response:
    """Take tags off a job; private ones are passed over without a word."""
    try:
        job = _job_of(call)
        given = _tags_of(call)
    except RefusedError as refused:
        return refused.response
    for one in given:
        if one is None:
            return crashed()
        if one.scope not in _REMOVABLE:
            continue
        try:
            job = take_off(call.backend, job, _known(call, one))
        except LabelError as failed:
            return worded(call.release, 500, "removing tag failed", failed)
    return _answer(call, job, _visible(call, job))


def drop_tags(call: Call) -> Response:
    """Remove tags altogether."""
    try:
        given = _tags_of(call)
    except RefusedError as refused:
        return refused.response
    done = 0
    for one in given:
        if one is None:
            return crashed()
        if one.scope not in _REMOVABLE:
            continue
        try:
            call.backend.changes.drop_tag(_known(call, one))
        except LabelError as failed:
            return worded(call.release, 500, "removing tag failed", failed)
        done += 1
    return text_response(200, f"Deleted Tags from DB: {done} successfull of {len(given)} requested")


def add_tag(call: Call, job: Job, given: TagGiven) -> tuple[Job, Tag]:
    """Put one tag on a job, created if need be.

    Raises:
        LabelError: this caller may not, or it is on the job already, or its name is taken by a tag of another scope, or it is
            on the job now but not in its archive entry.
    """
    backend = call.backend
    scope = given.scope or "global"
    if call.release.tag_scopes and not may_label_by_rest(call.who, scope):
        raise LabelError("cannot write tag scope with current authorization")
    tag = backend.tags.find(given.type, given.name)
    if tag is None:
        tag = backend.changes.create_tag(given.type, given.name, scope)
    elif tag.scope != scope:
        raise LabelError(TAKEN)
    return put_on(backend, job, tag), tag


def _known(call: Call, given: TagGiven) -> Tag:
    tag = call.backend.tags.find(given.type, given.name)
    if tag is None or tag.scope != given.scope:
        begin = "Tag" if call.release.capital_errors else "tag"
        raise LabelError(f"{begin} does not exist (name, type, scope): {given.name}, {given.type}, {given.scope}")
    return tag


def _job_of(call: Call) -> Job:
    try:
        db_id = parse_int(call.path["id"])
    except GoError as bad:
        raise RefusedError(worded(call.release, 400, "parsing job ID failed", bad)) from bad
    job = call.backend.visible_job(call.who, db_id)
    if job is None:
        raise RefusedError(worded(call.release, 404, "finding job failed", NO_ROWS))
    return job


def _tags_of(call: Call) -> list[TagGiven | None]:
    try:
        return bodies_of(call.release.name).tags(call.request.body)
    except GoError as bad:
        raise RefusedError(worded(call.release, 400, "decoding request failed", bad)) from bad


def _visible(call: Call, job: Job) -> list[Tag]:
    if not call.release.tag_scopes:
        return list(job.tags)
    return [t for t in job.tags if call.who.may_read(t.scope)]


def _answer(call: Call, job: Job, tags: Sequence[Tag]) -> Response:
    view = call.backend.view(call.who, metadata=False)
    return json_response(view.single_with(job, tags), jobs=1)
