"""The page for browsers: GraphiQL, served whole by the gateway, so that it works without the internet.

Its scripts and styles lie in ``static/`` (third-party parts and their licences: ``static/LICENSES.txt``). The page holds no
script of its own and may load nothing from anywhere else, which its content security policy enforces.
"""

from __future__ import annotations

import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from ccgateway import __version__

__all__ = ["graphiql_page", "graphiql_static"]

STATIC = Path(__file__).parent / "static"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # the editor sets styles on its elements
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

NOSNIFF = {"X-Content-Type-Options": "nosniff"}
PAGE_HEADERS = {**NOSNIFF, "Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "Referrer-Policy": "no-referrer"}
STATIC_HEADERS = {**NOSNIFF, "Cache-Control": "public, max-age=31536000, immutable"}

MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}


def _read_page() -> str:
    # The version in the addresses makes browsers fetch the files anew after an upgrade, in spite of the long cache life.
    text = (STATIC / "index.html").read_text("utf-8")
    return re.sub(r'((?:src|href)="graphql/static/[^"?]+)"', rf'\1?v={__version__}"', text)


PAGE = _read_page()
FILES = {path.name: path for path in STATIC.iterdir() if path.suffix in MEDIA_TYPES}


def graphiql_page() -> Response:
    """The page itself."""
    return HTMLResponse(PAGE, headers=PAGE_HEADERS)


async def graphiql_static(request: Request) -> Response:
    """One of the files of the page; 404 for any other name."""
    path = FILES.get(request.path_params["name"])
    if path is None:
        raise HTTPException(404)
    return FileResponse(path, headers=STATIC_HEADERS, media_type=MEDIA_TYPES[path.suffix])
