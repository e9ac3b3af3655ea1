"""Compresses bodies for those who ask for it, and sends large ones piece by piece.

ASGI middleware, so that every face has it. A body that comes to it whole goes out in pieces, each when the one before is on its
way: the server then holds no copy of what a slow reader has not taken yet, and the body itself is all that such a reader costs.
Bodies that come in pieces already are left alone, but for streams of rows: each of their pieces is compressed, and complete when
it goes out, so that whoever is cut off can read all that came.

A compressed body is not, byte for byte, what its strong entity tag stands for: the tag goes out as a weak one, which stands for
all codings of it. What HEAD and 304 say of a body that they do not have is what GET would say, save a length that is not known.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccgateway.surfaces.content_coding import Compressor, coding_for, compressor_for, flushed

__all__ = ["CompressionMiddleware"]

#: bytes below which nobody gains from compression: two or three packets
MINIMUM_SIZE = 4096
#: bytes that go out at once, and those from which on a body is waited for until its reader has it
PIECE, LARGE = 1 << 20, 256 << 10
#: bytes that are compressed at once, and those up to which that is done on the spot: in a thread it costs 0.1 ms more, and keeps
#: nobody waiting
STEP, ON_THE_SPOT = 256 << 10, 128 << 10

#: what is read of an ``Accept-Encoding``
MOST_CHARACTERS = 256

Header: TypeAlias = tuple[bytes, bytes]

_COMPRESSIBLE = (b"application/json", b"application/graphql-response+json", b"text/")
#: of bodies that come in pieces, what is compressed
_STREAMS = (b"application/x-ndjson", b"text/csv")
_VARY = (b"vary", b"Accept-Encoding")
_THREADS = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="packing")  # starts none before it is used


class CompressionMiddleware:
    """Sends bodies piece by piece, and (if it ``compresses``) compressed for those who accept that."""

    def __init__(self, app: ASGIApp, *, compresses: bool) -> None:
        self._app, self._compresses = app, compresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, _Response(scope, send, compresses=self._compresses) if scope["type"] == "http" else send)


class _Response:
    """One response on its way: takes the application's messages."""

    def __init__(self, scope: Scope, send: Send, *, compresses: bool) -> None:
        self._scope, self._send, self._compresses = scope, send, compresses
        self._start: Message | None = None
        self._compressor: Compressor | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is None:
            await self._send(message if self._compressor is None else await _compressed(self._compressor, message))
            return
        body = message.get("body", b"")
        is_whole = message["type"] == "http.response.body" and not message.get("more_body")
        if is_whole and (coding := self._coding(start, len(body))) is not None:
            await self._send_compressed(start, body, coding)
        elif is_whole and len(body) > LARGE:
            await self._send(start)
            for _, piece in _pieces(body, PIECE):
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            # what is sent comes after what the caller has taken: then nothing of the body is waiting any more
            await self._send({"type": "http.response.body", "body": b""})
        elif not is_whole and (coding := self._coding_of_stream(start)) is not None:
            self._compressor = compressor_for(coding)
            await self._as_it_is(start, await _compressed(self._compressor, message))
        else:
            await self._as_it_is(start, message)

    async def _as_it_is(self, start: Message, message: Message) -> None:
        await self._send(start)
        await self._send(message)

    def _coding(self, start: Message, size: int) -> str | None:
        """In which coding a body of that size goes out; says in ``start`` that others may get it in another."""
        if not self._compresses:
            return None
        headers = dict(start["headers"])
        media_type = headers.get(b"content-type", b"").lower()
        is_compressible = b"content-encoding" not in headers and media_type.startswith(_COMPRESSIBLE)
        if not is_compressible and start["status"] != 304:
            return None
        start["headers"] = [*start["headers"], _VARY]
        if is_head := self._scope["method"] == "HEAD":
            size = int(headers.get(b"content-length", b"0"))
        if size < MINIMUM_SIZE:
            return None
        coding = self._accepted()
        if coding is not None:
            start["headers"] = _as_compressed(start["headers"])
        return None if is_head else coding

    def _coding_of_stream(self, start: Message) -> str | None:
        """The same for a body in pieces."""
        headers = dict(start["headers"])
        if not self._compresses or not headers.get(b"content-type", b"").lower().startswith(_STREAMS):
            return None
        start["headers"] = [*start["headers"], _VARY]
        coding = self._accepted()
        if coding is not None:
            start["headers"] = [*_as_compressed(start["headers"]), (b"content-encoding", coding.encode())]
        return coding

    def _accepted(self) -> str | None:
        accepted = [value.decode("latin-1") for name, value in self._scope["headers"] if name == b"accept-encoding"]
        return coding_for(",".join(accepted)[:MOST_CHARACTERS])

    async def _send_compressed(self, start: Message, body: bytes | bytearray, coding: str) -> None:
        compressor = compressor_for(coding)
        headers = [*start["headers"], (b"content-encoding", coding.encode())]
        if len(body) <= ON_THE_SPOT:
            compressed = compressor.compress(body) + compressor.flush()
            headers.append((b"content-length", b"%d" % len(compressed)))
            await self._as_it_is({**start, "headers": headers}, {"type": "http.response.body", "body": compressed})
            return
        await self._send({**start, "headers": headers})
        loop = asyncio.get_running_loop()
        for _, piece in _pieces(body, STEP):
            if compressed := await loop.run_in_executor(_THREADS, compressor.compress, piece):
                await self._send({"type": "http.response.body", "body": compressed, "more_body": True})
        await self._send({"type": "http.response.body", "body": await loop.run_in_executor(_THREADS, compressor.flush)})


async def _compressed(compressor: Compressor, message: Message) -> Message:
    """One piece of a stream, compressed."""

    def work() -> bytes:
        body, is_last = compressor.compress(message.get("body", b"")), not message.get("more_body")
        return body + (compressor.flush() if is_last else flushed(compressor))

    return {**message, "body": await asyncio.get_running_loop().run_in_executor(_THREADS, work)}


def _as_compressed(headers: Iterable[Header]) -> list[Header]:
    """``headers`` of a body that is not in its own length, nor the one of a strong entity tag."""
    kept = ((name.lower(), value) for name, value in headers)
    return [
        (name, b"W/" + value if name == b"etag" and not value.startswith(b"W/") else value)
        for name, value in kept
        if name != b"content-length"
    ]


def _pieces(body: bytes | bytearray, size: int) -> Iterator[tuple[int, memoryview]]:
    """``body`` in pieces that are no copies, each with its place."""
    view = memoryview(body)
    return ((place, view[place : place + size]) for place in range(0, len(view), size))
