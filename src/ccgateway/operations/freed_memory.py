"""How much freed memory the process keeps for the next large answer, and how often it looks for what nothing else would free.

glibc gives memory back to the system as soon as 128 KB at the heap's end are free, and every page that comes anew costs a fault
and a cleared page: for answers of ten megabytes that was a third of all their time. Bodies of up to 32 MB come from the heap,
and up to 64 MB of it stay when they are done with; larger ones still go back at once.

Python's collector looks through what is new whenever some hundreds of lists and objects are, as they are while a page of jobs
is made, and nothing else runs meanwhile. What is there when the gateway starts (some 90,000 objects) stays, so that it need not
be looked at again. What jobs consist of is not looked at, or once (``jobs.model.Resource``): with lists instead of tuples,
fifty pages of 2000 jobs at once stopped everything for 100 to 480 ms now and then. After two thousand objects it takes 10 to 20
ms at the most, after ten thousand 40 to 60, for the same processor time on the whole. Nothing large waits for the collector:
100 callers who leave early, 100 broken answers and 400 good ones of ten megabytes one after the other, then 50 at once, take
125 and 223 MB at most with these settings, 123 and 229 with Python's. That holds as long as an error that somebody keeps does
not keep the answer it was made of (``forget_frames``); before it did not, broken answers took 245 MB with Python's settings, and
650 with these; 92 answers of ten megabytes that were refused, for want of memory of all things, left 870 MB where 340 are taken.
"""

from __future__ import annotations

import ctypes
import gc

__all__ = ["calm_collector", "keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_COLLECT_AFTER = (2_000, 10, 10)


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
