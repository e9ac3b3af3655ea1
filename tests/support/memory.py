"""How much memory is held: bytes, not references, so that it does not matter who holds them."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["LARGE", "held"]

#: bytes of a body beside which all else is small
LARGE = 8 << 20


@contextmanager
def held() -> Iterator[Callable[[], int]]:
    """Inside, a function that tells how many bytes are held that were taken since. The collector of cycles does not help."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
