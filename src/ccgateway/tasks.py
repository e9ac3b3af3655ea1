"""Tasks side by side, of which one may fail the whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from ccgateway.errors import GatewayError

__all__ = ["side_by_side"]


@asynccontextmanager
async def side_by_side() -> AsyncIterator[asyncio.TaskGroup]:
    """An ``asyncio.TaskGroup`` whose failure is the first ``GatewayError`` of its tasks, where nothing else failed: such an error
    speaks for the question as a whole, and a group of them would be nobody's answer."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        first, *others = _leaves(failures)
        if not all(isinstance(one, GatewayError) for one in (first, *others)):
            raise
        raise first from None


def _leaves(failures: BaseExceptionGroup) -> Iterator[BaseException]:
    for failure in failures.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            yield from _leaves(failure)
        else:
            yield failure
