"""What HTTP lets callers do and uvicorn makes too little of: other protocols, HTTP/1.0, requests behind one another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ccgateway.operations.bounded import BoundedHttp
from ccgateway.surfaces.presence import WhileConnected

UPGRADES = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "websocket": b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "unknown": b"Upgrade: foo/2, bar\r\nconnection: UPGRADE\r\n",
}
PIECES = [b"%d\n" % number for number in range(2000)]


class Heard:
    """An application that remembers what it was asked."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.begun = self.left = 0

    @property
    def app(self) -> Starlette:
        routes = [Route("/echo", self.echo, methods=["GET", "POST"]), Route("/long", self.long), Route("/stream", self.stream)]
        return Starlette(routes=[*routes, Route("/inner", self.echo)])

    async def echo(self, request: Request) -> Response:
        body = await request.body()
        self.bodies.append((request.url.path, body))
        return Response(body or b"nothing", headers={"x-seen": ",".join(request.headers)})

    async def long(self, request: Request) -> Response:
        self.begun += 1
        try:
            async with WhileConnected(request.receive):
                await asyncio.sleep(60)
        except ClientDisconnect:
            self.left += 1
            raise
        return Response("late")

    async def stream(self, _request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for piece in PIECES:
                yield piece

        return StreamingResponse(pieces())


@asynccontextmanager
async def serving(heard: Heard) -> AsyncIterator[int]:
    config = uvicorn.Config(heard.app, http=BoundedHttp, ws="none", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells in no other way
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes], bytes]:
    """The next answer of a connection."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.strip().split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines)
        length = headers.get(b"content-length")
        return int(first.split()[1]), headers, await reader.readexactly(int(length)) if length else b""


def with_body(upgrade: bytes, body: bytes, *, chunked: bool) -> tuple[bytes, bytes]:
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    return b"POST /echo HTTP/1.1\r\nHost: localhost\r\n" + upgrade + framing + b"\r\n\r\n", framed


@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "in several"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", UPGRADES)
async def test_who_would_like_another_protocol_is_answered_by_this_one_body_and_all(
    name: str, chunked: bool, apart: bool
) -> None:
    heard, inner = Heard(), b"GET /inner HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head, body = with_body(UPGRADES[name], inner, chunked=chunked)
    async with serving(heard) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in (head[:40], head[40:], body[:5], body[5:]) if apart else (head + body + head + body,):
            writer.write(piece)
            await asyncio.sleep(0.05 if apart else 0)
        found = [await answer(reader) for _ in range(1 if apart else 2)]
        writer.write(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        last = await answer(reader)
        writer.close()
    assert [(status, text) for status, _, text in found] == [(200, inner)] * len(found)
    assert not {b"upgrade", b"http2-settings"} & set(found[0][1][b"x-seen"].split(b","))
    assert (last[0], last[2]) == (200, b"nothing")
    assert {path for path, _ in heard.bodies} == {"/echo"}


async def test_what_stands_behind_a_request_for_another_protocol_is_answered_too() -> None:
    heard = Heard()
    request = b"GET /echo HTTP/1.1\r\nHost: localhost\r\n"
    async with serving(heard) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((request + UPGRADES["h2c"] + b"\r\n") * 400 + request + b"Connection: close\r\n\r\n")
        statuses = [(await answer(reader))[0] for _ in range(401)]
        assert await reader.read() == b""
        writer.close()
    assert set(statuses) == {200} and len(heard.bodies) == 401


async def test_no_tunnel_is_opened() -> None:
    async with serving(Heard()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\nGET /inner HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await answer(reader))[0] == 405 and await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("more", [b"", b"Connection: keep-alive\r\n"])
async def test_callers_of_http_1_0_get_a_body_that_ends_with_the_connection(more: bytes) -> None:
    async with serving(Heard()) as port:
        for path in (b"/stream", b"/echo"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET " + path + b" HTTP/1.0\r\nHost: localhost\r\n" + more + b"\r\n")
            async with asyncio.timeout(10):
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            assert head.startswith(b"HTTP/1.1 200") and b"transfer-encoding" not in head.lower()
            assert b"connection: close" in head.lower()
            assert body == (b"".join(PIECES) if path == b"/stream" else b"nothing")


@pytest.mark.parametrize("behind", [0, 1, 3])
async def test_who_leaves_leaves_all_that_is_under_way(behind: int, caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()
    async with serving(heard) as port:
        for _ in range(5):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n" * (1 + behind))
            begun = heard.begun
            async with asyncio.timeout(10):
                while heard.begun == begun:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            writer.transport.abort()
        async with asyncio.timeout(10):
            while heard.left < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert (heard.begun, heard.left) == (5, 5)
    assert not [record for record in caplog.records if record.levelname == "ERROR" and "closed" in record.getMessage()]
