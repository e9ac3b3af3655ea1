"""The writes of ``/cc-backend/1.5``, answered as cc-backend 1.5.4 answers them, words included.

A site's own words are passed on where it refuses. Federation adds: several sites may have to be named (``site=``); 504 says that
it is not known what became of a write; and where one site did and another did not, the answer says so for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import (
    DeleteBefore,
    EditMeta,
    NodeStates,
    OmitTagged,
    RemoveTags,
    StopJob,
    TagJob,
    Target,
    WriteOutcome,
    WriteResult,
)
from ccgateway.surfaces.rest.bodies import (
    Named,
    read_ended,
    read_named,
    read_named_pair,
    read_nodes,
    read_pair,
    read_started,
    read_tags,
)
from ccgateway.surfaces.rest.calls import TEXT, Answer, Call
from ccgateway.surfaces.rest.jobs import Job, job
from ccgateway.surfaces.rest.orders import (
    afterwards,
    find_named,
    named_sites,
    only_site,
    status_of,
    succeeded,
    target_of,
    write_call,
)  # fmt: skip
from ccgateway.surfaces.rest.released import path_id
from ccgateway.surfaces.rest.styles import ReleasedFailure
from ccgateway.surfaces.rest.wording import NO_ROWS, RefusedError, parse_int, written

__all__ = [
    "FailedAtSites", "Message", "at_sites", "delete_before", "delete_job", "delete_named_job", "edit_meta", "edit_named_meta",
    "read", "refusal_of", "remove_tags", "start_job", "stop_named_job", "tag_job", "untag_job", "update_nodes",
]  # fmt: skip

T = TypeVar("T")


class Message(msgspec.Struct):
    msg: str


class FailedAtSites(ReleasedFailure):
    """``sites``: the outcome at each."""

    sites: dict[str, str]


#: after a success: the job that a release would show could not be read back
_UNSEEN = Message("success; the job could not be read back")
_NOT_FOUND = f"finding job failed: {NO_ROWS}"
#: tags in these scopes can be taken away; others are skipped without a word
_REMOVABLE = frozenset({"global", "admin"})


def read(reader: Callable[[bytes], T], call: Call, doing: str) -> T:
    """The body, read; ``doing``: what comes before the words of a failure."""
    try:
        return reader(call.body)
    except ValueError as wrong:
        raise RefusedError(400, f"{doing} failed: {wrong}") from None


def _by_id(call: Call, number: int) -> Target | None:
    """The job with that integer id; ``None`` if no site has its number."""
    try:
        site, db_id = call.ids.place(number)
    except RequestError:
        return None
    return Target(site=site, db_id=db_id)


# --- what went wrong

_SITES_WORDS = re.compile(r"\(HTTP (\d{3})\): (.+)", re.DOTALL)


def refusal_of(result: WriteResult, doing: str, *, not_found: int) -> RefusedError:
    """What 1.5.4 would say. ``doing``: what comes before the words of a failure, if anything."""
    prefix = f"{doing} failed: " if doing else ""
    if result.outcome is WriteOutcome.UNKNOWN:
        return RefusedError(status_of(result), f"{prefix}it is not known whether this took effect: {result.message or ''}")
    if result.code is Code.NOT_FOUND:
        return RefusedError(not_found, _NOT_FOUND)
    words = _SITES_WORDS.search(result.message or "")
    if words is not None and result.code in (Code.SITE_REFUSED, Code.SITE_ERROR):
        return RefusedError(int(words[1]), words[2])
    return RefusedError(status_of(result), f"{prefix}{result.message or 'it did not succeed'}")


# --- jobs


async def start_job(call: Call) -> Answer:
    """Records a started job."""
    order = read(lambda body: read_started(body, only_site(call)), call, "parsing request body")
    (result,) = await call.gateway.writes.start_jobs([order], call.caller, write_call(call))
    if result.outcome in (WriteOutcome.DONE, WriteOutcome.PENDING):
        return written(Message("success"), 201)
    if result.outcome is WriteOutcome.UNCHANGED or result.code is Code.CONFLICT:
        known = result.site is not None and result.db_id is not None
        db_id = call.ids.of(result.site or "", result.db_id or 0) if known else 0
        message = "a job with that jobId, cluster and startTime already exists"
        raise RefusedError(422, f"{message}: dbid: {db_id}, jobid: {order.job_id}")
    if result.code is Code.UNKNOWN_CLUSTER:
        raise RefusedError(400, f"no such cluster: {order.cluster}")
    raise refusal_of(result, "", not_found=400)


async def stop_named_job(call: Call) -> Answer:
    """Records that the job of a key ended."""
    ended = read(read_ended, call, "parsing request body")
    target = _target(call, ended.job)
    order = StopJob(target=target, stop_time=ended.stop_time, state=ended.state)
    results = await call.gateway.writes.stop_jobs([order], call.caller, write_call(call))
    if results[0].outcome is not WriteOutcome.DONE:
        raise await _not_stopped(call, order, results)
    row = await afterwards(call, results)
    if row is None:
        return written(_UNSEEN)
    stopped = job(row, call.ids)
    stopped.tags, stopped.monitoring_status = [], min(stopped.monitoring_status, 1)  # it is archived only after the answer
    return written(stopped)


async def _not_stopped(call: Call, order: StopJob, results: Sequence[WriteResult]) -> RefusedError:
    row = None
    if results[0].outcome is WriteOutcome.UNCHANGED or results[0].code in (Code.CONFLICT, Code.BAD_REQUEST):
        row = await afterwards(call, results)
        if row is None and order.target.start_time is not None:
            row = await find_named(call, order.target)
            if row is None:
                return RefusedError(404, _NOT_FOUND)
    if row is None:
        return refusal_of(results[0], "", not_found=404)
    where = f"jobId {row.job_id} (id {call.ids.of(row.site, row.id)}) on {row.cluster} :"
    if row.state != "running":
        return RefusedError(422, f"{where} job has already been stopped (state is: {row.state})")
    if order.stop_time < row.start_time:
        return RefusedError(400, f"{where} stopTime {order.stop_time} must be larger/equal than startTime {row.start_time}")
    return RefusedError(400, f'{where} invalid requested job state: "{order.state}"')


def _target(call: Call, named: Named) -> Target:
    if named.job_id is None:
        raise RefusedError(400, "the field 'jobId' is required")
    return target_of(call, named)


async def tag_job(call: Call) -> Answer:
    """Puts tags on a job."""
    return await _tagged(call, "adding tag")


async def untag_job(call: Call) -> Answer:
    """Takes tags from a job."""
    return await _tagged(call, "removing tag")


async def _tagged(call: Call, doing: str) -> Answer:
    target = _by_id(call, path_id(call))
    asked = read(read_tags, call, "decoding request")
    adds = doing == "adding tag"
    tags = tuple(Tag(one.type, one.name, one.scope or "global") for one in asked if adds or one.scope in _REMOVABLE)
    if target is not None and tags:
        order, writes = TagJob(target=target, tags=tags), call.gateway.writes
        results = await (writes.tag_jobs if adds else writes.untag_jobs)([order], call.caller, write_call(call))
        if not succeeded(results[0]) or (adds and results[0].outcome is WriteOutcome.UNCHANGED):
            raise _tag_refusal(results[0], doing)
        try:
            row = await find_named(call, target)
        except GatewayError:
            row = None
        if row is None:
            return written(_UNSEEN)
    else:
        row = await find_named(call, target) if target is not None else None
    if row is None:
        raise RefusedError(404, _NOT_FOUND)
    shown = job(row, call.ids)
    unscoped = {(one.type, one.name) for one in asked if adds and not one.scope}
    shown.tags = [Tag(t.type, t.name, "", t.id) if (t.type, t.name) in unscoped else t for t in shown.tags]
    return written(shown)


def _tag_refusal(result: WriteResult, doing: str) -> RefusedError:
    if result.outcome is WriteOutcome.UNCHANGED:
        return RefusedError(500, f"{doing} failed: UNIQUE constraint failed: jobtag.job_id, jobtag.tag_id")
    if result.outcome is WriteOutcome.FAILED and result.code is Code.CONFLICT:
        return RefusedError(500, f"{doing} failed: UNIQUE constraint failed: tag.tag_type, tag.tag_name")
    if result.outcome is WriteOutcome.FAILED and result.code is Code.SITE_UNAUTHORIZED:
        return RefusedError(500, f"{doing} failed: cannot write tag scope with current authorization")
    return refusal_of(result, doing, not_found=404)


async def edit_meta(call: Call) -> Answer:
    """Sets one key of a job's metadata."""
    try:
        number = parse_int(call.path["id"])
    except ValueError as wrong:
        raise RefusedError(400, f"parsing job ID failed: {wrong}") from None
    target = _by_id(call, number)
    pair = read(read_pair, call, "decoding request")
    if target is None:
        raise RefusedError(404, _NOT_FOUND)
    return await _edited(call, target, {pair.key: pair.value}, not_found=404)


