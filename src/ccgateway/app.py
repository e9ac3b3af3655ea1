"""The one place where everything is wired: settings in, ASGI application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ccgateway.cache.ledger import open_ledger
from ccgateway.cache.notes import open_notes
from ccgateway.federation.audit import audit_to_file, close_audit_file
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.remembered.shelf import Shelf
from ccgateway.identity.callers import Callers
from ccgateway.settings import Settings
from ccgateway.site.credentials.keyring import Keyring
from ccgateway.site.registry import Registry
from ccgateway.surfaces.callers import caller_of
from ccgateway.surfaces.delivery import Delivery
from ccgateway.surfaces.graphql.endpoint import graphql_routes
from ccgateway.surfaces.hosts import LOOPBACK_HOSTS, HostCheck
from ccgateway.surfaces.rest.routes import rest_routes
from ccgateway.surfaces.spellings import with_both_spellings
from ccgateway.traffic.admission import Traffic

__all__ = ["create_app"]


def create_app(settings: Settings) -> Starlette:
    """The gateway's application. Raises ``SettingsError`` where the settings cannot be used; reaches no site yet."""
    settings.check_exposure()
    registry = Registry(settings.sites.values(), keyring=Keyring(settings))
    gateway = Gateway(
        registry,
        settings.limits,
        Shelf.of(settings.cache),
        writes=settings.writes,
        ledger=open_ledger(settings.cache),
        notes=open_notes(settings.cache),
    )
    audit_file = audit_to_file(settings.writes.audit_file) if settings.writes.audit_file is not None else None
    callers, traffic = Callers(settings), Traffic(settings.limits)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await callers.aclose()
            await gateway.aclose()
            if audit_file is not None:
                close_audit_file(audit_file)

    async def live(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "live"}, headers={"Cache-Control": "no-store"})

    asks_for_tokens = settings.authenticates and not settings.caller.anonymous
    is_private = settings.server.is_loopback() and not asks_for_tokens
    allowed = LOOPBACK_HOSTS | {settings.server.host.strip("[]")} if is_private else None
    routes = [
        *graphql_routes(gateway, caller_of(callers), settings.limits, graphiql=settings.server.graphiql, traffic=traffic),
        *rest_routes(
            gateway,
            caller_of(callers),
            settings.limits,
            partial=settings.rest.partial,
            origins=settings.server.cors_origins,
            traffic=traffic,
        ),
        Route("/health/live", live),
        Route("/health/ready", live),
    ]
    app = Starlette(
        routes=list(with_both_spellings(routes)),
        middleware=[Middleware(HostCheck, allowed_hosts=allowed), Middleware(Delivery, packs=settings.server.compression)],
        lifespan=lifespan,
    )
    # behind a proxy that ends TLS, a redirect would have a caller repeat the request, and its token, in clear
    app.router.redirect_slashes = False
    return app
