"""What every face does with a request before and while it is answered: its body is read within bounds, and nobody works for
callers who have gone away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from ccgateway.errors import Code, RequestError

__all__ = ["LateBodyError", "read_body", "while_connected"]

T = TypeVar("T")
log = logging.getLogger(__name__)


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


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` comes to; it is cancelled, and ``ClientDisconnect`` raised, when the caller goes away before."""
    running = asyncio.create_task(work)
    leaving = asyncio.create_task(_departure(request))
    try:
        await asyncio.wait((running, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            log.info("the caller went away: its request is cancelled")
            raise ClientDisconnect
        return running.result()
    finally:
        for task in (running, leaving):
            task.cancel()
        await asyncio.gather(running, leaving, return_exceptions=True)


async def _departure(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
