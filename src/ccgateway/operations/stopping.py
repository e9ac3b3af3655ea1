"""The end of the gateway, stage by stage, and what requests see of it: an answer that says so, not a broken connection."""

from __future__ import annotations

import asyncio
import signal
from enum import IntEnum
from http import HTTPStatus
from typing import Protocol

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.traffic.overload import Arrival, Overload, is_arrival

__all__ = ["ARRIVAL", "WRITES_MARGIN", "Stage", "Stoppable", "Stops", "next_stage", "refusal_body"]

JSON = "application/json"
HEADERS = {"Cache-Control": "no-store", "Connection": "close"}
#: seconds less than other requests that writes get to end: they have to say what they came to
WRITES_MARGIN = 1.0


class Stage(IntEnum):
    """How far the end has come.

    ``DRAINING``: everything is answered, but ``/health/ready`` says 503 and connections are closed with the next answer.
    ``ENDING``: nobody is let in any more, and what is under way may end. ``HURRIED``: what is under way ends now.
    """

    SERVING = 0
    DRAINING = 1
    ENDING = 2
    HURRIED = 3


def next_stage(now: Stage, number: int) -> Stage:
    """The stage that a signal brings: one further; Ctrl-C leaves out ``DRAINING``."""
    return max(Stage(min(now + 1, Stage.HURRIED)), Stage.ENDING if number == signal.SIGINT else Stage.DRAINING)


class Stops(Protocol):
    """An application that is told of the end."""

    @property
    def overload(self) -> Overload:
        """What turns requests away when there are too many."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        ...

    def drain(self) -> None:
        """It goes on, but not for long."""
        ...

    def stop(self, seconds: float) -> None:
        """It has so many seconds."""
        ...


#: where the protocol puts the ``Arrival`` of a request in its scope
ARRIVAL = "ccgateway.arrival"


class Stoppable:
    """ASGI middleware, outermost: closes connections once the gateway drains, and ends a request that the server cancels (it does
    so only when it stops) with a 503. A request that was let in (``ARRIVAL``) begins when its turn comes, and leaves with the
    beginning of its answer."""

    def __init__(self, app: Stops) -> None:
        self._application: Stops = app
        self._app: ASGIApp = app
        self._is_draining = False

    @property
    def overload(self) -> Overload:
        """What turns requests away when there are too many."""
        return self._application.overload

    def drain(self) -> None:
        """From now on every answer closes its connection."""
        self._is_draining = True
        self._application.drain()

    def stop(self, seconds: float) -> None:
        """The application has so many seconds."""
        self._is_draining = True
        self._application.stop(seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False
        arrival: Arrival | None = scope.get(ARRIVAL)

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if arrival is not None:
                arrival.leave()
            if self._is_draining and message["type"] == "http.response.start":
                others = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"connection"]
                message = {**message, "headers": [*others, (b"connection", b"close")]}
            await send(message)

        try:
            with is_arrival(arrival):
                if arrival is not None:
                    await arrival.turn()
                await self._app(scope, receive, watched)
        except RequestError as error:  # of the turn: the application lets none out
            headers = {"Cache-Control": "no-store", "Retry-After": str(error.extensions()["retryAfter"])}
            await Response(refusal_body(error), error.row.http, headers, JSON)(scope, receive, watched)
        except asyncio.CancelledError:
            if not has_begun:
                body = refusal_body(GatewayError(Code.STOPPING, "The gateway is stopping."))
                await Response(body, 503, HEADERS, JSON)(scope, receive, send)


def refusal_body(error: GatewayError) -> bytes:
    """What the server itself answers, so that clients of each surface find their word for it (JSON)."""
    status = HTTPStatus(error.row.http)
    return msgspec.json.encode({"errors": [error.as_entry()], "status": status.phrase, "error": error.message})
