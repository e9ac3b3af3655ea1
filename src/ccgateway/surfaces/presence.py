"""Work for a caller ends when the caller goes away.

Most answers are there within milliseconds: only what takes longer is watched, so that the others need no task for it.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive

__all__ = ["WhileConnected"]

#: seconds of work after which somebody looks whether the caller is still there
UNWATCHED = 0.05

log = logging.getLogger(__name__)


class WhileConnected:
    """``async with``: the body is cancelled, and ``ClientDisconnect`` raised, when the caller goes away before it ends.

    ``receive``: of a request whose body has been read.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._has_left = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("there is no task to cancel")
        self._task, self._cancelling, self._loop = task, task.cancelling(), asyncio.get_running_loop()
        self._timer = self._loop.call_later(UNWATCHED, self._watch)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None  # it knows this, and what it ends with stays with it
        if self._has_left and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            log.info("the caller went away: its request is cancelled")
            raise ClientDisconnect from error

    def _watch(self) -> None:
        self._watching = self._loop.create_task(self._departure())

    async def _departure(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        self._task.cancel()
