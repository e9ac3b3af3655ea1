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
from ccgateway.site.exchange import SiteAnswer, Visit
from ccgateway.site.finding import Turns
from ccgateway.site.hand import Hand, result_of
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

__all__ = ["create_tag", "list_tags", "put_tags", "remove_tag", "tags_at", "take_tags"]

SHARED_SCOPES = frozenset({"global", "admin"})
DONE = Settled(WriteOutcome.DONE)


async def tags_at(hand: Hand) -> list[Tag]:
    """Every tag that the credential may read, with the site's own numbers."""
    _check_query(hand)
    answer = await hand.instance.send(tags_request(scopes=hand.dialect.tag_scopes), hand.visit)
    return tags_of(answer, hand.site)


async def list_tags(site: Site, visit: Visit) -> list[Tag]:
    """As ``tags_at``, for readers."""
    return await tags_at(await Hand.give(site.origin, visit, Turns()))


async def put_tags(hand: Hand, target: Target, tags: Sequence[Tag]) -> WriteResult:
    """Creates the tags that do not exist. ``UNCHANGED`` if the job has all of them."""
    _check_scopes(hand, tags)
    async with hand.job(target) as row:
        missing = _distinct(tags, without=row)
        if not missing:
            return hand.unchanged(row)
        steps: list[tuple[Sequence[Tag], Callable[[], Awaitable[Settled]]]] = []
        if hand.root == "/api":
            for group in _groups(hand, missing):
                steps.append((group, _bound(_put_by_rest, hand, row, group)))  # noqa: PERF401 - two shapes of one list
        else:
            known = {tag.key: tag.id for tag in await tags_at(hand)}
            steps = [((tag,), _bound(_put_by_query, hand, row, (tag,), known.get(tag.key))) for tag in missing]
        return await _in_steps(hand, row, steps, "Put on before that")


async def take_tags(hand: Hand, target: Target, tags: Sequence[Tag]) -> WriteResult:
    """``UNCHANGED`` if the job has none of them."""
    if not hand.dialect.tag_scopes:
        tags = [tag for tag in tags if tag.scope == "global"]  # no others can be there
    async with hand.job(target) as row:
        has = {tag.key: tag for tag in row.tags or ()}
        present = [has.get(tag.key, tag) for tag in _distinct(tags) if tag.key in has or _is_unseen(hand, tag)]
        if not present:
            return hand.unchanged(row)
        by_rest = [tag for tag in present if _goes_by_rest(hand, tag)]
        steps: list[tuple[Sequence[Tag], Callable[[], Awaitable[Settled]]]] = []
        for group in _groups(hand, by_rest):
            steps.append((group, _bound(_take_by_rest, hand, row, group)))  # noqa: PERF401
        steps += [((tag,), _bound(_take_by_query, hand, row, tag)) for tag in present if tag not in by_rest]
        return await _in_steps(hand, row, steps, "Taken off before that")


async def create_tag(hand: Hand, tag: Tag) -> WriteResult:
    """``UNCHANGED`` if the site has it."""
    _check_scopes(hand, (tag,))
    hand.check_owner(hand.visit.credential.user or "")
    known = {one.key: one.id for one in await tags_at(hand)}
    if tag.key in known:
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=hand.site, tag=tag)
    _, settled = await _create(hand, tag)
    return _about_tag(settled, hand, tag)


