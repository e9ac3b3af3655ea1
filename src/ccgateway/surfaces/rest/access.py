"""Who may use which root, as cc-backend has it from 1.4 on; and that pages of other origins change nothing.

``/api`` is for administrators, and for machines, whose one role is ``api``; everybody else has ``/userapi``. Unlike cc-backend,
the gateway does not ask for the role ``api`` beside another: callers whose tokens are no cc-backend's do not have it.

A browser sends some requests of a page to anybody without asking first, and cc-backend's interface takes bodies of any type.
What a browser says of itself tells them apart: ``Sec-Fetch-Site``, and ``Origin`` where that is not sent. Programs send neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from starlette.requests import Request

from ccgateway.errors import Code, RequestError
from ccgateway.identity.principal import Principal

__all__ = ["AccessRule", "may_use_api", "may_use_userapi", "refuse_other_origins"]

READING = frozenset({"GET", "HEAD", "OPTIONS"})
OWN = frozenset({"same-origin", "none"})

AccessRule: TypeAlias = Callable[[Principal], bool]


def may_use_api(caller: Principal) -> bool:
    """Administrators and machines."""
    return "admin" in caller.roles or caller.roles == {"api"}


def may_use_userapi(caller: Principal) -> bool:
    """Everybody with a role."""
    return bool(caller.roles)


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
    try:
        return urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:  # brackets or characters that no host has
        return False
