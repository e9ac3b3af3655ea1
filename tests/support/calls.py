"""How much work something is, counted in calls of functions: a busy machine changes nothing about that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Calls", "counted_calls"]


@dataclass
class Calls:
    """Calls so far."""

    count: int = 0


@contextmanager
def counted_calls() -> Iterator[Calls]:
    """Counts the calls of this thread within the block, whether of Python or of C."""
    calls = Calls()

    def counted(_frame: Any, event: str, _argument: Any) -> None:
        calls.count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        yield calls
    finally:
        sys.setprofile(before)
