"""Where the faces are: ``/api`` and ``/userapi``, and below ``/cc-backend/1.5`` the same as cc-backend 1.5.4 has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import Policy
from ccgateway.settings import LimitSettings
from ccgateway.settings.base import Partial
from ccgateway.surfaces.callers import CallerOf
from ccgateway.surfaces.ids import Ids
from ccgateway.surfaces.origins import shared_with
from ccgateway.surfaces.rest.access import AccessRule, may_use_api, may_use_userapi
from ccgateway.surfaces.rest.calls import AppState, Format
from ccgateway.surfaces.rest.docs import docs_routes
from ccgateway.surfaces.rest.endpoints import Table
from ccgateway.surfaces.rest.howto import HowtoFormat
from ccgateway.surfaces.rest.listing import COMPLETE
from ccgateway.surfaces.rest.openapi import RELEASED
from ccgateway.surfaces.rest.operations import API, RELEASED_API, RELEASED_USERAPI, USERAPI
from ccgateway.surfaces.rest.release import ReleaseFormat
from ccgateway.surfaces.rest.rest_app import RestApp
from ccgateway.traffic.admission import Traffic

__all__ = ["SHOWN", "rest_routes"]

#: headers that pages of other origins may see
SHOWN = ("Link", "ETag", COMPLETE)


def rest_routes(
    gateway: Gateway,
    caller_of: CallerOf,
    limits: LimitSettings,
    *,
    partial: Partial = "serve",
    origins: Sequence[str] = (),
    traffic: Traffic | None = None,
    beside: Mapping[str, Table] | None = None,
) -> list[BaseRoute]:
    """The routes, and those of the page about them. ``caller_of`` says who asks; ``partial``: what becomes of answers from
    which a site is missing; ``origins``: whose pages may ask; ``beside``: tables of other routes that the page is about."""
    policy = Policy.STRICT if partial == "refuse" else Policy.PARTIAL
    state = AppState(gateway, limits, Ids(gateway.numbers), traffic or Traffic(limits), policy)
    allowed = frozenset(origins)

    def face(table: Table, format: Format, admits: AccessRule) -> ASGIApp:  # noqa: A002
        app = RestApp(state, table, format, caller_of, admits=admits, origins=allowed)
        return shared_with(app, origins, shown=SHOWN)

    faces = {
        "/api": face(API, HowtoFormat(), may_use_api),
        "/userapi": face(USERAPI, HowtoFormat(), may_use_userapi),
        f"{RELEASED}/api": face(RELEASED_API, ReleaseFormat(asks_first=False), may_use_api),
        f"{RELEASED}/userapi": face(RELEASED_USERAPI, ReleaseFormat(asks_first=True), may_use_userapi),
    }
    return [*docs_routes(beside or {}), *(Mount(base, app) for base, app in faces.items())]
