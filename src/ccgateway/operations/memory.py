"""How much freed memory the process keeps for the next large answer, and how often it looks for what nothing else would free.

glibc gives memory back to the system as soon as 128 KB at the heap's end are free, and every page that comes anew costs a fault
and a cleared page: for answers of ten megabytes that was a third of all their time. Bodies of up to 32 MB come from the heap,
and up to 64 MB of it stay when they are done with; larger ones still go back at once.

Python's collector looks through all it knows whenever some thousands of lists and objects are alive at once, as they are while a
page of jobs with their hosts is made: that was 5.1 of the 21.5 ms that 500 such jobs cost. What is there when the gateway starts
(a quarter of a million objects) stays, so that it need not be looked at again: 1.6 ms. Looking after ten thousand objects instead
of seven hundred: none. Nothing large waits for the collector: 100 answers of ten megabytes one after the other, good ones, broken
ones, ones whose callers left, and 50 at once, take the same memory at most with either (111, 101, 111 and 230 MB). That holds as
long as an error that somebody keeps does not keep the answer it was made of (``GatewayError.forget_frames``); before it did not,
it was 245 MB by default and 650 with this.
"""

from __future__ import annotations

import ctypes
import gc

__all__ = ["calm_collector", "keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_COLLECT_AFTER = (10_000, 10, 10)


def keep_freed_memory() -> bool:
    """Whether this C library could be told; others than glibc are left as they are."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, 64 << 20) and mallopt(_MMAP_THRESHOLD, 32 << 20))


def calm_collector() -> None:
    """To be called once everything that stays is there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
