"""A job's beginning and end at one site, as its scheduler reports them."""

from __future__ import annotations

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.jobs.provisional import provisional_id
from ccgateway.jobs.writes import StartJob, StopJob, Target, WriteOutcome, WriteResult
from ccgateway.site.finding import newest_job, whole_target
from ccgateway.site.releases.write_replies import Effect, Reply
from ccgateway.site.sending import Settled
from ccgateway.site.write_context import WriteContext, result_of

__all__ = ["start", "stop"]


async def start(write: WriteContext, command: StartJob) -> WriteResult:
    """``UNCHANGED`` if the site has the job; ``PENDING`` if it has taken it, but does not show it yet."""
    _check(write, command)
    key = JobKey(write.site, command.cluster, command.job_id, command.start_time)
    async with write.turn(key):
        row = await write.again(key)
        if row is not None:
            return _was_there(write, row, command)
        reply = await write.send(write.dialect.start_request(command), write.dialect.started)
        if reply.effect is Effect.DONE and reply.number is not None:
            return WriteResult(outcome=WriteOutcome.DONE, site=write.site, key=key, db_id=reply.number)
        if reply.effect is Effect.DONE:
            return await _after_success(write, key, command)
        if reply.error is not None and reply.error.code is Code.CONFLICT:
            return await _after_conflict(write, key, command, reply)
        return await _after_doubt(write, key, command, reply)


def _check(write: WriteContext, command: StartJob) -> None:
    write.check_rest()
    write.check_owner(command.user)
    if not write.dialect.tag_scopes and any(tag.scope != "global" for tag in command.tags):
        raise write.unsupported("keep tags in another scope than global")


def _shows_late(write: WriteContext, command: StartJob) -> bool:
    """Whether the job stays out of sight for a while: with tags it does not."""
    return write.dialect.starts_late and not command.tags


def _was_there(write: WriteContext, row: JobRow, command: StartJob) -> WriteResult:
    if row.user != command.user:
        raise write.error(Code.CONFLICT, "The site has a job with that key, of another user.")
    return write.unchanged(row, None if row.state == "running" else f"The job has ended already, as {row.state}.")


async def _after_success(write: WriteContext, key: JobKey, command: StartJob) -> WriteResult:
    """The site took the job, and does not say under which id."""
    try:
        row = await write.again(key)
    except SiteError:
        row = None
    if row is None and _shows_late(write, command):
        return _pending(key)
    if row is not None:
        return WriteResult(outcome=WriteOutcome.DONE, site=write.site, key=key, db_id=row.id)
    message = "The site has taken the job; under which id could not be found out, so this one is provisional."
    return WriteResult(outcome=WriteOutcome.DONE, site=write.site, key=key, db_id=provisional_id(key), message=message)


async def _after_conflict(write: WriteContext, key: JobKey, command: StartJob, reply: Reply) -> WriteResult:
    """The site says that it has that job, or one that is too much like it."""
    row = await write.again(key)
    if row is not None:
        return _was_there(write, row, command)
    if reply.effect is Effect.ALREADY and _shows_late(write, command):
        return _pending(key)
    return result_of(Settled(WriteOutcome.FAILED, reply.error), key, write.site)


async def _after_doubt(write: WriteContext, key: JobKey, command: StartJob, reply: Reply) -> WriteResult:
    async def is_there() -> bool:
        return await write.again(key) is not None

    settled = await write.settle(reply, is_there)
    if settled.outcome is WriteOutcome.DONE:
        row = await write.again(key)
        wanted = {tag.key for tag in command.tags}
        missing = wanted - {tag.key for tag in (row.tags if row is not None else None) or ()}
        if missing:
            names = ", ".join(f"{kind}:{name}" for kind, name, _ in sorted(missing))
            also = f"The job was started, but without these tags: {names}."
            settled = Settled(WriteOutcome.FAILED, reply.error)
            return result_of(settled, key, write.site, db_id=row.id if row is not None else None, also=also)
        return result_of(settled, key, write.site, db_id=row.id if row is not None else None)
    if reply.effect is Effect.DOUBT and _shows_late(write, command) and settled.error is not None:
        # it would not be seen even if it were there
        error = settled.error
        doubt = "The site may have taken the job all the same, and would show it only later."
        unknown = SiteError(error.code, write.site, error.message, retryable=True)
        return result_of(Settled(WriteOutcome.UNKNOWN, unknown), key, write.site, also=doubt)
    return result_of(settled, key, write.site)


