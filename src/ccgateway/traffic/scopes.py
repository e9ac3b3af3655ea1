"""What one request takes of what all share, and the scope of the task that is running.

A request is interactive until it has used its ``ALLOWANCE`` at one site, in calls and rows; from then on, and when it reads
ahead, it is bulk. A fetch that several requests share runs in a scope of its own, for which the request with the best
claim stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias, TypeVar

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError
from ccgateway.traffic.budget import Account
from ccgateway.traffic.fair_queue import FairQueue, Place, QueueFullError, Waiter

if TYPE_CHECKING:
    from ccgateway.traffic.admission import Traffic

__all__ = [
    "FetchScope", "Lane", "Reading", "RequestScope", "Scope", "begin_fetch", "current_scope", "entered", "give_way", "hold",
    "in_background", "in_turn", "let_go", "never_refused", "refused_in_queue", "rows_at_once", "scope_in",
]  # fmt: skip

T = TypeVar("T")

#: calls to one site with which a request is still interactive, and rows of a list that count as one more call
ALLOWANCE, ROWS_PER_CALL = 8, 125
#: rows by one call while others want the processor
SHARED_ROWS = 500
#: seconds after which a caller whose queue is full may ask again
RETRY_AFTER = 1.0


class Lane(NamedTuple):
    """Steps that are made one after the other: those of a caller's interactive, or bulk, requests."""

    caller: Hashable
    is_bulk: bool


class RequestScope:
    """One request. Counts what it takes in ``account``, and holds its places until ``close``."""

    def __init__(self, traffic: Traffic, caller: Hashable, *, is_background: bool = False) -> None:
        self.traffic, self.caller = traffic, caller
        self.account = Account(traffic.budget, caller)
        self.is_bulk = is_background
        self.lane = Lane(caller, is_bulk=is_background)
        self.is_running = False
        self._is_background = is_background
        self._used: dict[str, float] = {}
        self._places: list[tuple[FairQueue, Place]] = []
        self._is_deep = False

    @property
    def owner(self) -> RequestScope:
        """Who stands for it: itself."""
        return self

    @property
    def is_alone(self) -> bool:
        """Whether no other request is running in this process."""
        return self.traffic.running <= self.is_running

    @property
    def is_beside_small(self) -> bool:
        """Whether small questions are about."""
        return self.traffic.has_small()

    def use(self, site: str, rows: int) -> bool:
        """Counts one call to ``site`` for so many rows; whether the request is bulk by now."""
        used = self._used[site] = self._used.get(site, 0.0) + _cost(rows)
        if used > ALLOWANCE:
            self.become_bulk()
        return self.is_bulk

    def expect(self, site: str, rows: int) -> None:
        """Says that ``site`` will be asked for so many rows, if not by one call."""
        if self._used.get(site, 0.0) + _cost(rows) > ALLOWANCE:
            self.become_bulk()

    def become_bulk(self) -> None:
        """Is bulk from now on, whatever it has used."""
        if not self.is_bulk:
            self.is_bulk = True
            self.lane = Lane(self.caller, is_bulk=True)
            self.traffic.now_bulk(self)

    async def deepen(self, deadline: Deadline) -> None:
        """Before reading thousands of jobs: waits until this request may, which so many may at any one time. It may until its
        end. Raises ``RATE_LIMITED``."""
        if self._is_deep or self._is_background:
            return
        async with self.traffic.deepening(self):  # several tasks of one request may come here
            if self._has_deepened():
                return
            try:
                async with deadline.limit():
                    place = await self.traffic.deep.enter(self, is_bulk=True)
            except TimeoutError:
                message = "Other large questions took all the time of this one. Ask fewer at once (limits.deep_requests)."
                raise RequestError(Code.RATE_LIMITED, message, retry_after=RETRY_AFTER) from None
            except QueueFullError:
                raise refused_in_queue() from None
            self._is_deep = True
            self.keep(self.traffic.deep, place)

    def _has_deepened(self) -> bool:
        return self._is_deep

    def keep(self, queue: FairQueue, place: Place) -> None:
        """Holds ``place`` until ``close``."""
        self._places.append((queue, place))

    def give_back(self, queue: FairQueue) -> None:
        """Gives back the places of ``queue``."""
        for pair in [pair for pair in self._places if pair[0] is queue]:
            self._places.remove(pair)
            queue.leave(pair[1])

    def close(self) -> None:
        """Gives everything back but the memory of the answer (``account``), which may still be on its way."""
        places, self._places = self._places, []
        for queue, place in places:
            queue.leave(place)


