"""Questions that come together go together: five hundred callers at once are one round trip, and each thing is asked for once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

__all__ = ["BatchCoalescer"]

Item = TypeVar("Item", bound=Hashable)
T = TypeVar("T")


class BatchCoalescer(Generic[Item, T]):
    """Calls ``ask`` with all that was wanted in one turn of the event loop, or while ``at_once`` calls were under way.

    An answer is never older than the question. Owns the tasks that ask: ``aclose`` ends them.
    """

    def __init__(self, ask: Callable[[Sequence[Item]], Awaitable[T]], *, at_once: int) -> None:
        self._ask, self._at_once = ask, at_once
        self._items: dict[Item, None] = {}
        self._answer: asyncio.Future[T] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking = 0

    async def want(self, items: Iterable[Item]) -> T:
        """The answer to these items and those of others; raises what asking raised."""
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            if self._asking < self._at_once:
                self._asking += 1  # here, not in the task: nobody may count on one that is about to end
                task = asyncio.get_running_loop().create_task(self._run(), name="ask together")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        self._items.update(dict.fromkeys(items))
        return await asyncio.shield(self._answer)

    async def _run(self) -> None:
        try:
            while self._answer is not None:
                answer, self._answer = self._answer, None
                items, self._items = list(self._items), {}
                await self._settle(answer, items)
        finally:
            self._asking -= 1

    async def _settle(self, answer: asyncio.Future[T], items: Sequence[Item]) -> None:
        try:
            answer.set_result(await self._ask(items))
        except asyncio.CancelledError:
            answer.set_exception(RuntimeError("the cache was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - raised to those who wait
            answer.set_exception(error)
        finally:
            if not answer.cancelled():
                answer.exception()  # all who waited may have left

    async def aclose(self) -> None:
        """Ends what is being asked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
