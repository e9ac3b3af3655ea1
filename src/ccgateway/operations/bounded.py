"""uvicorn's httptools protocol, with the bounds that it lacks on what a caller may take up: memory, time, connections.

httptools reads heads and trailers for ever (h11, which serves where it is missing, bounds their size itself), and nothing in
uvicorn ends a connection that never says or reads anything. How long a body may take is for the application to say.

What else of HTTP uvicorn makes too little of is mended here: a request that would like another protocol is one like any other
(httptools takes its body for that protocol's, and what is in it for requests), callers of HTTP/1.0 know no chunks, and who
leaves with several requests under way leaves all of them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable, Iterable
from http import HTTPStatus
from typing import Any, ClassVar, Self

import httptools
import uvicorn
from cachetools import TTLCache
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ccgateway.errors import RequestError
from ccgateway.operations.stopping import ARRIVAL, refusal_body
from ccgateway.surfaces.callers import network_of
from ccgateway.traffic.overload import Arrival, Overload

__all__ = ["HEAD_BYTES", "BoundedHttp"]

HEAD_BYTES = 64 << 10
#: the part of all connections that one address may have; the whole gateway may stand behind one proxy
SHARE = 0.75
#: connections beyond all others, and the paths that these are for, and that are answered whatever happens
SPARE, ALWAYS = 16, (b"/health/live", b"/health/ready")
#: bytes of the body of a request that was turned away that are read over
MOST_UNWANTED = 1 << 20


def _refusal(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


_NO_TUNNEL = _refusal("405 Method Not Allowed")
_TOO_LONG = _refusal("431 Request Header Fields Too Large")
_TOO_SLOW = _refusal("408 Request Timeout")
_TOO_MANY = _refusal("503 Service Unavailable")


#: headers by which another protocol is asked for, beside a word in ``Connection``
_OF_UPGRADES = (b"upgrade", b"http2-settings")


def _without_upgrade(method: bytes, url: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a request, but for the wish for another protocol."""
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    for name, value in headers:
        if name == b"connection":
            words = [word for word in value.split(b",") if word.strip().lower() not in _OF_UPGRADES]
            lines += [b"connection: " + b",".join(words)] if words else []
        elif name not in _OF_UPGRADES:
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