async def edit_named_meta(call: Call) -> Answer:
    """Sets one key of the metadata of the job of a key."""
    named, pair = read(read_named_pair, call, "decoding request")
    return await _edited(call, _target(call, named), {pair.key: pair.value}, not_found=422)


async def _edited(call: Call, target: Target, values: dict[str, str], *, not_found: int) -> Answer:
    order = EditMeta(target=target, values=values)
    results = await call.gateway.writes.edit_meta([order], call.caller, write_call(call))
    if not succeeded(results[0]):
        raise refusal_of(results[0], "", not_found=not_found)
    row = await afterwards(call, results)
    if row is None:
        return written(_UNSEEN)
    shown: Job = job(row, call.ids, meta_data=row.meta_data_json)
    shown.tags = []
    return written(shown)


# --- deletes


async def delete_job(call: Call) -> Answer:
    """Deletes a job; one that is not there, too."""
    number = path_id(call)
    target = _by_id(call, number)
    if target is not None:
        (result,) = await call.gateway.writes.delete_jobs([target], call.caller, write_call(call))
        if not succeeded(result) and result.code is not Code.NOT_FOUND:
            raise refusal_of(result, "deleting job", not_found=422)
    return written(Message(f"Successfully deleted job {number}"))


async def delete_named_job(call: Call) -> Answer:
    """Deletes the job of a key."""
    target = _target(call, read(read_named, call, "parsing request body"))
    # its number has to be known before it is gone
    row = await find_named(call, target) if target.start_time is not None else None
    (result,) = await call.gateway.writes.delete_jobs([target], call.caller, write_call(call))
    if not succeeded(result):
        raise refusal_of(result, "deleting job", not_found=422)
    number = call.ids.of(row.site, row.id) if row is not None else result.key.job_id if result.key is not None else 0
    return written(Message(f"Successfully deleted job {number}"))