def _pending(key: JobKey) -> WriteResult:
    message = (
        "The site has taken the job, and shows it once it has committed it (by default within two minutes). Its id is "
        "provisional: it can be stopped by it at once, and names the job for good once the site shows it."
    )
    return WriteResult(outcome=WriteOutcome.PENDING, site=key.site, key=key, db_id=provisional_id(key), message=message)


async def stop(write: WriteContext, target: Target, command: StopJob) -> WriteResult:
    """``UNCHANGED`` if the job ended then and so; ``CONFLICT`` if it ended otherwise.

    A job that is named by parts of its key is the one that the site takes them for: it may know one that it does not show yet.
    """
    write.check_rest()
    if command.state not in write.dialect.states:
        raise write.unsupported(f"stop a job as {command.state}")
    is_loose = target.db_id is None and target.key is None
    if is_loose and write.is_own_only:  # the site would take anybody's
        target = whole_target(await _own(write, target))
    elif is_loose or (write.dialect.starts_late and target.db_id is None and await write.find(target) is None):
        return await _stop_named(write, target, command)
    async with write.job(target) as row:
        key = row.key
        if row.state != "running":
            return write.unchanged(row) if _ended_so(row, command) else _was_stopped(write, row)
        if command.stop_time < row.start_time:
            error = write.error(Code.BAD_REQUEST, "A job cannot stop before it started.")
            return WriteResult.failed(error, key=key, db_id=row.id)

        async def has_ended() -> bool:
            found = await write.again(key)
            return found is not None and found.state == command.state

        settled = await write.do(write.dialect.stop_request(whole_target(row), command), write.dialect.stopped, has_ended)
        return result_of(settled, key, write.site, db_id=row.id)


def _ended_so(row: JobRow, command: StopJob) -> bool:
    return row.state == command.state and row.start_time + row.duration == command.stop_time


def _was_stopped(write: WriteContext, row: JobRow) -> WriteResult:
    error = write.error(Code.CONFLICT, f"The job has been stopped already, as {row.state}.")
    return WriteResult.failed(error, key=row.key, db_id=row.id)


async def _own(write: WriteContext, target: Target) -> JobRow:
    """The caller's own job that is meant: that runs, or the newest."""
    user = write.context.credential.user
    for state in ("running", None):
        row = await newest_job(write.instance, write.context, target, state=state, user=user)
        if row is not None:
            return row
    raise write.missing(target)


async def _stop_named(write: WriteContext, target: Target, command: StopJob) -> WriteResult:
    """Sends the stop as the job is named, without a look at it before."""

    async def has_ended() -> bool:
        row = await newest_job(write.instance, write.context, target, state=command.state)
        return row is not None and _ended_so(row, command)

    reply = await write.send(write.dialect.stop_request(target, command), write.dialect.stopped)
    if reply.effect is Effect.REFUSED and reply.error is not None and reply.error.code is Code.CONFLICT:
        return await _stop_other(write, target, command, reply.error)
    settled = await write.settle(reply, has_ended)
    if settled.outcome is WriteOutcome.FAILED and settled.error is not None and settled.error.code is Code.NOT_FOUND:
        raise write.missing(target)
    row = None
    if settled.outcome is WriteOutcome.DONE:
        row = await _stopped_row(write, target, command, reply)
    return result_of(settled, row.key if row is not None else target.key, write.site, db_id=row.id if row is not None else None)


async def _stopped_row(write: WriteContext, target: Target, command: StopJob, reply: Reply) -> JobRow | None:
    """The job that was stopped, as far as it can be told; that it was is certain."""
    try:
        if reply.number is not None:
            return await write.find(Target(site=write.site, db_id=reply.number))
        return await newest_job(write.instance, write.context, target, state=command.state)
    except SiteError:
        return None


async def _stop_other(write: WriteContext, target: Target, command: StopJob, refusal: SiteError) -> WriteResult:
    """The site took the name for a job that has ended, or one that starts later: another of that name may run."""
    row = None
    for state in (command.state, "running", None):
        try:
            row = await newest_job(write.instance, write.context, target, state=state)
        except SiteError as error:
            if error.code is not Code.SCAN_BUDGET:
                raise
            row = None
        if row is not None and state == command.state and _ended_so(row, command):
            return write.unchanged(row)
        if row is not None and state == "running":
            if command.stop_time <= row.start_time:
                message = f"The job started at {row.start_time}: it cannot have ended at {command.stop_time}."
                return WriteResult.failed(write.error(Code.BAD_REQUEST, message), key=row.key, db_id=row.id)
            return await stop(write, whole_target(row), command)
    if row is None:
        raise refusal
    return _was_stopped(write, row)
