"""The end of requests that are still under way when the gateway stops: an answer that says so, not a broken connection."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccgateway.errors import Code, GatewayError

__all__ = ["Stoppable"]

HEADERS = {"Cache-Control": "no-store", "Connection": "close"}


class Stoppable:
    """ASGI middleware, outermost: a request that the server cancels (it does so only when it stops) ends with a 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
                error = GatewayError(Code.INTERNAL, "The gateway is stopping.", retryable=True)
                content = {"errors": [{"message": error.message, "extensions": error.extensions()}]}
                await JSONResponse(content, 503, HEADERS)(scope, receive, send)
