"""What a caller may take up: the size of heads and trailers, the time for them, connections, and answers nobody reads."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from cachetools import TTLCache
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ccgateway.errors import Code, RequestError
from ccgateway.operations.bounded import HEAD_BYTES, SPARE, BoundedHttp
from ccgateway.operations.stopping import Stoppable
from ccgateway.surfaces.callers import network_of
from ccgateway.surfaces.requests import read_body
from ccgateway.traffic.overload import Arrival, Overload

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = 8 << 20


class Impatient(BoundedHttp):
    head_seconds = read_seconds = 0.3


class Echo:
    """Answers with the body, or without having read it (``/unread``), or at length (``/large``), or as a face does
    (``/read``); remembers what it met."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.departures = 0

    async def answer(self, request: Request) -> Response:
        if request.url.path == "/unread":
            return Response("unread")
        if request.url.path == "/large":
            return Response(b"x" * LARGE)
        if request.url.path == "/read":
            return Response(await read_body(request.receive, LARGE, 60.0))
        try:
            body = await request.body()
        except ClientDisconnect:
            self.departures += 1
            return Response(status_code=499)
        self.headers.append(dict(request.headers))
        return Response(body)


async def well(_: Request) -> Response:
    return Response("well")


@asynccontextmanager
async def serving(
    protocol: type[BoundedHttp], echo: Echo | None = None, overload: Overload | None = None, **config: Any
) -> AsyncIterator[uvicorn.Server]:
    answer = (echo or Echo()).answer
    routes = [Route(path, answer, methods=["GET", "POST"]) for path in ("/", "/unread", "/large", "/read")]
    app: Any = Guarded(Starlette(routes=[*routes, Route("/health/ready", well)]), overload or Overload())
    config = {"http": protocol, "host": "127.0.0.1", "port": 0, "log_config": None, "lifespan": "off", **config}
    server = uvicorn.Server(uvicorn.Config(Stoppable(app), timeout_graceful_shutdown=1, **config))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells in no other way
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


async def connect(server: uvicorn.Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = server.servers[0].sockets[0].getsockname()[1]
    return await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the server closes; it has to do so."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def connections(server: uvicorn.Server, count: int) -> None:
    """Waits until the server has that many."""
    async with asyncio.timeout(10):
        while len(server.server_state.connections) != count:  # noqa: ASYNC110 - uvicorn tells in no other way
            await asyncio.sleep(0.01)


async def pour(writer: asyncio.StreamWriter, piece: bytes, *, most: int) -> int:
    """Bytes sent until the server closes, ``most`` at most."""
    sent = 0
    try:
        async with asyncio.timeout(20):
            while sent < most and not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                await asyncio.sleep(0)
    except ConnectionError:
        pass
    return sent


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drop: bytes) -> bool:
    """Whether the server closes while drop after drop comes."""
    ended = asyncio.create_task(rest(reader))
    for _ in range(400):
        if ended.done():
            break
        writer.write(drop)
        await asyncio.sleep(0.02)
    closed = ended.done()
    await asyncio.wait([ended])
    return closed and not ended.exception()


TRAILERS = b"".join(b"x%05d: aaaaaaaaaaaaaaaaaaaa\r\n" % number for number in range(2000))


@pytest.mark.parametrize("piece", [TRAILERS, b"x: " + b"a" * 60_000, b"\r\n" * 30_000], ids=["many", "one long", "no"])
async def test_trailers_without_end_are_refused(piece: bytes) -> None:
    echo = Echo()
    async with serving(BoundedHttp, echo) as server:
        reader, writer = await connect(server)
        writer.write(CHUNKED + b"1\r\n{\r\n0\r\n")
        assert await pour(writer, piece, most=64 << 20) < 16 << 20
        answered = await rest(reader)
        assert answered == b"" or b" 431 " in answered or b" 200 OK" in answered
        writer.close()
    assert len(echo.headers) + echo.departures == 1 and not any("x00001" in headers for headers in echo.headers)


async def test_refused_trailers_are_431() -> None:
    async with serving(BoundedHttp) as server:
        reader, writer = await connect(server)
        writer.write(CHUNKED + b"1\r\n{\r\n0\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)  # a piece of its own
        writer.write(b"x: " + b"a" * (HEAD_BYTES + 1000))
        assert (await rest(reader)).startswith(b"HTTP/1.1 431 ")
        writer.close()


async def test_some_trailers_are_read_over() -> None:
    echo = Echo()
    async with serving(BoundedHttp, echo) as server:
        reader, writer = await connect(server)
        writer.write(CHUNKED + b"2\r\n{}\r\n0\r\nHost: evil.example\r\nX-Sum: 1\r\n\r\n" + HEAD + b"Connection: close\r\n\r\n")
        answered = await rest(reader)
        assert answered.count(b"HTTP/1.1 200 OK") == 2 and b"{}" in answered
        writer.close()
    assert [headers["host"] for headers in echo.headers] == ["localhost", "localhost"]
    assert not any("x-sum" in headers for headers in echo.headers)


async def test_a_long_body_in_small_chunks_passes() -> None:
    async with serving(BoundedHttp) as server:
        reader, writer = await connect(server)
        writer.write(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            writer.write(b"1;ext=value\r\nx\r\n" * 2000)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert (await rest(reader)).endswith(b"\r\n\r\n" + b"x" * 40_000)
        writer.close()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [(b"", b""), (b"\r\n", b""), (b"POST / HT", b"HTTP/1.1 408 "), (HEAD + b"X: ", b"HTTP/1.1 408 ")],
    ids=["nothing", "an empty line", "half a line", "half a head"],
)
async def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes, answer: bytes) -> None:
    async with serving(Impatient) as server:
        reader, writer = await connect(server)
        writer.write(sent)
        answered = await rest(reader)
        assert answered.startswith(answer) and (answered == b"") is (answer == b"")
        writer.close()


