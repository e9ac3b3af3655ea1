"""The one place where everything is wired: settings in, ASGI application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import Caller
from ccgateway.settings import Settings
from ccgateway.site.registry import Registry
from ccgateway.surfaces.delivery import Delivery
from ccgateway.surfaces.graphql.endpoint import graphql_routes
from ccgateway.surfaces.hosts import LOOPBACK_HOSTS, HostCheck

__all__ = ["create_app"]


def create_app(settings: Settings) -> Starlette:
    """The gateway's application. Raises ``SettingsError`` where the settings cannot be used; reaches no site yet."""
    settings.check_exposure()
    registry = Registry(settings.sites.values())
    gateway = Gateway(registry, settings.limits)
    caller = Caller(settings.caller.subject)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await gateway.aclose()

    async def live(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "live"}, headers={"Cache-Control": "no-store"})

    allowed = LOOPBACK_HOSTS | {settings.server.host.strip("[]")} if settings.server.is_loopback() else None
    return Starlette(
        routes=[
            *graphql_routes(gateway, lambda _request: caller, settings.limits, graphiql=settings.server.graphiql),
            Route("/health/live", live),
            Route("/health/ready", live),
        ],
        middleware=[Middleware(HostCheck, allowed_hosts=allowed), Middleware(Delivery, packs=settings.server.compression)],
        lifespan=lifespan,
    )
