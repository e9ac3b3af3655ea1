"""The standard services beside the gateway's own, health and reflection: for whoever asks, so that nobody proves who they are.

Their streams have places of their own: whoever opens them without end takes none of the callers'.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from ccgateway.errors import Code, RequestError
from ccgateway.surfaces.grpc.statuses import status_of, trailers_of

__all__ = ["MOST_STREAMS", "Health", "Reflection"]

#: streams of each of the services at any one time
MOST_STREAMS = 64
#: seconds until a client that reads what can be called asks on
PATIENCE = 30.0


class _Places:
    def __init__(self, what: str) -> None:
        self._what, self._taken = what, 0

    @asynccontextmanager
    async def one(self, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
        """A place for the length of the block; else the call ends with ``RATE_LIMITED``."""
        if self._taken >= MOST_STREAMS:
            text = f"More than {MOST_STREAMS} streams of {self._what} at a time. Try again later."
            refusal = RequestError(Code.RATE_LIMITED, text)
            await context.abort(status_of(refusal), refusal.message, trailers_of(refusal))
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Health(health.aio.HealthServicer):
    """As the library's, but for how many may watch."""

    def __init__(self) -> None:
        super().__init__()
        self._places = _Places("health")

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - the service's own name
        """Tells each change, until the client leaves."""
        async with self._places.one(context):
            await super().Watch(request, context)


class Reflection(reflection.aio.ReflectionServicer):
    """As the library's, but for how many may ask, and for how long they may say nothing."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(names)
        self._places = _Places("reflection")

    async def ServerReflectionInfo(self, request_iterator: Any, unused_context: Any) -> Any:  # noqa: N802
        """Says what can be called."""
        answers: Any = super().ServerReflectionInfo(_while_they_come(request_iterator), unused_context)
        async with self._places.one(unused_context):
            async for answer in answers:
                yield answer


async def _while_they_come(requests: AsyncIterable[Any]) -> AsyncIterator[Any]:
    waiting = aiter(requests)
    while True:
        try:
            yield await asyncio.wait_for(anext(waiting), PATIENCE)
        except (StopAsyncIteration, TimeoutError):
            return
