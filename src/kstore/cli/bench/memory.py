"""Memory that a load lets go stays with this process, for the next reply of a megabyte.

glibc gives large blocks back to the system at once, which then hands out the same pages again, one
fault and one clearing for every 4 KB: two thirds of what receiving and decoding large replies cost.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

# glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_SIZE = 1 << 30


def keep_freed_memory() -> None:
    """For the rest of this process; where the C library is not glibc, nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _SIZE)
        mallopt(_M_TRIM_THRESHOLD, _SIZE)
