"""Pages of other origins must not change anything in the name of whoever looks at them.

A browser sends some requests of a page to anybody without asking first, and cc-backend's interface takes bodies of any type.
What a browser says of itself tells them apart: ``Sec-Fetch-Site``, and ``Origin`` where that is not sent. Programs send neither.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from ccgateway.errors import Code, RequestError

__all__ = ["refuse_other_origins"]

READING = frozenset({"GET", "HEAD", "OPTIONS"})
OWN = frozenset({"same-origin", "none"})


def refuse_other_origins(request: Request, allowed: frozenset[str]) -> None:
    """Raises ``FORBIDDEN`` for a request that may change something and comes from a page of an origin that is not ``allowed``."""
    if request.method in READING:
        return
    origins = request.headers.getlist("origin")
    if origins and ("*" in allowed or allowed.issuperset(origins)):
        return
    sites = frozenset(request.headers.getlist("sec-fetch-site"))
    if not OWN.issuperset(sites) or (not sites and not all(_is_own(origin, request) for origin in origins)):
        raise RequestError(Code.FORBIDDEN, "Pages of other origins cannot ask this gateway.")


def _is_own(origin: str, request: Request) -> bool:
    return urlsplit(origin).netloc == request.headers.get("host")
