"""Requests are let in: so many of one caller at a time, and so many that read deep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError
from ccgateway.settings import LimitSettings
from ccgateway.traffic.budget import Account, ByteBudget
from ccgateway.traffic.fair_queue import FairQueue, QueueFullError
from ccgateway.traffic.overload import Overload
from ccgateway.traffic.scopes import RETRY_AFTER, RequestScope, entered, refused_in_queue

__all__ = ["Sending", "Traffic"]

#: seconds for which a small question that was answered, and a second caller, count as being about: who reads may ask again
ABOUT = 1.0
#: requests at once that hold up whatever comes in, be they of one caller
MANY = 32
#: more places than there are connections: only the caller's share counts
NO_BOUND = 1 << 30


class Sending:
    """The memory of one answer, from its first byte read until the last is sent. Empty before it is known who asks."""

    def __init__(self) -> None:
        self.account: Account | None = None

    def settle(self, size: int) -> None:
        """As ``Account.settle``."""
        if self.account is not None:
            self.account.settle(size)

    def hold(self, size: int) -> None:
        """As ``Account.hold``."""
        if self.account is not None:
            self.account.hold(size)

    @property
    def refusal(self) -> RequestError | None:
        """Why there is no other answer, if it took too much."""
        return self.account.refusal if self.account is not None else None


class Traffic:
    """All requests of this process, for one set of limits. ``overload``: what lasts however these change."""

    def __init__(self, limits: LimitSettings, overload: Overload | None = None) -> None:
        self.overload = overload or Overload()
        self.budget = ByteBudget(limits.inflight_bytes)
        deep, waiting = limits.deep_requests, limits.waiting_per_caller
        self.deep = FairQueue(deep, per_caller=max(1, deep // 2), most_waiting=waiting)
        self.running = 0
        self._timeout = limits.request_timeout
        self._entrance = FairQueue(NO_BOUND, per_caller=limits.requests_per_caller, most_waiting=waiting)
        self._running_of: dict[Hashable, int] = {}
        self._deepening: dict[RequestScope, asyncio.Lock] = {}
        self._small, self._small_at = 0, -ABOUT
        self._contended_until = 0.0

    @contextmanager
    def sending(self) -> Iterator[Sending]:
        """For the length of one request with its answer on its way: whatever it holds of the memory is given back in the end."""
        sending = Sending()
        try:
            yield sending
        finally:
            if sending.account is not None:
                sending.account.close()

    @asynccontextmanager
    async def admitted(self, caller: Hashable, sending: Sending) -> AsyncIterator[RequestScope]:
        """For the length of the work on one request of ``caller``: waits for its turn. Raises ``RATE_LIMITED``."""
        scope = RequestScope(self, caller)
        place = self._entrance.try_enter(scope, is_bulk=False)
        if place is None:
            try:
                async with Deadline.after(self._timeout).limit():
                    place = await self._entrance.enter(scope, is_bulk=False)
            except TimeoutError:
                message = "This caller's other requests took all the time of this one (limits.requests_per_caller)."
                raise RequestError(Code.RATE_LIMITED, message, retry_after=RETRY_AFTER) from None
            except QueueFullError:
                raise refused_in_queue() from None
        scope.keep(self._entrance, place)
        sending.account = scope.account
        self._begin(scope)
        try:
            with entered(scope):
                yield scope
        finally:
            self._end(scope)

    def running_of(self, caller: Hashable) -> int:
        """Requests of ``caller`` that are running."""
        return self._running_of.get(caller, 0)

    def now_bulk(self, scope: RequestScope) -> None:
        """``scope`` has become bulk: it no longer counts among its caller's small questions."""
        if scope.is_running:
            self._small -= 1
            self._look_who_runs()
        scope.give_back(self._entrance)

    @asynccontextmanager
    async def deepening(self, scope: RequestScope) -> AsyncIterator[None]:
        """One task of ``scope`` at a time."""
        async with self._deepening.setdefault(scope, asyncio.Lock()):
            yield

    def _begin(self, scope: RequestScope) -> None:
        scope.is_running = True
        self.running += 1
        self._small += 1
        self._running_of[scope.caller] = self.running_of(scope.caller) + 1
        self._look_who_runs()

    def _look_who_runs(self) -> None:
        if len(self._running_of) > 1 or 0 < self._small < self.running:
            self._contended_until = time.monotonic() + ABOUT

    def _end(self, scope: RequestScope) -> None:
        self._look_who_runs()
        scope.is_running = False
        self.running -= 1
        if not scope.is_bulk:
            self._small -= 1
            self._small_at = asyncio.get_running_loop().time()
        left = self._running_of[scope.caller] - 1
        if left:
            self._running_of[scope.caller] = left
        else:
            del self._running_of[scope.caller]
        self._deepening.pop(scope, None)
        scope.close()

    def has_small(self) -> bool:
        """Whether small questions are running, or were a moment ago."""
        return self._small > 0 or asyncio.get_running_loop().time() - self._small_at < ABOUT

    @property
    def is_contended(self) -> bool:
        """Whether several callers, bulk and interactive requests, or many at once are running, or (the former) were a moment
        ago. Then the loop looks at what comes in between their steps."""
        return self.running > MANY or time.monotonic() < self._contended_until
