"""uvicorn's httptools protocol, with a bound on the head of a request that it lacks: h11 has one, httptools reads for ever."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HEAD_BYTES", "BoundedHttp"]

HEAD_BYTES = 64 << 10
_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 and closes once more than ``HEAD_BYTES`` came and the headers still do not end.

    The chunk in which a head begins is not counted: most of it may be the body of the request before.
    """

    _in_head = _began = False
    _head = 0

    def data_received(self, data: bytes) -> None:
        """Counts the chunks that lie wholly within a head."""
        self._began = False
        super().data_received(data)
        if not self._in_head or self._began:
            self._head = 0
            return
        self._head += len(data)
        if self._head > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = self._began = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head ends."""
        self._in_head = False
        super().on_headers_complete()
