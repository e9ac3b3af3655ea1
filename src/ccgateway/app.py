"""The one place where everything is wired: settings in, ASGI application out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ccgateway.cache.facade import open_redis
from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import SettingsError
from ccgateway.federation.audit import AuditFile, audit_to_file, close_audit_file
from ccgateway.federation.gateway import Gateway
from ccgateway.identity.callers import Callers
from ccgateway.loopwatch import watched_loop
from ccgateway.settings import CacheSettings, LimitSettings, Settings
from ccgateway.sharing import Shared
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.credentials.keyring import Keyring
from ccgateway.site.registry import Registry
from ccgateway.surfaces.callers import caller_of
from ccgateway.surfaces.compression import CompressionMiddleware
from ccgateway.surfaces.graphql.endpoint import graphql_routes
from ccgateway.surfaces.hosts import LOOPBACK_HOSTS, HostCheck
from ccgateway.surfaces.proxies import BehindProxy
from ccgateway.surfaces.rest.routes import rest_routes
from ccgateway.surfaces.spellings import with_both_spellings
from ccgateway.telemetry import Troubles
from ccgateway.traffic.admission import Traffic

if TYPE_CHECKING:
    from ccgateway.surfaces.grpc.server import GrpcFace, GrpcServer

__all__ = ["Application", "create_app"]

#: bytes of places of pages and of provisional ids that a process keeps: some ten thousand; and of settings of front ends
NOTES_BYTES = 4 << 20
#: seconds in which a call that was given to an application by gRPC has begun there
HANDED_OVER = 1.0


class Application(Starlette):
    """The gateway as an ASGI application, for one set of ``settings``; ``create_app`` fills it.

    ``grpc``: the server beside it, which one application starts and the next ones answer for; ``grpc_face``: what answers there.
    Both ``None`` if the settings want none. ``unreadable``: the sites that are not asked, as their token or key cannot be read.
    """

    settings: Settings
    gateway: Gateway
    grpc: GrpcServer | None
    grpc_face: GrpcFace | None
    unreadable: Mapping[str, SettingsError]
    is_draining: bool = False
    _parts: _Parts

    def drain(self) -> None:
        """Not ready any more, but everything is answered."""
        self.is_draining = True
        if self.grpc is not None:
            self.grpc.drain()

    def stop(self, seconds: float) -> None:
        """Nothing new is begun; answers that are under way are waited for so many seconds."""
        self.is_draining = True
        self.gateway.stop(seconds)
        if self.grpc is not None:
            self.grpc.stop()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """For the length of the block the server beside it runs, and the event loop is watched."""
        try:
            with watched_loop():
                if self.grpc is not None:
                    await self.grpc.start()
                yield
        finally:
            if self.grpc is not None:
                await self.grpc.aclose()

    async def take_over(self, before: Application) -> None:
        """Answers in the place of ``before``, which only ends what it has begun."""
        if self.grpc is not None and self.grpc_face is not None:
            self.grpc.switch(self.grpc_face)
        for name in self.unreadable.keys() | before.unreadable.keys():
            if name not in self.unreadable:
                self._parts.troubles.mended(_part(name))
        _tell_unreadable(self.unreadable, self._parts.troubles)
        await before._parts.registry.give_way(self._parts.registry)

    async def calls_ended(self) -> None:
        """Returns once no call by gRPC is under way here."""
        if self.grpc_face is not None:
            await asyncio.sleep(HANDED_OVER)
            await self.grpc_face.calls.finished()

    async def aclose(self) -> None:
        """Closes what is its own, and what it shared with others if they have left."""
        await self._parts.callers.aclose()
        await self.gateway.aclose()
        if self._parts.audit_file is not None:
            await self._parts.audit_file.leave()


@dataclass(frozen=True, slots=True)
class _Stores:
    """What is kept from one set of settings to the next, as long as they mean the same Redis and the same memory."""

    settings: CacheSettings
    redis_url: SecretStr | None
    responses: ResponseCache
    once: TtlStore
    notes: TtlStore
    configurations: TtlStore
    hints: TtlStore | None

    @classmethod
    def of(cls, settings: CacheSettings) -> _Stores:
        redis = open_redis(settings)
        return cls(
            settings,
            settings.read_redis_url(),
            ResponseCache.of(settings, redis),
            TtlStore("once", redis),
            TtlStore("note", redis, most_bytes=NOTES_BYTES),
            TtlStore("configuration", redis, most_bytes=NOTES_BYTES),
            TtlStore("down", redis) if redis is not None else None,
        )

    def fits(self, settings: CacheSettings) -> bool:
        return self.settings == settings and self.redis_url == settings.read_redis_url()


@dataclass(frozen=True, slots=True)
class _Parts:
    """What an application hands to the one that takes its place."""

    stores: _Stores
    keyring: Keyring
    registry: Registry
    callers: Callers
    traffic: Traffic
    limits: LimitSettings
    troubles: Troubles
    audit_path: Path | None
    audit_file: Shared[AuditFile] | None


def _audit_file(settings: Settings, troubles: Troubles, before: _Parts | None) -> Shared[AuditFile] | None:
    path = settings.writes.audit_file
    if path is None:
        return None
    if before is not None and before.audit_path == path:
        return before.audit_file
    file = audit_to_file(path, troubles)

    async def close() -> None:
        close_audit_file(file)

    return Shared(file, close)


def _part(site: str) -> str:
    return f"site {site}"


def _refuse_if_all(keyring: Keyring, settings: Settings) -> None:
    """Raises ``SettingsError`` where no site is left whose token or key can be read: there would be nothing to serve."""
    if keyring.unreadable and len(keyring.unreadable) == len(settings.sites):
        raise next(iter(keyring.unreadable.values()))


def _tell_unreadable(unreadable: Mapping[str, SettingsError], troubles: Troubles) -> None:
    for name, error in unreadable.items():
        troubles.note(_part(name), f"it is not asked (NO_CREDENTIAL): {error.key}: {error.problem}. {error.remedy}")


def create_app(settings: Settings, before: Application | None = None) -> Application:
    """The gateway's application. Raises ``SettingsError`` where the settings cannot be used; reaches no site yet.

    ``before``: the application whose place it is to take (``take_over``): what both need and is the same, they share.
    """
    settings.check_exposure()
    kept = before._parts if before is not None else None
    troubles = kept.troubles if kept is not None else Troubles()
    callers = Callers(settings)
    traffic = kept.traffic if kept is not None and kept.limits == settings.limits else Traffic(settings.limits)
    keyring = Keyring(settings, kept.keyring if kept is not None else None)
    is_kept = kept is not None and kept.stores.fits(settings.cache)
    stores = kept.stores if kept is not None and is_kept else _Stores.of(settings.cache)
    registry = Registry(
        settings.sites.values(),
        keyring=keyring,
        responses=stores.responses,
        before=kept.registry if kept is not None else None,
        hints=stores.hints,
    )
    _refuse_if_all(keyring, settings)
    if kept is None:
        _tell_unreadable(keyring.unreadable, troubles)
    audit_file = _audit_file(settings, troubles, kept)
    gateway = Gateway(
        registry,
        settings.limits,
        writes=settings.writes,
        idempotency_store=stores.once,
        ttl_store=stores.notes,
        configuration_store=stores.configurations,
        troubles=troubles,
        audit_file=audit_file.value if audit_file is not None else None,
    )
    grpc, face = before.grpc if before is not None else None, None
    if settings.grpc.port is not None:
        from ccgateway.surfaces.grpc.server import GrpcFace, GrpcServer  # a large library, which most gateways do without

        face = GrpcFace(gateway, callers, traffic, settings.grpc, settings.limits)
        grpc = grpc or GrpcServer(face)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        try:
            async with app.serving():
                yield
        finally:
            await app.aclose()

    async def live(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "live"}, headers={"Cache-Control": "no-store"})

    async def ready(_request: Request) -> JSONResponse:
        if app.is_draining:
            return JSONResponse({"status": "stopping"}, 503, {"Cache-Control": "no-store"})
        troubles = [{"part": one.part, "reason": one.reason, "since": int(one.since)} for one in gateway.troubles()]
        content = {"status": "degraded", "degraded": troubles} if troubles else {"status": "ready"}
        return JSONResponse(content, headers={"Cache-Control": "no-store"})

    asks_for_tokens = settings.authenticates and not settings.caller.anonymous
    is_private = settings.server.is_loopback() and settings.server.unix_socket is None and not asks_for_tokens
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
        Route("/health/ready", ready),
    ]
    app = Application(
        routes=list(with_both_spellings(routes)),
        middleware=[
            Middleware(BehindProxy, trusted_proxies=settings.server.trusted_proxies, root_path=settings.server.root_path),
            Middleware(HostCheck, allowed_hosts=allowed),
            Middleware(CompressionMiddleware, compresses=settings.server.compression),
        ],
        lifespan=lifespan,
    )
    app.settings, app.gateway, app.grpc, app.grpc_face, app.unreadable = settings, gateway, grpc, face, keyring.unreadable
    app._parts = _Parts(
        stores, keyring, registry, callers, traffic, settings.limits, troubles, settings.writes.audit_file, audit_file
    )
    if is_kept:
        stores.responses.hold()
    if audit_file is not None:
        audit_file.hold()
    # behind a proxy that ends TLS, a redirect would have a caller repeat the request, and its token, in clear
    app.router.redirect_slashes = False
    return app
