"""Bodies of requests are read within bounds of size and time."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from ccgateway.errors import Code, RequestError

__all__ = ["LateBodyError", "read_body"]


class LateBodyError(RequestError):
    """The body did not come in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(Code.BAD_REQUEST, f"The body did not come within {seconds:g} s.")


async def read_body(request: Request, most_bytes: int, seconds: float) -> bytes:
    """The request's body. ``BODY_TOO_LARGE`` as soon as it is larger than ``most_bytes``; ``LateBodyError`` after ``seconds``."""
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most_bytes:
                    raise RequestError(Code.BODY_TOO_LARGE, f"The body is larger than {most_bytes} bytes.")
                chunks.append(chunk)
    except TimeoutError:
        raise LateBodyError(seconds) from None
    return b"".join(chunks)
