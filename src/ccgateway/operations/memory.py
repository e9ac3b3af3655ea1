"""How much freed memory the process keeps for the next large answer.

glibc gives memory back to the system as soon as 128 KB at the heap's end are free, and every page that comes anew costs a fault
and a cleared page: for answers of ten megabytes that was a third of all their time. Bodies of up to 32 MB come from the heap,
and up to 64 MB of it stay when they are done with; larger ones still go back at once.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> bool:
    """Whether this C library could be told; others than glibc are left as they are."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, 64 << 20) and mallopt(_MMAP_THRESHOLD, 32 << 20))
