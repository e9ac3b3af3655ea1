"""The one way out by HTTP, to sites and to identity services: aiohttp under httpx2's transport interface.

Reads the whole body at once, and never more of it than was allowed. aiohttp, because it parses HTTP in C and takes less than half
the processor time of httpcore2 (figures: ``docs/develop/architecture.md``); the interface is httpx2's, so that clients and their
tests do not depend on which library moves the bytes. Bodies are unpacked here, step by step, so that a small packed body cannot
grow past the limit.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import yarl
from aiohttp.client_proto import ResponseHandler

from ccgateway.errors import SettingsError
from ccgateway.settings.base import refuse_alterable
from ccgateway.traffic.scopes import Reading

__all__ = ["AiohttpTransport", "AnswerTooLargeError", "CertificateError", "authorities"]


class AnswerTooLargeError(httpx2.TransportError):
    """The body exceeds the limit, as sent or unpacked."""


class CertificateError(httpx2.ConnectError):
    """The server's certificate is not accepted."""


class _LostError(aiohttp.ClientError):
    """A connection broke under a request that must not be sent again: nothing that aiohttp knows how to try again."""


_LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except _LOST as error:
        raise _LostError(type(error).__name__) from error


#: informational heads (1xx) that a connection may send before one answer
_MOST_INFORMATIONAL = 8


