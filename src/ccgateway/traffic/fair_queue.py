"""A bounded number of places, given out in turn: caller by caller, and for each caller request by request.

Small questions (interactive) come before large ones (bulk), but for every ``BURST`` of them one large one is let in. While more
than one request is running, large questions together and each caller alone may not hold all places, so that a newcomer finds one;
and while small questions are about, large ones hold fewer still: a site that works on many of them is slow for small ones, too.
Nothing here awaits but the wait for a place itself.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import NamedTuple, Protocol

__all__ = ["FairQueue", "Occupant", "Place", "QueueFullError", "Waiter", "Waiting"]

#: interactive requests let in one after the other while bulk ones wait
BURST = 8


class QueueFullError(Exception):
    """The caller has too many requests waiting already."""


class Occupant(Protocol):
    """Who takes places. ``caller``: shares are by this; ``is_alone``: no other request is running in this process;
    ``is_beside_small``: small questions are about."""

    @property
    def caller(self) -> Hashable: ...

    @property
    def is_alone(self) -> bool: ...

    @property
    def is_beside_small(self) -> bool: ...


class Place(NamedTuple):
    """A place that is held: by whom, and in which class."""

    caller: Hashable
    is_bulk: bool


class Waiter:
    """One wait for a place in ``queue``."""

    __slots__ = ("is_bulk", "is_queued", "occupant", "place", "queue")

    def __init__(self, queue: FairQueue, occupant: Occupant, *, is_bulk: bool) -> None:
        self.queue, self.occupant, self.is_bulk, self.is_queued = queue, occupant, is_bulk, False
        self.place: asyncio.Future[Place] = asyncio.get_running_loop().create_future()


class Waiting(Protocol):
    """Is told of a wait, so that it can be moved to a better class (``FairQueue.move``)."""

    def add(self, waiter: Waiter, /) -> None: ...

    def discard(self, waiter: Waiter, /) -> None: ...


class FairQueue:
    """``places``: how many there are. ``per_caller`` and ``bulk_places``: how many of them one caller, and all bulk requests, may
    hold while others run; ``bulk_beside_small``: all bulk requests while small questions are about. ``most_waiting``: requests of
    one caller that may wait."""

    def __init__(
        self,
        places: int,
        *,
        per_caller: int | None = None,
        bulk_places: int | None = None,
        bulk_beside_small: int | None = None,
        most_waiting: int,
    ) -> None:
        self._places = places
        self._per_caller = places if per_caller is None else per_caller
        self._bulk_places = places if bulk_places is None else bulk_places
        self._bulk_beside_small = self._bulk_places if bulk_beside_small is None else bulk_beside_small
        self._most_waiting = most_waiting
        self._taken = self._bulk = self._streak = 0
        self._held: dict[Hashable, int] = {}
        self._queued: dict[Hashable, int] = {}
        self._lines = (_Line(), _Line())

    @classmethod
    def for_site(cls, places: int, *, most_waiting: int) -> FairQueue:
        """For a site that takes ``places`` requests at a time: three quarters for one caller, half for bulk requests, and an
        eighth for those beside small ones."""
        return cls(
            places,
            per_caller=places - places // 4,
            bulk_places=places - places // 2,
            bulk_beside_small=max(1, places // 8),
            most_waiting=most_waiting,
        )

    def resize_for_site(self, places: int) -> None:
        """From now on there are so many places, shared out as by ``for_site``; who has one keeps it."""
        self._places, self._per_caller, self._bulk_places = places, places - places // 4, places - places // 2
        self._bulk_beside_small = max(1, places // 8)
        self._let_in()

    @property
    def taken(self) -> int:
        """Places that are held."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(self._queued.values())

    def try_enter(self, occupant: Occupant, *, is_bulk: bool) -> Place | None:
        """A place, if one is free for this occupant and nobody waits before it."""
        if self._queued and self._lines[is_bulk].has(occupant.caller):
            return None
        return self._take(occupant.caller, is_bulk=is_bulk) if self._is_open(occupant, is_bulk=is_bulk) else None

    async def enter(self, occupant: Occupant, *, is_bulk: bool, waits: Waiting | None = None) -> Place:
        """A place, as soon as it is this occupant's turn. ``QueueFullError`` if its caller has too many waiting."""
        place = self.try_enter(occupant, is_bulk=is_bulk)
        if place is not None:
            return place
        if self._queued.get(occupant.caller, 0) >= self._most_waiting:
            raise QueueFullError
        waiter = Waiter(self, occupant, is_bulk=is_bulk)
        self._append(waiter)
        if waits is not None:
            waits.add(waiter)
        try:
            return await waiter.place
        except asyncio.CancelledError:
            if waiter.place.done() and not waiter.place.cancelled():
                self.leave(waiter.place.result())  # the place came together with the cancellation
            else:
                self._remove(waiter)
            raise
        finally:
            if waits is not None:
                waits.discard(waiter)

    def leave(self, place: Place) -> None:
        """Gives a place back, to whoever's turn it is."""
        self._taken -= 1
        self._bulk -= place.is_bulk
        _subtract(self._held, place.caller)
        if self._queued:
            self._let_in()

    def move(self, waiter: Waiter, occupant: Occupant, *, is_bulk: bool) -> None:
        """Has ``waiter`` wait as ``occupant`` in that class from now on."""
        if waiter.place.done():
            return
        self._remove(waiter)
        waiter.occupant, waiter.is_bulk = occupant, is_bulk
        self._append(waiter)
        self._let_in()

    # --- who comes next

    def _is_open(self, occupant: Occupant, *, is_bulk: bool) -> bool:
        if self._taken >= self._places:
            return False
        if occupant.is_alone:
            return True
        if is_bulk and self._bulk >= (self._bulk_beside_small if occupant.is_beside_small else self._bulk_places):
            return False
        return self._held.get(occupant.caller, 0) < self._per_caller

    def _take(self, caller: Hashable, *, is_bulk: bool) -> Place:
        self._taken += 1
        self._bulk += is_bulk
        self._held[caller] = self._held.get(caller, 0) + 1
        return Place(caller, is_bulk)

    def _let_in(self) -> None:
        while self._taken < self._places:
            order = (True, False) if self._streak >= BURST else (False, True)
            found = next((one for is_bulk in order if (one := self._first(is_bulk=is_bulk)) is not None), None)
            if found is None:
                return
            found.is_queued = False
            _subtract(self._queued, found.occupant.caller)
            if found.place.cancelled():  # it has left, and not been told yet
                continue
            self._streak = 0 if found.is_bulk else self._streak + 1
            found.place.set_result(self._take(found.occupant.caller, is_bulk=found.is_bulk))

    def _first(self, *, is_bulk: bool) -> Waiter | None:
        line = self._lines[is_bulk]
        for caller in line.callers:
            if self._is_open(line.next_of(caller).occupant, is_bulk=is_bulk):
                return line.pop(caller)
        return None

    def _append(self, waiter: Waiter) -> None:
        caller = waiter.occupant.caller
        waiter.is_queued = True
        self._queued[caller] = self._queued.get(caller, 0) + 1
        self._lines[waiter.is_bulk].append(waiter)

    def _remove(self, waiter: Waiter) -> None:
        if not waiter.is_queued:
            return
        waiter.is_queued = False
        _subtract(self._queued, waiter.occupant.caller)
        self._lines[waiter.is_bulk].remove(waiter)


