"""The one place where everything is wired: settings in, ASGI application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ccgateway.cache.facade import open_redis
from ccgateway.cache.ttl_store import TtlStore
from ccgateway.federation.audit import audit_to_file, close_audit_file
from ccgateway.federation.gateway import Gateway
from ccgateway.identity.callers import Callers
from ccgateway.loopwatch import watched_loop
from ccgateway.settings import Settings
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.credentials.keyring import Keyring
from ccgateway.site.registry import Registry
from ccgateway.surfaces.callers import caller_of
from ccgateway.surfaces.compression import CompressionMiddleware
from ccgateway.surfaces.export.operations import export_table
from ccgateway.surfaces.export.routes import export_routes
from ccgateway.surfaces.export.streams import Streams
from ccgateway.surfaces.graphql.endpoint import graphql_routes
from ccgateway.surfaces.hosts import LOOPBACK_HOSTS, HostCheck
from ccgateway.surfaces.portal.pages import portal_routes
from ccgateway.surfaces.portal.signing_in import SigningIn
from ccgateway.surfaces.rest.routes import rest_routes
from ccgateway.surfaces.spellings import with_both_spellings
from ccgateway.telemetry import Troubles
from ccgateway.traffic.admission import Traffic

if TYPE_CHECKING:
    from ccgateway.surfaces.grpc.server import GrpcServer

__all__ = ["Application", "create_app"]

#: bytes of places of pages and of provisional ids that a process keeps: some ten thousand; and of settings of front ends
NOTES_BYTES = 4 << 20
#: bytes of sessions that were signed out of
ENDED_BYTES = 1 << 20


class Application(Starlette):
    """The gateway as an ASGI application; ``create_app`` sets ``gateway``, the ``exports`` under way, and ``grpc``, the server
    beside it, which runs as long as the application does; ``None`` if the settings want none."""

    gateway: Gateway
    grpc: GrpcServer | None
    exports: Streams

    def stop(self, seconds: float) -> None:
        """Nothing new is begun; answers that are under way are waited for so many seconds."""
        self.gateway.stop(seconds)
        self.exports.stop(seconds)
        if self.grpc is not None:
            self.grpc.stop()


def create_app(settings: Settings) -> Application:
    """The gateway's application. Raises ``SettingsError`` where the settings cannot be used; reaches no site yet."""
    settings.check_exposure()
    redis = open_redis(settings.cache)
    responses = ResponseCache.of(settings.cache, redis)
    registry = Registry(settings.sites.values(), keyring=Keyring(settings), responses=responses)
    troubles = Troubles()
    audit_path = settings.writes.audit_file
    audit_file = audit_to_file(audit_path, troubles) if audit_path is not None else None
    gateway = Gateway(
        registry,
        settings.limits,
        writes=settings.writes,
        idempotency_store=TtlStore("once", redis),
        ttl_store=TtlStore("note", redis, most_bytes=NOTES_BYTES),
        configuration_store=TtlStore("configuration", redis, most_bytes=NOTES_BYTES),
        troubles=troubles,
        audit_file=audit_file,
    )
    callers, traffic, exports = Callers(settings), Traffic(settings.limits), Streams(settings.export)
    signing_in = SigningIn(settings, callers, TtlStore("session", redis, most_bytes=ENDED_BYTES))
    grpc: GrpcServer | None = None
    if settings.grpc.port is not None:
        from ccgateway.surfaces.grpc.server import GrpcServer  # a large library, which most gateways do without

        grpc = GrpcServer(gateway, callers, traffic, settings.grpc, settings.limits, exports=exports)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            with watched_loop():
                if grpc is not None:
                    await grpc.start()
                yield
        finally:
            if grpc is not None:
                await grpc.aclose()
            await signing_in.aclose()
            await callers.aclose()
            await gateway.aclose()
            if audit_file is not None:
                close_audit_file(audit_file)

    async def live(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "live"}, headers={"Cache-Control": "no-store"})

    async def ready(_request: Request) -> JSONResponse:
        troubles = [{"part": one.part, "reason": one.reason, "since": int(one.since)} for one in gateway.troubles()]
        content = {"status": "degraded", "degraded": troubles} if troubles else {"status": "ready"}
        return JSONResponse(content, headers={"Cache-Control": "no-store"})

    asks_for_tokens = settings.authenticates and not settings.caller.anonymous
    is_private = settings.server.is_loopback() and not asks_for_tokens
    allowed = LOOPBACK_HOSTS | {settings.server.host.strip("[]")} if is_private else None
    routes = [
        *graphql_routes(
            gateway,
            caller_of(callers, signing_in.principal),
            settings.limits,
            graphiql=settings.server.graphiql,
            traffic=traffic,
        ),
        *rest_routes(
            gateway,
            caller_of(callers),
            settings.limits,
            partial=settings.rest.partial,
            origins=settings.server.cors_origins,
            traffic=traffic,
            beside={"/export": export_table()},
        ),
        export_routes(
            gateway,
            caller_of(callers),
            settings.limits,
            exports,
            settings.export,
            partial=settings.rest.partial,
            origins=settings.server.cors_origins,
            traffic=traffic,
        ),
        *signing_in.routes(),
        *(portal_routes() if settings.portal.enabled else ()),
        Route("/health/live", live),
        Route("/health/ready", ready),
    ]
    app = Application(
        routes=list(with_both_spellings(routes)),
        middleware=[
            Middleware(HostCheck, allowed_hosts=allowed),
            Middleware(CompressionMiddleware, compresses=settings.server.compression),
        ],
        lifespan=lifespan,
    )
    app.gateway, app.grpc, app.exports = gateway, grpc, exports
    # behind a proxy that ends TLS, a redirect would have a caller repeat the request, and its token, in clear
    app.router.redirect_slashes = False
    return app
