"""The ways of failing: each :class:`Fault` is one; :mod:`faults` decides which request meets which.

A fault changes the answer (:meth:`Fault.altered`) or how it is sent (:meth:`Fault.strike`). :class:`Exchange` is the
request at hand with the means to answer it badly. Faults that need the connection itself work on real sockets only.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from ccgateway.simulator import wire
from ccgateway.simulator.asgi import Receive, Send, gone, send_response
from ccgateway.simulator.messages import JSON, Request, Response

__all__ = [
    "Close",
    "Doubled",
    "Drip",
    "Exchange",
    "Fault",
    "GzipBomb",
    "Hang",
    "HangMidBody",
    "Held",
    "Huge",
    "Redirect",
    "Replaced",
    "Reset",
    "Slow",
    "Truncated",
    "Vanish",
]

_CHUNK = b" " * 65536
_MEGABYTE = 2**20
_SETTLE = 0.02  # seconds for what was written to reach the client before the connection dies


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, the right answer to it, and the line to the client.

    ``act`` lets the site act on the request now (and answers what it says); ``vanish`` takes the site off the network.
    """

    request: Request
    response: Response
    receive: Receive
    send: Send
    act: Callable[[], Response]
    vanish: Callable[[], Awaitable[None]]

    async def finish(self) -> None:
        """Send the answer."""
        await send_response(self.send, self.request, self.response)

    async def start(self, response: Response, *, length: int | None) -> None:
        """Send the head; without *length* the body comes in chunks."""
        headers = [(k.encode(), v.encode()) for k, v in response.headers]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self.send({"type": "http.response.start", "status": response.status, "headers": headers})

    async def piece(self, body: bytes, *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def half(self, *, announced: bool) -> None:
        """Send the head and half the body."""
        body = self.response.body or b'{"jobs":[]}'
        await self.start(self.response, length=len(body) if announced else None)
        await self.piece(body[: len(body) // 2])

    async def pour(self, chunk: bytes, count: int | None) -> None:
        """Send *count* chunks (None: without end) as fast as the client takes them, until it goes."""
        watcher = asyncio.ensure_future(self.gone())
        try:
            sent = 0
            while not watcher.done() and (count is None or sent < count):
                await self.piece(chunk)
                await asyncio.sleep(0)
                sent += 1
            if not watcher.done():
                await self.piece(b"", more=False)
        finally:
            watcher.cancel()

    async def gone(self) -> None:
        """Wait until the client has gone, or the site is stopped."""
        await gone(self.receive)

    async def gone_within(self, seconds: float) -> bool:
        """Wait *seconds*; whether the client went meanwhile."""
        try:
            await asyncio.wait_for(self.gone(), seconds)
        except TimeoutError:
            return False
        return True


class Fault:
    """One way of failing; this one is none at all."""

    acts = True  #: whether the site acts on the request before it fails, unless the rule says otherwise

    def altered(self, exchange: Exchange) -> Response:
        """What to answer instead."""
        return exchange.response

    async def strike(self, exchange: Exchange) -> None:
        """Send the answer, or fail to."""
        await exchange.finish()


@dataclass(frozen=True, slots=True)
class Replaced(Fault):
    """Always the same answer."""

    answer: Response

    def altered(self, exchange: Exchange) -> Response:  # noqa: ARG002
        return self.answer


@dataclass(frozen=True, slots=True)
class Redirect(Fault):
    """To the same path on another host."""

    base: str
    status: int

    def altered(self, exchange: Exchange) -> Response:
        return Response(self.status, headers=(("location", self.base.rstrip("/") + exchange.request.target),))


class Doubled(Fault):
    """The document twice in one body."""

    def altered(self, exchange: Exchange) -> Response:
        return replace(exchange.response, body=exchange.response.body * 2)


class Hang(Fault):
    """Accept, read, never answer."""

    acts = False

    async def strike(self, exchange: Exchange) -> None:
        await exchange.gone()


class HangMidBody(Fault):
    """Half an answer, then nothing."""

    async def strike(self, exchange: Exchange) -> None:
        await exchange.half(announced=True)
        await exchange.gone()


@dataclass(frozen=True, slots=True)
class Reset(Fault):
    """TCP RST, at once or after half an answer."""

    mid_body: bool

    async def strike(self, exchange: Exchange) -> None:
        if self.mid_body:
            await exchange.half(announced=True)
            await asyncio.sleep(_SETTLE)
        wire.reset()
        await exchange.gone()


class Close(Fault):
    """Close the connection instead of answering."""

    acts = False

    async def strike(self, exchange: Exchange) -> None:
        wire.cut()
        await exchange.gone()


@dataclass(frozen=True, slots=True)
class Truncated(Fault):
    """Half an answer, then the connection closes: fewer bytes than Content-Length, or chunks without an end."""

    chunked: bool

    async def strike(self, exchange: Exchange) -> None:
        await exchange.half(announced=not self.chunked)
        await asyncio.sleep(_SETTLE)
        wire.cut()
        await exchange.gone()


@dataclass(frozen=True, slots=True)
class Slow(Fault):
    """A right answer, late."""

    seconds: float

    async def strike(self, exchange: Exchange) -> None:
        if not await exchange.gone_within(self.seconds):
            await exchange.finish()


class Held(Fault):
    """Act and answer only once released, whether or not the client still waits."""

    acts = False

    def __init__(self) -> None:
        self._released = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def release(self) -> None:
        """Let the requests held so far, and later ones, go on; callable from any thread."""
        self._released = True
        for loop, event in self._waiting:
            loop.call_soon_threadsafe(event.set)

    async def strike(self, exchange: Exchange) -> None:
        event = asyncio.Event()
        self._waiting.append((asyncio.get_running_loop(), event))
        if not self._released:
            await event.wait()
        await send_response(exchange.send, exchange.request, exchange.act())


class Vanish(Fault):
    """Answer well, then refuse connections."""

    async def strike(self, exchange: Exchange) -> None:
        await exchange.finish()
        await exchange.vanish()


@dataclass(frozen=True, slots=True)
class Drip(Fault):
    """A right answer, a few bytes at a time."""

    size: int
    interval: float

    async def strike(self, exchange: Exchange) -> None:
        body = exchange.response.body
        await exchange.start(exchange.response, length=len(body))
        for at in range(0, len(body), self.size):
            await exchange.piece(body[at : at + self.size])
            if await exchange.gone_within(self.interval):
                return
        await exchange.piece(b"", more=False)


@dataclass(frozen=True, slots=True)
class Huge(Fault):
    """More blanks than anybody wants; ``size`` None: without end."""

    size: int | None
    announced: bool

    async def strike(self, exchange: Exchange) -> None:
        answer = Response(200, headers=(("content-type", JSON),))
        size = None if self.size is None else self.size // len(_CHUNK) * len(_CHUNK)
        await exchange.start(answer, length=size if self.announced else None)
        await exchange.pour(_CHUNK, None if size is None else size // len(_CHUNK))


@dataclass(frozen=True, slots=True)
class GzipBomb(Fault):
    """A small body that unpacks to ``size`` blanks."""

    size: int

    async def strike(self, exchange: Exchange) -> None:
        packer = zlib.compressobj(9, wbits=31)
        opening = packer.compress(b"[") + packer.flush(zlib.Z_FULL_FLUSH)
        # after a full flush nothing refers back, so one packed megabyte can be sent again and again
        megabyte = packer.compress(b" " * _MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
        answer = Response(200, headers=(("content-type", JSON), ("content-encoding", "gzip")))
        await exchange.start(answer, length=None)
        await exchange.piece(opening)
        await exchange.pour(megabyte, self.size // _MEGABYTE)
