"""What is known of a site being down, shared by everybody who asks it: a failure counts for a moment, as an answer does.

A failure of one question is not yet the site's: it may lie in the question or in the token. So after one the gateway asks the
site for nothing, with the same token; if that fails as well, the failure counts for that token, and once it has failed with two
tokens and answered nobody in between, for everybody. A connection that cannot even be made has nothing of a caller in it and
counts for everybody at once.

While a site is down one task looks after it every second or so, and whoever asks gets the failure at once. A few times whoever
asks waits for a look of its own, so that somebody who asks now and then never hears of an outage that is over. Whoever must have
the site's own word (``CallContext.insists``) asks it all the same, and ends the outage if there is an answer.

A site that answers looks may fail on what is asked of it all the same. So what questions come to is counted for each token
(``breaker``): while too many fail, nobody asks with it, but for one question after each pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from contextvars import Context
from dataclasses import dataclass, field

from cachetools import LRUCache, TTLCache

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError
from ccgateway.site.breaker import Breaker, BreakerState
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, Exchange, SiteAnswer, SiteRequest
from ccgateway.site.health import SiteHealth
from ccgateway.site.releases.probing import NO_JOBS
from ccgateway.site.replies import disguised_failure, refuse
from ccgateway.traffic.scopes import current_scope

__all__ = ["FailureMemory", "RememberedFailureError"]

logger = logging.getLogger("ccgateway.sites")

#: seconds between looks at a site that is down: the first pause, doubled up to the longest; the longest that a site can ask for
FIRST_PAUSE, LONGEST_PAUSE, MOST_ASKED_FOR = 0.25, 1.0, 30.0
#: seconds after the last question for which a site that is down is looked after, and one token's failures there
SITE_KEPT, TOKEN_KEPT = 60.0, 10.0
#: seconds without an answer after which a question makes the site suspect; seconds for which a look that went well counts
SLOW, WELL_FOR = 1.0, 1.0
#: seconds that a look may take at a site that is known to be down; the first one may take what any question may
LOOK = 2.0
#: looks that questions may ask for at once, and by the second; seconds that a question waits for one
LOOKS_AT_ONCE, LOOKS_PER_SECOND, WAITED_FOR = 3.0, 1.0, 1.0
#: seconds without an answer after which a question that was cut off counts as one that failed
CUT_OFF = 2.0
#: tokens whose failures are remembered at any one time, and tokens with which it was found well
MOST_TOKENS = 256

#: answers that may mean that what stands before the site cannot reach it
_BUSY = frozenset({502, 503, 504})
#: failures of an exchange that may not be this question's alone
_SUSPECT = frozenset({Code.UNREACHABLE, Code.CONNECTION_LOST, Code.TIMEOUT, Code.SITE_BUSY, Code.BAD_ANSWER})


class RememberedFailureError(SiteError):
    """``CIRCUIT_OPEN``: what the site came to a moment ago, for somebody for whom it was not asked anew."""


@dataclass(slots=True)
class _Outage:
    """Of the site as a whole, or for one token. ``witnesses``: the tokens that it is looked at with, in turns; ``failure``:
    ``None`` while it is only suspected; ``took`` (s): the last look; ``refused``: questions that the site was not asked."""

    witnesses: tuple[Credential, ...]
    asked_at: float
    failure: SiteError | None = None
    seen_at: float = 0.0
    took: float = 0.0
    task: asyncio.Task[None] | None = None
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    next_look_at: float = 0.0
    refused: int = 0
    credit: float = LOOKS_AT_ONCE
    credited_at: float = 0.0

    def takes_a_look(self, now: float) -> bool:
        """Whether a question may ask for a look and wait for it."""
        self.credit = min(LOOKS_AT_ONCE, self.credit + (now - self.credited_at) * LOOKS_PER_SECOND)
        self.credited_at = now
        if self.took > WAITED_FOR or self.credit < 1.0:
            return False
        self.credit -= 1.0
        return True


class FailureMemory:
    """Outermost layer of a site's exchange: answers safe reads with a failure that is known to stand.

    ``client``: asks the site once, for the looks; ``timeout``: seconds that one look may take; ``health``: is told whether
    anybody's questions are held back. Owns the tasks that look after the site: ``aclose`` ends them.
    """

    def __init__(self, inner: Exchange, client: Exchange, site: str, timeout: float, health: SiteHealth | None = None) -> None:
        self._inner, self._client, self._site, self._timeout = inner, client, site, timeout
        self._outages: dict[Credential | None, _Outage] = {}  # ``None``: everybody's
        self._well: TTLCache[Credential, bool] = TTLCache(MOST_TOKENS, WELL_FOR)
        self._counted: LRUCache[Credential, _Counted] = LRUCache(MOST_TOKENS)
        self._health = health or SiteHealth()
        self._answered_at = float("-inf")
        self._closed = False

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """As the layer below. Raises ``RememberedFailureError`` without asking, while the site is known to be down."""
        loop = asyncio.get_running_loop()
        if self._outages and request.safe:
            await self._refuse(context)
        counted = self._admit(request, context)
        begun = loop.time()
        timer = loop.call_later(SLOW, self._suspect, context.credential)
        try:
            answer = await self._inner.exchange(request, context)
        except asyncio.CancelledError:
            is_late = request.safe and loop.time() - begun >= CUT_OFF
            self._count(counted, SiteError(Code.TIMEOUT, self._site, "The site did not answer in time.") if is_late else None)
            raise
        except SiteError as error:
            self._count(counted, error if error.code in _SUSPECT else None)
            if error.code is not Code.UNREACHABLE and error.code in _SUSPECT:
                self._suspect(context.credential)
            elif error.code is Code.UNREACHABLE and self._answered_at < begun:
                self._everybodys(error, (context.credential,))
            raise
        finally:
            timer.cancel()
        failure = self._failure_in(answer) if request.safe else None
        if failure is not None:
            self._suspect(context.credential)
            # what a site says of one job that it cannot read: whether it is the site, a look tells
            self._count(counted, None if answer.status == 500 else failure)
        else:
            self._answered_at = loop.time()
            if request.safe and counted.breaker.succeeded(loop.time()):
                self._note_closed(counted)
            if self._outages:
                self._end(None)
                self._end(context.credential)
        return answer

    def _failure_in(self, answer: SiteAnswer) -> SiteError | None:
        """What an answer says of the site itself, if that is bad."""
        if answer.status in _BUSY:
            message = f"The site is busy or its proxy cannot reach it (HTTP {answer.status})."
            return SiteError(Code.SITE_BUSY, self._site, message, retry_after=answer.retry_after)
        return refuse(answer, self._site) if answer.status >= 500 else disguised_failure(answer, self._site)

    # --- what questions come to, counted

    def _admit(self, request: SiteRequest, context: CallContext) -> _Counted:
        """Raises ``RememberedFailureError`` while too many questions with that token fail."""
        counted = self._counted.get(context.credential)
        if counted is None:
            counted = self._counted[context.credential] = _Counted(Breaker(random.random))
        if request.safe and not context.insists:
            now = asyncio.get_running_loop().time()
            if not counted.breaker.admits(now) and counted.failure is not None:
                counted.refused += 1
                wait = counted.breaker.wait(now)
                raise _remembered(counted.failure, now - counted.seen_at, retry_after=wait, in_its_words=False)
        return counted

    def _count(self, counted: _Counted, failure: SiteError | None) -> None:
        """``failure``: the site's; ``None`` if what the question came to says nothing of the site."""
        now = asyncio.get_running_loop().time()
        scope = current_scope()
        if failure is None or (failure.code is Code.TIMEOUT and scope is not None and scope.owner.is_bulk):
            counted.breaker.withdrawn()  # a large question may well take too long at a site that is well
            return
        counted.failure, counted.seen_at = failure, now
        failure.forget_frames()
        if counted.breaker.failed(now, retry_after=failure.retry_after or 0.0):
            counted.opened_at = now
            logger.warning("site %s fails too many questions and is asked less: %s", self._site, failure.message)
        self._tell_health()

    def _note_closed(self, counted: _Counted) -> None:
        seconds = asyncio.get_running_loop().time() - counted.opened_at
        words = "site %s answers questions again after %.1f s; %d went without it"
        logger.warning(words, self._site, seconds, counted.refused)
        counted.refused = 0
        self._tell_health()

    def _tell_health(self) -> None:
        states = {one.breaker.state for one in self._counted.values()}
        if any(outage.failure is not None for outage in self._outages.values()):
            states.add(BreakerState.OPEN)
        worst = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)
        self._health.note_breaker(next((one for one in worst if one in states), BreakerState.CLOSED))

    async def _refuse(self, context: CallContext) -> None:
        loop = asyncio.get_running_loop()
        for key in (None, context.credential):
            outage = self._outages.get(key)
            if outage is None:
                continue
            outage.asked_at = loop.time()
            if outage.failure is None or context.insists:
                continue
            if outage.takes_a_look(loop.time()):
                await self._wait_for_look(outage)
            if self._outages.get(key) is outage and outage.failure is not None:
                own = key is not None or outage.witnesses == (context.credential,)
                outage.refused += 1
                wait = outage.next_look_at - loop.time()
                raise _remembered(outage.failure, loop.time() - outage.seen_at, retry_after=wait, in_its_words=own)

    async def _wait_for_look(self, outage: _Outage) -> None:
        outage.wanted.set()
        outage.looked.clear()
        try:
            async with asyncio.timeout(WAITED_FOR):
                await outage.looked.wait()
        except TimeoutError:
            outage.took = WAITED_FOR * 2  # not quick any more

    # --- from a failure to an outage

    def _suspect(self, credential: Credential) -> None:
        """Finds out whether it was the question's failure alone."""
        now = asyncio.get_running_loop().time()
        is_known = None in self._outages or credential in self._outages or len(self._outages) >= MOST_TOKENS
        if self._closed or is_known or credential in self._well:
            return
        outage = self._outages[credential] = _Outage((credential,), now, credited_at=now)
        self._look_after(credential, outage)

    def _everybodys(self, failure: SiteError, witnesses: tuple[Credential, ...]) -> None:
        now = asyncio.get_running_loop().time()
        outage = self._outages.get(None)
        if outage is None and not self._closed:
            outage = self._outages[None] = _Outage(witnesses, now, credited_at=now)
            self._believe(outage, failure)
            for one in witnesses:
                self._end(one)
            self._look_after(None, outage)
        elif outage is not None:
            outage.failure, outage.seen_at = failure, now

    def _look_after(self, key: Credential | None, outage: _Outage) -> None:
        work = self._look_until_well(key, outage)  # for nobody's request
        outage.task = asyncio.get_running_loop().create_task(work, name=f"look after {self._site}", context=Context())

    async def _look_until_well(self, key: Credential | None, outage: _Outage) -> None:
        """Looks until the site answers, or nobody has asked for it for a while."""
        clock = asyncio.get_running_loop().time
        since = clock()
        pause, turn = FIRST_PAUSE, 0
        try:
            if outage.failure is not None:
                await self._pause(outage, pause)
            while True:
                credential = outage.witnesses[turn % len(outage.witnesses)]
                turn += 1
                failure = await self._look(outage, credential)
                if failure is None:
                    self._note_well(credential, outage, clock() - since)
                    return
                if key is not None and self._is_everybodys(failure, key):
                    return
                self._believe(outage, failure)
                if clock() - outage.asked_at > (SITE_KEPT if key is None else TOKEN_KEPT):
                    return
                outage.looked.set()
                await self._pause(outage, max(pause, min(failure.retry_after or 0.0, MOST_ASKED_FOR)))
                pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            if self._outages.get(key) is outage:
                del self._outages[key]
            outage.looked.set()
            self._tell_health()

    async def _pause(self, outage: _Outage, seconds: float) -> None:
        outage.next_look_at = asyncio.get_running_loop().time() + seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await outage.wanted.wait()
        outage.wanted.clear()

    def _is_everybodys(self, failure: SiteError, credential: Credential) -> bool:
        """Whether it fails with another token as well; then it is one outage from now on."""
        others = (
            one
            for one, outage in self._outages.items()
            if one not in (None, credential) and outage.failure is not None and outage.seen_at > self._answered_at
        )
        witnesses = (credential, *list(others)[:1])
        if failure.code is not Code.UNREACHABLE and len(witnesses) < 2:
            return False
        self._outages.pop(credential, None)
        self._everybodys(failure, tuple(one for one in witnesses if one is not None))
        return True

    async def _look(self, outage: _Outage, credential: Credential) -> SiteError | None:
        """Asks for nothing with that token; the failure, if that fails as the site's fault."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        request = SiteRequest("GET", f"{credential.root}/jobs/?{NO_JOBS}")
        limit = Deadline.after(self._timeout if outage.failure is None else min(LOOK, self._timeout))
        try:
            answer = await self._client.exchange(request, CallContext(credential, limit))
        except SiteError as error:
            error.forget_frames()
            if error.code is Code.TIMEOUT and outage.failure is not None:
                return outage.failure
            return error if error.code in _SUSPECT else None
        finally:
            outage.took = loop.time() - begun
        return self._failure_in(answer)

    def _believe(self, outage: _Outage, failure: SiteError) -> None:
        if outage.failure is None:
            logger.warning("site %s is down: %s", self._site, failure.message)
        outage.failure, outage.seen_at = failure, asyncio.get_running_loop().time()
        self._tell_health()
        for one in outage.witnesses:
            self._well.pop(one, None)

    def _note_well(self, credential: Credential, outage: _Outage, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._well[credential] = True
        self._answered_at = now
        if outage.failure is not None:
            self._note_back(outage, seconds)

    def _note_back(self, outage: _Outage, seconds: float) -> None:
        words = "site %s answers again after %.1f s; %d questions went without it"
        logger.warning(words, self._site, seconds, outage.refused)
        for counted in self._counted.values():  # they failed while it was down
            counted.breaker.close()

    def _end(self, key: Credential | None) -> None:
        outage = self._outages.get(key)
        # one that is only suspected ends by its own look: what failed may go on failing for others
        if outage is not None and outage.failure is not None:
            del self._outages[key]
            if outage.task is not None and outage.task is not asyncio.current_task():
                outage.task.cancel()

    async def aclose(self) -> None:
        """Ends looking after the site."""
        self._closed = True
        tasks = [outage.task for outage in self._outages.values() if outage.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(slots=True)
class _Counted:
    """One token's questions. ``failure``: the newest, and when; ``refused``: questions that the site was not asked."""

    breaker: Breaker
    failure: SiteError | None = None
    seen_at: float = 0.0
    opened_at: float = 0.0
    refused: int = 0


def _remembered(failure: SiteError, seconds: float, *, retry_after: float, in_its_words: bool) -> RememberedFailureError:
    """``in_its_words``: the site's own, which may be for one caller alone."""
    words = failure.message if in_its_words or failure.code is not Code.SITE_ERROR else "The site fails whoever asks it."
    message = f"{words} So it was {seconds:.1f} s ago; the site is looked at again soon, and was not asked now."
    return RememberedFailureError(Code.CIRCUIT_OPEN, failure.site, message, retry_after=max(1.0, retry_after))
