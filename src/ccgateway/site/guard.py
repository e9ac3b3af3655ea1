"""Policies around one site's exchange, one layer each: try safe reads again, limit how many run at once, tell what happened.

The order from outside in: ``Retrying`` → ``Guarding`` → ``ConcurrencyLimit`` → ``Watching`` → ``Observed`` → client, so that a
wait for another try holds no place, nobody waits for a place at a site that is down, that wait is not taken for the site's, and
every single exchange is told.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace

import tenacity

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError, forget_frames
from ccgateway.site.credentials import Proofs
from ccgateway.site.exchange import CallContext, Exchange, SiteAnswer, SiteRequest
from ccgateway.site.health import CUT_OFF
from ccgateway.site.outage import Outage
from ccgateway.site.outages import FailureMemory
from ccgateway.site.pacing import Pacing
from ccgateway.site.replies import busy
from ccgateway.telemetry import Observer
from ccgateway.telemetry.observer import CallOutcome
from ccgateway.telemetry.requests import waiting
from ccgateway.traffic.fair_queue import FairQueue, Occupant, Place, QueueFullError, Waiting
from ccgateway.traffic.scopes import FetchScope, current_scope, refused_in_queue

__all__ = ["ConcurrencyLimit", "Guarding", "Noting", "Observed", "Retrying", "Watching"]

logger = logging.getLogger("ccgateway.sites")

#: seconds without an answer after which a question makes the site suspect
SLOW = 1.0
#: questions of those who insist that are under way at any one time at a site that is down
PROBES = 2
#: requests of one caller that may wait for one site
MOST_WAITING = 2048


class _Nobody:
    """Whoever asks outside of any caller's request, such as ``ccgateway check``."""

    caller = None
    is_alone = True
    is_beside_small = False


NOBODY = _Nobody()

_OUTCOMES = {
    Code.TIMEOUT: CallOutcome.TIMEOUT,
    Code.UNREACHABLE: CallOutcome.UNREACHABLE,
    Code.CONNECTION_LOST: CallOutcome.LOST,
}


class Noting:
    """Withdraws the proof of tokens that the site refuses. Outermost: what happens below is the request's waiting."""

    def __init__(self, inner: Exchange, proofs: Proofs) -> None:
        self._inner, self._proofs = inner, proofs

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """As the layer below."""
        with waiting():
            answer = await self._inner.exchange(request, context)
        if answer.status in (401, 403):
            self._proofs.withdraw(context.credential)
        return answer


class Guarding:
    """Answers with a failure that is known to stand; lets those who insist ask all the same, ``PROBES`` at a time."""

    def __init__(self, inner: Exchange, memory: FailureMemory) -> None:
        self._inner, self._memory = inner, memory

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """As the layer below. Raises ``RememberedFailureError`` without asking, while the site is known to be down."""
        outage = self._memory.outage_for(request, context)
        if outage is None:
            return await self._inner.exchange(request, context)
        if not context.insists:
            raise self._memory.refusal(outage, context)
        if outage.probes >= PROBES and not await _goes_well(outage, context.deadline):
            raise self._memory.refusal(outage, context)
        outage.probes += 1
        try:
            return await self._inner.exchange(request, context)
        finally:
            outage.probes -= 1


async def _goes_well(outage: Outage, deadline: Deadline) -> bool:
    try:
        async with deadline.limit():
            return await outage.next_look()
    except TimeoutError:
        return False


class Watching:
    """Tells the memory of failures how each exchange ended, and that one takes long: the site's own time, without the wait for a
    place."""

    def __init__(self, inner: Exchange, memory: FailureMemory) -> None:
        self._inner, self._memory = inner, memory

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """As the layer below; not at all if the site went down while there was no place."""
        if not context.insists and (outage := self._memory.outage_for(request, context)) is not None:
            raise self._memory.refusal(outage, context)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        timer = loop.call_later(SLOW, self._memory.suspect, context.credential)
        try:
            answer = await self._inner.exchange(request, context)
        except asyncio.CancelledError:
            self._memory.cut_off(request, context, begun)
            raise
        except SiteError as error:
            self._memory.failed(request, context, error, begun)
            raise
        finally:
            timer.cancel()
        self._memory.answered(request, context, answer)
        return answer


class Observed:
    """Tells the observer how each exchange ended and how long it took; at level ``debug`` also the log."""

    def __init__(self, inner: Exchange, site: str, observer: Observer) -> None:
        self._inner, self._site, self._observer = inner, site, observer

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """As the layer below."""
        started, outcome = time.perf_counter(), CallOutcome.CANCELLED
        self._observer.call_began(self._site)
        try:
            answer = await self._inner.exchange(request, context)
            outcome = CallOutcome.of_status(answer.status)
            return answer
        except SiteError as error:
            outcome = _OUTCOMES.get(error.code, CallOutcome.BAD)
            raise
        finally:
            seconds = time.perf_counter() - started
            self._observer.call_ended(self._site, outcome, seconds)
            if logger.isEnabledFor(logging.DEBUG):
                path = request.path.partition("?")[0]
                logger.debug("%s %s %s -> %s in %.0f ms", self._site, request.method, path, outcome.value, seconds * 1000)


