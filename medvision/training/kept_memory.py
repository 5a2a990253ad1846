"""Memory that is freed and asked for again in each step stays with the process meanwhile.

glibc gives large blocks back to the system as soon as they are freed. A training step frees and asks for
hundreds of them, and the system clears each page anew: a sixth of a step's time.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4  # malloc.h
_NEVER = -1
_ROOM = 1 << 30
"""Bytes of addresses, not of memory, asked for at once, so that blocks find room behind each other."""
_PAD = 128 << 10
"""The same by default."""
_BLOCK = 32 << 20
"""Bytes from which on a block is the system's own; the highest that glibc comes to by itself."""
_BLOCKS = 65536
"""How many may be; glibc's default."""


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep what is freed until the end, then give it back; does nothing where there is no glibc."""
    if (libc := _glibc()) is None:
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    libc.mallopt(_TOP_PAD, _ROOM)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_THRESHOLD, _BLOCK)
        libc.mallopt(_MMAP_MAX, _BLOCKS)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _BLOCK)
        libc.mallopt(_TOP_PAD, _PAD)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if os.name == "posix" else None
    return library if hasattr(library, "mallopt") else None
