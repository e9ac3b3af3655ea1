"""The event loop on which callers share the processor: while several are about, whoever has used least of it goes next.

Everything runs in one thread, so that a request would wait, at each of its steps, for the steps of all others that are ready.
Here the steps of a caller's interactive requests are one lane, those of its bulk requests another. A lane that becomes ready
goes before those that have been served since, as in start-time fair queueing, and input and output are looked at every
``SLICE``. One step is not interrupted: what takes long gives way in between (``scopes.give_way``).
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from itertools import count
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

from ccgateway.traffic.scopes import Lane, scope_in

if TYPE_CHECKING:
    from asyncio import SelectorEventLoop as _Loop
else:
    try:
        from uvloop import Loop as _Loop
    except ImportError:  # not for this system
        from asyncio import SelectorEventLoop as _Loop

__all__ = ["FairLoop"]

Ts = TypeVarTuple("Ts")

#: seconds of steps between two looks at input and output
SLICE = 0.0005
#: seconds for TLS to begin
HANDSHAKE_WITHIN = 10.0


class FairLoop(_Loop):
    """An event loop whose steps are shared out among the callers of ``scopes``."""

    def __init__(self) -> None:
        super().__init__()
        self._lanes: dict[Lane, deque[asyncio.Handle]] = {}
        self._order: list[tuple[float, int, Lane]] = []
        self._served, self._numbers = 0.0, count()
        self._interactive = 0

    @property
    def is_shared(self) -> bool:
        """Whether steps are being shared out."""
        return bool(self._lanes)

    @property
    def has_interactive(self) -> bool:
        """Whether interactive requests have steps to make."""
        return self._interactive > 0

    async def create_server(  # type: ignore[override] # it is overloaded there
        self, *args: Any, ssl: SSLContext | None = None, **more: Any
    ) -> asyncio.Server:
        """As every loop's; whoever connects has not long to begin with TLS, as connections count only then."""
        limit = {} if ssl is None else {"ssl_handshake_timeout": HANDSHAKE_WITHIN}
        server: asyncio.Server = await super().create_server(*args, ssl=ssl, **{**limit, **more})
        return server

    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None) -> asyncio.Handle:
        """As every loop's; in the lane of the caller whose request ``context`` is of, if it is one's."""
        scope = scope_in(context) if context is not None else None
        if scope is None:
            return super().call_soon(callback, *args, context=context)
        owner = scope.owner
        lane = owner.lane
        handles = self._lanes.get(lane)
        if handles is None:
            if not owner.traffic.is_contended:
                return super().call_soon(callback, *args, context=context)
            if not self._lanes:
                super().call_soon(self._run_slice)
            handles = self._lanes[lane] = deque()
            self._interactive += not lane.is_bulk
            heapq.heappush(self._order, (self._served, next(self._numbers), lane))
        handle = asyncio.Handle(callback, args, self, context)
        handles.append(handle)
        return handle

    def _run_slice(self) -> None:
        now = time.perf_counter()
        until = now + SLICE
        try:
            while self._order and now < until:
                self._served, number, lane = heapq.heappop(self._order)
                handles, begun = self._lanes[lane], now
                try:
                    handle = handles.popleft()
                    if not handle.cancelled():
                        handle._run()
                finally:
                    now = time.perf_counter()
                    if handles:
                        heapq.heappush(self._order, (self._served + now - begun, number, lane))
                    else:
                        del self._lanes[lane]
                        self._interactive -= not lane.is_bulk
        finally:
            if self._lanes:
                super().call_soon(self._run_slice)
