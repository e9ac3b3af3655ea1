"""The writes of ``/api``, as ClusterCockpit's how-to page has them, and as real releases take them.

An answer tells the job as it is afterwards, and the ``outcome``. What did not succeed has the HTTP status of its code; 504 says
that it is not known what became of the order.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.model import Tag
from ccgateway.jobs.provisional import clue_of, is_provisional
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
    Ended,
    read_ended,
    read_named,
    read_named_pair,
    read_nodes,
    read_started,
    read_tags,
)
from ccgateway.surfaces.rest.calls import Answer, Call
from ccgateway.surfaces.rest.documented import bad, find, integer, path_id
from ccgateway.surfaces.rest.jobs import DocumentedJob, documented_job
from ccgateway.surfaces.rest.orders import (
    AtSite,
    afterwards,
    named_sites,
    only_site,
    succeeded,
    target_of,
    write_call,
)  # fmt: skip
from ccgateway.surfaces.rest.styles import refused_write

__all__ = [
    "at_sites", "delete_before", "delete_job", "delete_named_job", "edit_meta", "edit_named_meta", "read", "remove_tags",
    "start_job", "stop_job", "stop_named_job", "tag_job", "untag_job", "update_nodes",
]  # fmt: skip

T = TypeVar("T")


class Written(DocumentedJob, kw_only=True, rename="camel", gc=False):
    """A job after a write."""

    outcome: WriteOutcome


class Told(msgspec.Struct, omit_defaults=True, rename="camel"):
    """What is left to tell where there is no job to show."""

    outcome: WriteOutcome
    id: int | None = None
    msg: str | None = None
    site: str | None = None
    cluster: str | None = None
    job_id: int | None = None
    start_time: int | None = None


class AtSites(msgspec.Struct, omit_defaults=True):
    """What a write at several sites came to, in all and at each."""

    msg: str
    sites: dict[str, list[AtSite]]
    count: int | None = None


def read(reader: Callable[[bytes], T], call: Call) -> T:
    """The body, read; what is wrong with it is told without a word of Go."""
    try:
        return reader(call.body)
    except ValueError as wrong:
        raise bad(f"The body cannot be used: {_plain(str(wrong))}.") from None


_MISFIT = re.compile(r"json: cannot unmarshal (.+) into Go (?:struct field (?:\w+\.)+(\w+)|value) of type (\S+)")
_UNKNOWN = re.compile(r"json: unknown field (.+)")


def _plain(words: str) -> str:
    """What was wrong, without a word of Go."""
    if (found := _MISFIT.fullmatch(words)) is not None:
        return f"{found[2] or 'it'} is {found[1]}, where {_KINDS.get(found[3], 'a list or an object')} is needed"
    if (found := _UNKNOWN.fullmatch(words)) is not None:
        return f"it has {found[1]}, which is not known here"
    return {"EOF": "it is empty", "unexpected EOF": "it is not complete JSON"}.get(words, words)


_KINDS = {
    "string": "a text",
    "int": "a whole number of 64 bits",
    "int32": "a whole number of 32 bits",
    "int64": "a whole number of 64 bits",
}


def _told(result: WriteResult, call: Call) -> Told:
    key = result.key
    return Told(
        outcome=result.outcome,
        id=call.ids.of(result.site, result.db_id) if result.site is not None and result.db_id is not None else None,
        msg=result.message,
        site=result.site,
        cluster=key.cluster if key else None,
        job_id=key.job_id if key else None,
        start_time=key.start_time if key else None,
    )


async def _job_after(call: Call, results: Sequence[WriteResult]) -> Answer:
    """The job as it is after the one order."""
    (result,) = results
    if not succeeded(result):
        return refused_write(result)
    row = await afterwards(call, results)
    if row is None:
        return Answer.json(_told(result, call))
    flat = documented_job(row, call.ids, meta_data=row.meta_data_json)
    return Answer.json(Written(**msgspec.structs.asdict(flat), outcome=result.outcome))


def _by_id(call: Call) -> Target:
    site, db_id = call.ids.place(path_id(call))
    return Target(site=site, db_id=db_id)


# --- jobs


async def start_job(call: Call) -> Answer:
    """Records a started job. 202, with a provisional id, while its site does not show it yet."""
    site = only_site(call)
    order = read(lambda body: read_started(body, site, any_release=True), call)
    missing = [name for name, value in (("jobId", order.job_id), ("user", order.user), ("cluster", order.cluster)) if not value]
    if missing or not order.start_time:
        raise bad(f"The body lacks {', '.join(missing or ['startTime'])}.")
    (result,) = await call.gateway.writes.start_jobs([order], call.caller, write_call(call))
    if not succeeded(result):
        return refused_write(result)
    status = {WriteOutcome.DONE: 201, WriteOutcome.PENDING: 202}.get(result.outcome, 200)
    return Answer.json(_told(result, call), status)


async def stop_job(call: Call) -> Answer:
    """Records that a job ended."""
    ended = read(read_ended, call)
    target = _by_id(call)
    if ended.job.job_id is not None:
        target = Target(
            site=target.site,
            db_id=target.db_id,
            cluster=ended.job.cluster,
            job_id=ended.job.job_id,
            start_time=ended.job.start_time,
        )
    elif ended.job.cluster is not None or ended.job.start_time is not None:
        clue = clue_of(target.db_id or 0, time.time())
        if clue is not None:  # its site need not show it yet: what is named is held against the job where that is known
            target = replace(target, job_id=clue.job_id, cluster=ended.job.cluster, start_time=ended.job.start_time)
        elif not is_provisional(target.db_id or 0):
            await _check_named(call, ended)
    return await _stopped(call, target, ended)


async def _check_named(call: Call, ended: Ended) -> None:
    """``CONFLICT`` where the job of that id is not one of the cluster, or start time, that the body names."""
    row = await find(call, path_id(call))
    for name, wanted, own in (("cluster", ended.job.cluster, row.cluster), ("startTime", ended.job.start_time, row.start_time)):
        if wanted not in (None, own):
            raise RequestError(Code.CONFLICT, f"{name}: the job with this id has {own!r}, not {wanted!r}.")


async def stop_named_job(call: Call) -> Answer:
    """Records that the job of a key ended."""
    ended = read(read_ended, call)
    if ended.job.job_id is None:
        raise bad("The body lacks jobId.")
    return await _stopped(call, target_of(call, ended.job), ended)


async def _stopped(call: Call, target: Target, ended: Ended) -> Answer:
    if not ended.stop_time:
        raise bad("The body lacks stopTime.")
    order = StopJob(target=target, stop_time=ended.stop_time, state=ended.state)
    return await _job_after(call, await call.gateway.writes.stop_jobs([order], call.caller, write_call(call)))


def _tags(call: Call) -> tuple[Tag, ...]:
    tags = tuple(Tag(one.type, one.name, one.scope or "global") for one in read(read_tags, call))
    if not tags or not all(one.type and one.name for one in tags):
        raise bad("The list of tags is empty." if not tags else "A tag has a type and a name.")
    return tags


async def tag_job(call: Call) -> Answer:
    """Puts tags on a job."""
    order = TagJob(target=_by_id(call), tags=_tags(call))
    return await _job_after(call, await call.gateway.writes.tag_jobs([order], call.caller, write_call(call)))


async def untag_job(call: Call) -> Answer:
    """Takes tags from a job."""
    order = TagJob(target=_by_id(call), tags=_tags(call))
    return await _job_after(call, await call.gateway.writes.untag_jobs([order], call.caller, write_call(call)))


async def edit_meta(call: Call) -> Answer:
    """Sets keys of a job's metadata: any of them, or the one of ``{"key", "value"}``."""
    return await _edited(call, _by_id(call), read(_values, call))