async def delete_before(call: Call) -> Answer:
    """Deletes every job that started before a time, at the sites that are named."""
    try:
        before = parse_int(call.path["ts"])
    except ValueError as wrong:
        raise RefusedError(400, f"integer expected in path for ts: {wrong}") from None
    order = DeleteBefore(before=before, sites=named_sites(call), omit_tagged=_omit(call.query.first("omit-tagged") or "none"))
    results = await call.gateway.writes.delete_jobs_before(order, call.caller, write_call(call))
    count = sum(result.count or 0 for result in results)
    return at_sites(results, written(Message(f"Successfully deleted {count} jobs")), "deleting jobs")


def _omit(text: str) -> OmitTagged:
    match text:
        case "none" | "all" | "user":
            return text
        case _:
            raise RefusedError(400, "omit-tagged must be one of: none, all, user")


async def remove_tags(call: Call) -> Answer:
    """Removes tags altogether, at the sites that are named."""
    asked = read(read_tags, call, "decoding request")
    tags = tuple(one for one in asked if one.scope in _REMOVABLE)
    gone = 0
    results: Sequence[WriteResult] = ()
    if tags:
        order = RemoveTags(tags=tags, sites=named_sites(call))
        results = await call.gateway.writes.remove_tags(order, call.caller, write_call(call))
        outcomes = {tag.key: {one.outcome for one in results if one.tag == tag} for tag in tags}
        unknown = next((tag for tag in tags if outcomes[tag.key] == {WriteOutcome.UNCHANGED}), None)
        if unknown is not None:
            names = f"{unknown.name}, {unknown.type}, {unknown.scope}"
            raise RefusedError(500, f"removing tag failed: tag does not exist (name, type, scope): {names}")
        gone = sum(WriteOutcome.DONE in of_one for of_one in outcomes.values())
    text = f"Deleted Tags from DB: {gone} successfull of {len(asked)} requested\n".encode()
    return at_sites(results, Answer(200, text, TEXT), "removing tag")


# --- nodes


async def update_nodes(call: Call) -> Answer:
    """Tells the site that has the cluster what its scheduler says of nodes."""
    cluster, nodes = read(read_nodes, call, "parsing request body")
    if not cluster:  # 1.5.4 says 200, and drops it
        raise RefusedError(400, f"no such cluster: {cluster}")
    order = NodeStates(cluster=cluster, nodes=nodes, site=only_site(call))
    (result,) = await call.gateway.writes.update_nodes(order, call.caller, write_call(call))
    if succeeded(result):
        return Answer(media_type=None)
    if result.code is Code.UNKNOWN_CLUSTER:
        raise RefusedError(400, f"no such cluster: {cluster}")
    raise refusal_of(result, "", not_found=400)


class Refusal(Protocol):
    """How what became of one order is told."""

    def __call__(self, result: WriteResult, doing: str, *, not_found: int) -> RefusedError: ...


def at_sites(results: Sequence[WriteResult], done: Answer, doing: str, refused: Refusal = refusal_of) -> Answer:
    """``done`` if every site did it; else what those came to that did not."""
    failed = [one for one in results if not succeeded(one)]
    if not failed:
        return done
    refusals = [refused(one, doing, not_found=422) for one in failed]
    if len(results) == 1:
        raise refusals[0]
    words = "; ".join(f"{one.site}: {refusal.message}" for one, refusal in zip(failed, refusals, strict=True))
    sites: dict[str, str] = {}
    for one in results:
        if one.site is not None and sites.get(one.site) in (None, WriteOutcome.DONE.value, WriteOutcome.UNCHANGED.value):
            sites[one.site] = one.outcome.value
    status = refusals[0].status if len(failed) == len(results) else 207
    phrase = "Multi-Status" if status == 207 else refusals[0].status.phrase
    return written(FailedAtSites(phrase, words, sites), status)