class _FinalHeads(ResponseHandler):
    """A connection that drops informational heads as they come, and breaks at too many: aiohttp would read them without end,
    and hold the loop while it does."""

    _informational = 0

    def __init__(self, loop: asyncio.AbstractEventLoop, note_certificate: Callable[[float], None] | None = None) -> None:
        super().__init__(loop=loop)
        self._note_certificate = note_certificate

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tells when the other side's certificate expires, if it has one."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        until = (tls.getpeercert() or {}).get("notAfter") if tls is not None else None
        if self._note_certificate is not None and isinstance(until, str):
            self._note_certificate(float(ssl.cert_time_to_seconds(until)))

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Takes one parsed head."""
        if not 100 <= data[0].code < 200 or data[0].code == 101:
            self._informational = 0
            super().feed_data(data, size)
            return
        self._informational += 1
        if self._informational == _MOST_INFORMATIONAL + 1:
            self.set_exception(aiohttp.ClientError(f"more than {_MOST_INFORMATIONAL} informational answers"))
            if self.transport is not None:
                self.transport.abort()


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """One pool of keep-alive connections to one host.

    ``connections``: how many at most; ``idle``: seconds after which an unused one is closed, less than the server's own limit;
    ``limit``: bytes of a body, unpacked; ``verify``: TLS context; ``is_counted``: whether bodies take from what their caller may
    have in memory; ``note_certificate``: told of each connection by TLS when its certificate expires (epoch seconds). Redirects
    are answers, cookies are dropped.
    """

    def __init__(
        self, *, connections: int, idle: float, limit: int, verify: ssl.SSLContext | bool = True, is_counted: bool = True,
        note_certificate: Callable[[float], None] | None = None,
    ) -> None:  # fmt: skip
        self._note_certificate = note_certificate
        self._settings: dict[str, Any] = {"limit": connections, "keepalive_timeout": idle, "ssl": verify}
        self._limit, self._is_counted = limit, is_counted
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(**self._settings)
            # aiohttp has no public place for it; tests/test_transport.py fails where this one has gone
            connector._factory = partial(_FinalHeads, asyncio.get_running_loop(), self._note_certificate)  # type: ignore[assignment]
            self._session = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                trust_env=False,
            )
        return self._session

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends ``request`` and reads the whole answer; aiohttp's exceptions become httpx2's.

        With the extension ``once`` it is sent once whatever its method is; else aiohttp sends again what HTTP calls idempotent
        (which DELETE is) where a connection that was kept open turns out to be broken.
        """
        timeout = request.extensions.get("timeout") or {}
        try:
            async with self._opened().request(
                request.method,
                yarl.URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                allow_redirects=False,
                middlewares=(_once,) if request.extensions.get("once") else (),
                timeout=_timeout(timeout.get("connect"), timeout.get("read")),
            ) as answer:
                with Reading() if self._is_counted else nullcontext() as reading:
                    body = await self._read(answer, request, reading)
                return httpx2.Response(answer.status, headers=_plain(answer), stream=httpx2.ByteStream(body), request=request)
        except aiohttp.ConnectionTimeoutError as error:
            raise httpx2.ConnectTimeout("no connection in time", request=request) from error
        except aiohttp.ServerTimeoutError as error:
            raise httpx2.ReadTimeout("no data in time", request=request) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise CertificateError(_reason(error), request=request) from error
        except aiohttp.ClientConnectorError as error:
            raise httpx2.ConnectError(_reason(error), request=request) from error
        except (*_LOST, _LostError, aiohttp.ClientPayloadError, ConnectionError) as error:
            raise httpx2.ReadError(type(error).__name__, request=request) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise httpx2.RemoteProtocolError(type(error).__name__, request=request) from error

    async def _read(self, answer: aiohttp.ClientResponse, request: httpx2.Request, reading: Reading | None) -> bytes:
        if (answer.content_length or 0) > self._limit:
            raise self._too_large(answer, request)
        unpack = _unpacker(answer.headers.get("Content-Encoding", "identity"))
        pieces: list[bytes] = []
        size = packed = 0
        async for piece in answer.content.iter_any():
            packed += len(piece)
            if packed > self._limit:
                raise self._too_large(answer, request)
            for plain in unpack(piece) if unpack else (piece,):
                size += len(plain)
                if size > self._limit:
                    raise self._too_large(answer, request)
                pieces.append(plain)
                if reading is not None:
                    reading.take(len(plain))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _too_large(self, answer: aiohttp.ClientResponse, request: httpx2.Request) -> AnswerTooLargeError:
        answer.close()
        return AnswerTooLargeError(f"more than {self._limit} bytes", request=request)

    async def aclose(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def authorities(ca_file: Path | None, key: str) -> ssl.SSLContext | bool:
    """Whose certificates are accepted: the file's, or the system's. Raises ``SettingsError`` of ``key`` for an unfit file."""
    if ca_file is None:
        return True
    try:
        refuse_alterable(ca_file, key)
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        problem = f"{ca_file} cannot be used ({reason or 'not a certificate'})"
        raise SettingsError(key, problem, "Name a PEM file with the authority's certificate.") from None


#: bytes unpacked at once; pieces that one body may be packed in, each of which costs time though it may be empty
_STEP, _MOST_MEMBERS = 1 << 18, 16


class _Unpacker:
    """Unpacks gzip or deflate in steps of bounded size. What Go calls deflate lacks zlib's header: the first byte tells."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._zlib = zlib.decompressobj(window)
        self._members = 1
        self._is_new = True

    def __call__(self, piece: bytes) -> Any:
        if piece and self._is_new:
            self._is_new = False
            if self._window == zlib.MAX_WBITS and piece[0] & 0x0F != zlib.DEFLATED:
                self._window = -zlib.MAX_WBITS
                self._zlib = zlib.decompressobj(self._window)
        while piece:
            try:
                plain = self._zlib.decompress(piece, _STEP)
            except zlib.error as error:
                raise ValueError("broken compressed data") from error
            if plain:
                yield plain
            piece = self._zlib.unconsumed_tail
            if self._zlib.eof and self._zlib.unused_data:
                piece = self._zlib.unused_data
                self._zlib = zlib.decompressobj(self._window)
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise ValueError("packed in too many pieces")


@lru_cache(maxsize=64)
def _timeout(connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)


def _unpacker(encoding: str) -> _Unpacker | None:
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return _Unpacker(31)
        case "deflate":
            return _Unpacker(zlib.MAX_WBITS)
        case _:
            raise ValueError("a content encoding that was not asked for")


def _plain(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    dropped = (b"content-encoding", b"content-length", b"transfer-encoding")
    return [(name, value) for name, value in answer.raw_headers if name.lower() not in dropped]


def _reason(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host name is not known"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "")
        return f"its TLS certificate is not accepted ({why})" if why else "its TLS certificate is not accepted"
    if isinstance(error, aiohttp.ClientSSLError):
        return "it does not speak TLS there"
    number = error.os_error.errno
    return os.strerror(number).lower() if number else "no connection"
