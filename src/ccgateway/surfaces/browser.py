"""Pages for browsers, served whole by the gateway, so that they work without the internet.

A page lies in a folder with its scripts and styles. It holds no script of its own and may load nothing from anywhere else, which
its content security policy enforces.
"""

from __future__ import annotations

import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from ccgateway import __version__

__all__ = ["NOSNIFF", "Page"]

NOSNIFF = {"X-Content-Type-Options": "nosniff"}
STATIC_HEADERS = {**NOSNIFF, "Cache-Control": "public, max-age=31536000, immutable"}
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}


class Page:
    """``index.html`` of a folder, and the other files there, which the page asks for below ``base``. ``allowed``: directives
    of its policy beside those for scripts, styles, images and answers of the gateway itself."""

    def __init__(self, folder: Path, base: str, *allowed: str) -> None:
        self._files = {path.name: path for path in folder.iterdir() if path.suffix in MEDIA_TYPES}
        # the version in the addresses makes browsers fetch the files anew after an upgrade, in spite of the long cache life
        text = (folder / "index.html").read_text("utf-8")
        self._text = re.sub(rf'((?:src|href)="{re.escape(base)}/[^"?]+)"', rf'\1?v={__version__}"', text)
        policy = (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",  # what is shown there sets styles on its elements
            "img-src 'self' data:",
            *allowed,
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
        self._headers = {
            **NOSNIFF,
            "Content-Security-Policy": "; ".join(policy),
            "Cache-Control": "no-cache",
            "Referrer-Policy": "no-referrer",
        }

    def response(self) -> Response:
        """The page itself."""
        return HTMLResponse(self._text, headers=self._headers)

    async def file(self, request: Request) -> Response:
        """One of its files, by ``name`` in the path; 404 for any other name."""
        path = self._files.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, headers=STATIC_HEADERS, media_type=MEDIA_TYPES[path.suffix])
