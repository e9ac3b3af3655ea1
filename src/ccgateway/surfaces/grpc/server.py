"""The gRPC server: a port of its own beside HTTP's, in the same process and event loop, with the standard health service and
reflection."""

from __future__ import annotations

import asyncio
import logging

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ccgateway.errors import SettingsError
from ccgateway.federation.gateway import Gateway
from ccgateway.identity.callers import Callers
from ccgateway.settings import GrpcSettings, LimitSettings
from ccgateway.surfaces.export.streams import Streams
from ccgateway.surfaces.grpc.calls import Calls
from ccgateway.surfaces.grpc.service import SERVICES, handlers_for
from ccgateway.traffic.admission import Traffic

__all__ = ["GrpcServer"]

log = logging.getLogger(__name__)

#: seconds that calls which were ended get to tell their clients
LAST_WORDS = 1.0
#: streams that one connection may have open: beyond, its client waits
STREAMS_OF_CONNECTION = 1000
#: bytes of the metadata of a request, as of the head of one by HTTP
METADATA_BYTES = 64 << 10
#: milliseconds between a client's own pings that are taken for a flood if they come faster
PINGS_EVERY = 10_000


class GrpcServer:
    """The server over ``gateway``. ``exports``: those of the process; ``port``: the one it listens on, once it is started.

    ``start`` and ``aclose`` belong to the event loop that the gateway runs in; ``stop`` only begins the end.
    """

    def __init__(
        self,
        gateway: Gateway,
        callers: Callers,
        traffic: Traffic,
        settings: GrpcSettings,
        limits: LimitSettings,
        *,
        exports: Streams,
    ) -> None:
        self._gateway, self._settings, self._limits, self._exports = gateway, settings, limits, exports
        self._calls = Calls(callers, traffic, settings, limits.body_bytes)
        self._tls = settings.read_tls()
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self._stopping: asyncio.Task[None] | None = None
        self.port: int | None = None

    @property
    def calls(self) -> Calls:
        """The calls that are under way."""
        return self._calls

    async def start(self) -> None:
        """Listens. Raises ``SettingsError`` where that cannot be had."""
        server = grpc.aio.server(options=self._options(), maximum_concurrent_rpcs=2 * self._settings.calls)
        server.add_generic_rpc_handlers(tuple(handlers_for(self._calls, self._gateway, self._exports, self._limits)))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [service.full_name for service in SERVICES]
        if self._settings.reflection:
            reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        host = self._settings.host.strip("[]")
        address = f"[{host}]:{self._settings.port}" if ":" in host else f"{host}:{self._settings.port}"
        try:
            if self._tls is None:
                self.port = server.add_insecure_port(address)
            else:
                self.port = server.add_secure_port(address, grpc.ssl_server_credentials([self._tls]))
        except RuntimeError:
            problem = f"cannot listen on {host}, port {self._settings.port}"
            remedy = "Choose an address of this machine and a free port; with TLS, a key that belongs to its certificate."
            raise SettingsError("grpc.port", problem, remedy) from None
        await server.start()
        self._server = server
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Says that it is not serving any more, and lets what is under way end within ``grpc.drain``."""
        if self._stopping is None and self._server is not None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop(self._server), name="stop gRPC")

    async def aclose(self) -> None:
        """Returns once everything has ended."""
        self.stop()
        if self._stopping is not None:
            await self._stopping

    async def _stop(self, server: grpc.aio.Server) -> None:
        await self._health.enter_graceful_shutdown()
        await self._calls.drain(self._settings.drain)
        await server.stop(LAST_WORDS)

    def _options(self) -> list[tuple[str, int]]:
        settings = self._settings
        return [
            ("grpc.so_reuseport", 1),  # workers share the port
            # bounded by the half where it is read, in words that say by what
            ("grpc.max_receive_message_length", 2 * self._limits.body_bytes),
            ("grpc.max_send_message_length", -1),  # bounded where it is made
            ("grpc.max_concurrent_streams", STREAMS_OF_CONNECTION),
            ("grpc.max_metadata_size", METADATA_BYTES),
            ("grpc.keepalive_time_ms", int(settings.keep_alive * 1000)),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", PINGS_EVERY),
        ]