async def test_a_head_that_comes_drop_by_drop_is_not_waited_for_either() -> None:
    async with serving(Impatient) as server:
        reader, writer = await connect(server)
        writer.write(HEAD)
        assert await drip(reader, writer, b"X: y\r\n")
        writer.close()


async def test_an_answered_request_whose_body_drips_on_is_cut_off() -> None:
    async with serving(Impatient) as server:
        reader, writer = await connect(server)
        writer.write(b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"unread")).startswith(b"HTTP/1.1 200 OK")
        assert await drip(reader, writer, b"x")
        writer.close()


async def test_a_request_under_way_and_an_idle_connection_are_not_late() -> None:
    async with serving(Impatient, timeout_keep_alive=30) as server:
        reader, writer = await connect(server)
        for _ in range(2):
            writer.write(HEAD + b"Content-Length: 2\r\n\r\n")
            await asyncio.sleep(0.6)  # the body's time is the application's matter
            writer.write(b"ok")
            async with asyncio.timeout(10):
                assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK")
            await asyncio.sleep(0.6)
        writer.close()


async def test_an_answer_that_nobody_reads_is_dropped() -> None:
    async with serving(Impatient) as server:
        with socket.create_connection(server.servers[0].sockets[0].getsockname()) as deaf:
            deaf.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4)
            await connections(server, 1)
            await connections(server, 0)


