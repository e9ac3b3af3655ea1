"""The page about the REST interface, at ``/api/docs``, and the documents that it shows: all from here, nothing from elsewhere.

Its scripts and styles lie in ``static/`` (third-party parts and their licences: ``static/LICENSES.txt``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from ccgateway import __version__
from ccgateway.surfaces.rest.calls import JSON
from ccgateway.surfaces.rest.openapi import RELEASED, Document, documented_openapi, released_openapi

__all__ = ["docs_routes"]

STATIC = Path(__file__).parent / "static"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # the viewer sets styles on its elements
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
NOSNIFF = {"X-Content-Type-Options": "nosniff"}
PAGE_HEADERS = {**NOSNIFF, "Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "Referrer-Policy": "no-referrer"}
STATIC_HEADERS = {**NOSNIFF, "Cache-Control": "public, max-age=31536000, immutable"}
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}
FILES = {path.name: path for path in STATIC.iterdir() if path.suffix in MEDIA_TYPES}


def _read_page() -> str:
    # the version in the addresses makes browsers fetch the files anew after an upgrade, in spite of the long cache life
    text = (STATIC / "index.html").read_text("utf-8")
    return re.sub(r'((?:src|href)="docs/[^"?]+)"', rf'\1?v={__version__}"', text)


def docs_routes() -> list[Route]:
    """The page, its files, and the documents of both faces."""
    page = _read_page()

    async def docs(_request: Request) -> Response:
        return HTMLResponse(page, headers=PAGE_HEADERS)

    return [
        Route("/api/docs", docs, methods=["GET"]),
        Route("/api/docs/{name}", _file, methods=["GET"]),
        _document_route("/api/openapi.json", documented_openapi),
        _document_route(f"{RELEASED}/api/openapi.json", released_openapi),
    ]


async def _file(request: Request) -> Response:
    path = FILES.get(request.path_params["name"])
    if path is None:
        raise HTTPException(404)
    return FileResponse(path, headers=STATIC_HEADERS, media_type=MEDIA_TYPES[path.suffix])


def _document_route(path: str, write: Callable[[], Document]) -> Route:
    body = cache(lambda: msgspec.json.encode(write()))

    async def give(_request: Request) -> Response:
        return Response(body(), headers={**NOSNIFF, "Cache-Control": "no-cache"}, media_type=JSON)

    return Route(path, give, methods=["GET"])
