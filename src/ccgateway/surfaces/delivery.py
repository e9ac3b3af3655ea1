"""How bodies go out: packed for those who ask for it, and large ones piece by piece.

ASGI middleware, so that every face has it. A body that comes to it whole goes out in pieces, each when the one before is on its
way: the server then holds no copy of what a slow reader has not taken yet, and the body itself is all that such a reader costs.
Bodies that come in pieces already are left alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccgateway.surfaces.packing import coding_for, packer

__all__ = ["Delivery"]

#: bytes below which nobody gains from packing: two or three packets
WORTH_PACKING = 4096
#: bytes that go out at once
PIECE = 1 << 20
#: bytes that are packed at once, and those up to which that is done on the spot: in a thread it costs 0.1 ms more, and keeps
#: nobody waiting
STEP, ON_THE_SPOT = 256 << 10, 128 << 10

#: what is read of an ``Accept-Encoding``
MOST_CHARACTERS = 256

_PACKABLE = (b"application/json", b"application/graphql-response+json", b"text/")
_VARY = (b"vary", b"Accept-Encoding")
_THREADS = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="packing")  # starts none before it is used


class Delivery:
    """``packs``: whether bodies are packed for those who accept that."""

    def __init__(self, app: ASGIApp, *, packs: bool) -> None:
        self._app, self._packs = app, packs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, _Parcel(scope, send, packs=self._packs) if scope["type"] == "http" else send)


class _Parcel:
    """One response on its way: takes the application's messages."""

    def __init__(self, scope: Scope, send: Send, *, packs: bool) -> None:
        self._scope, self._send, self._packs = scope, send, packs
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is None:
            await self._send(message)
            return
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or message.get("more_body") or len(body) < WORTH_PACKING:
            await self._as_it_is(start, message)
        elif coding := self._coding(start):
            await self._packed(start, body, coding)
        elif len(body) > PIECE:
            await self._send(start)
            for place, piece in _pieces(body, PIECE):
                await self._send({"type": "http.response.body", "body": piece, "more_body": place + PIECE < len(body)})
        else:
            await self._as_it_is(start, message)

    async def _as_it_is(self, start: Message, message: Message) -> None:
        await self._send(start)
        await self._send(message)

    def _coding(self, start: Message) -> str | None:
        """In which coding the body goes out; marks in ``start`` that others may get it in another."""
        if not self._packs or self._scope["method"] == "HEAD":
            return None
        headers = dict(start["headers"])
        if b"content-encoding" in headers or not headers.get(b"content-type", b"").lower().startswith(_PACKABLE):
            return None
        start["headers"] = [*start["headers"], _VARY]
        accepted = [value.decode("latin-1") for name, value in self._scope["headers"] if name == b"accept-encoding"]
        return coding_for(",".join(accepted)[:MOST_CHARACTERS])

    async def _packed(self, start: Message, body: bytes, coding: str) -> None:
        packing = packer(coding)
        headers = [one for one in start["headers"] if one[0].lower() != b"content-length"]
        headers.append((b"content-encoding", coding.encode()))
        if len(body) <= ON_THE_SPOT:
            packed = packing.compress(body) + packing.flush()
            headers.append((b"content-length", b"%d" % len(packed)))
            await self._as_it_is({**start, "headers": headers}, {"type": "http.response.body", "body": packed})
            return
        await self._send({**start, "headers": headers})
        loop = asyncio.get_running_loop()
        for _, piece in _pieces(body, STEP):
            if packed := await loop.run_in_executor(_THREADS, packing.compress, piece):
                await self._send({"type": "http.response.body", "body": packed, "more_body": True})
        await self._send({"type": "http.response.body", "body": await loop.run_in_executor(_THREADS, packing.flush)})


def _pieces(body: bytes, size: int) -> Iterator[tuple[int, memoryview]]:
    """``body`` in pieces that are no copies, each with its place."""
    view = memoryview(body)
    return ((place, view[place : place + size]) for place in range(0, len(view), size))