class _UntilClose(int):
    """The length of a body that ends with its connection: whatever was sent of it, it is neither too long nor too short."""

    def __lt__(self, _size: object) -> bool:
        return False

    def __ne__(self, _size: object) -> bool:
        return False

    def __sub__(self, _size: int) -> Self:
        return self

    __hash__ = int.__hash__


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 to heads and trailers of more than ``HEAD_BYTES``, 408 to heads that are not there in ``head_seconds``, 503 to
    connections beyond ``limit_concurrency``, and closes; drops who takes nothing of an answer for ``read_seconds``.

    When there are too many connections, one without a request goes first: the oldest of the address that has most of them. One
    address may have ``SHARE`` of all, so that the others are let in whatever it does. Beyond that there are ``SPARE`` for
    questions how the gateway is (``ALWAYS``), and nothing else.

    When there are too many requests (``Overload``), some are answered 503 or 429 here, where that costs next to nothing.

    What comes in one piece with the begin of a message or with some of its body does not count as head or trailer.
    """

    head_seconds: ClassVar[float] = 20.0
    read_seconds: ClassVar[float] = 30.0

    _warned: ClassVar[TTLCache[str, bool]] = TTLCache(16, 60.0)

    _in_head = _moved = False
    _head = 0
    _idle_since = 0.0
    _address = ""
    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _arrival: Arrival | None = None
    _is_spare = False
    #: bytes of a body that nobody wants any more; below 0: there is none
    _unwanted = -1
    _closes = False
    #: the request that is being answered: those behind it wait in ``pipeline``, and uvicorn knows the last of them
    _running: RequestResponseCycle | None = None
    #: the head of a request for another protocol, as it is read instead
    _plain_head: bytes | None = None

    def __init__(self, config: uvicorn.Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        # uvicorn's own bound knows no exceptions
        self._most_connections, self.limit_concurrency = self.limit_concurrency, None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Lets the connection in, if there are not too many."""
        super().connection_made(transport)
        self._address, self._idle_since = network_of(self.client), self.loop.time()
        if self._most_connections is None or self._finds_room(self._most_connections):
            self._expect_head()
        elif self._finds_spare():
            self._is_spare = True
            self._expect_head()
        else:
            self._refuse_connection()

    def _warn(self, words: str) -> None:
        """Once a minute, however many there are."""
        if words not in self._warned:
            self._warned[words] = True
            self.logger.warning("%s It came from %s; others are not told of for a minute.", words, self._address or "a socket")

    def _finds_spare(self) -> bool:
        spare = [one for one in self._others() if one._is_spare]
        idle = [one for one in spare if one._is_unoccupied()]
        if len(spare) >= SPARE and idle:
            min(idle, key=lambda one: one._idle_since).transport.close()
        return len(spare) < SPARE or bool(idle)

    def _others(self) -> list[BoundedHttp]:
        return [one for one in self.connections if isinstance(one, BoundedHttp) and one is not self and not one.is_closing]

    def _refuse_connection(self) -> None:
        self._warn("Too many connections: one was turned away.")
        self._refuse(_TOO_MANY)

    def _finds_room(self, limit: int) -> bool:
        """Whether this connection, which is counted already, can stay; if need be in the place of an idle one."""
        others = [one for one in self._others() if not one._is_spare]
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
        self._leave()
        self._give_up()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        """Nobody waits for what is under way, nor for what is still to begin."""
        for one in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if one is not None and not one.response_complete:
                one.disconnected = True
                one.message_event.set()
        self.pipeline.clear()

    def _leave(self) -> None:
        if self._arrival is not None:
            self._arrival.leave()
            self._arrival = None

    # --- what comes in

    def data_received(self, data: bytes) -> None:
        """Counts the pieces that lie wholly within a head or a trailer."""
        self._moved = False
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._warn("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")
            return
        self._head = 0 if self._moved else self._head + len(data)
        if self._head > HEAD_BYTES:
            self._refuse(_TOO_LONG)
        elif self._is_unoccupied():
            # uvicorn has just stopped its keep-alive timer, whatever came: an empty line, or a body that nobody wanted
            self._expect_head()

    def _parse(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as asked:
                # the parser is through: another begins again, with a head by which the body belongs to the request
                rest, head, self._plain_head = rest[asked.args[0] :], self._plain_head, None
                if head is None:
                    return
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
                self.parser.feed_data(head)
            else:
                return

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
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._refuse(_NO_TUNNEL)
            else:
                version = self.parser.get_http_version()
                self._plain_head = _without_upgrade(self.parser.get_method(), self.url, version, self.headers)
        elif self.url.partition(b"?")[0].endswith(ALWAYS):
            self._begin()
        elif self._is_spare:
            self._refuse_connection()
        elif self._is_let_in():
            self._begin()

    def _begin(self) -> None:
        is_next = self._is_unoccupied()
        super().on_headers_complete()
        if is_next:
            self._running = self.cycle
        if self.scope["http_version"] == "1.0":
            self.cycle.chunked_encoding, self.cycle.expected_content_length = False, _UntilClose()

    def _is_let_in(self) -> bool:
        """Whether there are not too many requests; else it has its answer. One behind another of its connection is let in with
        that one."""
        overload: Overload | None = getattr(self.config.app, "overload", None)
        if overload is None or not self._is_unoccupied():
            return True
        try:
            self._arrival = overload.arrive(self._caller())
        except RequestError as refusal:
            self._turn_away(refusal)
            return False
        self.scope[ARRIVAL] = self._arrival  # type: ignore[literal-required] # the server's own, as ASGI lets it
        return True

    def _caller(self) -> Hashable:
        """Who asks, as far as that can be told without proving it."""
        token = next((value for name, value in self.headers if name in (b"authorization", b"x-auth-token")), None)
        return self._address if token is None else hash(token)

    def _turn_away(self, refusal: RequestError) -> None:
        status, body = HTTPStatus(refusal.row.http), refusal_body(refusal)
        keeps = self.parser.should_keep_alive()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Retry-After: {refusal.extensions()['retryAfter']}\r\nCache-Control: no-store\r\n"
            f"Connection: {'keep-alive' if keeps else 'close'}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._unwanted, self._closes, self._idle_since = 0, not keeps, self.loop.time()

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._moved = True
        if self._unwanted < 0:
            if self.cycle is not None:
                super().on_body(body)
            return
        self._unwanted += len(body)
        if self._unwanted > MOST_UNWANTED:
            self.transport.close()

    def on_message_complete(self) -> None:
        """The whole request is there."""
        if self._plain_head is not None:
            return
        if self._unwanted >= 0:
            self._unwanted = -1
            if self._closes:  # not before: what is closed with something unread is reset, and its answer lost
                self.transport.close()
        elif self.cycle is not None:
            super().on_message_complete()

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
        running = self._running
        if running is None or running.response_complete or not running.response_started:  # or it would land within that answer
            self.transport.write(answer)
        self._give_up()
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
        self._leave()
        if self.pipeline and not self.transport.is_closing():
            self._running = self.pipeline[-1][0]
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
