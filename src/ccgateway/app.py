"""The one place where everything is wired: settings in, ASGI application out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from ccgateway.errors import SettingsError
from ccgateway.federation.gateway import Gateway
from ccgateway.loopwatch import watched_loop
from ccgateway.parts import Parts
from ccgateway.settings import Settings
from ccgateway.surfaces.callers import caller_of
from ccgateway.surfaces.compression import CompressionMiddleware
from ccgateway.surfaces.export.operations import export_table
from ccgateway.surfaces.export.routes import export_routes
from ccgateway.surfaces.graphql.endpoint import graphql_routes
from ccgateway.surfaces.hosts import LOOPBACK_HOSTS, HostCheck
from ccgateway.surfaces.portal.pages import portal_routes
from ccgateway.surfaces.proxies import BehindProxy
from ccgateway.surfaces.recording import RecordingMiddleware
from ccgateway.surfaces.rest.routes import rest_routes
from ccgateway.surfaces.spellings import with_both_spellings
from ccgateway.telemetry.meter import Meter
from ccgateway.traffic.overload import Overload

if TYPE_CHECKING:
    from ccgateway.surfaces.grpc.server import GrpcFace, GrpcServer

__all__ = ["Application", "create_app"]

#: seconds in which a call that was given to an application by gRPC has begun there
HANDED_OVER = 1.0
NO_STORE = {"Cache-Control": "no-store"}


class Application(Starlette):
    """The gateway as an ASGI application, for one set of settings; ``create_app`` fills it.

    ``grpc``: the server beside it, which one application starts and the next ones answer for; ``grpc_face``: what answers there.
    Both ``None`` if the settings want none.
    """

    parts: Parts
    grpc: GrpcServer | None
    grpc_face: GrpcFace | None
    is_draining: bool = False

    @property
    def settings(self) -> Settings:
        """Those it was made from."""
        return self.parts.settings

    @property
    def gateway(self) -> Gateway:
        """The use cases."""
        return self.parts.gateway

    @property
    def meter(self) -> Meter:
        """Counts what happens."""
        return self.parts.meter

    @property
    def unreadable(self) -> Mapping[str, SettingsError]:
        """The sites that are not asked, as their token or key cannot be read."""
        return self.parts.keyring.unreadable

    @property
    def overload(self) -> Overload:
        """What turns requests away when there are too many."""
        return self.parts.traffic.overload

    def drain(self) -> None:
        """Not ready any more, but everything is answered."""
        self.is_draining = True
        if self.grpc is not None:
            self.grpc.drain()

    def stop(self, seconds: float) -> None:
        """Nothing new is begun; answers that are under way are waited for so many seconds."""
        self.is_draining = True
        self.gateway.stop(seconds)
        self.parts.exports.stop(seconds)
        if self.grpc is not None:
            self.grpc.stop()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """For the length of the block the server beside it runs, and the event loop and the sites are watched."""
        try:
            with watched_loop(came_round=self.meter.loop_came_round):
                if self.grpc is not None:
                    await self.grpc.start()
                async with self.parts.watch:
                    yield
        finally:
            if self.grpc is not None:
                await self.grpc.aclose()

    async def take_over(self, before: Application) -> None:
        """Answers in the place of ``before``, which only ends what it has begun."""
        if self.grpc is not None and self.grpc_face is not None:
            self.grpc.switch(self.grpc_face)
        self.parts.begin_telling(before.unreadable)
        await before.parts.registry.give_way(self.parts.registry)

    async def calls_ended(self) -> None:
        """Returns once no call by gRPC is under way here."""
        if self.grpc_face is not None:
            await asyncio.sleep(HANDED_OVER)
            await self.grpc_face.calls.finished()

    async def aclose(self) -> None:
        """Closes what is its own, and what it shared with others if they have left."""
        await self.parts.aclose()


def create_app(settings: Settings, before: Application | None = None) -> Application:
    """The gateway's application. Raises ``SettingsError`` where the settings cannot be used; reaches no site yet.

    ``before``: the application whose place it is to take (``take_over``): what both need and is the same, they share.
    """
    settings.check_exposure()
    parts = Parts.of(settings, before.parts if before is not None else None)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        try:
            async with app.serving():
                yield
        finally:
            await app.aclose()

    app = Application(
        routes=list(with_both_spellings(_routes(parts))),
        middleware=[
            Middleware(BehindProxy, trusted_proxies=settings.server.trusted_proxies, root_path=settings.server.root_path),
            Middleware(RecordingMiddleware, recorder=parts.recorder),
            Middleware(HostCheck, allowed_hosts=_hosts(settings)),
            Middleware(CompressionMiddleware, compresses=settings.server.compression),
        ],
        lifespan=lifespan,
    )
    app.parts = parts
    app.grpc, app.grpc_face = _grpc(parts, before.grpc if before is not None else None)
    app.router.routes += with_both_spellings(_health(app))
    # behind a proxy that ends TLS, a redirect would have a caller repeat the request, and its token, in clear
    app.router.redirect_slashes = False
    if before is None:
        parts.begin_telling()
    return app


def _grpc(parts: Parts, running: GrpcServer | None) -> tuple[GrpcServer | None, GrpcFace | None]:
    settings = parts.settings
    if settings.grpc.port is None:
        return running, None
    from ccgateway.surfaces.grpc.server import GrpcFace, GrpcServer  # a large library, which most gateways do without

    face = GrpcFace(
        parts.gateway, parts.callers, parts.traffic, settings.grpc, settings.limits,
        exports=parts.exports, recorder=parts.recorder,
    )  # fmt: skip
    return running or GrpcServer(face), face


def _hosts(settings: Settings) -> frozenset[str] | None:
    """The ``Host`` headers that are served, ``None`` for all: a page of anybody's must not reach a gateway that asks nobody who
    they are."""
    asks_for_tokens = settings.authenticates and not settings.caller.anonymous
    is_private = settings.server.is_loopback() and settings.server.unix_socket is None and not asks_for_tokens
    return LOOPBACK_HOSTS | {settings.server.host.strip("[]")} if is_private else None


def _routes(parts: Parts) -> list[BaseRoute]:
    settings, gateway, traffic, caller = parts.settings, parts.gateway, parts.traffic, caller_of(parts.callers)
    return [
        *graphql_routes(
            gateway,
            caller_of(parts.callers, parts.signing_in.principal),
            settings.limits,
            graphiql=settings.server.graphiql,
            origins=settings.server.cors_origins,
            traffic=traffic,
        ),
        *rest_routes(
            gateway,
            caller,
            settings.limits,
            partial=settings.rest.partial,
            origins=settings.server.cors_origins,
            traffic=traffic,
            beside={"/export": export_table()},
        ),
        export_routes(
            gateway,
            caller,
            settings.limits,
            parts.exports,
            settings.export,
            partial=settings.rest.partial,
            origins=settings.server.cors_origins,
            traffic=traffic,
        ),
        *parts.signing_in.routes(),
        *(portal_routes() if settings.portal.enabled else ()),
    ]


def _health(app: Application) -> list[Route]:
    async def live(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "live"}, headers=NO_STORE)

    async def ready(_request: Request) -> JSONResponse:
        if app.is_draining:
            return JSONResponse({"status": "stopping"}, 503, NO_STORE)
        troubles = [{"part": one.part, "reason": one.reason, "since": int(one.since)} for one in app.gateway.troubles()]
        content = {"status": "degraded", "degraded": troubles} if troubles else {"status": "ready"}
        return JSONResponse(content, headers=NO_STORE)

    return [Route("/health/live", live), Route("/health/ready", ready)]
