"""Pages of other origins: which may ask, and what a browser lets them send and see."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

__all__ = ["shared_with"]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
#: what they may send: never a cookie, so that a page asks as whoever its own token is of
HEADERS = ("Authorization", "X-Auth-Token", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-ID", "traceparent")
#: and see beside the body
SHOWN = ("Retry-After", "X-Request-ID")


def shared_with(face: ASGIApp, origins: Sequence[str], *, shown: Sequence[str] = ()) -> ASGIApp:
    """``face``, readable by pages of ``origins``; ``shown``: headers of its own that they may see."""
    if not origins:
        return face
    return CORSMiddleware(
        face, allow_origins=origins, allow_methods=METHODS, allow_headers=HEADERS, expose_headers=(*SHOWN, *shown), max_age=600
    )