def _values(body: bytes) -> dict[str, str]:
    try:
        found = msgspec.json.decode(body, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError('it is no object of texts, such as {"note": "…"}') from None
    if found.keys() == {"key", "value"}:
        return {found["key"]: found["value"]}
    if not found:
        raise ValueError("there is nothing in it")
    return found


async def edit_named_meta(call: Call) -> Answer:
    """Sets one key of the metadata of the job of a key."""
    named, pair = read(read_named_pair, call)
    if named.job_id is None:
        raise bad("The body lacks jobId.")
    return await _edited(call, target_of(call, named), {pair.key: pair.value})


async def _edited(call: Call, target: Target, values: dict[str, str]) -> Answer:
    order = EditMeta(target=target, values=values)
    return await _job_after(call, await call.gateway.writes.edit_meta([order], call.caller, write_call(call)))


# --- deletes


def _dry_run(call: Call) -> bool:
    return (call.query.first("dry-run", "dry_run") or "false").lower() not in ("false", "0")


async def delete_job(call: Call) -> Answer:
    """Deletes a job."""
    return await _deleted(call, _by_id(call), f" {path_id(call)}")


async def delete_named_job(call: Call) -> Answer:
    """Deletes the job of a key."""
    named = read(read_named, call)
    if named.job_id is None:
        raise bad("The body lacks jobId.")
    return await _deleted(call, target_of(call, named))


async def _deleted(call: Call, target: Target, which: str = "") -> Answer:
    (result,) = await call.gateway.writes.delete_jobs([target], call.caller, write_call(call), dry_run=_dry_run(call))
    if not succeeded(result):
        return refused_write(result)
    told = _told(result, call)
    if told.msg is None:
        told.msg = f"Successfully deleted job{which}"
    return Answer.json(told)


async def delete_before(call: Call) -> Answer:
    """Deletes every job that started before a time, at the sites that are named."""
    omit = call.query.first("omit-tagged", "omit_tagged") or "none"
    order = DeleteBefore(before=integer(call.path["ts"], "ts"), sites=named_sites(call), omit_tagged=_omit(omit))
    results = await call.gateway.writes.delete_jobs_before(order, call.caller, write_call(call), dry_run=_dry_run(call))
    count = sum(result.count or 0 for result in results)
    words = f"{count} jobs would be deleted" if _dry_run(call) else f"Successfully deleted {count} jobs"
    return at_sites(results, words, count)


def _omit(text: str) -> OmitTagged:
    match text:
        case "none" | "all" | "user":
            return text
        case _:
            raise bad("omit-tagged must be one of: none, all, user")


async def remove_tags(call: Call) -> Answer:
    """Removes tags altogether, at the sites that are named."""
    tags = _tags(call)
    order = RemoveTags(tags=tags, sites=named_sites(call))
    results = await call.gateway.writes.remove_tags(order, call.caller, write_call(call), dry_run=_dry_run(call))
    gone = {result.tag for result in results if result.outcome is WriteOutcome.DONE}
    return at_sites(results, f"Deleted Tags from DB: {len(gone)} successfull of {len(tags)} requested")


# --- nodes


async def update_nodes(call: Call) -> Answer:
    """Tells the site that has the cluster what its scheduler says of nodes. Answered with nothing, as releases do."""
    cluster, nodes = read(read_nodes, call)
    if not cluster:
        raise bad("The body lacks cluster.")
    order = NodeStates(cluster=cluster, nodes=nodes, site=only_site(call))
    (result,) = await call.gateway.writes.update_nodes(order, call.caller, write_call(call))
    return Answer(media_type=None) if succeeded(result) else refused_write(result)


def at_sites(results: Sequence[WriteResult], words: str, count: int | None = None) -> Answer:
    """``words`` and what each site came to. 207 where some did and others did not; if none did, the status of one of them."""
    sites: dict[str, list[AtSite]] = {}
    for one in results:
        sites.setdefault(one.site or "", []).append(AtSite(one.outcome, one.tag, one.count, one.code, one.message, one.retryable))
    good = sum(map(succeeded, results))
    if not good:
        return refused_write(next((one for one in results if one.outcome is WriteOutcome.UNKNOWN), results[0]), sites=sites)
    return Answer.json(AtSites(words, sites, count), 200 if good == len(results) else 207)
