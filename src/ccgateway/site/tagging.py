"""Tags at one site: put on jobs, taken from them, created, removed altogether.

By REST where it can be: from 1.4 on that is for administrators and API users, and for the scopes ``global`` and ``admin`` where
tags are taken off. Everything else goes by the site's own GraphQL, if the settings let it, by the site's own tag numbers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.model import JobKey, JobRow, Tag
from ccgateway.jobs.writes import Target, WriteOutcome, WriteResult
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext, SiteAnswer
from ccgateway.site.keyed_lock import KeyedLock
from ccgateway.site.releases.query import (
    add_tags_request,
    create_tag_request,
    mutated,
    remove_from_job_request,
    remove_from_list_request,
    tags_of,
    tags_request,
)
from ccgateway.site.releases.write_replies import Effect, Reply
from ccgateway.site.sending import Settled
from ccgateway.site.write_context import WriteContext, result_of

__all__ = ["create_tag", "list_tags", "put_tags", "remove_tag", "tags_at", "take_tags"]

SHARED_SCOPES = frozenset({"global", "admin"})
DONE = Settled(WriteOutcome.DONE)


async def tags_at(write: WriteContext) -> list[Tag]:
    """Every tag that the credential may read, with the site's own numbers."""
    _check_query(write)
    answer = await write.instance.send(tags_request(scopes=write.dialect.tag_scopes), write.context)
    return tags_of(answer, write.site)


async def list_tags(site: Site, context: CallContext) -> list[Tag]:
    """As ``tags_at``, for readers."""
    return await tags_at(await WriteContext.of(site.origin, context, KeyedLock()))


async def put_tags(write: WriteContext, target: Target, tags: Sequence[Tag]) -> WriteResult:
    """Creates the tags that do not exist. ``UNCHANGED`` if the job has all of them."""
    _check_scopes(write, tags)
    async with write.job(target) as row:
        missing = _distinct(tags, without=row)
        if not missing:
            return write.unchanged(row)
        steps: list[tuple[Sequence[Tag], Callable[[], Awaitable[Settled]]]] = []
        if write.root == "/api":
            for group in _groups(write, missing):
                steps.append((group, _bound(_put_by_rest, write, row, group)))  # noqa: PERF401 - two shapes of one list
        else:
            known = {tag.key: tag.id for tag in await tags_at(write)}
            steps = [((tag,), _bound(_put_by_query, write, row, (tag,), known.get(tag.key))) for tag in missing]
        return await _in_steps(write, row, steps, "Put on before that")


async def take_tags(write: WriteContext, target: Target, tags: Sequence[Tag]) -> WriteResult:
    """``UNCHANGED`` if the job has none of them."""
    if not write.dialect.tag_scopes:
        tags = [tag for tag in tags if tag.scope == "global"]  # no others can be there
    async with write.job(target) as row:
        has = {tag.key: tag for tag in row.tags or ()}
        present = [has.get(tag.key, tag) for tag in _distinct(tags) if tag.key in has or _is_unseen(write, tag)]
        if not present:
            return write.unchanged(row)
        by_rest = [tag for tag in present if _goes_by_rest(write, tag)]
        steps: list[tuple[Sequence[Tag], Callable[[], Awaitable[Settled]]]] = []
        for group in _groups(write, by_rest):
            steps.append((group, _bound(_take_by_rest, write, row, group)))  # noqa: PERF401
        steps += [((tag,), _bound(_take_by_query, write, row, tag)) for tag in present if tag not in by_rest]
        return await _in_steps(write, row, steps, "Taken off before that")


async def create_tag(write: WriteContext, tag: Tag) -> WriteResult:
    """``UNCHANGED`` if the site has it."""
    _check_scopes(write, (tag,))
    write.check_owner(write.context.credential.user or "")
    known = {one.key: one.id for one in await tags_at(write)}
    if tag.key in known:
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=write.site, tag=tag)
    _, settled = await _create(write, tag)
    return _about_tag(settled, write, tag)


