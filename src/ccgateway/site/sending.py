"""Sends a write once, and finds out what is true when the answer does not say.

A request that provably did not leave had no effect. Every other failure is settled by reading back: at once if the site was
through with the request; a few times if the connection broke; for as long as there is time if the site may still be at it, and
then "not yet" is no answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from ccgateway.errors import Code, SiteError, forget_frames
from ccgateway.jobs.writes import WriteOutcome
from ccgateway.site.exchange import CallContext, CallStats, SiteAnswer, SiteRequest
from ccgateway.site.instance import Instance
from ccgateway.site.releases.write_replies import Effect, End, Reply

__all__ = ["Settled", "send_once", "settle"]

#: of the time that is left for a write, the part that is kept for reading back, and its most in seconds
KEPT, MOST_KEPT = 0.4, 4.0
#: seconds between the looks after a broken connection
AFTER_CUT = (0.0, 0.2, 0.8)
#: the same while the site may still be at it, until there is no time left, or so many seconds have passed
WHILE_OPEN, MOST_OPEN = (0.0, 0.2, 0.4, 0.8, 1.6), 3.0

#: failures that say nothing about whether the request arrived, but that the connection is gone
_CUT = frozenset({Code.CONNECTION_LOST, Code.ANSWER_TOO_LARGE})


async def send_once(
    instance: Instance, request: SiteRequest, context: CallContext, understand: Callable[[SiteAnswer, str], Reply]
) -> Reply:
    """What became of the request, which is sent once and no more. Never raises ``SiteError``."""
    stats = CallStats()
    left = context.deadline.remaining
    early = context.deadline.within(max(0.0, left - min(left * KEPT, MOST_KEPT)))
    try:
        answer = await instance.send(request, replace(context, deadline=early, stats=stats))
    except SiteError as error:
        instance.health.note(error, left)
        if not stats.calls or error.code is Code.UNREACHABLE:
            return Reply(Effect.REFUSED, error)
        return Reply(Effect.DOUBT, error, End.CUT if error.code in _CUT else End.OPEN)
    finally:
        context.stats.calls += stats.calls
    reply = understand(answer, instance.name)
    if reply.error is not None and reply.error.code is Code.WRONG_RELEASE:
        instance.doubt_release()
    return reply


@dataclass(frozen=True, slots=True)
class Settled:
    """What is true. ``error``: why not, or why that could not be found out; ``meta``: the job's metadata as the answer has it."""

    outcome: WriteOutcome
    error: SiteError | None = None
    meta: Mapping[str, str] | None = None


async def settle(reply: Reply, is_so: Callable[[], Awaitable[bool]] | None, context: CallContext, site: str) -> Settled:
    """What is true after ``reply``. ``is_so`` reads whether the site is as it was to become, and is asked only in doubt; ``None``
    where the site does not show that."""
    if reply.effect is Effect.DONE:
        return Settled(WriteOutcome.DONE, meta=reply.meta)
    if reply.effect is Effect.ALREADY:
        return Settled(WriteOutcome.UNCHANGED, reply.error)
    if reply.effect is Effect.REFUSED:
        return Settled(WriteOutcome.FAILED, reply.error)
    if is_so is None:
        return Settled(WriteOutcome.UNKNOWN, _unknown(site, reply, "and does not show whether it did"))
    try:
        if await _becomes(is_so, reply.end, context):
            return Settled(WriteOutcome.DONE)
    except SiteError as error:
        return Settled(WriteOutcome.UNKNOWN, _unknown(site, reply, f"and cannot be asked now: {error.message}"))
    if reply.end is End.OPEN:
        return Settled(WriteOutcome.UNKNOWN, _unknown(site, reply, "and had not done it when last asked, but may still"))
    return Settled(WriteOutcome.FAILED, reply.error)


async def _becomes(is_so: Callable[[], Awaitable[bool]], end: End, context: CallContext) -> bool:
    loop = asyncio.get_running_loop()
    last = loop.time() + min(MOST_OPEN, max(0.0, context.deadline.remaining))
    pauses = {End.ANSWERED: (0.0,), End.CUT: AFTER_CUT, End.OPEN: WHILE_OPEN}[end]
    failed: SiteError | None = None
    for pause in pauses:
        if pause and loop.time() + pause >= last:
            break
        await asyncio.sleep(pause)
        try:
            if await is_so():
                return True
            failed = None
        except SiteError as error:
            forget_frames(error)
            failed = error
    if failed is not None:
        raise failed
    return False


def _unknown(site: str, reply: Reply, words: str) -> SiteError:
    said = reply.error.message.rstrip(".") if reply.error is not None else "No answer"
    code = reply.error.code if reply.error is not None else Code.BAD_ANSWER
    return SiteError(
        code, site, f"{said}. It was sent to site {site}, which may have done it, {words.rstrip('.')}.", retryable=True
    )
