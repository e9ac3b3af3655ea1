"""Tags over all sites: listing them, and cc-backend's own mutations by the ids that ``Tag.id`` gives.

A result that is no success is an error here, as these mutations have always given what they made and not what came of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import strawberry

from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.federation.questions import SiteReport
from ccgateway.jobs import model
from ccgateway.jobs.conditions import decode_tag_id
from ccgateway.jobs.writes import RemoveTags, TagJob, Target, WriteOutcome, WriteResult
from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.inputs import Policy
from ccgateway.surfaces.graphql.metrics import IdArgument

__all__ = ["add_tags_to_job", "create_tag", "delete_tag", "list_tags", "remove_tag_from_list", "remove_tags_from_job"]

argument = strawberry.argument
TagIdsArgument = Annotated[list[strawberry.ID], argument(description="The tags, by `Tag.id`.")]
SitesArgument = Annotated[list[str] | None, argument(description="Names of the sites; all of them if left out.")]
NamedSitesArgument = Annotated[
    list[str] | None,
    argument(description='Names of the sites, or `"*"` for all of them; needed unless there is only one.'),
]
_SUCCESSES = (WriteOutcome.DONE, WriteOutcome.UNCHANGED)


async def list_tags(
    info: Info,
    sites: SitesArgument = None,
    policy: Annotated[Policy, argument(description="What to do when a site does not answer.")] = Policy.PARTIAL,
) -> list[model.Tag]:
    answer = await info.context.gateway.tags(info.context.caller, sites=sites, policy=policy.to_value().of(info.context.caller))
    info.context.note_gaps(info, answer.reports)
    return [one.tag for one in answer.items]


async def create_tag(
    info: Info,
    type: Annotated[str, argument(description="What kind of tag it is.")],  # noqa: A002
    name: Annotated[str, argument(description="The tag itself.")],
    scope: Annotated[str, argument(description="Who sees it: `global`, `admin`, or the name of the user at the sites.")],
    sites: SitesArgument = None,
) -> model.Tag:
    tag = model.Tag(type, name, scope)
    results = await info.context.gateway.writes.create_tag(tag, sites, info.context.caller, info.context.next_call())
    _note(info, results)
    return tag


async def delete_tag(
    info: Info,
    id: Annotated[strawberry.ID, argument(description="The tag, by `Tag.id`.")],  # noqa: A002
    sites: NamedSitesArgument = None,
) -> strawberry.ID:
    await _remove(info, [id], sites)
    return id


async def remove_tag_from_list(info: Info, tag_ids: TagIdsArgument, sites: NamedSitesArgument = None) -> list[strawberry.ID]:
    await _remove(info, tag_ids, sites)
    return tag_ids


async def add_tags_to_job(info: Info, job: IdArgument, tag_ids: TagIdsArgument) -> Sequence[model.Tag]:
    if tag_ids:
        command = TagJob(target=Target.of(info.context.ids.named(job)), tags=_tags(tag_ids))
        _check(await info.context.gateway.writes.tag_jobs([command], info.context.caller, info.context.next_call()))
        return await _tags_after(info, job)
    return await _tags_of(info, job)


async def remove_tags_from_job(info: Info, job: IdArgument, tag_ids: TagIdsArgument) -> Sequence[model.Tag]:
    if tag_ids:
        command = TagJob(target=Target.of(info.context.ids.named(job)), tags=_tags(tag_ids))
        _check(await info.context.gateway.writes.untag_jobs([command], info.context.caller, info.context.next_call()))
        return await _tags_after(info, job)
    return await _tags_of(info, job)


async def _tags_of(info: Info, job: str) -> Sequence[model.Tag]:
    row = await info.context.gateway.job(info.context.ids.named(job), info.context.caller, fields=frozenset({"tags"}))
    return row.tags or ()


async def _tags_after(info: Info, job: str) -> Sequence[model.Tag]:
    try:
        return await _tags_of(info, job)
    except GatewayError as error:
        message = f"The tags were changed, but could not be read afterwards: {error.message}"
        raise GatewayError(error.code, message, retryable=error.retryable) from error


async def _remove(info: Info, ids: Sequence[str], sites: list[str] | None) -> None:
    command = RemoveTags(tags=_tags(ids), sites=tuple(sites) if sites is not None else None)
    _note(info, await info.context.gateway.writes.remove_tags(command, info.context.caller, info.context.next_call()))


def _tags(ids: Iterable[str]) -> tuple[model.Tag, ...]:
    found = []
    for one in ids:
        key = decode_tag_id(one)
        if key is None:
            raise RequestError(Code.BAD_REQUEST, f"{one[:80]!r} is not a tag's id, as Tag.id gives it.")
        kind, name, scope = key
        found.append(model.Tag(kind, name, scope))
    if not found:
        raise RequestError(Code.BAD_REQUEST, "No tags are named.")
    return tuple(found)


def _check(results: Sequence[WriteResult]) -> None:
    for result in results:
        if result.outcome not in _SUCCESSES:
            raise _error(result)


def _note(info: Info, results: Sequence[WriteResult]) -> None:
    """Sites that failed are gaps of the answer, those that cannot do it at all are told of; nothing but failures is an error."""
    if not any(result.outcome in _SUCCESSES for result in results):
        _check(results)
    for result in results:
        if result.outcome in _SUCCESSES:
            continue
        report = SiteReport(result.site or "", 0)
        if result.code is Code.UNSUPPORTED:
            report.notes = [result.message or ""]
            info.context.note(report)
        else:
            report.note_gap(result.code or Code.INTERNAL, result.message or "", retryable=result.retryable)
            info.context.note_gaps(info, [report])


def _error(result: WriteResult) -> GatewayError:
    words = result.message or ""
    if result.outcome is WriteOutcome.UNKNOWN:
        words = f"It is not known whether this took effect. {words}"
    return GatewayError(result.code or Code.INTERNAL, words, site=result.site, retryable=result.retryable)