async def remove_tag(hand: Hand, tag: Tag, *, dry_run: bool) -> WriteResult:
    """Removes the tag from every job, and from the site's list. ``UNCHANGED`` if the site does not have it."""
    if not hand.dialect.removes_tags:
        raise hand.unsupported("remove tags altogether, only from one job at a time")
    known = {one.key: one.id for one in await tags_at(hand)} if _may_query(hand) else None
    by_rest = hand.root == "/api" and tag.scope in SHARED_SCOPES
    if known is not None and tag.key not in known and not _is_unseen(hand, tag):
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=hand.site, tag=tag, message="The site has no such tag.")
    if not by_rest:
        _check_query(hand)
    if dry_run:
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=hand.site, tag=tag, message="It would be removed.")

    async def is_gone() -> bool:
        if _is_unseen(hand, tag):
            raise _not_seen(hand)
        return tag.key not in {one.key for one in await tags_at(hand)}

    if by_rest:
        settled = await hand.do(hand.dialect.remove_tags_request((tag,)), _one(hand), is_gone)
    else:
        settled = await hand.do(remove_from_list_request(((known or {})[tag.key],)), mutated, is_gone)
    return _about_tag(settled, hand, tag)


# --- one step


async def _put_by_rest(hand: Hand, row: JobRow, tags: Sequence[Tag]) -> Settled:
    def understand(answer: SiteAnswer, site: str) -> Reply:
        return hand.dialect.tagged(answer, site, count=len(tags))

    return await hand.do(
        hand.dialect.tag_request(row.id, tags),
        understand,
        _on_job(hand, row.key, tags, wanted=True),
        by_id=row,
        take_back=_taking_back(hand, row.id, tags),
    )


async def _put_by_query(hand: Hand, row: JobRow, tags: Sequence[Tag], tag_id: int | None) -> Settled:
    (tag,) = tags
    if tag_id is None:
        reply, settled = await _create(hand, tag)
        if settled.outcome not in (WriteOutcome.DONE, WriteOutcome.UNCHANGED):
            return settled
        tag_id = reply.number
        if tag_id is None:
            tag_id = next((one.id for one in await tags_at(hand) if one.key == tag.key), None)
        if tag_id is None:
            return Settled(WriteOutcome.FAILED, hand.error(Code.SITE_ERROR, "The site did not create the tag."))
    return await hand.do(
        add_tags_request(row.id, (tag_id,)),
        mutated,
        _on_job(hand, row.key, tags, wanted=True),
        by_id=row,
        take_back=_taking_back(hand, row.id, tags),
    )


def _taking_back(hand: Hand, db_id: int, tags: Sequence[Tag]) -> Callable[[], Awaitable[bool]]:
    """Takes the tags, none of which it had before, from whatever job has that number now."""

    async def take_back() -> bool:
        by_rest = [tag for tag in tags if _goes_by_rest(hand, tag)]
        by_query = [tag for tag in tags if tag not in by_rest]
        try:
            replies = [await hand.send(hand.dialect.untag_request(db_id, by_rest), _one(hand))] if by_rest else []
            if by_query:
                known = {tag.key: tag.id for tag in await tags_at(hand)}
                ids = [known[tag.key] for tag in by_query if tag.key in known]
                replies.append(await hand.send(remove_from_job_request(db_id, ids), mutated))
        except SiteError:
            return False
        return all(reply.effect is Effect.DONE for reply in replies)

    return take_back


async def _create(hand: Hand, tag: Tag) -> tuple[Reply, Settled]:
    async def is_there() -> bool:
        return tag.key in {one.key for one in await tags_at(hand)}

    reply = await hand.send(create_tag_request(tag, scopes=hand.dialect.tag_scopes), mutated)
    return reply, await hand.settle(reply, is_there)


async def _take_by_rest(hand: Hand, row: JobRow, tags: Sequence[Tag]) -> Settled:
    def understand(answer: SiteAnswer, site: str) -> Reply:
        return hand.dialect.tagged(answer, site, count=len(tags))

    return await hand.do(
        hand.dialect.untag_request(row.id, tags), understand, _on_job(hand, row.key, tags, wanted=False), by_id=row
    )


async def _take_by_query(hand: Hand, row: JobRow, tag: Tag) -> Settled:
    _check_query(hand)
    tag_id = tag.id or next((one.id for one in await tags_at(hand) if one.key == tag.key), None)
    if tag_id is None:
        return Settled(WriteOutcome.UNCHANGED)
    return await hand.do(
        remove_from_job_request(row.id, (tag_id,)), mutated, _on_job(hand, row.key, (tag,), wanted=False), by_id=row
    )


