"""What is known of a site being down, shared by everybody who asks it: failures count for others, as answers do.

A failure of one question is not yet the site's: it may lie in the question or in the token. So after one the gateway asks the
site for nothing, with the same token (a look). If that fails as well, the failure counts for that token, and once it has failed
with two tokens and answered nobody in between, for everybody. A connection that cannot even be made has nothing of a caller in
it and counts for everybody at once.

A site that answers looks may fail on what is asked of it all the same. So what questions of one kind come to is counted for each
caller (``breaker``). Too many failures count for that caller, and, unless the question just took too long, for whoever asks so
with the same token once another caller's has failed, too. Then looks ask the very questions that failed.

While something is down nobody waits for it: whoever asks gets the failure at once, and one task looks after it, every two
seconds or so. Those who must have the site's own word (``CallContext.insists``) ask it all the same, a few at a time; the
others of them wait for a look.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Hashable, Iterable, Iterator
from contextvars import Context

from cachetools import LRUCache, TTLCache

from ccgateway.deadline import Deadline, limit_in_steps
from ccgateway.errors import Code, SiteError, forget_frames
from ccgateway.site.breaker import BreakerState, FailureCount, Recovery, Relapses
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, Exchange, SiteAnswer, SiteRequest
from ccgateway.site.health import CUT_OFF, SiteHealth
from ccgateway.site.hints import OutageHints
from ccgateway.site.outage import EVERYBODY, Key, Outage, Witness, kind_of, remembered
from ccgateway.site.replies import busy, disguised_failure, refuse
from ccgateway.telemetry import Observer
from ccgateway.traffic.scopes import current_scope

__all__ = ["FailureMemory"]

#: seconds after the last question for which the failures of one person's token or questions are looked after; what is the site's
#: own, until it ends
PERSON_KEPT = 60.0
#: seconds for which a look that went well counts
WELL_FOR = 1.0
#: seconds that a look may take; also where another process has seen the site fail already
LOOK, HINTED_LOOK = 2.0, 1.0
#: seconds between two looks, however many wait for one
SHORTEST_PAUSE = 0.2
#: looks for single tokens and kinds of questions that are under way at any one time
LOOKS_AT_ONCE = 2
#: tokens, and kinds of questions of one caller, that are remembered at any one time
MOST_KEPT = 256
#: seconds for which a token that failed while another was answered speaks for nobody else
ALONE_FOR = 600.0

#: answers that may mean that what stands before the site cannot reach it
_BUSY = frozenset({502, 503, 504})
#: failures of an exchange that may not be this question's alone
_SUSPECT = frozenset({Code.UNREACHABLE, Code.CONNECTION_LOST, Code.TIMEOUT, Code.SITE_BUSY, Code.BAD_ANSWER})


class FailureMemory:
    """What keeps questions from a site (``outage_for``), found out from how others end (``answered``, ``failed``, ``cut_off``).

    ``client``: asks the site, for the looks; ``timeout``: seconds that any question may take; ``observer``: is told
    when the site goes down and comes back; ``hints``: what other processes see. Owns the tasks that look after the site:
    ``aclose`` ends them.
    """

    def __init__(
        self,
        client: Exchange,
        site: str,
        timeout: float,
        *,
        hints: OutageHints | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._client, self._site, self._limit = client, site, min(LOOK, timeout)
        #: is told whether questions are kept from the site
        self.health = SiteHealth()
        self._hints, self._observer = hints, observer or Observer()
        self._outages: dict[Key, Outage] = {}
        self._callers: LRUCache[Key, FailureCount] = LRUCache(MOST_KEPT)
        self._relapses: LRUCache[Key, Relapses] = LRUCache(MOST_KEPT)
        self._well: TTLCache[Credential, bool] = TTLCache(MOST_KEPT, WELL_FOR)
        self._alone: TTLCache[Credential, bool] = TTLCache(MOST_KEPT, ALONE_FOR)
        self._looking = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._answered_at = float("-inf")
        self._is_told_down = False
        self._closed = False

    # --- who is let through

    def known_failure(self, context: CallContext, lasting: float) -> SiteError | None:
        """What is said to whoever has that context and does not insist, whatever it would ask, once that has been so for
        ``lasting`` seconds."""
        if not self._outages or context.insists:
            return None
        outage = self._first_of((EVERYBODY, Key(context.credential)), context)
        if outage is None or asyncio.get_running_loop().time() - outage.since < lasting:
            return None
        return self.refusal(outage, context)

    def outage_for(self, request: SiteRequest, context: CallContext) -> Outage | None:
        """What keeps that question from the site."""
        if not request.safe:
            return None
        if not self._outages:
            if self._hints is not None:
                self._hints.ask(lambda: self.suspect(context.credential, limit=HINTED_LOOK))
            return None
        return self._first_of(self._keys(request, context), context)

    def _first_of(self, keys: Iterable[Key], context: CallContext) -> Outage | None:
        for key in keys:
            outage = self._outages.get(key)
            if outage is not None:
                outage.asked_at = asyncio.get_running_loop().time()
                if outage.failure is not None:
                    if key == EVERYBODY:  # it may be well for this one
                        outage.add(Witness(context.credential))
                    return outage
        return None

    def refusal(self, outage: Outage, context: CallContext) -> SiteError:
        """What is said of ``outage`` to whoever has that context."""
        assert outage.failure is not None  # noqa: S101 - else nobody is refused
        now = asyncio.get_running_loop().time()
        own = all(one == Witness(context.credential) for one in outage.witnesses)
        wait = outage.recovery.retry_after(now)
        return remembered(outage.failure, now - outage.seen_at, retry_after=wait, in_its_words=own)

    def _keys(self, request: SiteRequest, context: CallContext) -> Iterator[Key]:
        yield EVERYBODY
        yield Key(context.credential)
        kind = kind_of(request)
        if kind is not None:
            yield Key(context.credential, kind)
            yield Key(context.credential, kind, _caller())

    # --- how requests end

    def answered(self, request: SiteRequest, context: CallContext, answer: SiteAnswer) -> None:
        """The site sent ``answer``."""
        failure = self._failure_in(answer)
        if failure is not None and not request.safe:
            return  # a write that the site refuses so, or cannot carry out
        if failure is not None:
            self.suspect(context.credential)
            if answer.status != 500:  # what a site says of one job that it cannot read: whether it is the site, a look tells
                self._count(request, context, failure, is_slow=answer.status == 504)
            return
        now = self._answered_at = asyncio.get_running_loop().time()
        self._alone.pop(context.credential, None)
        if self._callers and request.safe:
            count = self._callers.get(Key(context.credential, kind_of(request), _caller()))
            if count is not None:
                count.succeeded(now)
        for key in self._keys(request, context) if self._outages else ():
            outage = self._outages.get(key)
            # one that is only suspected ends by its own look: what failed may go on failing for others
            if outage is not None and outage.failure is not None and outage.recovery.look_succeeded(now):
                self._end(key, outage, context.credential)

    def failed(self, request: SiteRequest, context: CallContext, error: SiteError, begun: float) -> None:
        """A request that went out at ``begun`` has no answer."""
        if error.code not in _SUSPECT:
            return
        if error.code is not Code.UNREACHABLE:
            self.suspect(context.credential)
        elif self._answered_at < begun:
            self._fall(EVERYBODY, error, [Witness(context.credential)])
        self._count(request, context, error, is_slow=error.code is Code.TIMEOUT)

    def cut_off(self, request: SiteRequest, context: CallContext, begun: float) -> None:
        """Nobody waits for the answer any more."""
        if asyncio.get_running_loop().time() - begun >= CUT_OFF:
            late = SiteError(Code.TIMEOUT, self._site, "The site did not answer in time.")
            self._count(request, context, late, is_slow=True)

    def _failure_in(self, answer: SiteAnswer) -> SiteError | None:
        """What an answer says of the site itself, if that is bad."""
        if answer.status in _BUSY:
            return busy(answer, self._site)
        return refuse(answer, self._site) if answer.status >= 500 else disguised_failure(answer, self._site)

    def _count(self, request: SiteRequest, context: CallContext, failure: SiteError, *, is_slow: bool) -> None:
        kind, scope = kind_of(request), current_scope()
        if kind is None or not request.safe or self._is_down(EVERYBODY) or self._is_down(Key(context.credential)):
            return
        if is_slow and scope is not None and scope.owner.is_bulk:
            return  # a large question may well take too long at a site that is well
        own = Key(context.credential, kind, _caller())
        count = self._callers.setdefault(own, FailureCount())
        witness = Witness(context.credential, request)
        others = [key for key in self._outages if key[:2] == own[:2] and key.caller not in (None, own.caller)]
        if not is_slow and any(self._is_down(key) for key in others):
            witnesses = [witness, *(one for key in others for one in self._outages[key].witnesses)]
            self._fall(Key(context.credential, kind), failure, witnesses)
        elif count.failed(asyncio.get_running_loop().time()):
            self._callers.pop(own, None)
            self._fall(own, failure, [witness])

    def _is_down(self, key: Key) -> bool:
        outage = self._outages.get(key)
        return outage is not None and outage.failure is not None

    # --- from a failure to an outage, and back

    def suspect(self, credential: Credential, limit: float | None = None) -> None:
        """Finds out whether it was the question's failure alone. ``limit``: seconds that the look may take."""
        key = Key(credential)
        if EVERYBODY not in self._outages and key not in self._outages and credential not in self._well:
            self._begin(key, [Witness(credential)], limit or self._limit)

    def _begin(self, key: Key, witnesses: list[Witness], limit: float, failure: SiteError | None = None) -> None:
        if self._closed or (len(self._outages) >= MOST_KEPT and key != EVERYBODY):
            return
        now = asyncio.get_running_loop().time()
        outage = self._outages[key] = Outage(witnesses[:], now, Recovery(now, random.random), limit)
        if failure is not None:
            self._believe(key, outage, failure)
        work = self._look_until_well(key, outage)  # for nobody's request
        outage.task = asyncio.get_running_loop().create_task(work, name=f"look after {self._site}", context=Context())

    def _fall(self, key: Key, failure: SiteError, witnesses: list[Witness]) -> None:
        outage = self._outages.get(key)
        if outage is None:
            self._begin(key, witnesses, self._limit, failure)
        else:
            self._believe(key, outage, failure)
        if key == EVERYBODY:
            for one in witnesses:  # and whoever waits for one of theirs is told of this
                self._drop(Key(one.credential), is_well=False)

    def _believe(self, key: Key, outage: Outage, failure: SiteError) -> None:
        now = asyncio.get_running_loop().time()
        forget_frames(failure)
        is_new, outage.failure, outage.seen_at = outage.failure is None, failure, now
        outage.recovery.look_failed()
        for one in outage.witnesses:
            self._well.pop(one.credential, None)
        if is_new:
            outage.since = now
            steady = self._relapses.setdefault(key, Relapses()).fell(now)
            outage.recovery = Recovery(now, random.random, steady)
        if self._hints is not None and key.is_of_site and key.kind is None:
            self._hints.tell()
        if key.is_of_site and key.kind is None:
            self.health.note(failure)
        self._tell_health(failure)

    def _end(self, key: Key, outage: Outage, credential: Credential) -> None:
        """It is over: the site answered, asked with ``credential``."""
        now = asyncio.get_running_loop().time()
        self._relapses.setdefault(key, Relapses()).recovered(now)
        if key == EVERYBODY:
            others = (one.credential for one in outage.witnesses if one.credential != credential)
            self._alone.update((one, True) for one in others if not one.is_vouched_for)
        if key.kind is None:
            for one in [one for one in self._callers if key.credential in (None, one.credential)]:
                del self._callers[one]  # they failed while it was down
        self._drop(key, is_well=True)
        self._tell_health()

    def _drop(self, key: Key, *, is_well: bool) -> None:
        outage = self._outages.pop(key, None)
        if outage is not None:
            outage.tell(outage.waiting(), is_well=is_well)
            if outage.task is not None and outage.task is not asyncio.current_task():
                outage.task.cancel()

    def _tell_health(self, failure: SiteError | None = None) -> None:
        down = [(key, one) for key, one in self._outages.items() if one.failure is not None and key.is_of_site]
        states = {one.recovery.state for _, one in down}
        worst = (BreakerState.OPEN, BreakerState.HALF_OPEN)
        state = next((one for one in worst if one in states), BreakerState.CLOSED)
        if not self._is_told_down and failure is not None and down:
            self._is_told_down = True
            is_whole = any(key.kind is None for key, _ in down)
            self._observer.site_changed(self._site, failure.message if is_whole else f"only some questions. {failure.message}")
        elif self._is_told_down and not down and not self._closed:
            self._is_told_down = False
            self._observer.site_changed(self._site, None)
        self.health.note_breaker(state)

    # --- looks

    async def _look_until_well(self, key: Key, outage: Outage) -> None:
        clock, turn = asyncio.get_running_loop().time, 0
        asked_for = 0.0
        try:
            if outage.failure is not None:
                await _pause(outage, outage.recovery.next_look(asked_for=outage.failure.retry_after or 0.0))
            while True:
                begun, witness = clock(), outage.witnesses[turn % len(outage.witnesses)]
                waiting = outage.waiting()
                try:
                    failure = await self._look(key, witness, outage.limit)
                except asyncio.CancelledError:  # there was an answer meanwhile
                    outage.tell(waiting, is_well=True)
                    raise
                if failure is not None and failure.code is Code.TIMEOUT and self._answered_at > begun:
                    failure = None  # it has much to do, but it does it
                if failure is None and outage.failure is None:
                    self._well[witness.credential] = True
                    self._note_answer()
                    return
                if failure is None:
                    self._note_answer()
                    outage.tell(waiting, is_well=True)
                    if outage.recovery.look_succeeded(clock()):
                        self._end(key, outage, witness.credential)
                        return
                    self._tell_health()
                    asked_for = 0.0
                else:
                    turn += 1
                    outage.tell(waiting, is_well=False)
                    if self._is_everybodys(key, failure):
                        return
                    self._believe(key, outage, failure)
                    asked_for = failure.retry_after or 0.0
                if not (key.is_of_site and key.kind is None) and clock() - outage.asked_at > PERSON_KEPT:
                    return
                await _pause(outage, begun + outage.recovery.next_look(asked_for=asked_for) - clock())
        finally:
            if self._outages.get(key) is outage:
                self._drop(key, is_well=True)
            self._tell_health()

    def _note_answer(self) -> None:
        self._answered_at = asyncio.get_running_loop().time()
        self.health.note(None)

    async def _look(self, key: Key, witness: Witness, seconds: float) -> SiteError | None:
        """What the site comes to, if that is its fault."""
        context = CallContext(witness.credential, Deadline.after(seconds * 10))
        late = SiteError(Code.TIMEOUT, self._site, "The site did not answer in time.")
        async with contextlib.nullcontext() if key == EVERYBODY else self._looking:
            try:
                async with limit_in_steps(seconds):
                    answer = await self._client.exchange(witness.request, context)
            except TimeoutError:
                return late
            except SiteError as error:
                return error if error.code in _SUSPECT else None
        return self._failure_in(answer)

    def _is_everybodys(self, key: Key, failure: SiteError) -> bool:
        """Whether it fails with another token as well; then it is one outage from now on."""
        if key.credential is None or key.kind is not None or key.credential in self._alone:
            return False
        others = [
            one.credential
            for one, outage in self._outages.items()
            if one.credential not in (None, key.credential, *self._alone)
            and one.kind is None
            and outage.failure is not None
            and outage.seen_at > self._answered_at
        ]
        if failure.code is not Code.UNREACHABLE and not others:
            return False
        witnesses = [Witness(one) for one in (key.credential, *others[:1]) if one is not None]
        self._fall(EVERYBODY, failure, witnesses)
        return True

    async def aclose(self) -> None:
        """Ends looking after the site."""
        self._closed = True
        tasks = [outage.task for outage in self._outages.values() if outage.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._hints is not None:
            await self._hints.aclose()


def _caller() -> Hashable:
    scope = current_scope()
    return scope.owner.caller if scope is not None else ""


async def _pause(outage: Outage, seconds: float) -> None:
    """Until the next look; less long where somebody who insists waits for one."""
    await asyncio.sleep(min(seconds, SHORTEST_PAUSE))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds - SHORTEST_PAUSE):
            await outage.wanted.wait()
    outage.wanted.clear()
