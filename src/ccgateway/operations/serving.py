"""Running the application: a socket of our own, uvicorn on httptools and uvloop, and an end without noise."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from errno import EADDRINUSE
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from ccgateway.errors import SettingsError
from ccgateway.operations.memory import calm_collector, keep_freed_memory
from ccgateway.operations.stopping import GRACE, Stoppable
from ccgateway.settings import ServerSettings, Settings

__all__ = [
    "GatewayServer", "bind", "quiet_server", "quiet_signals", "refuse_without_sites", "reserved", "run", "server_config",
    "server_for", "url_of",
]  # fmt: skip

#: seconds that an unused connection stays open: longer than the callers' pools keep theirs, so that they close first
KEEP_ALIVE = 75
#: seconds after which a worker that gives no sign of life is replaced
HANGING = 30
#: connections of each process at any one time: with those to the sites they stay below the 1024 open files that it usually may
#: have
MOST_CONNECTIONS = 512

EXAMPLE = """\
[sites.aurora]
number = 1
url = "https://cc.aurora.example.org"
token_file = "secrets/aurora.jwt"
"""


def refuse_without_sites(settings: Settings) -> None:
    """Raises ``SettingsError`` where no site is configured: there would be nothing to serve."""
    if not settings.sites:
        remedy = f"Add one to ccgateway.toml (or name another file with --config), such as\n\n{EXAMPLE}"
        raise SettingsError("sites", "no site is configured", remedy)


def bind(server: ServerSettings) -> socket.socket:
    """A socket that listens where the settings say. Raises ``SettingsError`` if that cannot be had."""
    host = server.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except socket.gaierror:
        raise SettingsError("server.host", f"{host} is not an address of this machine", "Use 127.0.0.1 or ::1.") from None
    except OSError as error:
        if error.errno == EADDRINUSE:
            remedy = "Stop what listens there, or choose another with --port (0 picks a free one)."
            raise SettingsError("server.port", f"{server.port} is in use on {host}", remedy) from None
        problem = f"cannot listen on {host}, port {server.port} ({error.strerror})"
        raise SettingsError("server.host", problem, "Choose an address of this machine and a port you may use.") from None


@contextmanager
def reserved(settings: Settings) -> Iterator[Settings]:
    """The settings with the port that gRPC listens on, kept for this gateway while its processes come and go: nobody else gets
    it, and they share it. Raises ``SettingsError`` if it cannot be had."""
    grpc = settings.grpc
    if grpc.port is None:
        yield settings
        return
    host = grpc.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, grpc.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        if grpc.port:
            # whoever listens there might share it with anybody of the same user: free is what nobody shares
            socket.create_server(address[:2], family=family).close()
        holder = socket.socket(family)
    except socket.gaierror:
        raise SettingsError("grpc.host", f"{host} is not an address of this machine", "Use 127.0.0.1 or ::1.") from None
    except OSError as error:
        if error.errno == EADDRINUSE:
            remedy = "Stop what listens there, or choose another port (0 picks a free one)."
            raise SettingsError("grpc.port", f"{grpc.port} is in use on {host}", remedy) from None
        problem = f"cannot listen on {host}, port {grpc.port} ({error.strerror})"
        raise SettingsError("grpc.host", problem, "Choose an address of this machine and a port you may use.") from None
    with holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address[:2])
        port = holder.getsockname()[1]
        yield settings.model_copy(update={"grpc": grpc.model_copy(update={"port": port})})


def url_of(listener: socket.socket) -> str:
    """The address of a listening socket as a browser on this machine takes it."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class GatewayServer(uvicorn.Server):
    """uvicorn that says when it listens."""

    def __init__(self, config: uvicorn.Config, when_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_listening = when_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; then calls ``when_listening``."""
        keep_freed_memory()
        await super().startup(sockets)
        if self.started:
            calm_collector()
            self._when_listening()


def server_for(app: ASGIApp, *, when_listening: Callable[[], None] = lambda: None) -> GatewayServer:
    """The HTTP server for ``app``."""
    quiet_server()
    return GatewayServer(server_config(Stoppable(app)), when_listening)


def quiet_server() -> None:
    """uvicorn logs nothing in this process but trouble."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def server_config(app: ASGIApp | Callable[[], ASGIApp], *, workers: int | None = None) -> uvicorn.Config:
    """How the gateway is served: says nothing about itself, trusts no proxy's headers, bounds what it takes in.

    ``app``: the application, or, for ``workers``, what makes it in each of them.
    """
    return uvicorn.Config(
        app,
        factory=workers is not None,
        workers=workers,
        timeout_worker_healthcheck=HANGING,
        loop="auto",
        http=_protocol(),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # the gateway's own says more (telemetry/access.py)
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=KEEP_ALIVE,
        h11_max_incomplete_event_size=64 << 10,
    )


@contextmanager
def quiet_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the process with status 0 and without a traceback, whenever they come."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs ``work`` on the event loop that uvicorn would choose."""
    factory = uvicorn.Config("", loop="auto").get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


def _protocol() -> Any:
    try:
        from ccgateway.operations.bounded import BoundedHttp
    except ModuleNotFoundError:
        return "h11"  # no httptools here; h11 bounds the head itself
    return BoundedHttp
