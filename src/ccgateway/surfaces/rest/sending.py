"""Answers onto the wire: the one place that knows how a body leaves."""

from __future__ import annotations

from starlette.types import Send

from ccgateway.surfaces.rest.calls import Answer

__all__ = ["send_answer"]


async def send_answer(answer: Answer, send: Send, *, with_body: bool) -> None:
    """Sends ``answer``; only its head where not ``with_body``."""
    headers = [("X-Content-Type-Options", "nosniff"), *answer.headers.items()]
    if answer.etag is not None:
        headers += [("ETag", answer.etag), ("Cache-Control", "private, no-cache")]
    else:
        headers.append(("Cache-Control", "no-store"))
    if answer.status != 304:
        headers.append(("Content-Length", str(len(answer.body))))
        if answer.media_type is not None:
            headers.append(("Content-Type", answer.media_type))
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body if with_body and answer.status != 304 else b""})
