"""The gRPC server: a port of its own beside HTTP's, in the same process and event loop, with the standard health service and
reflection."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from ccgateway.errors import SettingsError
from ccgateway.federation.gateway import Gateway
from ccgateway.identity.callers import Callers
from ccgateway.settings import GrpcSettings, LimitSettings
from ccgateway.settings.tls import KeyPair
from ccgateway.surfaces.export.streams import Streams
from ccgateway.surfaces.grpc.bystanders import MOST_STREAMS, Health, Reflection
from ccgateway.surfaces.grpc.calls import Calls
from ccgateway.surfaces.grpc.methods import SERVICES, handlers_for
from ccgateway.telemetry import Observer
from ccgateway.telemetry.recorder import Recorder
from ccgateway.traffic.admission import Traffic

__all__ = ["GrpcFace", "GrpcServer"]

log = logging.getLogger(__name__)

#: seconds that calls which were ended get to tell their clients
LAST_WORDS = 1.0
#: connections of each process at any one time; milliseconds that one has to begin with HTTP/2 (and TLS), and that it may be
#: without a call: its client opens another with the next
MOST_CONNECTIONS, HANDSHAKE_WITHIN, IDLE_FOR = 512, 10_000, 300_000
#: streams that one connection may have open: beyond, its client waits
STREAMS_OF_CONNECTION = 1000
#: bytes of the metadata of a request, as of the head of one by HTTP
METADATA_BYTES = 64 << 10
#: fields of a request for each unit of what it may cost: each of the items that are counted there has a few
FIELDS_PER_COST = 4
#: milliseconds between a client's own pings that are taken for a flood if they come faster
PINGS_EVERY = 10_000


class GrpcFace:
    """What answers the calls of one application: ``calls`` are those under way; ``exports``: those of the process. Raises
    ``SettingsError`` for TLS files that cannot be used."""

    def __init__(
        self, gateway: Gateway, callers: Callers, traffic: Traffic, settings: GrpcSettings, limits: LimitSettings,
        *, exports: Streams, recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.limits = settings, limits
        most_fields = FIELDS_PER_COST * limits.query_cost
        self.calls = Calls(callers, traffic, settings, limits.body_bytes, most_fields, recorder or Recorder(Observer()))
        self.handlers = tuple(handlers_for(self.calls, gateway, exports, limits))
        self.tls = settings.read_tls()


class _Switch(grpc.GenericRpcHandler):
    """Gives each call to the face that answers when it comes."""

    def __init__(self, face: GrpcFace) -> None:
        self.face = face

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The method's handler; ``None`` for a method of somebody else's."""
        found = (handler.service(details) for handler in self.face.handlers)
        return next((handler for handler in found if handler is not None), None)


class GrpcServer:
    """The server, which ``face`` answers for, until another takes its place (``switch``). ``port``: the one it listens on, once
    it is started.

    ``start`` and ``aclose`` belong to the event loop that the gateway runs in; ``stop`` only begins the end.
    """

    def __init__(self, face: GrpcFace) -> None:
        self._settings, self._limits = face.settings, face.limits
        self._switch, self._faces = _Switch(face), [face]
        self._server: grpc.aio.Server | None = None
        self._health = Health()
        self._draining: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self.port: int | None = None

    @property
    def calls(self) -> Calls:
        """The calls of the face that answers now."""
        return self._switch.face.calls

    async def start(self) -> None:
        """Listens. Raises ``SettingsError`` where that cannot be had."""
        most = 2 * (self._settings.calls + MOST_STREAMS)
        server = grpc.aio.server(options=self._options(), maximum_concurrent_rpcs=most)
        server.add_generic_rpc_handlers((self._switch,))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [service.full_name for service in SERVICES]
        if self._settings.reflection:
            told = Reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME))
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(told, server)  # type: ignore[no-untyped-call]
        host = self._settings.host.strip("[]")
        address = f"[{host}]:{self._settings.port}" if ":" in host else f"{host}:{self._settings.port}"
        tls = self._switch.face.tls
        try:
            if tls is None:
                self.port = server.add_insecure_port(address)
            else:
                self.port = server.add_secure_port(address, self._credentials(tls))
        except RuntimeError:
            problem = f"cannot listen on {host}, port {self._settings.port}"
            remedy = "Choose an address of this machine and a free port; with TLS, a key that belongs to its certificate."
            raise SettingsError("grpc.port", problem, remedy) from None
        await server.start()
        self._server = server
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def _credentials(self, tls: KeyPair) -> grpc.ServerCredentials:
        """Shows each new connection the certificate of the face that answers then."""
        shown = tls

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal shown
            found = self._switch.face.tls
            if found is None or found == shown:
                return None
            shown = found
            return grpc.ssl_server_certificate_configuration([(found.key, found.certificate)])

        # None, for no change, is documented, but not typed
        return grpc.dynamic_ssl_server_credentials(
            grpc.ssl_server_certificate_configuration([(tls.key, tls.certificate)]),
            renewed,  # type: ignore[arg-type]
        )

    def switch(self, face: GrpcFace) -> None:
        """New calls are answered by ``face``; those under way end where they began."""
        self._faces = [one for one in self._faces if one.calls.running or one is self._switch.face] + [face]
        self._switch.face = face

    def drain(self) -> None:
        """Says that it is not serving any more, and answers all the same."""
        if self._draining is None and self._server is not None:
            self._draining = asyncio.get_running_loop().create_task(self._health.enter_graceful_shutdown(), name="drain gRPC")

    def stop(self) -> None:
        """Lets what is under way end within ``grpc.drain``."""
        self.drain()
        if self._stopping is None and self._server is not None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop(self._server), name="stop gRPC")

    async def aclose(self) -> None:
        """Returns once everything has ended."""
        self.stop()
        if self._stopping is not None:
            await self._stopping

    async def _stop(self, server: grpc.aio.Server) -> None:
        if self._draining is not None:
            await self._draining
        await asyncio.gather(*(face.calls.drain(self._settings.drain) for face in self._faces))
        await server.stop(LAST_WORDS)

    def _options(self) -> list[tuple[str, int]]:
        settings = self._settings
        return [
            ("grpc.so_reuseport", 1),  # workers share the port
            # bounded by the half where it is read, in words that say by what
            ("grpc.max_receive_message_length", 2 * self._limits.body_bytes),
            ("grpc.max_send_message_length", -1),  # bounded where it is made
            ("grpc.max_concurrent_streams", STREAMS_OF_CONNECTION),
            ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_WITHIN),
            ("grpc.max_connection_idle_ms", IDLE_FOR),
            ("grpc.max_metadata_size", METADATA_BYTES),
            ("grpc.keepalive_time_ms", int(settings.keep_alive * 1000)),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", PINGS_EVERY),
        ]
