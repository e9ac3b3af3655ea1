"""The endpoint on a fake gateway, and a client for it that needs no socket."""

from __future__ import annotations

from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request

from ccgateway.federation.gateway import Gateway
from ccgateway.identity.principal import Principal
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.endpoint import graphql_routes
from surfaces.fakes import CALLER

__all__ = ["client_of", "make_app"]


def make_app(gateway: Gateway, *, graphiql: bool = True, origins: tuple[str, ...] = (), **limits: Any) -> Starlette:
    async def caller(_request: Request) -> Principal:
        return CALLER

    return Starlette(routes=[*graphql_routes(gateway, caller, LimitSettings(**limits), graphiql=graphiql, origins=origins)])


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
