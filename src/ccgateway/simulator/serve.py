"""Simulated sites on real sockets.

:func:`serve` runs any number of sites inside the current event loop::

    async with serve(aurora, borealis) as running:
        running["aurora"].url

:func:`serve_in_thread` does the same for synchronous code, :class:`SimulatorProcess` in another process. A site can be
stopped and started again on its port (:meth:`Address.stop`, :meth:`Address.start`).
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self

from uvicorn.config import Config
from uvicorn.server import ServerState

from ccgateway.simulator.site import SimulatedSite
from ccgateway.simulator.wire import watched_protocol

__all__ = ["Address", "SimulatorProcess", "serve", "serve_in_thread"]

_GRACE = 0.5  # seconds for requests in progress when a site stops
_LOOK = 0.02  # seconds between two looks at whether they ended
_HOST = "127.0.0.1"


class Address:
    """One site on one port of *host*."""

    def __init__(self, site: SimulatedSite, port: int = 0, host: str = _HOST) -> None:
        self.site = site
        self.host = host
        self.port = port  #: 0 until first started, unless chosen
        self.down = asyncio.Event()  #: set while it is stopped after having been up
        self._server: asyncio.Server | None = None
        self._state = ServerState()

    def __repr__(self) -> str:
        return f"Address({self.site.name!r}, {self.url!r}, {'up' if self.up else 'down'})"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def up(self) -> bool:
        return self._server is not None

    async def start(self) -> None:
        """Listen, on the same port as before."""
        if self._server is not None:
            return
        # the protocol must be named: asyncio sets TCP_NODELAY only on sockets that say they are TCP
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        self.port = listener.getsockname()[1]
        config = Config(
            self.site.app,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            date_header=False,
            server_header=False,
            ws="none",
            timeout_keep_alive=75,
            reset_contextvars=False,
        )
        config.load()
        self.site.unplug = self.stop
        self.down.clear()
        protocol: Any = watched_protocol(self.site.traffic)
        state = self._state = ServerState()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: protocol(config=config, server_state=state, app_state={}, _loop=loop), sock=listener, backlog=2048
        )

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Refuse connections for the length of the block."""
        await self.stop()
        try:
            yield
        finally:
            await self.start()

    async def stop(self) -> None:
        """Stop listening; let requests in progress finish if they are quick, cut off the rest."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in list(self._state.connections):
            connection.shutdown()  # closes what is idle
        if not await self._quiet(_GRACE):
            for connection in list(self._state.connections):
                connection.transport.abort()
            if not await self._quiet(_GRACE):
                for task in list(self._state.tasks):
                    task.cancel()
                await self._quiet(_GRACE)
        self.down.set()

    async def _quiet(self, seconds: float) -> bool:
        """Whether all connections and requests end within *seconds*, of which those do not count in which nothing could run."""
        for _ in range(int(seconds / _LOOK)):
            if not (self._state.connections or self._state.tasks):
                return True
            await asyncio.sleep(_LOOK)
        return False


@asynccontextmanager
async def serve(
    *sites: SimulatedSite, ports: Mapping[str, int] | None = None, host: str = _HOST
) -> AsyncIterator[dict[str, Address]]:
    """Run *sites* in this event loop; *ports* fixes some by the site's name, *host* is the IPv4 address that they listen on."""
    running = {site.name: Address(site, (ports or {}).get(site.name, 0), host) for site in sites}
    if len(running) != len(sites):
        raise ValueError("two sites have the same name")
    try:
        for address in running.values():
            await address.start()
        yield running
    finally:
        await asyncio.gather(*(address.stop() for address in running.values()))


@contextmanager
def serve_in_thread(*sites: SimulatedSite, ports: Mapping[str, int] | None = None) -> Iterator[dict[str, Address]]:
    """Run *sites* in an event loop of a thread of their own."""
    ready = threading.Event()
    started: list[tuple[dict[str, Address], asyncio.AbstractEventLoop, asyncio.Event]] = []
    failed: list[BaseException] = []

    async def main() -> None:
        stop = asyncio.Event()
        async with serve(*sites, ports=ports) as running:
            started.append((running, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except (OSError, ValueError) as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="simulator", daemon=True)
    thread.start()
    ready.wait()
    if failed:
        raise failed[0]
    running, loop, stop = started[0]
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


class SimulatorProcess:
    """``python -m ccgateway.simulator`` with these arguments; ``url`` and ``tokens`` once it is up.

    It ends with the block, and with the process that started it.
    """

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.url = ""
        self.tokens: dict[str, str] = {}
        self.description: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "ccgateway.simulator", "--while-stdin-is-open", *self.arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)  # noqa: S603
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            code = self._process.wait()
            raise RuntimeError(f"the simulator ended with {code} before it was up")
        self.description = json.loads(line)
        self.url = self.description["url"]
        self.tokens = self.description["tokens"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.communicate()  # closes its standard input, which ends it
            self._process = None
