"""Every request by HTTP has a record while it is answered, and is told of once it has its answer: counted, written, traced.

ASGI middleware, outermost, so that nothing of a request goes unseen. Requests for ``/health`` are no requests of anybody.
"""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccgateway.telemetry.recorder import Recorder
from ccgateway.telemetry.requests import Surface, recorded
from ccgateway.traffic.overload import current_arrival

__all__ = ["RecordingMiddleware"]


class RecordingMiddleware:
    """Makes the record of each request, and gives its id back to whoever asked."""

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self._app, self._recorder = app, recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/health/"):
            await self._app(scope, receive, send)
            return
        request_id = traceparent = None
        for name, value in scope["headers"]:
            if name == b"x-request-id" and request_id is None:
                request_id = value.decode("latin-1")
            elif name == b"traceparent" and traceparent is None:
                traceparent = value.decode("latin-1")
        record = self._recorder.begin(Surface.WEB, request_id, traceparent)
        if (arrival := current_arrival()) is not None:
            record.began -= time.monotonic() - arrival.at  # until its turn came
        if scope.get("client"):
            record.client = scope["client"][0]
        answered_at: float | None = None

        async def sending(message: Message) -> None:
            nonlocal answered_at
            if message["type"] == "http.response.start":
                answered_at, record.status = time.perf_counter(), message["status"]
                own = [(b"x-request-id", record.request_id.encode())]
                if record.trace is not None:
                    own.append((b"traceparent", record.trace.header.encode()))
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        try:
            with recorded(record):
                await self._app(scope, receive, sending)
        finally:
            record.is_cancelled = answered_at is None  # whoever waited for it has left, or the gateway stops
            self._recorder.end(record, (answered_at or time.perf_counter()) - record.began)
