"""A gateway that stands behind proxies: whom it believes what they say of the caller, and under which path it is seen."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ccgateway.settings.server import UNIX

__all__ = ["BehindProxy"]


class BehindProxy:
    """ASGI middleware: the caller's address and scheme as a trusted proxy tells them, and ``root_path``.

    Args:
        app: What answers.
        trusted_proxies: Addresses and networks; ``"unix"`` for connections through a Unix socket. What others say is left alone.
        root_path: The path before all paths, whether or not the proxy takes it away.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[str], root_path: str) -> None:
        self._app: ASGIApp = app
        if trusted_proxies:
            self._app = ProxyHeadersMiddleware(app, list(trusted_proxies))  # type: ignore[arg-type,assignment] # its own types
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope.get("client") is None:
                scope["client"] = (UNIX, 0)
            if self._root_path:
                self._show_whole_path(scope)
        await self._app(scope, receive, send)

    def _show_whole_path(self, scope: Scope) -> None:
        scope["root_path"] = root = self._root_path
        if scope["path"] == root:  # as people type it
            scope["path"], scope["raw_path"] = f"{root}/", f"{root}/".encode()
        elif not scope["path"].startswith(f"{root}/"):
            scope["path"] = root + scope["path"]
            if scope.get("raw_path") is not None:
                scope["raw_path"] = root.encode() + scope["raw_path"]
