"""What an application is made of, from one set of settings, and what of it goes on with the next.

What both need and is the same is one thing for both, until whoever leaves last closes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ccgateway.cache.facade import open_redis
from ccgateway.cache.samples import redis_samples
from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import SettingsError
from ccgateway.federation.audit import AuditFile, audit_to_file, close_audit_file
from ccgateway.federation.gateway import Gateway
from ccgateway.identity.callers import Callers
from ccgateway.settings import CacheSettings, LimitSettings, Settings
from ccgateway.sharing import Shared
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.credentials.keyring import Keyring
from ccgateway.site.registry import Registry
from ccgateway.site.watching import SiteWatch
from ccgateway.surfaces.export.streams import Streams
from ccgateway.surfaces.portal.sessions import own_key
from ccgateway.surfaces.portal.signing_in import SigningIn
from ccgateway.telemetry import Observer, Troubles
from ccgateway.telemetry.meter import Meter, Source
from ccgateway.telemetry.recorder import Recorder
from ccgateway.telemetry.tracing import Tracer, open_tracer
from ccgateway.traffic.admission import Traffic

if TYPE_CHECKING:
    from ccgateway.cache.connection import RedisConnection

__all__ = ["Parts"]

#: bytes of places of pages and of provisional ids that a process keeps: some ten thousand; and of settings of front ends
NOTES_BYTES = 4 << 20
#: bytes of sessions that were signed out of
ENDED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept from one set of settings to the next, as long as they mean the same Redis and the same memory."""

    settings: CacheSettings
    redis_url: SecretStr | None
    redis: RedisConnection | None
    responses: ResponseCache
    once: TtlStore
    notes: TtlStore
    configurations: TtlStore
    ended_sessions: TtlStore
    outage_hints: TtlStore | None

    @classmethod
    def of(cls, settings: CacheSettings, observer: Observer) -> Stores:
        redis = open_redis(settings, observer)
        return cls(
            settings,
            settings.read_redis_url(),
            redis,
            ResponseCache.of(settings, redis),
            TtlStore("once", redis),
            TtlStore("note", redis, most_bytes=NOTES_BYTES),
            TtlStore("configuration", redis, most_bytes=NOTES_BYTES),
            TtlStore("session", redis, most_bytes=ENDED_BYTES),
            TtlStore("down", redis) if redis is not None else None,
        )

    def fit(self, settings: CacheSettings) -> bool:
        return self.settings == settings and self.redis_url == settings.read_redis_url()

    def sources(self) -> list[Source]:
        found: list[Source] = [self.responses.cache.samples]
        return found if self.redis is None else [*found, partial(redis_samples, self.redis)]


@dataclass(frozen=True, slots=True)
class Parts:
    """All of it, but for the web framework and gRPC. ``session_key``: of the portal's sessions, where the settings name none."""

    settings: Settings
    troubles: Troubles
    meter: Meter
    tracer: Tracer | None
    watch: SiteWatch
    callers: Callers
    traffic: Traffic
    keyring: Keyring
    stores: Stores
    registry: Registry
    audit_file: Shared[AuditFile] | None
    gateway: Gateway
    exports: Streams
    session_key: bytes
    signing_in: SigningIn
    recorder: Recorder

    @classmethod
    def of(cls, settings: Settings, before: Parts | None) -> Parts:
        """Raises ``SettingsError`` where the settings cannot be used; reaches nothing yet."""
        troubles = before.troubles if before is not None else Troubles()
        meter = before.meter if before is not None else Meter()
        callers = Callers(settings)
        keyring = Keyring(settings, before.keyring if before is not None else None)
        are_kept = before is not None and before.stores.fit(settings.cache)
        stores = before.stores if before is not None and are_kept else Stores.of(settings.cache, meter)
        # what may be refused comes before anything is held in common with what goes on if it is
        session_key = before.session_key if before is not None else own_key()
        signing_in = SigningIn(settings, callers, stores.ended_sessions, session_key)
        audit_file = _audit_file(settings, troubles, before)
        tracer = open_tracer(settings.traces.endpoint, settings.traces.share)
        registry = Registry(
            settings.sites.values(),
            meter,
            keyring=keyring,
            responses=stores.responses,
            before=before.registry if before is not None else None,
            hints=stores.outage_hints,
        )
        if before is None and keyring.unreadable and len(keyring.unreadable) == len(settings.sites):
            raise next(iter(keyring.unreadable.values()))  # there would be nothing to serve
        gateway = Gateway(
            registry,
            settings.limits,
            writes=settings.writes,
            idempotency_store=stores.once,
            ttl_store=stores.notes,
            configuration_store=stores.configurations,
            troubles=troubles,
            audit_file=audit_file.value if audit_file is not None else None,
            observer=meter,
        )
        if are_kept:
            stores.responses.hold()
        if audit_file is not None:
            audit_file.hold()
        return cls(
            settings,
            troubles,
            meter,
            tracer,
            before.watch if before is not None else SiteWatch(registry.told),
            callers,
            _traffic(settings.limits, before),
            keyring,
            stores,
            registry,
            audit_file,
            gateway,
            before.exports
            if before is not None and before.settings.export == settings.export
            else Streams(settings.export, meter),
            session_key,
            signing_in,
            Recorder(meter, access=settings.log.access, tracer=tracer),
        )

    def begin_telling(self, before: Mapping[str, SettingsError] | None = None) -> None:
        """What is told is of these parts from now on. ``before``: the sites that could not be read by then."""
        self.meter.tracer = self.tracer
        sources = [self.registry.samples, self.traffic.overload.samples, *self.stores.sources()]
        self.meter.follow(self.settings.sites, sources)
        self.watch.follow(self.registry.told)
        unreadable = self.keyring.unreadable
        for name in (before or {}).keys() - unreadable.keys():
            self.troubles.mended(_part(name))
        for name, error in unreadable.items():
            self.troubles.note(_part(name), f"it is not asked (NO_CREDENTIAL): {error.key}: {error.problem}. {error.remedy}")

    async def aclose(self) -> None:
        """Closes what is its own, and what it shared with others if they have left."""
        await self.signing_in.aclose()
        await self.callers.aclose()
        await self.gateway.aclose()
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)
        if self.audit_file is not None:
            await self.audit_file.leave()


def _audit_file(settings: Settings, troubles: Troubles, before: Parts | None) -> Shared[AuditFile] | None:
    path = settings.writes.audit_file
    if path is None:
        return None
    if before is not None and before.settings.writes.audit_file == path:
        return before.audit_file
    file = audit_to_file(path, troubles)

    async def close() -> None:
        close_audit_file(file)

    return Shared(file, close)


def _traffic(limits: LimitSettings, before: Parts | None) -> Traffic:
    if before is None:
        return Traffic(limits)
    return before.traffic if before.settings.limits == limits else Traffic(limits, before.traffic.overload)


def _part(site: str) -> str:
    return f"site {site}"
