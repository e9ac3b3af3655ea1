"""A server that speaks HTTP by hand, so that it can speak it badly: every byte and every close is the test's."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Handler", "Heard", "RawServer", "Then", "plain_answer", "raw_server", "reset"]


@dataclass(frozen=True)
class Heard:
    """One request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


#: what to do with the connection after an answer: ``hold`` keeps silent until the other side closes it
Then = Literal["close", "keep", "hold"]
Handler = Callable[[Heard, asyncio.StreamWriter], Awaitable[Then]]


@dataclass
class RawServer:
    """``answer`` writes to the connection and says what becomes of it."""

    answer: Handler
    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    opened: int = 0
    open_now: int = 0
    most_open: int = 0
    all_closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            while (request := await _read_request(reader)) is not None:
                self.heard.append(request)
                then = await self.answer(request, writer)
                if then == "hold":
                    await reader.read()
                if then != "keep":
                    break
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_now -= 1
            if not self.open_now:
                self.all_closed.set()
            writer.close()

    async def until_closed(self, seconds: float = 2.0) -> None:
        """Waits until no connection is open any more."""
        async with asyncio.timeout(seconds):
            if self.open_now:
                self.all_closed.clear()
                await self.all_closed.wait()


@asynccontextmanager
async def raw_server(answer: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    server = RawServer(answer)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await server.serve(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            tasks.discard(task)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> Heard | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    return Heard(method, target, headers, await reader.readexactly(length))


def plain_answer(body: bytes = b"{}", *, status: str = "200 OK", headers: str = "Content-Type: application/json\r\n") -> bytes:
    """A proper answer."""
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Drops the connection with a RST instead of a FIN."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
