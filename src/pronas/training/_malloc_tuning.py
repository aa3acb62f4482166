"""Memory that is kept: a training step frees and asks for the same large blocks again and again."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# glibc's malloc.h and Linux's mman.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_MADV_HUGEPAGE = 14
_PAGE = 2**21
_HEAP = 256 * 2**20


@cache
def keep_freed_memory() -> bool:
    """Let this process reuse freed memory instead of giving it back; return whether that could be arranged.

    By default glibc maps every large block afresh, and the kernel clears it page by page: on a small network that is a
    tenth to a third of a training step. Kept blocks, on huge pages where the kernel grants them, cost nothing. Only
    for glibc on Linux; elsewhere nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 * 2**20))
        done = all(libc.mallopt(name, value) for name, value in settings)
    except (OSError, AttributeError):  # another libc
        return False
    return done and _ask_for_huge_pages(libc)


def _ask_for_huge_pages(libc: ctypes.CDLL) -> bool:
    """Grow the heap once and mark the new part; pages are used when something is written to them."""
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    block = libc.malloc(_HEAP)
    if not block:
        return False
    first = -(-block // _PAGE) * _PAGE
    libc.madvise(first, _HEAP - _PAGE, _MADV_HUGEPAGE)
    libc.free(block)
    return True
