"""The client on real sockets: servers that break off, lie, or never end."""

from __future__ import annotations

import asyncio
import gzip
import resource
import time
import zlib
from typing import Literal

import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.site.exchange import SiteRequest
from support.raw_server import Heard, Then, plain_answer, raw_server, reset
from support.site_client import LIST, ask, client_of, context, failure, sends

# --- failures


@pytest.mark.parametrize(
    ("pieces", "then", "code"),
    [
        ((), "close", Code.CONNECTION_LOST),
        ((), "reset", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), "close", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), "reset", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",), "close", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",), "reset", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",), "close", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",), "reset", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf\r\n",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody and more",), "hold", Code.BAD_ANSWER),
        ((b"SSH-2.0-OpenSSH_9.6\r\n",), "hold", Code.BAD_ANSWER),
        ((b"\x16\x03\x01\x02\x00garbage\r\n\r\n",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 abc OK\r\n\r\n",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\nbody",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",), "hold", Code.BAD_ANSWER),
    ],
    ids=lambda value: repr(value)[:50] if isinstance(value, tuple) else str(value),
)
async def test_each_way_to_fail_has_its_code(pieces: tuple[bytes, ...], then: Then | Literal["reset"], code: Code) -> None:
    error = await failure(sends(*pieces, then=then), seconds=2.0)
    assert error.code is code, error.message
    assert error.site == "here"


@pytest.mark.parametrize(
    "pieces", [(), (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",)], ids=["before headers", "within the body"]
)
async def test_a_site_that_hangs_is_a_time_out_at_the_deadline(pieces: tuple[bytes, ...]) -> None:
    started = time.perf_counter()
    error = await failure(sends(*pieces, then="hold"), seconds=0.2)
    assert error.code is Code.TIMEOUT
    assert error.retryable
    assert 0.15 < time.perf_counter() - started < 3.0


async def test_a_site_that_trickles_is_a_time_out_all_the_same() -> None:
    async def trickle(_: Heard, writer: asyncio.StreamWriter) -> Then:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        return "close"

    assert (await failure(trickle, seconds=0.3)).code is Code.TIMEOUT


async def test_a_site_that_is_not_there_is_unreachable() -> None:
    async with raw_server(sends()) as server:
        url = server.url
    async with client_of(url) as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, context())
    assert error.value.code is Code.UNREACHABLE
    assert "refused" in error.value.message


async def test_a_host_name_that_does_not_exist_is_unreachable() -> None:
    async with client_of("http://no-such-host.invalid") as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, context(10.0))
    assert error.value.code in (Code.UNREACHABLE, Code.TIMEOUT)


async def test_a_connection_that_does_not_open_is_unreachable_after_its_own_limit() -> None:
    import socket

    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    host, port = full.getsockname()
    fillers = []
    for _ in range(8):  # fills the backlog, so that the next connection waits
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((host, port))
        fillers.append(one)
    try:
        async with client_of(f"http://{host}:{port}", connect_timeout=0.2) as client:
            with pytest.raises(SiteError) as error:
                await client.exchange(LIST, context(3.0))
        assert error.value.code is Code.UNREACHABLE
        assert "0.2 s" in error.value.message
    finally:
        for one in [*fillers, full]:
            one.close()


async def test_cancelling_the_caller_drops_the_connection() -> None:
    async with raw_server(sends(then="hold")) as server, client_of(server.url) as client:
        task = asyncio.create_task(client.exchange(LIST, context()))
        while not server.heard:  # noqa: ASYNC110 - it happens at the other end
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until_closed()


async def test_a_request_after_a_failure_uses_a_new_connection() -> None:
    answers = iter([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", plain_answer(b"whole")])

    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        writer.write(next(answers))
        return "close"

    async with raw_server(answer) as server, client_of(server.url) as client:
        with pytest.raises(SiteError):
            await client.exchange(LIST, context())
        assert (await client.exchange(LIST, context())).body == b"whole"


# --- size


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "POST"])
@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_write_is_sent_once_even_where_a_kept_connection_breaks(method: str, ending: str) -> None:
    answers = iter([True])

    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        if next(answers, False):
            writer.write(plain_answer())
            return "keep"
        if ending == "reset":
            reset(writer)
        return "close"

    async with raw_server(answer) as server, client_of(server.url) as client:
        await client.exchange(SiteRequest("GET", "/"), context())
        with pytest.raises(SiteError) as raised:
            await client.exchange(SiteRequest(method, "/x", b"{}", safe=False), context())
        assert raised.value.code is Code.CONNECTION_LOST
        assert [heard.target for heard in server.heard] == ["/", "/x"]


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def endless(writer: asyncio.StreamWriter, *, head: bytes, piece: bytes) -> Then:
    writer.write(head)
    for _ in range(2 * 2**30 // len(piece)):
        if writer.is_closing():
            break
        writer.write(piece)
        await writer.drain()
    return "close"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n", b"x" * 2**16),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 2**16),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 2**16 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"\0" * 2**24)),
        (b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 2**16),
    ],
    ids=["announced", "until the end", "chunked", "gzip members", "an error page"],
)
async def test_two_gigabytes_are_too_much_and_are_not_read(head: bytes, piece: bytes) -> None:
    before = memory()

    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        return await endless(writer, head=head, piece=piece)

    error = await failure(answer)
    assert error.code is Code.ANSWER_TOO_LARGE
    assert "100000 bytes" in error.message
    assert memory() - before < 60_000  # KiB


async def test_a_bomb_is_not_unpacked() -> None:
    """256 MB in 1 MB: only as much is unpacked as may be kept."""
    packer = zlib.compressobj(1, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * 2**22) for _ in range(64)) + packer.flush()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    before = memory()
    error = await failure(sends(head, bomb), answer_bytes=2**21)
    assert error.code is Code.ANSWER_TOO_LARGE
    assert memory() - before < 60_000  # KiB


@pytest.mark.parametrize(("size", "fits"), [(5000, True), (5001, False)])
@pytest.mark.parametrize("kind", ["length", "chunked", "gzip"])
async def test_the_limit_is_exact(size: int, fits: bool, kind: str) -> None:
    body = b"x" * size
    answers = {
        "length": plain_answer(body),
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % size + body + b"\r\n0\r\n\r\n",
        "gzip": plain_answer(gzip.compress(body), headers="Content-Encoding: gzip\r\n"),
    }
    if fits:
        assert (await ask(sends(answers[kind]), answer_bytes=5000)).body == body
    else:
        assert (await failure(sends(answers[kind]), answer_bytes=5000)).code is Code.ANSWER_TOO_LARGE