class ConcurrencyLimit:
    """At most ``places`` requests at any one time, given out fairly, and fewer while the site is overburdened (``Pacing``);
    waiting for a place counts against the deadline."""

    def __init__(
        self, inner: Exchange, site: str, places: int, *, most_waiting: int = MOST_WAITING, observer: Observer | None = None
    ) -> None:
        self._inner, self._site, self._observer = inner, site, observer or Observer()
        self._queue = FairQueue.for_site(places, most_waiting=most_waiting)
        self._pacing = Pacing(places)

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """As the layer below, once there is a place."""
        scope = current_scope()
        if scope is None:
            occupant: Occupant = NOBODY
            is_bulk = False
        else:
            occupant = scope.owner
            is_bulk = scope.owner.use(self._site, request.rows)
        overload = scope.owner.traffic.overload if scope is not None and not is_bulk else None
        place = self._queue.try_enter(occupant, is_bulk=is_bulk)
        if place is None:
            waits = scope.waiters if isinstance(scope, FetchScope) else None
            begun = time.perf_counter()
            try:
                place = await self._wait(occupant, context.deadline, waits, is_bulk=is_bulk)
            finally:
                waited = time.perf_counter() - begun
                self._observer.place_waited_for(self._site, waited)
                if overload is not None:
                    overload.note_place(waited)
        elif overload is not None:
            overload.note_place(0.0)
        try:
            return await self._paced(request, context)
        finally:
            self._queue.leave(place)

    async def _paced(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            answer = await self._inner.exchange(request, context)
        except asyncio.CancelledError:
            self._pace(begun, clock(), is_too_much=clock() - begun >= CUT_OFF)
            raise
        except SiteError as error:
            self._pace(begun, clock(), is_too_much=error.code is Code.TIMEOUT)
            raise
        if answer.status in _TOO_MUCH:
            self._pace(begun, clock(), is_too_much=True)
        elif self._pacing.went_well():
            self._queue.resize_for_site(self._pacing.places)
        return answer

    def _pace(self, begun: float, now: float, *, is_too_much: bool) -> None:
        if is_too_much and self._pacing.overburdened(begun, now):
            self._queue.resize_for_site(self._pacing.places)

    async def _wait(self, occupant: Occupant, deadline: Deadline, waits: Waiting | None, *, is_bulk: bool) -> Place:
        try:
            async with deadline.limit():
                return await self._queue.enter(occupant, is_bulk=is_bulk, waits=waits)
        except TimeoutError:
            message = "The site was busy with this gateway's other requests until time ran out."
            raise SiteError(Code.TIMEOUT, self._site, message) from None
        except QueueFullError:
            raise refused_in_queue() from None


#: failures after which the same safe read may well succeed
_AGAIN = frozenset({Code.UNREACHABLE, Code.CONNECTION_LOST, Code.SITE_BUSY})
_BUSY = frozenset({429, 502, 503, 504})
#: answers of a site that has too much to do
_TOO_MUCH = frozenset({429, 503, 504})
#: seconds that a site may have a caller wait before it is asked again
LONGEST_WAIT = 1.0


class Retrying:
    """Sends safe reads up to ``retries`` more times after a broken connection or a 429, 502, 503 or 504.

    Waits grow from 50 ms with jitter and never pass the deadline: then the last failure stands, and so it does where the site
    asks (``Retry-After``) for more than ``LONGEST_WAIT`` seconds, which would hold the caller. Whoever tries again insists: it
    has seen the failure that keeps others from asking.
    """

    def __init__(self, inner: Exchange, site: str, retries: int) -> None:
        self._inner, self._site, self._retries = inner, site, retries

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """As the layer below, again where that is safe; raises ``SITE_BUSY`` for an answer to a read that says so to the last."""
        try:
            return await self._once(request, context)
        except SiteError as error:
            if not request.safe or not self._retries or not _may_succeed_later(error):
                raise
            forget_frames(error)
            first = error
        is_begun, again = False, replace(context, insists=True)

        async def attempt() -> SiteAnswer:
            # the first attempt is the one that failed above: what succeeds at once need not pay for the machinery of retries
            nonlocal is_begun
            if not is_begun:
                is_begun = True
                raise first
            try:
                return await self._once(request, again)
            except SiteError as latest:
                raise first if latest.code is Code.CIRCUIT_OPEN else latest from None

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_succeed_later),
            stop=tenacity.stop_after_attempt(self._retries + 1) | _StopBefore(context.deadline),
            wait=_wait,
            reraise=True,
        )
        return await retrying(attempt)

    async def _once(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        answer = await self._inner.exchange(request, context)
        if request.safe and answer.status in _BUSY:
            raise busy(answer, self._site)
        return answer


def _may_succeed_later(error: BaseException) -> bool:
    return isinstance(error, SiteError) and error.code in _AGAIN


_backoff = tenacity.wait_random_exponential(multiplier=0.05, max=2.0)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, SiteError) else None
    return max(asked or 0.0, _backoff(state))


@dataclass(frozen=True)
class _StopBefore(tenacity.stop.stop_base):
    deadline: Deadline

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, SiteError) else None
        return (asked or 0.0) > LONGEST_WAIT or state.upcoming_sleep >= self.deadline.remaining
