"""A watch on the event loop: whoever holds it keeps everybody waiting, and is named in the log."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["watched_loop"]

log = logging.getLogger("ccgateway.loop")

#: seconds between two looks, and for how many the loop may answer nobody without being named
PAUSE, PATIENCE = 0.25, 1.0
#: calls that are told of whoever holds the loop, from the innermost outwards
CALLS = 5


@contextmanager
def watched_loop(*, patience: float = PATIENCE, came_round: Callable[[float], None] = lambda _seconds: None) -> Iterator[None]:
    """Watches the running loop from a thread of its own until the end of the block.

    A loop that has run nothing else for ``patience`` seconds is told as a warning: how long it was held, by which task, and where
    in the code. No value of any variable is told. ``came_round`` is told, in that thread, the seconds that each look took.
    """
    ended = threading.Event()
    arguments = (asyncio.get_running_loop(), threading.get_ident(), patience, ended, came_round)
    watch = threading.Thread(target=_watch, args=arguments, name="loop watch", daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()  # the thread sees it within a look: to wait for it would hold the loop


def _watch(
    loop: asyncio.AbstractEventLoop, thread: int, patience: float, ended: threading.Event, came_round: Callable[[float], None]
) -> None:
    while not ended.wait(PAUSE):
        answered, asked_at = threading.Event(), time.monotonic()
        try:
            loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            return  # the loop is closed
        if answered.wait(patience):
            came_round(time.monotonic() - asked_at)
            continue
        holder = _holder(loop, sys._current_frames().get(thread))
        while not answered.wait(PAUSE):
            if ended.is_set():
                return
        came_round(time.monotonic() - asked_at)
        log.warning("the event loop was held for %.1f s by %s", time.monotonic() - asked_at, holder)


def _holder(loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> str:
    task, calls = asyncio.current_task(loop), list[str]()
    while frame is not None and len(calls) < CALLS:
        code = frame.f_code
        calls.append(f"{frame.f_globals.get('__name__', code.co_filename)}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return f"{task.get_name() if task else 'no task'}, in {' < '.join(calls) or 'code unknown'}"
