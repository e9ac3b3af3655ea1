"""How bodies reach callers: compressed or not, in pieces, at the caller's own pace."""

from __future__ import annotations

import asyncio
import gzip
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ccgateway.app import create_app
from ccgateway.settings import CallerSettings, LimitSettings, ServerSettings, Settings
from ccgateway.surfaces.compression import MINIMUM_SIZE, ON_THE_SPOT, PIECE, CompressionMiddleware

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

JSON = "application/json"
UNPACK: dict[str | None, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "zstd": zstd.decompress, None: bytes}


def text(size: int) -> bytes:
    """That many bytes of digits and commas, few like those near them."""
    block = msgspec.json.encode([number * 7919 % 100_003 for number in range(1 << 18)])
    return (block * (size // len(block) + 1))[:size]


async def delivered(
    response: ASGIApp, accepted: str | None, *, method: str = "GET", compresses: bool = True
) -> tuple[dict[str, str], list[Message]]:
    """The headers and the messages that go to the server."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    headers = [] if accepted is None else [(b"accept-encoding", accepted.encode())]
    scope = {"type": "http", "method": method, "headers": headers}
    await CompressionMiddleware(response, compresses=compresses)(scope, receive, send)
    start, *pieces = messages
    assert [piece.get("more_body", False) for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    return {name.decode(): value.decode() for name, value in start["headers"]}, pieces


def joined(pieces: list[Message]) -> bytes:
    return b"".join(piece["body"] for piece in pieces)


SIZES = [0, MINIMUM_SIZE - 1, MINIMUM_SIZE, ON_THE_SPOT, ON_THE_SPOT + 1, PIECE, PIECE + 1, 3 * PIECE]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coding", ["gzip", "zstd", None])
async def test_a_body_arrives_whole_however_it_travels(size: int, coding: str | None) -> None:
    body = text(size)
    headers, pieces = await delivered(Response(body, media_type=JSON), coding)
    compressed = coding if size >= MINIMUM_SIZE else None
    assert headers.get("content-encoding") == compressed
    assert headers["vary"] == "Accept-Encoding"  # whatever its size: who asks conditionally is told the same without a body
    assert UNPACK[compressed](joined(pieces)) == body
    if compressed is None or size <= ON_THE_SPOT:
        assert int(headers["content-length"]) == len(joined(pieces))
    else:
        assert "content-length" not in headers
    if compressed is None:
        assert max(len(piece["body"]) for piece in pieces) <= PIECE


async def test_pieces_are_no_copies() -> None:
    body = text(3 * PIECE)
    _, pieces = await delivered(Response(body, media_type=JSON), None)
    assert [piece["body"].obj is body for piece in pieces[:-1]] == [True] * 3
    assert pieces[-1]["body"] == b""


@pytest.mark.parametrize(
    "response",
    [
        Response(text(10_000), media_type="image/png"),
        Response(text(10_000)),
        Response(text(10_000), media_type=JSON, headers={"Content-Encoding": "br"}),
        StreamingResponse(iter([text(5000), text(5000)]), media_type=JSON),
        Response(status_code=204),
    ],
)
async def test_what_cannot_be_packed_or_is_packed_already_is_left_alone(response: Response) -> None:
    headers, _ = await delivered(response, "gzip")
    assert headers.get("content-encoding") in (None, "br")


@pytest.mark.parametrize(
    ("size", "accepted", "length"), [(10_000, None, "10000"), (10_000, "gzip", None), (MINIMUM_SIZE - 1, "gzip", "4095")]
)
async def test_head_says_what_get_would_but_for_a_length_that_is_not_known(
    size: int, accepted: str | None, length: str | None
) -> None:
    response = Response(text(size), media_type=JSON, headers={"ETag": '"strong"'})
    whole, _ = await delivered(response, accepted)
    head, pieces = await delivered(_without_body(response), accepted, method="HEAD")
    assert joined(pieces) == b"" and head.get("content-length") == length
    assert (head["etag"], head["vary"]) == (whole["etag"], whole["vary"])
    assert "content-encoding" not in head


def _without_body(response: Response) -> ASGIApp:
    """As applications answer HEAD: with all headers."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize("given", ['"one"', 'W/"one"'])
@pytest.mark.parametrize("size", [MINIMUM_SIZE, ON_THE_SPOT + 1])
async def test_a_strong_entity_tag_is_only_that_of_the_body_as_it_is(given: str, size: int) -> None:
    response = Response(text(size), media_type=JSON, headers={"ETag": given})
    tags = [(await delivered(response, coding))[0]["etag"] for coding in (None, "gzip", "zstd")]
    assert tags == [given, 'W/"one"', 'W/"one"']


async def test_an_answer_that_nothing_has_changed_says_what_it_depends_on() -> None:
    headers, pieces = await delivered(Response(status_code=304, headers={"ETag": 'W/"one"'}), "gzip")
    assert (headers["vary"], headers["etag"], joined(pieces)) == ("Accept-Encoding", 'W/"one"', b"")
    headers, _ = await delivered(Response(status_code=304, headers={"ETag": 'W/"one"'}), "gzip", compresses=False)
    assert "vary" not in headers


async def test_nothing_is_packed_where_the_settings_say_so() -> None:
    headers, pieces = await delivered(Response(text(10_000), media_type=JSON), "gzip", compresses=False)
    assert "content-encoding" not in headers and "vary" not in headers
    assert len(joined(pieces)) == 10_000


async def test_a_header_of_any_length_is_looked_at_no_further_than_needed() -> None:
    headers, _ = await delivered(Response(text(10_000), media_type=JSON), "br, " * 10_000 + "gzip")
    assert "content-encoding" not in headers


@pytest.mark.parametrize("compression", [True, False])
async def test_the_gateway_packs_as_its_settings_say(compression: bool) -> None:
    server = ServerSettings(compression=compression)  # type: ignore[call-arg]
    app = create_app(Settings.model_construct(server=server, caller=CallerSettings(), limits=LimitSettings(), sites={}))  # type: ignore[call-arg]
    query = {"query": "{ __schema { types { name fields { name description } } } }"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        response = await client.post("/graphql", json=query, headers={"accept-encoding": "gzip"})
    assert response.headers.get("content-encoding") == ("gzip" if compression else None)
    assert len(response.json()["data"]["__schema"]["types"]) > 20


# --- on real sockets


class Watched(HttpToolsProtocol):
    """Notes how much waits in a connection's buffer whenever something is written."""

    most_waiting = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        write = transport.write

        def noted(data: Any) -> None:
            write(data)
            Watched.most_waiting = max(Watched.most_waiting, transport.get_write_buffer_size())

        transport.write = noted  # type: ignore[method-assign]


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[tuple[str, int]]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", http=Watched))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells in no other way
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[:2]
    finally:
        server.should_exit = server.force_exit = True
        await task


@pytest.mark.parametrize("accepted", ["identity", "gzip", "zstd"])
async def test_a_slow_reader_holds_its_answer_and_nobody_up(accepted: str) -> None:
    body, sent = text(24 * PIECE), 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            nonlocal sent
            await send(message)
            sent += len(message.get("body", b""))

        answer, out = (Response(body, media_type=JSON), counted) if scope["path"] == "/large" else (Response(b"{}"), send)
        await CompressionMiddleware(answer, compresses=True)(scope, receive, out)

    Watched.most_waiting = 0
    async with serving(app) as (host, port):
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, (host, port))
        reader, writer = await asyncio.open_connection(sock=slow, limit=1 << 16)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(f"GET /large HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {accepted}\r\nConnection: close\r\n\r\n".encode())
        async with httpx.AsyncClient() as client:
            for _ in range(20):
                assert (await client.get(f"http://{host}:{port}/small")).json() == {}
        taken = sent
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        rest = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
    assert taken < sent  # no kernel takes that much off the server's hands
    assert (rest if accepted == "identity" else UNPACK[accepted](unchunked(rest))) == body
    assert Watched.most_waiting <= PIECE + (64 << 10)


def unchunked(text: bytes) -> bytes:
    found = []
    while text:
        size, _, text = text.partition(b"\r\n")
        found.append(text[: int(size, 16)])
        text = text[int(size, 16) + 2 :]
    return b"".join(found)
