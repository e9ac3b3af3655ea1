"""What a write at one site works with: the site and its ways of writing, on whose behalf, and the words for how it ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ccgateway.errors import Code, SiteError
from ccgateway.identity.roles import Ability
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.jobs.writes import Target, WriteOutcome, WriteResult
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.finding import find_job, job_of_key
from ccgateway.site.instance import Instance
from ccgateway.site.keyed_lock import KeyedLock
from ccgateway.site.releases import Dialect
from ccgateway.site.releases.write_replies import Effect, Reply
from ccgateway.site.replies import no_such_job
from ccgateway.site.sending import Settled, send_once, settle

__all__ = ["WriteContext", "result_of"]

#: what of a job has to be known to judge a write to it
BEFORE = frozenset({"user", "state", "duration", "meta_data", "tags"})
_LATE = " A job that was just started shows there only once the site has committed it, which may take two minutes."


@dataclass(frozen=True, slots=True)
class WriteContext:
    """One write's means. ``root``: the API root that the credential opens; ``locks``: shared by all writes to the site."""

    instance: Instance
    dialect: Dialect
    context: CallContext
    root: str
    locks: KeyedLock

    @classmethod
    async def of(cls, instance: Instance, context: CallContext, locks: KeyedLock) -> WriteContext:
        """The means at ``instance``. Raises ``SiteError`` if the site's release cannot be found out."""
        dialect = await instance.dialect(context)
        return cls(instance, dialect, context, dialect.root(context.credential), locks)

    @property
    def site(self) -> str:
        """The site's name."""
        return self.instance.name

    @property
    def is_own_only(self) -> bool:
        """Whether the site would let this credential write to all jobs, and the gateway must not: seeing is not writing."""
        return not self.dialect.isolates and Ability.WRITE_ALL not in self.context.credential.writes

    def check_owner(self, user: str) -> None:
        """``FORBIDDEN`` for a job of ``user``, who is somebody else, or for any where nothing may be written at all."""
        if not self.is_own_only:
            return
        credential = self.context.credential
        if Ability.OWN_JOBS not in credential.writes:
            raise self.error(Code.FORBIDDEN, f"Site {self.site} takes no write from somebody without a role there.")
        if user != credential.user:
            raise self.error(
                Code.FORBIDDEN, f"Jobs of others at site {self.site} are changed by administrators and API users only."
            )

    # --- what may not be

    def check_rest(self) -> None:
        """``SITE_UNAUTHORIZED`` for a credential that may only read by the site's REST interface."""
        if self.root != "/api":
            raise self.error(Code.SITE_UNAUTHORIZED, f"Site {self.site} lets only administrators and API users do that.")

    def check_admin(self) -> None:
        """``FORBIDDEN`` for a credential that is no administrator's, where the gateway decides who writes."""
        if not self.dialect.isolates and Ability.USERS not in self.context.credential.writes:
            raise self.error(Code.FORBIDDEN, f"Users of site {self.site} are changed by administrators only.")

    def error(self, code: Code, message: str) -> SiteError:
        """An error about this site."""
        return SiteError(code, self.site, message)

    def unsupported(self, what: str) -> SiteError:
        """The error for what the release cannot do."""
        return self.error(Code.UNSUPPORTED, f"Release {self.dialect.name}, which site {self.site} runs, cannot {what}.")

    def missing(self, target: Target) -> SiteError:
        """The error for a job that is not there or not shown: the same words for both. One by key may show a little later."""
        late = self.dialect.starts_late and target.db_id is None
        return no_such_job(self.site, _LATE if self.dialect.starts_late else "", retryable=late)

    # --- the job

    async def find(self, target: Target) -> JobRow | None:
        """The job as it is now, if the credential may see it."""
        return await find_job(self.instance, self.context, target, BEFORE)

    async def again(self, key: JobKey) -> JobRow | None:
        """The job read back by its key."""
        return await job_of_key(self.instance, self.context, key, BEFORE)

    @asynccontextmanager
    async def job(self, target: Target) -> AsyncIterator[JobRow]:
        """The job as it is now, while no other write of this process touches it; ``NOT_FOUND`` if there is none."""
        row = await self.find(target)
        if row is None:
            raise self.missing(target)
        async with self.turn(row.key) as waited:
            if waited:
                row = await self.find(target)
            if row is None:
                raise self.missing(target)
            self.check_owner(row.user)
            yield row

    @asynccontextmanager
    async def turn(self, key: JobKey) -> AsyncIterator[bool]:
        """One's turn among the writes to that job, and whether one had to wait for it."""
        async with AsyncExitStack() as stack:
            try:
                waited = await stack.enter_async_context(self.locks.take(key, self.context.deadline))
            except TimeoutError:
                raise self.error(Code.TIMEOUT, "Other writes to the job took all the time; nothing was sent.") from None
            yield waited

    # --- the write

    async def send(self, request: SiteRequest, understand: Callable[[SiteAnswer, str], Reply]) -> Reply:
        """Sends the request once."""
        return await send_once(self.instance, request, self.context, understand)

    async def settle(self, reply: Reply, is_so: Callable[[], Awaitable[bool]] | None) -> Settled:
        """What is true after ``reply``."""
        return await settle(reply, is_so, self.context, self.site)

    async def do(
        self,
        request: SiteRequest,
        understand: Callable[[SiteAnswer, str], Reply],
        is_so: Callable[[], Awaitable[bool]] | None,
        *,
        by_id: JobRow | None = None,
        take_back: Callable[[], Awaitable[bool]] | None = None,
    ) -> Settled:
        """Sends the request once, and says what is true then.

        ``by_id``: the job meant, where the request names a number only: sites use them again after deletes. ``take_back`` undoes
        it where another job got it, and says whether that succeeded.
        """
        if by_id is not None and not self.dialect.isolates and not await self._has_its_id(by_id):
            message = "The job's database id has gone to another job, or to none: nothing was sent."
            return Settled(WriteOutcome.FAILED, self.error(Code.CONFLICT, message))
        reply = await self.send(request, understand)
        if by_id is not None and reply.effect is not Effect.REFUSED and await self._went_elsewhere(by_id, reply):
            return await self._undone(reply, take_back)
        return await self.settle(reply, is_so)

    async def _has_its_id(self, row: JobRow) -> bool:
        found = await self.instance.job(self.context, row.id, frozenset())
        return found is not None and found.key == row.key

    async def _went_elsewhere(self, row: JobRow, reply: Reply) -> bool:
        """Whether a write by the job's id met another job; where the answer does not tell, up to 1.3 the site is asked."""
        key = row.key
        if reply.job is not None:
            return reply.job != (key.cluster, key.job_id) or reply.start not in (None, key.start_time)
        if self.dialect.isolates:
            return False
        try:
            return not await self._has_its_id(row)
        except SiteError:
            return False  # what is true then is found out as after every doubt

    async def _undone(self, reply: Reply, take_back: Callable[[], Awaitable[bool]] | None) -> Settled:
        words = "Between the look at the job and the write its database id went to another job, or to none."
        match reply.effect:
            case Effect.DONE if take_back is None:
                words += " The other job was changed instead."
            case Effect.DONE if take_back is not None and await take_back():
                words += " What the other job got was taken from it again."
            case Effect.DONE:
                words += " What the other job got could not be taken from it again."
            case Effect.DOUBT:
                words += " Whether the other job was changed is not known."
            case _:
                words += " Nothing was changed."
        return Settled(WriteOutcome.FAILED, self.error(Code.CONFLICT, words))

    def unchanged(self, row: JobRow, message: str | None = None) -> WriteResult:
        """The result of a command for what is so already."""
        return WriteResult(outcome=WriteOutcome.UNCHANGED, site=self.site, key=row.key, db_id=row.id, message=message)


def result_of(settled: Settled, key: JobKey | None, site: str, *, db_id: int | None = None, also: str = "") -> WriteResult:
    """The result of a write that ended so. ``also``: what else there is to say."""
    error = settled.error if settled.outcome in (WriteOutcome.FAILED, WriteOutcome.UNKNOWN) else None
    words = " ".join(part for part in (error.message if error is not None else "", also) if part)
    return WriteResult(
        outcome=settled.outcome,
        site=site,
        key=key,
        db_id=db_id,
        code=error.code if error is not None else None,
        message=words or None,
        retryable=error.retryable if error is not None else False,
    )
