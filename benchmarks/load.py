"""Load: many requests at once, at next to no cost of their own. Answers are counted, not kept: their bytes go to one buffer.

What an answer says is looked at before and by others (``contestants``); here it has to be 200 and of the size that it had then.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import cast

from benchmarks.processes import GatewayProcess

__all__ = ["Load", "ask", "get", "load", "post"]

_BUFFER = memoryview(bytearray(1 << 20))
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What requests came to: milliseconds of each, of all the seconds and the gateway's processor time (s)."""

    milliseconds: Sequence[float]
    elapsed: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        return len(self.milliseconds) / self.elapsed

    @property
    def cpu_milliseconds(self) -> float:
        """Of one request."""
        return self.cpu_seconds * 1000 / len(self.milliseconds)

    @property
    def middle(self) -> float:
        """Milliseconds that a request took, median."""
        return median(self.milliseconds)


class _Connection(asyncio.BufferedProtocol):
    """One connection, one request at a time."""

    def __init__(self, keeps: bool) -> None:
        self.content = bytearray() if keeps else None
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[int] | None = None
        self._head = self._tail = b""
        self._size = 0
        self._left: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionError("the connection was closed"))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the protocol's
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        start = 0
        if self._left is None:
            self._head += bytes(_BUFFER[:nbytes])
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            start = nbytes - (len(self._head) - end - 4)
            length = _LENGTH.search(self._head, 0, end)
            self._left = int(length[1]) if length else -1
        came = nbytes - start
        self._size += came
        if self.content is not None:
            self.content += _BUFFER[start:nbytes]
        if self._left >= 0:
            if self._size >= self._left:
                self._finish()
            return
        self._tail = (self._tail + bytes(_BUFFER[max(start, nbytes - 16) : nbytes]))[-16:]
        if self._tail.endswith(_LAST_CHUNK):
            self._finish()

    def _finish(self) -> None:
        if self._answered is not None and not self._answered.done():
            if b" 200 " in self._head[:16]:
                self._answered.set_result(self._size)
            else:
                self._answered.set_exception(RuntimeError(self._head[:200].decode("latin-1")))

    async def exchange(self, request: bytes) -> int:
        """Sends it, waits for the answer, tells its size in bytes."""
        self._answered = asyncio.get_running_loop().create_future()
        self._head, self._tail, self._size, self._left = b"", b"", 0, None
        assert self._transport is not None
        self._transport.write(request)
        return await asyncio.wait_for(self._answered, 120)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _connect(gateway: GatewayProcess, *, keeps: bool = False) -> _Connection:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    _, connection = await asyncio.get_running_loop().create_connection(lambda: _Connection(keeps), host, int(port))
    return connection


def get(path: str) -> bytes:
    """A request for ``path``."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n".encode()


def post(body: bytes) -> bytes:
    """A request that sends ``body`` to ``/graphql``."""
    head = "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def load(gateway: GatewayProcess, request: Callable[[], bytes], *, seconds: float, at_once: int, size: int) -> Load:
    """Sends requests for so long, so many at once, each made anew. ``size``: of an answer, in bytes."""
    times: list[float] = []
    connections = [await _connect(gateway) for _ in range(at_once)]
    cpu, begun = gateway.cpu_seconds, time.perf_counter()

    async def one_after_the_other(connection: _Connection) -> None:
        while True:
            made = request()
            started = time.perf_counter()
            came = await connection.exchange(made)
            if abs(came - size) > 200 + size // 20:
                raise RuntimeError(f"an answer of {came} bytes, where {size} were expected")
            times.append((time.perf_counter() - started) * 1000)
            if time.perf_counter() - begun > seconds:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(one_after_the_other(connection))
        return Load(times, time.perf_counter() - begun, gateway.cpu_seconds - cpu)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        for connection in connections:
            connection.close()


async def ask(gateway: GatewayProcess, request: bytes) -> bytes:
    """The content of one answer."""
    connection = await _connect(gateway, keeps=True)
    try:
        await connection.exchange(request)
        content = bytes(connection.content or b"")
    finally:
        connection.close()
    return content if content[:1] in (b"{", b"[") else _unchunked(content)


def _unchunked(content: bytes) -> bytes:
    parts, place = [], 0
    while (end := content.find(b"\r\n", place)) >= 0 and (size := int(content[place:end], 16)):
        parts.append(content[end + 2 : end + 2 + size])
        place = end + 2 + size + 2
    return b"".join(parts)
