"""The end of the gateway, as writes see it: nothing new is begun, and after a moment nobody waits for what is under way."""

from __future__ import annotations

import asyncio
from typing import TypeVar

__all__ = ["NOT_SENT", "Closing"]

T = TypeVar("T")

NOT_SENT = "The gateway is stopping: nothing was sent."


class Closing:
    """Whether the gateway is stopping (``is_begun``), and the moment until which answers are waited for."""

    def __init__(self) -> None:
        self.is_begun = False
        self._moment: asyncio.Future[None] | None = None

    def begin(self, seconds: float) -> None:
        """From now on nothing new is begun; what is under way is waited for so many seconds more."""
        if not self.is_begun:
            self.is_begun = True
            asyncio.get_running_loop().call_later(max(0.0, seconds), self._come)

    def _come(self) -> None:
        moment = self._future()
        if not moment.done():
            moment.set_result(None)

    def _future(self) -> asyncio.Future[None]:
        if self._moment is None:
            self._moment = asyncio.get_running_loop().create_future()
        return self._moment

    async def wait(self, task: asyncio.Task[T]) -> bool:
        """Whether ``task`` ended before the moment came. Leaving early (cancelled) does not end it."""
        both: list[asyncio.Future[T] | asyncio.Future[None]] = [task, self._future()]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return task.done()