class FetchScope:
    """A fetch for several requests: ``owner`` is the one with the best claim among those who wait for it."""

    def __init__(self, owner: RequestScope) -> None:
        self.owner = owner
        self.waiters: set[Waiter] = set()

    def lift(self, scope: Scope | None) -> None:
        """Somebody else waits for it, too."""
        if scope is None or scope.owner is self.owner or not _is_better(scope.owner, self.owner):
            return
        self.owner = scope.owner
        for waiter in list(self.waiters):
            waiter.queue.move(waiter, self.owner, is_bulk=self.owner.is_bulk)


Scope: TypeAlias = RequestScope | FetchScope

_current: ContextVar[Scope | None] = ContextVar("scope", default=None)


def scope_in(context: Context) -> Scope | None:
    """The scope of a task that has ``context``; ``None`` outside of any request."""
    return context.get(_current)


def current_scope() -> Scope | None:
    """The scope of the running task; ``None`` outside of any request."""
    return _current.get()


@contextmanager
def entered(scope: RequestScope) -> Iterator[None]:
    """Makes ``scope`` the running task's, and that of the tasks it starts."""
    token = _current.set(scope)
    try:
        yield
    finally:
        _current.reset(token)


def begin_fetch(start: Callable[[], T]) -> tuple[T, FetchScope | None]:
    """What ``start`` gives, which starts the tasks of a shared fetch, and the scope that they have."""
    scope = _current.get()
    if scope is None:
        return start(), None
    shared = FetchScope(scope.owner)
    context = copy_context()
    context.run(_current.set, shared)
    return context.run(start), shared


def in_background(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Runs ``work`` in a task for the current request's caller, but as bulk, and beyond that request's end."""
    scope = _current.get()
    context = copy_context()
    if scope is not None:
        background = RequestScope(scope.owner.traffic, scope.owner.caller, is_background=True)
        background.account.close()  # what it reads is bounded in rows
        context.run(_current.set, background)
    return loop.create_task(work, name=name, context=context)


async def in_turn(work: Callable[[], T]) -> T:
    """What ``work``, which takes processor time and awaits nothing, comes to, as a step of its own."""
    await give_way()
    return work()


async def give_way() -> None:
    """Ends a step of the current request where others may want the processor."""
    scope = _current.get()
    if scope is not None and scope.owner.traffic.is_contended:
        await asyncio.sleep(0)


def rows_at_once(site: str, rows: int) -> int:
    """How many of ``rows`` the current request may ask ``site`` for by one call: fewer while others want the processor, as
    reading an answer is one step."""
    scope = _current.get()
    if scope is None or rows <= SHARED_ROWS or not scope.owner.traffic.is_contended:
        return rows
    scope.owner.expect(site, rows)
    return SHARED_ROWS


def hold(size: int) -> None:
    """Counts ``size`` bytes that the current request has in hand until it is answered. A shared fetch has nothing in hand: what
    it brings is the cache's, and counted by each request that takes it. Raises as ``Account.hold``."""
    scope = _current.get()
    if isinstance(scope, RequestScope):
        scope.account.hold(size)


def let_go(size: int) -> None:
    """The current request no longer has these bytes, which it held, in hand."""
    scope = _current.get()
    if isinstance(scope, RequestScope):
        scope.account.free(size)


def never_refused() -> None:
    """From now on the current request is refused for no memory: it writes, and what has taken effect has its answer."""
    scope = _current.get()
    if scope is not None:
        scope.owner.account.insists = True


class Reading:
    """Counts the bytes of one body while it is being read, for whoever has it read. Raises as ``Account.hold``."""

    def __init__(self) -> None:
        scope = _current.get()
        self._account = Account(scope.owner.traffic.budget, scope.owner.caller) if scope is not None else None
        if self._account is not None and scope is not None:
            self._account.insists = scope.owner.account.insists

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._account is not None:
            self._account.close()

    def take(self, size: int) -> None:
        """Counts so many bytes more."""
        if self._account is not None:
            self._account.hold(size)


def refused_in_queue() -> RequestError:
    """What a caller gets whose queue is full."""
    message = "Too many requests of this caller are waiting already (limits.waiting_per_caller). Try again later."
    return RequestError(Code.RATE_LIMITED, message, retry_after=RETRY_AFTER)


def _cost(rows: int) -> float:
    return 1 + rows / ROWS_PER_CALL


def _is_better(one: RequestScope, other: RequestScope) -> bool:
    """Whether ``one`` has the better claim: the smaller question, then the caller that has less under way."""
    if one.is_bulk != other.is_bulk:
        return other.is_bulk
    return one.traffic.running_of(one.caller) < one.traffic.running_of(other.caller)
