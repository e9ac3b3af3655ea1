"""How a site misbehaves.

Each :class:`Fault` is one way of failing; :class:`Faults` holds the :class:`Rule`\\ s that say which requests meet which fault
and how often. Some faults change the answer (:meth:`Fault.altered`), some how it is sent (:meth:`Fault.strike`); those that
need the connection itself work under :func:`~ccgateway.simulator.serve` only.

``Faults``: :meth:`~Faults.hang` :meth:`~Faults.hang_mid_body` :meth:`~Faults.reset` :meth:`~Faults.close`
:meth:`~Faults.status` :meth:`~Faults.html` :meth:`~Faults.empty` :meth:`~Faults.error_object` :meth:`~Faults.doubled`
:meth:`~Faults.garbage` :meth:`~Faults.truncated` :meth:`~Faults.slow` :meth:`~Faults.drip` :meth:`~Faults.huge`
:meth:`~Faults.gzip_bomb` :meth:`~Faults.redirect`.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal

from ccgateway.simulator import wire
from ccgateway.simulator.asgi import Receive, Send, gone, send_response
from ccgateway.simulator.messages import HTML, JSON, TEXT, Request, Response, json_error, json_response

__all__ = ["Fault", "Faults", "Rule"]

Body = Literal["json", "html", "text", "empty"]
_CHUNK = b" " * 65536
_SETTLE = 0.02  # seconds for what was written to reach the client before the connection dies
_PAGE = b"<!DOCTYPE html>\n<html><body><h1>Something went wrong</h1></body></html>\n"


class Fault:
    """One way of failing; this one is none at all."""

    wants_answer = True  #: False: the site need not even look at the request

    def altered(self, response: Response, request: Request) -> Response:
        """The answer to send instead of *response*."""
        return response

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        """Send *response*, or fail to."""
        await send_response(send, request, response)


@dataclass(frozen=True, slots=True)
class Replaced(Fault):
    """Always the same answer."""

    answer: Response

    def altered(self, response: Response, request: Request) -> Response:
        return self.answer


@dataclass(frozen=True, slots=True)
class Redirect(Fault):
    """To the same path on another host."""

    base: str
    status: int

    def altered(self, response: Response, request: Request) -> Response:
        return Response(self.status, headers=(("location", self.base.rstrip("/") + request.target),))


class Doubled(Fault):
    """The document twice in one body."""

    def altered(self, response: Response, request: Request) -> Response:
        return replace(response, body=response.body * 2)


class Hang(Fault):
    """Accept, read, never answer."""

    wants_answer = False

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        await gone(receive)


class HangMidBody(Fault):
    """Half an answer, then nothing."""

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        await _send_half(send, response, announced=True)
        await gone(receive)


@dataclass(frozen=True, slots=True)
class Reset(Fault):
    """TCP RST, at once or after half an answer."""

    mid_body: bool

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        if self.mid_body:
            await _send_half(send, response, announced=True)
            await asyncio.sleep(_SETTLE)
        wire.reset()
        await gone(receive)


class Close(Fault):
    """Close the connection instead of answering."""

    wants_answer = False

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        wire.cut()
        await gone(receive)


@dataclass(frozen=True, slots=True)
class Truncated(Fault):
    """Half an answer, then the connection closes: fewer bytes than Content-Length, or chunks without an end."""

    chunked: bool

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        await _send_half(send, response, announced=not self.chunked)
        await asyncio.sleep(_SETTLE)
        wire.cut()
        await gone(receive)


@dataclass(frozen=True, slots=True)
class Slow(Fault):
    """A right answer, late."""

    seconds: float

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        if not await _gone_within(receive, self.seconds):
            await send_response(send, request, response)


@dataclass(frozen=True, slots=True)
class Drip(Fault):
    """A right answer, a few bytes at a time."""

    size: int
    interval: float

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        await _start(send, response, length=len(response.body))
        for at in range(0, len(response.body), self.size):
            await send(_piece(response.body[at : at + self.size]))
            if await _gone_within(receive, self.interval):
                return
        await send(_piece(b"", more=False))


@dataclass(frozen=True, slots=True)
class Huge(Fault):
    """More blanks than anybody wants; ``size`` None: without end."""

    size: int | None
    announced: bool

    wants_answer = False

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        answer = Response(200, headers=(("content-type", JSON),))
        length = self.size if self.announced else None
        await _pour(answer, _CHUNK, self.size, length, receive, send)


@dataclass(frozen=True, slots=True)
class GzipBomb(Fault):
    """A small body that unpacks to ``size`` blanks."""

    size: int

    wants_answer = False

    async def strike(self, response: Response, request: Request, receive: Receive, send: Send) -> None:
        packer = zlib.compressobj(9, wbits=31)
        opening = packer.compress(b"[") + packer.flush(zlib.Z_FULL_FLUSH)
        megabyte = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)  # repeatable: nothing refers back
        answer = Response(200, headers=(("content-type", JSON), ("content-encoding", "gzip")))
        await _start(send, answer, length=None)
        await send(_piece(opening))
        await _pour_pieces(megabyte, self.size // 2**20, receive, send)


@dataclass(slots=True)
class Rule:
    """Requests whose path and query match ``path`` meet ``fault``, ``left`` more times (None: until cleared)."""

    fault: Fault
    path: re.Pattern[str] | None
    left: int | None
    hits: int = 0

    def takes(self, target: str) -> bool:
        """Whether this request meets the fault; counts if so."""
        if self.left == 0 or (self.path is not None and self.path.search(target) is None):
            return False
        self.hits += 1
        if self.left is not None:
            self.left -= 1
        return True


class Faults:
    """What goes wrong at one site. The rule added first takes a request first.

    Every method takes *path*, a regular expression looked for in path and query (None: every request), and *times*, how
    many requests fail (None: all until :meth:`clear`), and answers the rule, whose ``hits`` count.
    """

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.seen = 0  #: requests, whether they failed or not

    def add(self, fault: Fault, *, path: str | None = None, times: int | None = None) -> Rule:
        """Let requests meet *fault*."""
        rule = Rule(fault, None if path is None else re.compile(path), times)
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """From now on all is well (requests that hang already go on hanging)."""
        self.rules.clear()

    def due(self, target: str) -> Fault | None:
        """The fault a request meets, if any."""
        self.seen += 1
        rule = next((r for r in self.rules if r.takes(target)), None)
        return None if rule is None else rule.fault

    def hang(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Accept the request and never answer."""
        return self.add(Hang(), path=path, times=times)

    def hang_mid_body(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Send half the body and then nothing."""
        return self.add(HangMidBody(), path=path, times=times)

    def reset(self, *, mid_body: bool = False, path: str | None = None, times: int | None = None) -> Rule:
        """Reset the connection, before answering or half-way."""
        return self.add(Reset(mid_body), path=path, times=times)

    def close(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Close the connection without an answer."""
        return self.add(Close(), path=path, times=times)

    def status(
        self,
        status: int,
        *,
        body: Body = "json",
        retry_after: str | int | None = None,
        path: str | None = None,
        times: int | None = None,
    ) -> Rule:
        """Answer with *status*."""
        response = _refusal(status, body)
        if retry_after is not None:
            response = replace(response, headers=(*response.headers, ("retry-after", str(retry_after))))
        return self.add(Replaced(response), path=path, times=times)

    def html(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Answer 200 with a web page."""
        return self.add(Replaced(Response(200, _PAGE, (("content-type", HTML),))), path=path, times=times)

    def empty(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Answer 200 with nothing, as cc-backend does when it cannot load metrics."""
        return self.add(Replaced(Response(200)), path=path, times=times)

    def error_object(
        self, message: str = "something went wrong", *, path: str | None = None, times: int | None = None
    ) -> Rule:
        """Answer 200 with ``{"data": null, "error": {"message": …}}``."""
        answer = json_response({"data": None, "error": {"message": message}})
        return self.add(Replaced(answer), path=path, times=times)

    def doubled(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Send the right document twice in one body."""
        return self.add(Doubled(), path=path, times=times)

    def garbage(self, *, path: str | None = None, times: int | None = None) -> Rule:
        """Answer 200 with bytes that are no JSON, nor UTF-8, though they say so."""
        answer = Response(200, b'{"jobs":[\xff\xfe\x00 }' * 8, (("content-type", JSON),))
        return self.add(Replaced(answer), path=path, times=times)

    def truncated(self, *, chunked: bool = False, path: str | None = None, times: int | None = None) -> Rule:
        """Send half of what Content-Length says, or chunks without an end, and close."""
        return self.add(Truncated(chunked), path=path, times=times)

    def slow(self, seconds: float, *, path: str | None = None, times: int | None = None) -> Rule:
        """Answer after *seconds*."""
        return self.add(Slow(seconds), path=path, times=times)

    def drip(
        self, *, size: int = 1, interval: float = 0.05, path: str | None = None, times: int | None = None
    ) -> Rule:
        """Send *size* bytes every *interval* seconds."""
        return self.add(Drip(size, interval), path=path, times=times)

    def huge(
        self, size: int | None = 2**31, *, announced: bool = True, path: str | None = None, times: int | None = None
    ) -> Rule:
        """Send *size* bytes (None: without end), *announced* by Content-Length or not."""
        return self.add(Huge(size, announced and size is not None), path=path, times=times)

    def gzip_bomb(self, size: int = 2**31, *, path: str | None = None, times: int | None = None) -> Rule:
        """Send a body that unpacks to *size* bytes."""
        return self.add(GzipBomb(size), path=path, times=times)

    def redirect(
        self, base: str, *, status: int = 302, path: str | None = None, times: int | None = None
    ) -> Rule:
        """Send the caller to *base*, another host."""
        return self.add(Redirect(base, status), path=path, times=times)


def _refusal(status: int, body: Body) -> Response:
    phrase = HTTPStatus(status).phrase
    match body:
        case "json":
            return json_error(status, f"simulated: {phrase}")
        case "html":
            return Response(status, _PAGE, (("content-type", HTML),))
        case "text":
            return Response(status, f"{phrase}\n".encode(), (("content-type", TEXT),))
        case "empty":
            return Response(status)


def _piece(body: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _start(send: Send, response: Response, *, length: int | None) -> None:
    headers = [(k.encode(), v.encode()) for k, v in response.headers]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


async def _send_half(send: Send, response: Response, *, announced: bool) -> None:
    body = response.body or b'{"jobs":[]}'
    await _start(send, response, length=len(body) if announced else None)
    await send(_piece(body[: len(body) // 2]))


async def _gone_within(receive: Receive, seconds: float) -> bool:
    try:
        await asyncio.wait_for(gone(receive), seconds)
    except TimeoutError:
        return False
    return True


async def _pour(
    response: Response, chunk: bytes, size: int | None, length: int | None, receive: Receive, send: Send
) -> None:
    await _start(send, response, length=length)
    await _pour_pieces(chunk, None if size is None else size // len(chunk), receive, send)


async def _pour_pieces(chunk: bytes, count: int | None, receive: Receive, send: Send) -> None:
    """*count* pieces (None: without end), as fast as the client takes them, until it goes."""
    watcher = asyncio.ensure_future(gone(receive))
    try:
        sent = 0
        while not watcher.done() and (count is None or sent < count):
            await send(_piece(chunk))
            await asyncio.sleep(0)
            sent += 1
        if not watcher.done():
            await send(_piece(b"", more=False))
    finally:
        watcher.cancel()
