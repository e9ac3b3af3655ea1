"""Informational heads (1xx) before an answer: a few are passed over, an endless row ends the connection."""

from __future__ import annotations

import asyncio
import time

import httpx2
import pytest

from ccgateway.transport import AiohttpTransport

FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def answer_after(heads: bytes, *, endless: bool) -> httpx2.Response:
    """What a site that sends ``heads`` first answers, read through a real socket."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            while endless:
                writer.write(heads)
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(heads + FINAL)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        transport = AiohttpTransport(connections=1, idle=5, limit=1000)
        try:
            request = httpx2.Request("GET", f"http://127.0.0.1:{port}/")
            async with asyncio.timeout(20):
                return await transport.handle_async_request(request)
        finally:
            await transport.aclose()


@pytest.mark.parametrize("count", [0, 1, 8])
async def test_a_few_informational_heads_are_passed_over(count: int) -> None:
    answer = await answer_after(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * count, endless=False)
    assert (answer.status_code, await answer.aread()) == (200, b"{}")


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints", b"199 x"])
@pytest.mark.parametrize("at_once", [1, 3000])
async def test_endless_informational_heads_are_no_answer(status: bytes, at_once: int) -> None:
    began = time.perf_counter()
    with pytest.raises(httpx2.RemoteProtocolError):
        await answer_after((b"HTTP/1.1 " + status + b"\r\n\r\n") * at_once, endless=True)
    assert time.perf_counter() - began < 15
