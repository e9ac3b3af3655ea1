"""The end of requests that are still under way when the gateway stops: an answer that says so, not a broken connection."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, runtime_checkable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccgateway.errors import Code, GatewayError

__all__ = ["GRACE", "Stoppable"]

HEADERS = {"Cache-Control": "no-store", "Connection": "close"}
#: seconds that requests under way get to end when the gateway stops, and those that writes get, to say what they came to
GRACE, WRITES_GRACE = 5, 4.0


@runtime_checkable
class Stops(Protocol):
    """An application that wants to be told."""

    def stop(self, seconds: float) -> None:
        """It has so many seconds."""
        ...


class Stoppable:
    """ASGI middleware, outermost: tells the application of the signal to stop, and ends a request that the server cancels (it
    does so only when it stops) with a 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            with self._told_by_signals():
                await self._app(scope, receive, send)
            return
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            if not has_begun:
                error = GatewayError(Code.STOPPING, "The gateway is stopping.")
                content = {"errors": [{"message": error.message, "extensions": error.extensions()}]}
                await JSONResponse(content, 503, HEADERS)(scope, receive, send)

    @contextmanager
    def _told_by_signals(self) -> Iterator[None]:
        """Beside the server, which has its handlers by now, the application hears of the signals that stop it."""
        app: object = self._app
        loop = asyncio.get_running_loop()
        if not isinstance(app, Stops) or threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in numbers}

        def tell(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(app.stop, WRITES_GRACE)
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        for number in numbers:
            signal.signal(number, tell)
        try:
            yield
        finally:
            for number in numbers:
                if signal.getsignal(number) is tell:
                    signal.signal(number, before[number])