async def test_an_answer_that_is_read_slowly_comes_whole() -> None:
    async with serving(Impatient, timeout_keep_alive=30) as server:
        reader, writer = await connect(server)
        writer.write(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(20):
            await reader.readuntil(b"\r\n\r\n")
            got = 0
            while piece := await reader.read(1 << 20):
                got += len(piece)
                await asyncio.sleep(0.05)
        assert got == LARGE
        writer.close()


BUSY = HEAD + b"Content-Length: 2\r\n\r\n"  # and no body: the request is under way for as long as its caller likes
DONE = HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nok"


async def asks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether a request on that connection is answered."""
    with suppress(ConnectionError):
        writer.write(DONE)
        await writer.drain()
        return (await rest(reader)).endswith(b"ok")
    return False


async def test_connections_beyond_the_limit_are_turned_away_and_the_others_stay() -> None:
    async with serving(BoundedHttp, limit_concurrency=5) as server:
        kept = [await connect(server) for _ in range(4)]
        for _, writer in kept:
            writer.write(BUSY)
            await writer.drain()
        await asyncio.sleep(0.05)
        reader, writer = await connect(server)
        writer.write(DONE)
        assert (await rest(reader)).startswith(b"HTTP/1.1 503 ")
        writer.close()
        await connections(server, 4)
        for reader, writer in kept:
            writer.write(b"ok")
            assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n")
            writer.close()


async def test_how_the_gateway_is_can_be_asked_when_all_connections_are_taken() -> None:
    async with serving(BoundedHttp, limit_concurrency=5) as server:
        kept = [await connect(server) for _ in range(4)]
        for _, writer in kept:
            writer.write(BUSY)
            await writer.drain()
        await asyncio.sleep(0.05)
        greedy = [await connect(server) for _ in range(3 * SPARE)]  # that say nothing
        for _ in range(3):
            reader, writer = await connect(server)
            writer.write(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await rest(reader)).endswith(b"well")
            writer.close()
        assert len(server.server_state.connections) <= 4 + SPARE
        for _, writer in (*kept, *greedy):
            writer.close()


# --- more than the process can work on


class Full(Overload):
    """Lets nobody in."""

    def arrive(self, caller: Hashable, *, is_timed: bool = True) -> Arrival:
        raise RequestError(Code.OVERLOADED, "Too much.", retry_after=2)


class Guarded:
    """An application with an overload of its own."""

    def __init__(self, app: Starlette, overload: Overload) -> None:
        self._app, self.overload = app, overload

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


@pytest.mark.parametrize("body", [b"", b"x" * 100, b"x" * 200_000])
async def test_what_is_turned_away_is_answered_and_its_connection_goes_on(body: bytes) -> None:
    echo, overload = Echo(), Full()
    async with serving(BoundedHttp, echo, overload=overload) as server:
        reader, writer = await connect(server)
        for _ in range(3):
            writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n") and b"Retry-After: 2\r\n" in head
            found = json.loads(
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            )
            assert found["errors"][0]["extensions"] == {"code": "OVERLOADED", "retryable": True, "retryAfter": 2}
            assert found["error"] == "Too much."
        writer.write(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await rest(reader)).endswith(b"well")
        writer.close()
    assert not echo.headers


async def test_a_large_body_of_a_request_that_is_turned_away_is_not_read_to_its_end() -> None:
    async with serving(BoundedHttp, overload=Full()) as server:
        _, writer = await connect(server)
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % (64 << 20))
        assert await pour(writer, b"x" * (1 << 16), most=64 << 20) < 32 << 20
        writer.close()


@pytest.mark.parametrize("end", [b"", b"ok"], ids=["the caller goes", "it is answered"])
async def test_whatever_becomes_of_a_request_it_counts_no_more_afterwards(end: bytes) -> None:
    overload = Overload()
    async with serving(BoundedHttp, overload=overload) as server:
        for _ in range(5):
            reader, writer = await connect(server)
            writer.write(BUSY + end)
            await writer.drain()
            if end:
                await reader.readuntil(b"ok")
            else:
                await asyncio.sleep(0.05)
                assert overload.under_way == 1
            writer.close()
            await connections(server, 0)
            assert overload.under_way == 0


async def test_idle_connections_go_before_anybody_is_turned_away() -> None:
    async with serving(BoundedHttp, limit_concurrency=8) as server:
        idle = [await connect(server) for _ in range(30)]
        assert await asks(*await connect(server))
        assert await asks(*idle[-1])
        assert not await asks(*idle[0])
        for _, writer in idle:
            writer.close()


async def test_of_idle_connections_those_go_first_that_have_asked_for_nothing_for_longest() -> None:
    async with serving(BoundedHttp, limit_concurrency=8) as server:
        first, *others = [await connect(server) for _ in range(6)]
        first[1].write(HEAD + b"Content-Length: 2\r\n\r\nok")
        await first[0].readuntil(b"ok")
        begun = await connect(server)
        assert await asks(*first) and not await asks(*others[0])
        for _, writer in (*others, begun):
            writer.close()


async def test_one_address_cannot_keep_the_others_out() -> None:
    async with serving(BoundedHttp, limit_concurrency=16) as server:
        greedy = [await connect(server) for _ in range(20)]
        for _, writer in greedy:
            with suppress(ConnectionError):
                writer.write(BUSY)
                await writer.drain()
        await asyncio.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        others = [await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0)) for _ in range(3)]
        assert [await asks(*one) for one in others] == [True] * 3
        for _, writer in greedy:
            writer.close()


def test_an_ipv6_host_counts_by_its_network() -> None:
    assert network_of(("2001:db8::1", 1)) == network_of(("2001:db8::ffff:2", 9)) != network_of(("2001:db8:0:1::1", 1))
    assert network_of(("::ffff:10.0.0.1", 1)) == network_of(("10.0.0.1", 1)) == "10.0.0.1"
    assert network_of(None) == ""


async def test_bodies_on_their_way_keep_nobody_out_and_their_requests_count_again_once_they_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ccgateway.traffic.overload.MOST", 4)
    overload = Overload()
    head = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nAuthorization: Bearer %d\r\n\r\n"
    async with asyncio.timeout(60), serving(BoundedHttp, overload=overload) as server:
        slow = []
        for number in range(20):
            slow.append(await connect(server))
            slow[-1][1].write(head % number + b"ab")
            while len(server.server_state.tasks) <= number or overload.under_way:  # noqa: ASYNC110 - the server does not tell
                await asyncio.sleep(0.001)
        held = [overload.arrive("somebody") for _ in range(4)]  # all places that there are
        assert overload.under_way == 4
        reader, writer = slow[0]
        writer.write(b"cd")
        assert (await reader.readuntil(b"abcd")).startswith(b"HTTP/1.1 200 ")  # newcomers are let in
        for one in held:
            one.leave()
        for reader, writer in slow[1:10]:
            writer.write(b"cd")
            assert (await reader.readuntil(b"abcd")).startswith(b"HTTP/1.1 200 ")
        for _, writer in slow:
            writer.close()
        await connections(server, 0)
        assert overload.under_way == 0


async def test_of_requests_that_are_none_one_a_minute_is_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedHttp, "_warned", TTLCache(16, 60.0))
    async with serving(BoundedHttp) as server:
        for _ in range(20):
            reader, writer = await connect(server)
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # as TLS begins
            assert (await rest(reader)).startswith(b"HTTP/1.1 400 ")
            writer.close()
    assert len([one for one in caplog.records if "Invalid HTTP request" in one.getMessage()]) == 1
    assert "from 127.0.0.1" in caplog.text
