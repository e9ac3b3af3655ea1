"""How long a piece of work may still take: one value, handed down through every layer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Deadline", "caller_waits_until", "limit_in_steps"]

#: steps in which a time-out is counted
STEPS = 10


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the running event loop's clock (``at``, seconds)."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The moment ``seconds`` from now."""
        return cls(asyncio.get_running_loop().time() + seconds)

    @classmethod
    def of_request(cls, seconds: float) -> Deadline:
        """The moment ``seconds`` from now; earlier if the caller of the running request waits no longer than that."""
        caller = _caller.get()
        return cls.after(seconds) if caller is None else caller.within(seconds)

    @property
    def remaining(self) -> float:
        """Seconds left; below 0 once it has passed."""
        return self.at - asyncio.get_running_loop().time()

    def within(self, seconds: float) -> Deadline:
        """This moment, or ``seconds`` from now, whichever comes first."""
        return Deadline(min(self.at, asyncio.get_running_loop().time() + seconds))

    def limit(self) -> asyncio.Timeout:
        """For ``async with``: cancels the body when the moment comes; leaves ``TimeoutError`` to the caller."""
        return asyncio.timeout_at(self.at)


@dataclass(slots=True)
class Waited:
    """``seconds`` in which the process had time to look for an answer, in steps, and there was none."""

    seconds: float = 0.0


@asynccontextmanager
async def limit_in_steps(seconds: float) -> AsyncIterator[Waited]:
    """As ``asyncio.timeout``, in small steps: a process that had no time to look whether there was an answer blames itself, not
    whom it asked, as each time it stops counts as one step only. Gives how long was waited.
    """
    loop = asyncio.get_running_loop()
    step, left, waited = seconds / STEPS, STEPS, Waited()
    timer: asyncio.TimerHandle

    def tick() -> None:
        nonlocal left, timer
        left -= 1
        if loop.time() - timer.when() < step / 2:
            waited.seconds += step
        if left > 0:
            timer = loop.call_later(step, tick)
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        timer = loop.call_later(step, tick)
        try:
            yield waited
        finally:
            timer.cancel()


_caller: ContextVar[Deadline | None] = ContextVar("caller's deadline", default=None)


@contextmanager
def caller_waits_until(deadline: Deadline | None) -> Iterator[None]:
    """For the length of a request whose caller has said until when it waits (``None``: it has not)."""
    token = _caller.set(deadline)
    try:
        yield
    finally:
        _caller.reset(token)