class _Line:
    """Those who wait in one class: by caller, by request, in their order. Who got a place goes to the end of both."""

    def __init__(self) -> None:
        self.callers: OrderedDict[Hashable, OrderedDict[Occupant, deque[Waiter]]] = OrderedDict()

    def has(self, caller: Hashable) -> bool:
        return caller in self.callers

    def append(self, waiter: Waiter) -> None:
        self.callers.setdefault(waiter.occupant.caller, OrderedDict()).setdefault(waiter.occupant, deque()).append(waiter)

    def next_of(self, caller: Hashable) -> Waiter:
        return next(iter(self.callers[caller].values()))[0]

    def pop(self, caller: Hashable) -> Waiter:
        requests = self.callers[caller]
        request, waiters = next(iter(requests.items()))
        found = waiters.popleft()
        requests.move_to_end(request)
        self.callers.move_to_end(caller)
        self._drop_empty(caller, request)
        return found

    def remove(self, waiter: Waiter) -> None:
        caller, request = waiter.occupant.caller, waiter.occupant
        self.callers[caller][request].remove(waiter)
        self._drop_empty(caller, request)

    def _drop_empty(self, caller: Hashable, request: Occupant) -> None:
        requests = self.callers[caller]
        if not requests[request]:
            del requests[request]
        if not requests:
            del self.callers[caller]


def _subtract(counts: dict[Hashable, int], key: Hashable) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