def _on_job(hand: Hand, key: JobKey, tags: Sequence[Tag], *, wanted: bool) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        if any(_is_unseen(hand, tag) for tag in tags):
            raise _not_seen(hand)
        row = await hand.again(key)
        has = {tag.key for tag in (row.tags if row is not None else None) or ()}
        return row is not None and all((tag.key in has) is wanted for tag in tags)

    return is_so


async def _in_steps(
    hand: Hand, row: JobRow, steps: Sequence[tuple[Sequence[Tag], Callable[[], Awaitable[Settled]]]], before: str
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
            return result_of(settled, row.key, hand.site, db_id=row.id, also=also)
        changed = changed or settled.outcome is WriteOutcome.DONE
        done += tags
    outcome = WriteOutcome.DONE if changed else WriteOutcome.UNCHANGED
    return WriteResult(outcome=outcome, site=hand.site, key=row.key, db_id=row.id)


# --- which way, and which tags


def _goes_by_rest(hand: Hand, tag: Tag) -> bool:
    return hand.dialect.untags and hand.root == "/api" and tag.scope in SHARED_SCOPES


def _may_query(hand: Hand) -> bool:
    return hand.instance.settings.tags_by_query and hand.dialect.has_query


def _check_query(hand: Hand) -> None:
    if not hand.dialect.has_query:
        raise hand.unsupported("do that to tags")
    if not hand.instance.settings.tags_by_query:
        message = (
            f"That would need the GraphQL of site {hand.site} itself, which its settings do not let the gateway use for tags."
        )
        raise hand.error(Code.UNSUPPORTED, message)


def _check_scopes(hand: Hand, tags: Sequence[Tag]) -> None:
    if not hand.dialect.tag_scopes and any(tag.scope != "global" for tag in tags):
        raise hand.unsupported("keep tags in another scope than global: everybody would see them")


def _is_unseen(hand: Hand, tag: Tag) -> bool:
    """Whether the credential may write the tag, but is never shown it."""
    return hand.dialect.tag_scopes and hand.visit.credential.is_pure_api and tag.scope == "admin"


def _not_seen(hand: Hand) -> SiteError:
    return hand.error(Code.SITE_UNAUTHORIZED, "the site does not show tags of the scope admin to this credential")


def _groups(hand: Hand, tags: Sequence[Tag]) -> list[Sequence[Tag]]:
    """Those that can be read back together; each of the others alone, so that an answer is about it and no other."""
    seen = [tag for tag in tags if not _is_unseen(hand, tag)]
    return [*([seen] if seen else []), *((tag,) for tag in tags if _is_unseen(hand, tag))]


def _distinct(tags: Sequence[Tag], *, without: JobRow | None = None) -> list[Tag]:
    has = {tag.key for tag in (without.tags if without is not None else None) or ()}
    return [tag for key, tag in {tag.key: tag for tag in tags}.items() if key not in has]


def _one(hand: Hand) -> Callable[[SiteAnswer, str], Reply]:
    return lambda answer, site: hand.dialect.tagged(answer, site, count=1)


def _about_tag(settled: Settled, hand: Hand, tag: Tag) -> WriteResult:
    found = result_of(settled, None, hand.site)
    return WriteResult(
        outcome=found.outcome, site=hand.site, tag=tag, code=found.code, message=found.message, retryable=found.retryable
    )  # fmt: skip


def _names(tags: Sequence[Tag]) -> str:
    return ", ".join(f"{tag.type}:{tag.name}" for tag in tags)


def _bound(step: Callable[..., Awaitable[Settled]], *given: object) -> Callable[[], Awaitable[Settled]]:
    return lambda: step(*given)
