"""What the system has accepted and the gateway has not, when it stops listening."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ccgateway.operations.bounded import BoundedHttp
from ccgateway.operations.serving import GatewayServer
from ccgateway.operations.stopping import Stage, Stoppable
from ccgateway.traffic.overload import Overload
from support.loopback import self_signed

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Well:
    """Answers everybody."""

    def __init__(self) -> None:
        self.overload = Overload()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response("well")(scope, receive, send)

    def drain(self) -> None: ...

    def stop(self, seconds: float) -> None: ...


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[GatewayServer, socket.socket]]:
    application = Stoppable(Well())
    config = uvicorn.Config(application, http=BoundedHttp, log_config=None, lifespan="off")
    config.load()
    config.ssl = tls
    listener = socket.create_server(("127.0.0.1", 0))
    server = GatewayServer(config, application, drain=0, grace=5, when_listening=lambda: None, when_stopping=lambda: None)
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn tells in no other way
        await asyncio.sleep(0.01)
    try:
        yield server, listener
    finally:
        server.should_exit = True
        await task


async def test_who_waits_to_be_accepted_is_answered() -> None:
    async with listening() as (server, listener):
        with socket.create_connection(listener.getsockname()) as asking, socket.create_connection(listener.getsockname()) as mute:
            asking.sendall(REQUEST)  # the loop has not seen either yet
            begun = time.monotonic()
            server.advance(Stage.ENDING)
            await server.shutdown([listener])
            assert time.monotonic() - begun < 4.0
            answer, nothing = [await asyncio.to_thread(one.recv, 4096) for one in (asking, mute)]
    assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer.lower() and answer.endswith(b"well")
    assert nothing == b""


async def test_who_waits_to_be_accepted_and_does_not_speak_tls_holds_nothing_up(tmp_path: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*self_signed(tmp_path))
    async with listening(tls) as (server, listener):
        connections = [socket.create_connection(listener.getsockname()) for _ in range(120)]
        for sends, leaves in zip(connections[::3], connections[1::3], strict=True):  # and every third one says nothing
            sends.sendall(REQUEST)
            leaves.close()
        begun = time.monotonic()
        await server.shutdown([listener])
        assert time.monotonic() - begun < 4.0
        for one in connections:
            one.close()
