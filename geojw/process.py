"""What is set once in a process of our own, which loads what it needs, works and ends. Results do not depend on it."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
from contextlib import suppress

LOADED_OBJECTS = 100_000
"""New objects before those that nobody holds are looked for: libraries are hundreds of thousands, and all stay."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Numbers of what glibc's `mallopt` sets."""

_KEPT_BYTES, _LARGE_BYTES, _HEAPS = 1 << 30, 1 << 25, 2
"""Free bytes that are kept, bytes from which an array is mapped by itself (the most allowed), heaps of threads."""


def settle() -> None:
    """Set up this process."""
    # Linear algebra is little used here, and its idle threads would spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(LOADED_OBJECTS)
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)  # the system takes back what is left: nobody has to look through it
    # Each batch needs the memory of the last again: given back, every page would be cleared anew.
    with suppress(AttributeError, OSError, TypeError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        for setting, value in ((_TRIM_THRESHOLD, _KEPT_BYTES), (_MMAP_THRESHOLD, _LARGE_BYTES), (_ARENA_MAX, _HEAPS)):
            mallopt(setting, value)
