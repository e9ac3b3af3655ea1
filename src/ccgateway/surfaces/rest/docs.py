"""The page about the REST interface, at ``/api/docs``, and the documents that it shows: all from here, nothing from elsewhere.

Its scripts and styles lie in ``static/`` (third-party parts and their licences: ``static/LICENSES.txt``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ccgateway.surfaces.browser import NOSNIFF, Page
from ccgateway.surfaces.rest.calls import JSON
from ccgateway.surfaces.rest.endpoints import Table
from ccgateway.surfaces.rest.openapi import RELEASED, Document, documented_openapi, released_openapi

__all__ = ["docs_routes"]

PAGE = Page(Path(__file__).parent / "static", "docs")


def docs_routes(beside: Mapping[str, Table]) -> list[Route]:
    """The page, its files, and the documents of both faces; ``beside``: tables that the first describes, too, by their paths."""

    async def docs(_request: Request) -> Response:
        return PAGE.response()

    return [
        Route("/api/docs", docs, methods=["GET"]),
        Route("/api/docs/{name}", PAGE.file, methods=["GET"]),
        _document_route("/api/openapi.json", lambda: documented_openapi(beside)),
        _document_route(f"{RELEASED}/api/openapi.json", released_openapi),
    ]


def _document_route(path: str, write: Callable[[], Document]) -> Route:
    body = cache(lambda: msgspec.json.encode(write()))

    async def give(_request: Request) -> Response:
        return Response(body(), headers={**NOSNIFF, "Cache-Control": "no-cache"}, media_type=JSON)

    return Route(path, give, methods=["GET"])
