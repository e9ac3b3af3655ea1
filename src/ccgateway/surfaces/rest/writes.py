"""The operations that write: each builds its command from the request, and has it executed.

How a body is refused, and how what a command came to looks, is the face's format.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.provisional import clue_of, is_provisional
from ccgateway.jobs.writes import (
    ChangeUser,
    DeleteBefore,
    EditMeta,
    NodeStates,
    OmitTagged,
    RemoveTags,
    StopJob,
    TagJob,
    Target,
    WriteResult,
)
from ccgateway.surfaces.rest.bodies import Ended, Named, read_ended, read_named, read_named_pair, read_nodes, read_tags
from ccgateway.surfaces.rest.calls import Answer, Call
from ccgateway.surfaces.rest.forms import read_deleted_user, read_new_user
from ccgateway.surfaces.rest.reads import find, find_of_key

__all__ = [
    "change_user", "create_user", "delete_before", "delete_job", "delete_named_job", "delete_user", "edit_meta",
    "edit_named_meta", "remove_tags", "start_job", "stop_job", "stop_named_job", "tag_job", "untag_job",
    "update_nodes",
]  # fmt: skip


# --- jobs


async def start_job(call: Call) -> Answer:
    """Records a started job."""
    command = call.format.job_started(call)
    (result,) = await call.gateway.writes.start_jobs([command], call.caller, call.write)
    return call.format.results.started(call, command, result)


async def stop_job(call: Call) -> Answer:
    """Records that a job ended."""
    ended = call.format.read(read_ended, call)
    site, db_id = call.ids.place(call.format.job_number(call))
    target = Target(site=site, db_id=db_id)
    named = ended.job
    if named.job_id is not None:
        target = replace(target, cluster=named.cluster, job_id=named.job_id, start_time=named.start_time)
    elif named.cluster is not None or named.start_time is not None:
        clue = clue_of(db_id, time.time())
        if clue is not None:  # its site need not show it yet: what is named is held against the job where that is known
            target = replace(target, job_id=clue.job_id, cluster=named.cluster, start_time=named.start_time)
        elif not is_provisional(db_id):
            await _check_named(call, named)
    return await _stopped(call, target, ended)


async def _check_named(call: Call, named: Named) -> None:
    """``CONFLICT`` where the job of that id is not one of the cluster, or start time, that the body names."""
    row = await find(call, call.format.job_number(call))
    for name, wanted, own in (("cluster", named.cluster, row.cluster), ("startTime", named.start_time, row.start_time)):
        if wanted not in (None, own):
            raise RequestError(Code.CONFLICT, f"{name}: the job with this id has {own!r}, not {wanted!r}.")


async def stop_named_job(call: Call) -> Answer:
    """Records that the job of a key ended."""
    ended = call.format.read(read_ended, call, "parsing request body")
    return await _stopped(call, _by_key(call, ended.job), ended)


async def _stopped(call: Call, target: Target, ended: Ended) -> Answer:
    call.format.check_stop_time(ended.stop_time)
    command = StopJob(target=target, stop_time=ended.stop_time, state=ended.state)
    results = await call.gateway.writes.stop_jobs([command], call.caller, call.write)
    return await call.format.results.stopped(call, command, results)


async def tag_job(call: Call) -> Answer:
    """Puts tags on a job."""
    return await _tagged(call, adds=True)


async def untag_job(call: Call) -> Answer:
    """Takes tags from a job."""
    return await _tagged(call, adds=False)


async def _tagged(call: Call, *, adds: bool) -> Answer:
    number = call.format.job_number(call)
    asked = call.format.read(read_tags, call)
    tags = call.format.tags(asked, adds=adds)

    async def write(target: Target) -> Sequence[WriteResult]:
        writes = call.gateway.writes
        if not tags:
            return ()
        return await (writes.tag_jobs if adds else writes.untag_jobs)([TagJob(target=target, tags=tags)], call.caller, call.write)

    return await call.format.results.tagged(call, number, asked, await _by_id(call, number, write), adds=adds)


async def edit_meta(call: Call) -> Answer:
    """Sets keys of a job's metadata."""
    number = call.format.job_number(call, "parsing job ID failed: ")
    values = call.format.read(call.format.meta_values, call)

    async def write(target: Target) -> Sequence[WriteResult]:
        return await call.gateway.writes.edit_meta([EditMeta(target=target, values=values)], call.caller, call.write)

    return await call.format.results.edited(call, await _by_id(call, number, write), not_found=404)


