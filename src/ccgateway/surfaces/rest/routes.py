"""Where the faces are: ``/api`` and ``/userapi``, and below ``/cc-backend/1.5`` the same as cc-backend 1.5.4 has them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import Policy
from ccgateway.settings import LimitSettings
from ccgateway.settings.base import Partial
from ccgateway.surfaces.callers import CallerOf
from ccgateway.surfaces.rest.calls import Desk
from ccgateway.surfaces.rest.docs import docs_routes
from ccgateway.surfaces.rest.documented_table import API, USERAPI
from ccgateway.surfaces.rest.doors import may_use_api, may_use_userapi
from ccgateway.surfaces.rest.face import Face
from ccgateway.surfaces.rest.ids import Ids
from ccgateway.surfaces.rest.listing import COMPLETE
from ccgateway.surfaces.rest.openapi import RELEASED
from ccgateway.surfaces.rest.released_table import RELEASED_API, RELEASED_USERAPI
from ccgateway.surfaces.rest.styles import Documented, Released
from ccgateway.traffic.admission import Traffic

__all__ = ["rest_routes"]

#: what pages of other origins may send, and see beside the body
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
HEADERS = ("Authorization", "X-Auth-Token", "Content-Type", "Idempotency-Key", "If-None-Match")
SHOWN = ("Link", "ETag", "Retry-After", COMPLETE)


def rest_routes(
    gateway: Gateway,
    caller_of: CallerOf,
    limits: LimitSettings,
    *,
    partial: Partial = "serve",
    origins: Sequence[str] = (),
    traffic: Traffic | None = None,
) -> list[BaseRoute]:
    """The routes, and those of the page about them. ``caller_of`` says who asks; ``partial``: what becomes of answers from
    which a site is missing; ``origins``: whose pages may ask."""
    policy = Policy.STRICT if partial == "refuse" else Policy.PARTIAL
    desk = Desk(gateway, limits, Ids(gateway.numbers), traffic or Traffic(limits), policy)
    allowed = frozenset(origins)
    own, everything = may_use_userapi, may_use_api
    faces = {
        "/api": Face(desk, API, Documented(), caller_of, admits=everything, origins=allowed),
        "/userapi": Face(desk, USERAPI, Documented(), caller_of, admits=own, origins=allowed),
        f"{RELEASED}/api": Face(desk, RELEASED_API, Released(asks_first=False), caller_of, admits=everything, origins=allowed),
        f"{RELEASED}/userapi": Face(desk, RELEASED_USERAPI, Released(asks_first=True), caller_of, admits=own, origins=allowed),
    }
    return [*docs_routes(), *(Mount(base, _shared(face, origins)) for base, face in faces.items())]


def _shared(face: Face, origins: Sequence[str]) -> ASGIApp:
    """``face``, readable by pages of ``origins``."""
    if not origins:
        return face
    return CORSMiddleware(
        face, allow_origins=origins, allow_methods=METHODS, allow_headers=HEADERS, expose_headers=SHOWN, max_age=600
    )