async def remove_tag(write: WriteContext, tag: Tag, *, dry_run: bool) -> WriteResult:
    """Removes the tag from every job, and from the site's list. ``UNCHANGED`` if the site does not have it."""
    if not write.dialect.removes_tags:
        raise write.unsupported("remove tags altogether, only from one job at a time")
    known = {one.key: one.id for one in await tags_at(write)} if _may_query(write) else None
    by_rest = write.root == "/api" and tag.scope in SHARED_SCOPES
    if known is not None and tag.key not in known and not _is_unseen(write, tag):
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=write.site, tag=tag, message="The site has no such tag.")
    if not by_rest:
        _check_query(write)
    if dry_run:
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=write.site, tag=tag, message="It would be removed.")

    async def is_gone() -> bool:
        if _is_unseen(write, tag):
            raise _not_seen(write)
        return tag.key not in {one.key for one in await tags_at(write)}

    if by_rest:
        settled = await write.do(write.dialect.remove_tags_request((tag,)), _one(write), is_gone)
    else:
        settled = await write.do(remove_from_list_request(((known or {})[tag.key],)), mutated, is_gone)
    return _about_tag(settled, write, tag)


# --- one step


async def _put_by_rest(write: WriteContext, row: JobRow, tags: Sequence[Tag]) -> Settled:
    def understand(answer: SiteAnswer, site: str) -> Reply:
        return write.dialect.tagged(answer, site, count=len(tags))

    return await write.do(
        write.dialect.tag_request(row.id, tags),
        understand,
        _on_job(write, row.key, tags, wanted=True),
        by_id=row,
        take_back=_taking_back(write, row.id, tags),
    )


async def _put_by_query(write: WriteContext, row: JobRow, tags: Sequence[Tag], tag_id: int | None) -> Settled:
    (tag,) = tags
    if tag_id is None:
        reply, settled = await _create(write, tag)
        if settled.outcome not in (WriteOutcome.DONE, WriteOutcome.UNCHANGED):
            return settled
        tag_id = reply.number
        if tag_id is None:
            tag_id = next((one.id for one in await tags_at(write) if one.key == tag.key), None)
        if tag_id is None:
            return Settled(WriteOutcome.FAILED, write.error(Code.SITE_ERROR, "The site did not create the tag."))
    return await write.do(
        add_tags_request(row.id, (tag_id,)),
        mutated,
        _on_job(write, row.key, tags, wanted=True),
        by_id=row,
        take_back=_taking_back(write, row.id, tags),
    )


def _taking_back(write: WriteContext, db_id: int, tags: Sequence[Tag]) -> Callable[[], Awaitable[bool]]:
    """Takes the tags, none of which it had before, from whatever job has that number now."""

    async def take_back() -> bool:
        by_rest = [tag for tag in tags if _goes_by_rest(write, tag)]
        by_query = [tag for tag in tags if tag not in by_rest]
        try:
            replies = [await write.send(write.dialect.untag_request(db_id, by_rest), _one(write))] if by_rest else []
            if by_query:
                known = {tag.key: tag.id for tag in await tags_at(write)}
                ids = [known[tag.key] for tag in by_query if tag.key in known]
                replies.append(await write.send(remove_from_job_request(db_id, ids), mutated))
        except SiteError:
            return False
        return all(reply.effect is Effect.DONE for reply in replies)

    return take_back


async def _create(write: WriteContext, tag: Tag) -> tuple[Reply, Settled]:
    async def is_there() -> bool:
        return tag.key in {one.key for one in await tags_at(write)}

    reply = await write.send(create_tag_request(tag, scopes=write.dialect.tag_scopes), mutated)
    return reply, await write.settle(reply, is_there)


async def _take_by_rest(write: WriteContext, row: JobRow, tags: Sequence[Tag]) -> Settled:
    def understand(answer: SiteAnswer, site: str) -> Reply:
        return write.dialect.tagged(answer, site, count=len(tags))

    return await write.do(
        write.dialect.untag_request(row.id, tags), understand, _on_job(write, row.key, tags, wanted=False), by_id=row
    )


async def _take_by_query(write: WriteContext, row: JobRow, tag: Tag) -> Settled:
    _check_query(write)
    tag_id = tag.id or next((one.id for one in await tags_at(write) if one.key == tag.key), None)
    if tag_id is None:
        return Settled(WriteOutcome.UNCHANGED)
    return await write.do(
        remove_from_job_request(row.id, (tag_id,)), mutated, _on_job(write, row.key, (tag,), wanted=False), by_id=row
    )


