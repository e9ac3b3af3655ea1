"""A job's beginning and end at one site, as its scheduler reports them."""

from __future__ import annotations

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.jobs.writes import StartJob, StopJob, Target, WriteOutcome, WriteResult
from ccgateway.site.dialects.replies import Effect, Reply
from ccgateway.site.finding import find_job
from ccgateway.site.hand import Hand, result_of
from ccgateway.site.sending import Settled

__all__ = ["start", "stop"]


async def start(hand: Hand, order: StartJob) -> WriteResult:
    """``UNCHANGED`` if the site has the job; ``PENDING`` if it has taken it, but does not show it yet."""
    _check(hand, order)
    key = JobKey(hand.site, order.cluster, order.job_id, order.start_time)
    async with hand.turn(key):
        row = await hand.again(key)
        if row is not None:
            return _was_there(hand, row, order)
        reply = await hand.send(hand.writing.start_request(order), hand.writing.started)
        if reply.effect is Effect.DONE and reply.number is not None:
            return WriteResult(outcome=WriteOutcome.DONE, site=hand.site, key=key, db_id=reply.number)
        if reply.effect is Effect.DONE:
            return await _after_success(hand, key, order)
        if reply.error is not None and reply.error.code is Code.CONFLICT:
            return await _after_conflict(hand, key, order, reply)
        return await _after_doubt(hand, key, order, reply)


def _check(hand: Hand, order: StartJob) -> None:
    hand.check_rest()
    hand.check_owner(order.user)
    if not hand.writing.tag_scopes and any(tag.scope != "global" for tag in order.tags):
        raise hand.unsupported("keep tags in another scope than global")


def _shows_late(hand: Hand, order: StartJob) -> bool:
    """Whether the job stays out of sight for a while: with tags it does not."""
    return hand.writing.starts_late and not order.tags


def _was_there(hand: Hand, row: JobRow, order: StartJob) -> WriteResult:
    if row.user != order.user:
        raise hand.error(Code.CONFLICT, "The site has a job with that key, of another user.")
    return hand.unchanged(row, None if row.state == "running" else f"The job has ended already, as {row.state}.")


async def _after_success(hand: Hand, key: JobKey, order: StartJob) -> WriteResult:
    """The site took the job, and does not say under which id."""
    try:
        row = await hand.again(key)
    except SiteError:
        row = None
    if row is None and _shows_late(hand, order):
        return _pending(key)
    db_id = row.id if row is not None else None
    message = None if row is not None else "The site has taken the job; under which id could not be found out."
    return WriteResult(outcome=WriteOutcome.DONE, site=hand.site, key=key, db_id=db_id, message=message)


async def _after_conflict(hand: Hand, key: JobKey, order: StartJob, reply: Reply) -> WriteResult:
    """The site says that it has that job, or one that is too much like it."""
    row = await hand.again(key)
    if row is not None:
        return _was_there(hand, row, order)
    if reply.effect is Effect.ALREADY and _shows_late(hand, order):
        return _pending(key)
    return result_of(Settled(WriteOutcome.FAILED, reply.error), key, hand.site)


async def _after_doubt(hand: Hand, key: JobKey, order: StartJob, reply: Reply) -> WriteResult:
    async def is_there() -> bool:
        return await hand.again(key) is not None

    settled = await hand.settle(reply, is_there)
    if settled.outcome is WriteOutcome.DONE:
        row = await hand.again(key)
        wanted = {tag.key for tag in order.tags}
        missing = wanted - {tag.key for tag in (row.tags if row is not None else None) or ()}
        if missing:
            names = ", ".join(f"{kind}:{name}" for kind, name, _ in sorted(missing))
            also = f"The job was started, but without these tags: {names}."
            settled = Settled(WriteOutcome.FAILED, reply.error)
            return result_of(settled, key, hand.site, db_id=row.id if row is not None else None, also=also)
        return result_of(settled, key, hand.site, db_id=row.id if row is not None else None)
    if reply.effect is Effect.DOUBT and _shows_late(hand, order) and settled.error is not None:
        # it would not be seen even if it were there
        error = settled.error
        words = "The site may have taken the job all the same, and would show it only later."
        unknown = SiteError(error.code, hand.site, error.message, retryable=True)
        return result_of(Settled(WriteOutcome.UNKNOWN, unknown), key, hand.site, also=words)
    return result_of(settled, key, hand.site)


def _pending(key: JobKey) -> WriteResult:
    message = "The site has taken the job, and shows it once it has committed it (by default within two minutes)."
    return WriteResult(outcome=WriteOutcome.PENDING, site=key.site, key=key, message=message)


async def stop(hand: Hand, target: Target, order: StopJob) -> WriteResult:
    """``UNCHANGED`` if the job ended then and so; ``CONFLICT`` if it ended otherwise."""
    hand.check_rest()
    if order.state not in hand.writing.states:
        raise hand.unsupported(f"stop a job as {order.state}")
    if hand.writing.starts_late and target.db_id is None and await hand.find(target) is None:
        return await _stop_unseen(hand, target, order)
    async with hand.job(target) as row:
        key = row.key
        if row.state != "running":
            if row.state == order.state and row.start_time + row.duration == order.stop_time:
                return hand.unchanged(row)
            raise hand.error(Code.CONFLICT, f"The job has been stopped already, as {row.state}.")
        if order.stop_time < row.start_time:
            raise hand.error(Code.BAD_REQUEST, "A job cannot stop before it started.")
        whole = Target(site=key.site, db_id=row.id, cluster=key.cluster, job_id=key.job_id, start_time=key.start_time)

        async def has_ended() -> bool:
            return _is_stopped(await hand.again(key), order)

        settled = await hand.do(hand.writing.stop_request(whole, order), hand.writing.stopped, has_ended)
        return result_of(settled, key, hand.site, db_id=row.id)


def _is_stopped(row: JobRow | None, order: StopJob) -> bool:
    return row is not None and row.state == order.state


async def _stop_unseen(hand: Hand, target: Target, order: StopJob) -> WriteResult:
    """Stops a job that the site may have taken, but does not show yet: it can be stopped all the same."""
    key = target.key

    async def has_ended() -> bool:
        return key is not None and _is_stopped(await hand.again(key), order)

    reply = await hand.send(hand.writing.stop_request(target, order), hand.writing.stopped)
    settled = await hand.settle(reply, has_ended)
    if settled.outcome is WriteOutcome.FAILED and settled.error is not None and settled.error.code is Code.NOT_FOUND:
        raise hand.missing()
    row = None
    if settled.outcome is WriteOutcome.DONE:
        if key is not None:
            row = await hand.again(key)
        elif reply.number is not None:
            row = await find_job(hand.instance, hand.visit, Target(site=hand.site, db_id=reply.number), frozenset())
    return result_of(settled, row.key if row is not None else key, hand.site, db_id=row.id if row is not None else None)
