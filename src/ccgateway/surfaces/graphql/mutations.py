"""The root fields of ``Mutation``: each turns its arguments into commands for the gateway, and gives a result for each of them.

They are executed one after the other, in the order of the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import strawberry

from ccgateway.errors import Code, RequestError
from ccgateway.federation.commands import WriteCall
from ccgateway.jobs import writes as values
from ccgateway.jobs.writes import DeleteBefore, RemoveTags, TagJob
from ccgateway.surfaces.graphql.configuration import update_configuration
from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.fields import computed
from ccgateway.surfaces.graphql.inputs import time_value
from ccgateway.surfaces.graphql.jobs import Tag
from ccgateway.surfaces.graphql.mutation_inputs import (
    JobMetaInput,
    JobTarget,
    OmitTagged,
    StartJobInput,
    StopJobInput,
    TagInput,
    tag_values,
)
from ccgateway.surfaces.graphql.results import SiteWriteResult, WriteResult
from ccgateway.surfaces.graphql.scalars import Time
from ccgateway.surfaces.graphql.tagging import (
    NamedSitesArgument,
    add_tags_to_job,
    create_tag,
    delete_tag,
    remove_tag_from_list,
    remove_tags_from_job,
)

__all__ = ["Mutation"]

argument = strawberry.argument
KeyArgument = Annotated[
    str | None,
    argument(
        description="A text of the caller's choice. The same call with the same key gives the recorded results for a day, and "
        "changes nothing more; another call with it is refused. The header `Idempotency-Key` does so for a whole document."
    ),
]
JobsArgument = Annotated[list[JobTarget], argument(description="The jobs.")]
TagsArgument = Annotated[list[TagInput], argument(description="The tags.")]
DryRunArgument = Annotated[bool, argument(description="Only find out what would happen: nothing is sent.")]
Results: TypeAlias = Sequence[values.WriteResult]


def _call(info: Info, key: str | None) -> WriteCall:
    return info.context.next_call(key)


async def _start_jobs(
    info: Info,
    jobs: Annotated[list[StartJobInput], argument(description="The jobs.")],
    idempotency_key: KeyArgument = None,
) -> Results:
    commands = [one.to_value() for one in jobs]
    return await info.context.gateway.writes.start_jobs(commands, info.context.caller, _call(info, idempotency_key))


async def _stop_jobs(
    info: Info,
    jobs: Annotated[list[StopJobInput], argument(description="The jobs, and how each ended.")],
    idempotency_key: KeyArgument = None,
) -> Results:
    commands = [one.to_value(info.context.ids) for one in jobs]
    return await info.context.gateway.writes.stop_jobs(commands, info.context.caller, _call(info, idempotency_key))


async def _tag_jobs(info: Info, jobs: JobsArgument, tags: TagsArgument, idempotency_key: KeyArgument = None) -> Results:
    wanted = tag_values(tags)
    commands = [TagJob(target=one.to_value(info.context.ids), tags=wanted) for one in jobs]
    return await info.context.gateway.writes.tag_jobs(commands, info.context.caller, _call(info, idempotency_key))


async def _untag_jobs(info: Info, jobs: JobsArgument, tags: TagsArgument, idempotency_key: KeyArgument = None) -> Results:
    wanted = tag_values(tags)
    commands = [TagJob(target=one.to_value(info.context.ids), tags=wanted) for one in jobs]
    return await info.context.gateway.writes.untag_jobs(commands, info.context.caller, _call(info, idempotency_key))


async def _edit_jobs_meta(
    info: Info,
    jobs: Annotated[list[JobMetaInput], argument(description="The jobs, and what to write into the metadata of each.")],
    idempotency_key: KeyArgument = None,
) -> Results:
    commands = [one.to_value(info.context.ids) for one in jobs]
    return await info.context.gateway.writes.edit_meta(commands, info.context.caller, _call(info, idempotency_key))


async def _delete_jobs(
    info: Info, *, jobs: JobsArgument, dry_run: DryRunArgument = False, idempotency_key: KeyArgument = None
) -> Results:
    targets = [one.to_value(info.context.ids) for one in jobs]
    writes = info.context.gateway.writes
    return await writes.delete_jobs(targets, info.context.caller, _call(info, idempotency_key), dry_run=dry_run)


async def _delete_jobs_before(
    info: Info,
    *,
    before: Annotated[Time, argument(description="Jobs that started before this are deleted, running ones too.")],
    sites: NamedSitesArgument = None,
    omit_tagged: Annotated[
        OmitTagged, argument(description="Which jobs to spare; sites of releases before 1.5 cannot spare any.")
    ] = OmitTagged.NONE,
    dry_run: DryRunArgument = False,
    idempotency_key: KeyArgument = None,
) -> Results:
    seconds = time_value(before)
    if seconds is None:
        raise RequestError(Code.BAD_REQUEST, "before is empty.")
    command = DeleteBefore(before=seconds, sites=_names(sites), omit_tagged=omit_tagged.to_value())
    writes = info.context.gateway.writes
    return await writes.delete_jobs_before(command, info.context.caller, _call(info, idempotency_key), dry_run=dry_run)


async def _remove_tags(
    info: Info,
    *,
    tags: TagsArgument,
    sites: NamedSitesArgument = None,
    dry_run: DryRunArgument = False,
    idempotency_key: KeyArgument = None,
) -> Results:
    command = RemoveTags(tags=tag_values(tags), sites=_names(sites))
    writes = info.context.gateway.writes
    return await writes.remove_tags(command, info.context.caller, _call(info, idempotency_key), dry_run=dry_run)


def _names(sites: list[str] | None) -> tuple[str, ...] | None:
    return None if sites is None else tuple(sites)


@strawberry.type(
    description="What can be changed. Orders for one job are carried out in their order, jobs and sites side by side; each "
    "order has a result of its own, whatever becomes of the others."
)
class Mutation:
    start_jobs: list[WriteResult] | None = computed(_start_jobs, description="Records jobs that have started.")
    stop_jobs: list[WriteResult] | None = computed(_stop_jobs, description="Records that jobs have ended.")
    tag_jobs: list[WriteResult] | None = computed(
        _tag_jobs, description="Puts tags on jobs. Tags that a site does not have are created."
    )
    untag_jobs: list[WriteResult] | None = computed(_untag_jobs, description="Takes tags from jobs. The tags themselves stay.")
    edit_jobs_meta: list[WriteResult] | None = computed(_edit_jobs_meta, description="Sets keys of jobs' metadata.")
    delete_jobs: list[WriteResult] | None = computed(
        _delete_jobs, description="Deletes jobs from their sites' databases. What is in the sites' archives stays there."
    )
    delete_jobs_before: list[SiteWriteResult] | None = computed(
        _delete_jobs_before, description="Deletes every job that started before a time. One result for each site."
    )
    remove_tags: list[SiteWriteResult] | None = computed(
        _remove_tags, description="Removes tags altogether, from every job. One result for each site and tag."
    )
    create_tag: Tag = computed(
        create_tag, description="Creates a tag at all sites, or at those named. Sites that fail are in `errors`."
    )
    delete_tag: strawberry.ID = computed(delete_tag, description="Removes one tag altogether, and gives back its id.")
    add_tags_to_job: list[Tag] = computed(
        add_tags_to_job, description="Puts tags on one job, and gives all of its tags. For many jobs there is `tagJobs`."
    )
    remove_tags_from_job: list[Tag] = computed(
        remove_tags_from_job, description="Takes tags from one job, and gives the remaining ones. For many jobs: `untagJobs`."
    )
    remove_tag_from_list: list[strawberry.ID] = computed(
        remove_tag_from_list, description="Removes tags altogether, and gives back their ids. For results by site: `removeTags`."
    )
    update_configuration: str | None = computed(
        update_configuration,
        description="Keeps a setting of the caller's own front end, for that caller alone; always null. No site is told. "
        "`configuration` reads them; they are lost 90 days after the last change.",
    )
