"""Running the application: uvicorn on httptools and uvloop, and an end in stages and without noise."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp

from ccgateway.errors import SettingsError
from ccgateway.operations.freed_memory import calm_collector, keep_freed_memory
from ccgateway.operations.stopping import WRITES_MARGIN, Stage, Stoppable, Stops, next_stage
from ccgateway.settings import Settings
from ccgateway.traffic.fair_loop import FairLoop

__all__ = [
    "GatewayServer", "quiet_server", "quiet_signals", "refuse_without_sites", "run", "server_for", "stop_signals",
]  # fmt: skip

T = TypeVar("T")

log = logging.getLogger("ccgateway.server")

#: threads of which half may look up names at the same time
LOOKUP_THREADS = "32"
#: seconds that an unused connection stays open: longer than the callers' pools keep theirs, so that they close first
KEEP_ALIVE = 75
#: seconds that requests which were cancelled get to say so
LAST_WORDS = 1.0
#: seconds that connections without any request yet stay open when nobody is let in any more
FIRST_WORDS = 0.5
#: connections of each process at any one time
MOST_CONNECTIONS = 512
#: files that a process may have open, where the system lets it: beside these connections there are those of gRPC and to the
#: sites, and those that have not begun with TLS are not counted
OPEN_FILES = 16384

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


class GatewayServer(uvicorn.Server):
    """uvicorn that says when it listens, and that ends in stages (``Stage``): each signal that stops it brings the next.

    Args:
        config: How it is served.
        application: What answers.
        drain: Seconds of the stage ``DRAINING``; Ctrl-C leaves it out.
        grace: Seconds of the stage ``ENDING`` at most.
        when_listening: Called once it listens.
        when_stopping: Called when the end begins.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        application: Stoppable,
        *,
        drain: float,
        grace: float,
        when_listening: Callable[[], None],
        when_stopping: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._application, self._drain, self._grace = application, drain, grace
        self._when_listening, self._when_stopping = when_listening, when_stopping
        self._hurried = asyncio.Event()
        self.stage = Stage.SERVING

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; then calls ``when_listening``."""
        keep_freed_memory()
        _let_open(OPEN_FILES)
        await super().startup(sockets)
        if self.started:
            calm_collector()
            self._when_listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """In the main thread, signals that stop the process bring the next stage."""
        with stop_signals(self.next_stage):
            yield

    def next_stage(self, number: int) -> None:
        """See ``stopping.next_stage``. Belongs to the event loop."""
        self.advance(next_stage(self.stage, number))

    def advance(self, stage: Stage) -> None:
        """To that stage, unless it has come so far already. Belongs to the event loop."""
        if stage <= self.stage:
            return
        if self.stage is Stage.SERVING:
            self._when_stopping()
        self.stage = stage
        if stage is Stage.DRAINING:
            self._application.drain()
            asyncio.get_running_loop().call_later(self._drain, self.advance, Stage.ENDING)
            return
        self._application.stop(max(0.0, self._grace - WRITES_MARGIN))
        self.should_exit = True
        if stage is Stage.HURRIED:
            self._hurried.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets nobody in any more; waits for what is under way, then cancels it."""
        last = [connection for listener in sockets or [] for connection in _waiting(listener)]
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        async with asyncio.TaskGroup() as group:
            for connection in last:
                group.create_task(self._let_in(connection), name="let in at last")
        for heard in self.server_state.connections - self._unheard():
            heard.shutdown()
        await self._hear_out()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                while (self.server_state.tasks or self._is_sending()) and not self._hurried.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        if tasks := list(self.server_state.tasks):
            log.warning("%d requests were still under way and were ended", len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=LAST_WORDS)
        await self.lifespan.shutdown()

    async def _let_in(self, connection: socket.socket) -> None:
        loop, tls = asyncio.get_running_loop(), self.config.ssl
        limit = FIRST_WORDS if tls is not None else None
        with suppress(OSError):  # it has left, or does not speak TLS
            await loop.connect_accepted_socket(self._protocol, connection, ssl=tls, ssl_handshake_timeout=limit)

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return protocol

    async def _hear_out(self) -> None:
        """Who has opened a connection has most likely sent a request with it, and cannot know that it came too late."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORDS):
                while self._unheard() and not self._hurried.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        for connection in self._unheard():
            connection.shutdown()

    def _unheard(self) -> set[Any]:
        return {one for one in self.server_state.connections if getattr(one, "cycle", None) is None}

    def _is_sending(self) -> bool:
        """Whether a connection has something to answer or to send; by TLS one can be closed, and wait for its client's word."""
        transports = [connection.transport for connection in self.server_state.connections]
        return any(not one.is_closing() or one.get_write_buffer_size() > 0 for one in transports)


def _let_open(files: int) -> None:
    """Raises how many files this process may have open to that many, or to as many as its system lets it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = files if hard == resource.RLIM_INFINITY else min(files, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _waiting(listener: socket.socket) -> list[socket.socket]:
    """The connections that the system has accepted, and would reset with the closing of ``listener``."""
    found: list[socket.socket] = []
    with suppress(OSError):
        while len(found) < MOST_CONNECTIONS:
            connection, _ = listener.accept()
            connection.settimeout(0)
            found.append(connection)
    return found


@contextmanager
def stop_signals(act: Callable[[int], None]) -> Iterator[None]:
    """For the length of the block, ``act`` is called in the event loop on Ctrl-C and SIGTERM, unless they are ignored; in the
    main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, both = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    numbers = [number for number in both if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        loop.add_signal_handler(number, act, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def server_for(
    app: Stops,
    settings: Settings,
    *,
    tls: ssl.SSLContext | None = None,
    when_listening: Callable[[], None] = lambda: None,
    when_stopping: Callable[[], None] = lambda: None,
    kind: type[GatewayServer] = GatewayServer,
) -> GatewayServer:
    """The HTTP server for ``app``. ``tls``: what speaks TLS to callers."""
    quiet_server()
    application = Stoppable(app)
    config = server_config(application)
    config.load()
    config.ssl = tls
    return kind(
        config,
        application,
        drain=settings.server.drain,
        grace=settings.grace,
        when_listening=when_listening,
        when_stopping=when_stopping,
    )


def quiet_server() -> None:
    """uvicorn logs nothing in this process but trouble."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def server_config(app: ASGIApp) -> uvicorn.Config:
    """How the gateway is served: says nothing about itself, bounds what it takes in."""
    return uvicorn.Config(
        app,
        loop="ccgateway.traffic.fair_loop:FairLoop",
        http=_protocol(),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # the gateway's own says more (telemetry/access_log.py)
        proxy_headers=False,  # the application's own business: settings can change
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
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


def run(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` comes to, on the event loop that the gateway is served on."""
    # names are looked up by libuv's threads, half of them at a time: two names whose servers are silent would keep all other
    # sites from being connected to, also those named by their addresses
    os.environ.setdefault("UV_THREADPOOL_SIZE", LOOKUP_THREADS)
    with asyncio.Runner(loop_factory=FairLoop) as runner:
        return runner.run(work)


def _protocol() -> Any:
    try:
        from ccgateway.operations.bounded import BoundedHttp
    except ModuleNotFoundError:
        return "h11"  # no httptools here; h11 bounds the head itself
    return BoundedHttp