def _on_job(write: WriteContext, key: JobKey, tags: Sequence[Tag], *, wanted: bool) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        if any(_is_unseen(write, tag) for tag in tags):
            raise _not_seen(write)
        row = await write.again(key)
        has = {tag.key for tag in (row.tags if row is not None else None) or ()}
        return row is not None and all((tag.key in has) is wanted for tag in tags)

    return is_so


async def _in_steps(
    write: WriteContext, row: JobRow, steps: Sequence[tuple[Sequence[Tag], Callable[[], Awaitable[Settled]]]], before: str
) -> WriteResult:
    """All steps, up to the first that fails. A step of several tags may fail after some of them."""
    done: list[Tag] = []
    changed = False
    for tags, step in steps:
        settled = await step()
        if settled.outcome not in (WriteOutcome.DONE, WriteOutcome.UNCHANGED):
            also = f"{before}: {_names(done)}." if done else ""
            if len(tags) > 1 and settled.outcome is WriteOutcome.FAILED:
                also = (also + f" Which of {_names(tags)} were reached, the job's tags tell.").strip()
            return result_of(settled, row.key, write.site, db_id=row.id, also=also)
        changed = changed or settled.outcome is WriteOutcome.DONE
        done += tags
    outcome = WriteOutcome.DONE if changed else WriteOutcome.UNCHANGED
    return WriteResult(outcome=outcome, site=write.site, key=row.key, db_id=row.id)


# --- which way, and which tags


def _goes_by_rest(write: WriteContext, tag: Tag) -> bool:
    return write.dialect.untags and write.root == "/api" and tag.scope in SHARED_SCOPES


def _may_query(write: WriteContext) -> bool:
    return write.instance.settings.tags_by_query and write.dialect.query is not None


def _check_query(write: WriteContext) -> None:
    if write.dialect.query is None:
        raise write.unsupported("do that to tags")
    if not write.instance.settings.tags_by_query:
        message = (
            f"That would need the GraphQL of site {write.site} itself, which its settings do not let the gateway use for tags."
        )
        raise write.error(Code.UNSUPPORTED, message)


def _check_scopes(write: WriteContext, tags: Sequence[Tag]) -> None:
    if not write.dialect.tag_scopes and any(tag.scope != "global" for tag in tags):
        raise write.unsupported("keep tags in another scope than global: everybody would see them")


def _is_unseen(write: WriteContext, tag: Tag) -> bool:
    """Whether the credential may write the tag, but is never shown it."""
    return write.dialect.tag_scopes and write.context.credential.is_pure_api and tag.scope == "admin"


def _not_seen(write: WriteContext) -> SiteError:
    return write.error(Code.SITE_UNAUTHORIZED, "the site does not show tags of the scope admin to this credential")


def _groups(write: WriteContext, tags: Sequence[Tag]) -> list[Sequence[Tag]]:
    """Those that can be read back together; each of the others alone, so that an answer is about it and no other."""
    seen = [tag for tag in tags if not _is_unseen(write, tag)]
    return [*([seen] if seen else []), *((tag,) for tag in tags if _is_unseen(write, tag))]


def _distinct(tags: Sequence[Tag], *, without: JobRow | None = None) -> list[Tag]:
    has = {tag.key for tag in (without.tags if without is not None else None) or ()}
    return [tag for key, tag in {tag.key: tag for tag in tags}.items() if key not in has]


def _one(write: WriteContext) -> Callable[[SiteAnswer, str], Reply]:
    return lambda answer, site: write.dialect.tagged(answer, site, count=1)


def _about_tag(settled: Settled, write: WriteContext, tag: Tag) -> WriteResult:
    found = result_of(settled, None, write.site)
    return WriteResult(
        outcome=found.outcome, site=write.site, tag=tag, code=found.code, message=found.message, retryable=found.retryable
    )  # fmt: skip


def _names(tags: Sequence[Tag]) -> str:
    return ", ".join(f"{tag.type}:{tag.name}" for tag in tags)


def _bound(step: Callable[..., Awaitable[Settled]], *given: object) -> Callable[[], Awaitable[Settled]]:
    return lambda: step(*given)
