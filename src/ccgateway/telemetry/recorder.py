"""Tells of requests from their beginning to their end, whichever face they come to."""

from __future__ import annotations

from ccgateway.telemetry.access_log import AccessLog
from ccgateway.telemetry.observer import Observer
from ccgateway.telemetry.requests import RequestRecord, Surface, TraceContext, new_request_id, request_id_in
from ccgateway.telemetry.tracing import Tracer

__all__ = ["Recorder"]


class Recorder:
    """``observer``: counts them; ``access``: whether each has a line in the log; ``tracer``: makes their spans."""

    def __init__(self, observer: Observer, *, access: bool = False, tracer: Tracer | None = None) -> None:
        self._observer, self._tracer = observer, tracer
        self._access = AccessLog() if access else None

    def begin(self, surface: Surface, request_id: str | None, traceparent: str | None) -> RequestRecord:
        """A new record. ``request_id`` and ``traceparent``: as the caller sends them, taken over where they can be."""
        own = (request_id_in(request_id) if request_id is not None else None) or new_request_id()
        record = RequestRecord(surface, own, None if traceparent is None else TraceContext.of(traceparent))
        if self._tracer is not None:
            self._tracer.begin(record)
        self._observer.request_began()
        return record

    def end(self, record: RequestRecord, seconds: float) -> None:
        """It took ``seconds`` to answer."""
        self._observer.request_ended(record, seconds)
        if self._access is not None:
            self._access.note(record, seconds)
        if self._tracer is not None:
            self._tracer.end(record)
