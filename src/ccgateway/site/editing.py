"""Metadata of jobs at one site, and jobs that go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import EARLIEST, Conditions, conditions_of
from ccgateway.jobs.filters import JobFilter, TimeRange
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.jobs.writes import OmitTagged, Target, WriteOutcome, WriteResult
from ccgateway.site.base import JobsWanted, PageFailedError
from ccgateway.site.reading import JobStream
from ccgateway.site.releases import Window
from ccgateway.site.write_context import WriteContext, result_of

__all__ = ["delete", "delete_before", "edit_meta"]

#: types of the tags that a site puts on jobs by itself: they are no user's
OWN_TYPES = frozenset({"app", "jobClass"})
_TOOK_EFFECT = (WriteOutcome.DONE, WriteOutcome.UNCHANGED)


async def edit_meta(write: WriteContext, target: Target, values: Mapping[str, str]) -> WriteResult:
    """One key after the other where the site takes one at a time: those before one that fails stay, and the message says so."""
    write.check_rest()
    if not write.dialect.edits_meta:
        raise write.unsupported("edit metadata")
    async with write.job(target) as row:
        shown = row.meta_data or {}
        changed = {name: value for name, value in values.items() if shown.get(name) != value}
        if not changed and not write.dialect.shows_old_meta:
            return write.unchanged(row)
        # what is shown may be of a job that is no more: then all of it is written, and the answer tells what there was
        new = values if write.dialect.shows_old_meta else changed
        by_id = None if write.dialect.meta_by_key else row
        done: list[str] = []
        told: Mapping[str, str] | None = None
        for part, request in write.dialect.meta_requests(row.key, row.id, new):
            seen_before = {name for name in part if name not in changed}
            settled = await write.do(request, write.dialect.edited, _has_meta(write, row.key, part, seen_before), by_id=by_id)
            if settled.outcome not in _TOOK_EFFECT:
                also = f"Set before that: {', '.join(done)}." if done else ""
                return result_of(settled, row.key, write.site, db_id=row.id, also=also)
            told = settled.meta
            done += part
        if not changed and told == shown:
            return write.unchanged(row)
        return WriteResult(outcome=WriteOutcome.DONE, site=write.site, key=row.key, db_id=row.id)


def _has_meta(
    write: WriteContext, key: JobKey, values: Mapping[str, str], seen_before: Collection[str]
) -> Callable[[], Awaitable[bool]]:
    """``seen_before``: keys whose value showed before it was sent, so that showing now proves nothing."""

    async def is_so() -> bool:
        if seen_before:
            raise write.error(Code.SITE_ERROR, "what it shows of the job may be a deleted job's metadata")
        row = await write.again(key)
        return row is not None and all((row.meta_data or {}).get(name) == value for name, value in values.items())

    return is_so


async def delete(write: WriteContext, target: Target, *, dry_run: bool) -> WriteResult:
    """Deletes from the site's database; its archive keeps what it has."""
    write.check_rest()
    async with write.job(target) as row:
        if dry_run:
            return write.unchanged(row, "It would be deleted.")

        async def is_gone() -> bool:
            return await write.again(row.key) is None

        settled = await write.do(write.dialect.delete_request(row.key, row.id), write.dialect.deleted, is_gone)
        kept = row.id if settled.outcome is not WriteOutcome.DONE else None
        return result_of(settled, row.key, write.site, db_id=kept)


async def delete_before(write: WriteContext, before: int, omit_tagged: OmitTagged, *, most: int, dry_run: bool) -> WriteResult:
    """Every job that started before. ``most``: jobs that are read to count them, or to see that none is left."""
    write.check_rest()
    if write.is_own_only:
        raise write.error(
            Code.FORBIDDEN, f"Site {write.site} would delete everybody's jobs: for administrators and API users only."
        )
    if omit_tagged != "none" and not write.dialect.omits_tagged:
        raise write.unsupported("spare tagged jobs")
    if before <= EARLIEST or await _is_empty(write, before):
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=write.site, count=0)
    if dry_run:
        return await _counted(write, before, omit_tagged, most)

    async def are_gone() -> bool:
        if omit_tagged == "none":
            return await _is_empty(write, before)
        rows, unread = await _rows(write, before, most)
        if unread:
            raise write.error(Code.SITE_ERROR, "it cannot read some of the jobs, which may be left")
        return not [row for row in rows if not _is_spared(row, omit_tagged)]

    reply = await write.send(write.dialect.delete_before_request(before, omit_tagged), write.dialect.deleted_before)
    settled = await write.settle(reply, are_gone)
    result = result_of(settled, None, write.site)
    return WriteResult(
        outcome=result.outcome, site=write.site, count=reply.number, code=result.code, message=result.message,
        retryable=result.retryable,
    )  # fmt: skip


async def _is_empty(write: WriteContext, before: int) -> bool:
    wanted = JobsWanted(Conditions(), frozenset())
    try:
        page = await write.instance.page(write.context, wanted, Window(EARLIEST, before - 1), size=1)
    except PageFailedError:  # the newest of them cannot be read: so there is one
        return False
    return not page.rows


async def _counted(write: WriteContext, before: int, omit_tagged: OmitTagged, most: int) -> WriteResult:
    try:
        rows, unread = await _rows(write, before, most)
    except SiteError as error:
        if error.code is not Code.SCAN_BUDGET:
            raise
        message = f"More than {most} jobs would be looked at, and those among them deleted."
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=write.site, code=Code.SCAN_BUDGET, message=message)
    count = sum(not _is_spared(row, omit_tagged) for row in rows) + (unread if omit_tagged == "none" else 0)
    message = f"{count} {'job' if count == 1 else 'jobs'} would be deleted."
    if unread and omit_tagged != "none":
        message += f" {unread} more cannot be read by the site: those of them without such tags would be deleted, too."
    if omit_tagged != "none":
        message += " Jobs with tags that the gateway's credential may not see are counted, but would be spared."
    return WriteResult(outcome=WriteOutcome.UNCHANGED, site=write.site, count=count, message=message)


async def _rows(write: WriteContext, before: int, most: int) -> tuple[list[JobRow], int]:
    """The jobs, and how many there are beside them that the site cannot read."""
    until = JobFilter(start_time=TimeRange(None, before - 1))
    stream = JobStream(write.instance, write.context, JobsWanted(conditions_of((until,), write.site), frozenset({"tags"})))
    while not stream.done:
        await stream.read(2000)
        if stream.scanned > most:
            raise write.error(Code.SCAN_BUDGET, f"More than {most} jobs would have to be read.")
    return stream.rows, len(stream.unreadable)


def _is_spared(row: JobRow, omit_tagged: OmitTagged) -> bool:
    match omit_tagged:
        case "all":
            return bool(row.tags)
        case "user":
            return any(tag.type not in OWN_TYPES for tag in row.tags or ())
        case _:
            return False
