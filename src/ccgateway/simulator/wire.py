"""Below ASGI: the TCP connection a request came on, and how many there are.

:func:`watched_protocol` makes uvicorn's HTTP protocol count connections into a :class:`Traffic` and note the transport of the
request at hand, so that faults can do what ASGI cannot: reset a connection (:func:`reset`) or cut it (:func:`cut`).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Protocol

__all__ = ["Traffic", "cut", "reset", "watched_protocol"]

_LINGER_NOT = struct.pack("ii", 1, 0)  # close() sends RST

_transport: ContextVar[asyncio.Transport | None] = ContextVar("transport", default=None)


class Traffic:
    """Connections and requests of one site."""

    def __init__(self) -> None:
        self.transports: set[asyncio.Transport] = set()
        self.connections = 0  #: ever opened
        self.served = 0  #: requests ever begun
        self.active = 0  #: requests in progress
        self.max_active = 0

    @property
    def open(self) -> int:
        return len(self.transports)

    def restart(self) -> None:
        """Count anew; what is open or in progress stays so."""
        self.connections = self.open
        self.served = 0
        self.max_active = self.active

    @contextmanager
    def request(self) -> Iterator[None]:
        self.served += 1
        self.active += 1
        self.max_active = max(self.max_active, self.active)
        try:
            yield
        finally:
            self.active -= 1

    def opened(self, transport: asyncio.Transport) -> None:
        self.connections += 1
        self.transports.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        self.transports.discard(transport)


def reset() -> None:
    """Answer the request at hand with a TCP reset."""
    transport = _current()
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()


def cut() -> None:
    """Close the connection of the request at hand, after what has been written so far."""
    _current().close()


def _current() -> asyncio.Transport:
    transport = _transport.get()
    if transport is None:
        raise RuntimeError("this fault needs real sockets: run the site with ccgateway.simulator.serve()")
    return transport


def watched_protocol(traffic: Traffic) -> type[asyncio.Protocol]:
    """uvicorn's HTTP protocol, the faster one that is installed, reporting to *traffic*."""
    base: type[_Protocol] = _base()

    class Watched(base):  # type: ignore[misc, valid-type]
        """Notes the transport of whatever request its bytes will start."""

        def connection_made(self, transport: Any) -> None:
            self._watched = transport
            traffic.opened(transport)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            traffic.closed(self._watched)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            _transport.set(self._watched)  # the task that answers inherits this context
            super().data_received(data)

    return Watched


def _base() -> Any:
    try:
        return import_module("uvicorn.protocols.http.httptools_impl").HttpToolsProtocol
    except ImportError:
        return import_module("uvicorn.protocols.http.h11_impl").H11Protocol
