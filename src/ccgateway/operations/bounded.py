"""uvicorn's httptools protocol, with the bounds that it lacks on what a caller may take up: memory, time, connections.

httptools reads heads and trailers for ever (h11, which serves where it is missing, bounds their size itself), and nothing in
uvicorn ends a connection that never says or reads anything. How long a body may take is for the application to say.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HEAD_BYTES", "BoundedHttp"]

HEAD_BYTES = 64 << 10
#: the part of all connections that one address may have; the whole gateway may stand behind one proxy
SHARE = 0.75


def _refusal(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


_TOO_LONG = _refusal("431 Request Header Fields Too Large")
_TOO_SLOW = _refusal("408 Request Timeout")
_TOO_MANY = _refusal("503 Service Unavailable")


def _address_of(client: tuple[str, int] | None) -> str:
    """Whom a connection counts for: an IPv4 address, or the /64 network that one IPv6 host usually has to itself."""
    if client is None:
        return ""
    try:
        address = ip_address(client[0].partition("%")[0])
    except ValueError:
        return client[0]
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 to heads and trailers of more than ``HEAD_BYTES``, 408 to heads that are not there in ``head_seconds``, 503 to
    connections beyond ``limit_concurrency``, and closes; drops who takes nothing of an answer for ``read_seconds``.

    When there are too many connections, one without a request goes first: the oldest of the address that has most of them. One
    address may have ``SHARE`` of all, so that the others are let in whatever it does.

    What comes in one piece with the begin of a message or with some of its body does not count as head or trailer.
    """

    head_seconds: ClassVar[float] = 20.0
    read_seconds: ClassVar[float] = 30.0

    _in_head = _moved = False
    _head = 0
    _idle_since = 0.0
    _address = ""
    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Lets the connection in, if there are not too many."""
        super().connection_made(transport)
        self._address, self._idle_since = _address_of(self.client), self.loop.time()
        if self.limit_concurrency is None or self._finds_room(self.limit_concurrency):
            self._expect_head()
        else:
            self.logger.warning("Too many connections: one was turned away.")
            self._refuse(_TOO_MANY)

    def _finds_room(self, limit: int) -> bool:
        """Whether this connection, which is counted already, can stay; if need be in the place of an idle one."""
        others = [one for one in self.connections if isinstance(one, BoundedHttp) and one is not self and not one.is_closing]
        held = Counter(one._address for one in others)
        is_share_taken = held[self._address] >= limit * SHARE
        if len(others) + 1 < limit and not is_share_taken:
            return True
        idle = [one for one in others if one._is_unoccupied() and (not is_share_taken or one._address == self._address)]
        if not idle:
            return False
        # keep-alive connections before those on which a head has begun
        oldest = min(idle, key=lambda one: (-held[one._address], one._in_head, one._idle_since))
        oldest.transport.close()
        return True

    @property
    def is_closing(self) -> bool:
        """Whether it is about to go and counts no more."""
        return bool(self.transport.is_closing())

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the timers."""
        for timer in (self._head_timer, self._read_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    # --- what comes in

    def data_received(self, data: bytes) -> None:
        """Counts the pieces that lie wholly within a head or a trailer."""
        self._moved = False
        super().data_received(data)
        self._head = 0 if self._moved else self._head + len(data)
        if self._head > HEAD_BYTES:
            self._refuse(_TOO_LONG)
        elif self._is_unoccupied():
            # uvicorn has just stopped its keep-alive timer, whatever came: an empty line, or a body that nobody wanted
            self._expect_head()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = self._moved = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps headers, and no trailers: nobody reads them, and they would pile up on the request."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head ends."""
        self._in_head, self._moved = False, True
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._moved = True
        super().on_body(body)

    def _is_unoccupied(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_seconds, self._miss_head)

    def _miss_head(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse(_TOO_SLOW)
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, answer: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._is_unoccupied() or not self.cycle.response_started:  # or it would land within another answer
            self.transport.write(answer)
        if not self._is_unoccupied():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
        self._expect_reader()

    # --- what goes out

    def pause_writing(self) -> None:
        """More is to go out than the caller takes."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """The caller took most of it."""
        super().resume_writing()
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
            self._expect_reader()

    def on_response_complete(self) -> None:
        """An answer is written, to the connection's buffer at least."""
        self._idle_since = self.loop.time()
        super().on_response_complete()
        self._expect_reader()

    def _expect_reader(self) -> None:
        if self._read_timer is None and (waiting := self.transport.get_write_buffer_size()):
            self._read_timer = self.loop.call_later(self.read_seconds, self._look_at_reader, waiting)

    def _look_at_reader(self, waiting: int) -> None:
        self._read_timer = None
        if self.transport.get_write_buffer_size() >= waiting:
            self.transport.abort()
        else:
            self._expect_reader()