async def edit_named_meta(call: Call) -> Answer:
    """Sets one key of the metadata of the job of a key."""
    named, pair = call.format.read(read_named_pair, call)
    command = EditMeta(target=_by_key(call, named), values={pair.key: pair.value})
    results = await call.gateway.writes.edit_meta([command], call.caller, call.write)
    return await call.format.results.edited(call, results, not_found=422)


async def delete_job(call: Call) -> Answer:
    """Deletes a job."""
    number = call.format.job_number(call)

    async def write(target: Target) -> Sequence[WriteResult]:
        return await call.gateway.writes.delete_jobs([target], call.caller, call.write, dry_run=call.format.is_dry_run(call))

    (result,) = await _by_id(call, number, write)
    return call.format.results.deleted(call, result, number)


async def delete_named_job(call: Call) -> Answer:
    """Deletes the job of a key."""
    target = _by_key(call, call.format.read(read_named, call, "parsing request body"))
    # its number has to be known before it is gone
    row = await find_of_key(call, target) if call.format.names_deleted and target.start_time is not None else None
    dry_run = call.format.is_dry_run(call)
    (result,) = await call.gateway.writes.delete_jobs([target], call.caller, call.write, dry_run=dry_run)
    return call.format.results.named_deleted(call, result, row)


async def _by_id(
    call: Call, number: int, write: Callable[[Target], Awaitable[Sequence[WriteResult]]]
) -> Sequence[WriteResult]:  # fmt: skip
    """What ``write`` does to the job with that integer id; failed where no site has its number."""
    try:
        site, db_id = call.ids.place(number)
    except RequestError as error:
        return [WriteResult.failed(error)]
    return await write(Target(site=site, db_id=db_id))


def _by_key(call: Call, named: Named) -> Target:
    """The job of that key, at the site that the request names, if it names one."""
    if named.job_id is None:
        raise call.format.missing("jobId")
    return Target(site=call.only_site, cluster=named.cluster, job_id=named.job_id, start_time=named.start_time)


# --- sites


async def delete_before(call: Call) -> Answer:
    """Deletes every job that started before a time, at the sites that are named."""
    before = call.format.time_in_path(call)
    omit = call.query.first(*call.format.spellings("omit-tagged"))
    command, dry_run = DeleteBefore(before=before, sites=call.named_sites, omit_tagged=_omit(omit)), call.format.is_dry_run(call)
    results = await call.gateway.writes.delete_jobs_before(command, call.caller, call.write, dry_run=dry_run)
    return call.format.results.deleted_before(results, dry_run=dry_run)


def _omit(text: str | None) -> OmitTagged:
    match text:
        case None:
            return "none"
        case "none" | "all" | "user":
            return text
        case _:
            raise RequestError(Code.BAD_REQUEST, "omit-tagged must be one of: none, all, user")


async def remove_tags(call: Call) -> Answer:
    """Removes tags altogether, at the sites that are named."""
    asked = call.format.read(read_tags, call)
    tags = call.format.tags(asked, adds=False)
    results: Sequence[WriteResult] = ()
    if tags:
        command, dry_run = RemoveTags(tags=tags, sites=call.named_sites), call.format.is_dry_run(call)
        results = await call.gateway.writes.remove_tags(command, call.caller, call.write, dry_run=dry_run)
    return call.format.results.tags_removed(results, tags, asked=len(asked))


async def change_user(call: Call) -> Answer:
    """Gives a user a role or project at the sites that are named, or takes one."""
    change, value = call.format.user_change(call)
    command = ChangeUser(user=call.path["id"], change=change, value=value, sites=call.named_sites)
    results = await call.gateway.writes.change_user(command, call.caller, call.write)
    return call.format.results.user_changed(results, command)


async def create_user(call: Call) -> Answer:
    """Creates a user at the sites that are named. By a form."""
    command = read_new_user(call)
    results = await call.gateway.writes.create_user(command, call.caller, call.write)
    return call.format.results.user_created(results, command.user)


async def delete_user(call: Call) -> Answer:
    """Deletes a user of the sites that are named; one who is not there, too."""
    command = read_deleted_user(call)
    results = await call.gateway.writes.delete_user(command, call.caller, call.write)
    return call.format.results.user_deleted(results, command.user)


async def update_nodes(call: Call) -> Answer:
    """Tells the site that has the cluster what its scheduler says of nodes. Answered with nothing, as releases do."""
    cluster, nodes = call.format.read(read_nodes, call, "parsing request body")
    if not cluster:  # 1.5.4 says 200, and drops it
        raise call.format.missing("cluster")
    command = NodeStates(cluster=cluster, nodes=nodes, site=call.only_site)
    (result,) = await call.gateway.writes.update_nodes(command, call.caller, call.write)
    return call.format.results.nodes_updated(command, result)
