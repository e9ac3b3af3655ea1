"""How far long work is, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["counted", "progress"]

T = TypeVar("T")


@contextmanager
def progress(what: str, *, fills_stdout: bool = True) -> Iterator[Callable[[int], None]]:
    """A line on standard error that counts ``what``: call what it gives with how many there are by now. It is gone in the end.

    Nothing is shown where standard error is no terminal, or where the data themselves fill it (``fills_stdout``: whether that is
    where they go).
    """
    if not sys.stderr.isatty() or (fills_stdout and sys.stdout.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = Progress(
        SpinnerColumn(), BarColumn(), TextColumn("{task.completed:,} {task.description}"), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with shown:
        task = shown.add_task(what, total=None)
        yield lambda done: shown.update(task, completed=done)


def counted(many: Iterable[T], what: str) -> Iterator[T]:
    """``many``, counted as they come."""
    with progress(what) as tell:
        for number, one in enumerate(many, start=1):
            yield one
            if not number % 100:
                tell(number)
