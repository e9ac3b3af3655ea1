"""Between ASGI and the simulator's own request and response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ccgateway.simulator.messages import Request, Response

__all__ = ["Receive", "Scope", "Send", "gone", "read_request", "send_response"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def read_request(scope: Scope, receive: Receive) -> Request:
    """The whole request, body included."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = tuple((k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in scope["headers"])
    path = scope.get("raw_path") or scope["path"].encode()
    return Request(
        scope["method"], path.partition(b"?")[0].decode("latin-1"), scope["query_string"].decode("latin-1"), headers, body
    )


async def send_response(send: Send, request: Request, response: Response) -> None:
    """Send it in one go."""
    body = b"" if request.method == "HEAD" else response.body
    headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in response.headers]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def gone(receive: Receive) -> None:
    """Wait until the client has gone (or the server has cut it off)."""
    while (await receive())["type"] != "http.disconnect":
        pass
