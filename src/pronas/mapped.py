"""Arrays in files, mapped rather than read, so that processes share one copy in the page cache."""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

# without it Linux refuses a private mapping larger than memory, though nothing is ever written to it
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0


@final
class MappedArray(np.ndarray[Any, Any]):
    """An array that lies in a file from ``offset`` (bytes) on, in C order; a view of part of it has no ``path``."""

    path: str | None = None
    offset: int = 0


def map_array(path: str | os.PathLike[str], dtype: str, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
    """Map an array: nothing is read until it is used, and other processes that map it share the pages.

    The mapping is private copy-on-write, since PyTorch warns of arrays that cannot be written; the file never changes.

        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "numbers"
        >>> path.write_bytes(np.arange(6, dtype="<i4").tobytes())
        24
        >>> map_array(path, "<i4", (2, 3)).tolist()
        [[0, 1, 2], [3, 4, 5]]

    Raises:
        OSError: the file cannot be read.
        ValueError: it is shorter than the array.
    """
    count = int(np.prod(shape, dtype=np.int64))
    size = count * np.dtype(dtype).itemsize
    if size == 0:
        return np.empty(shape, dtype)
    start = offset % mmap.ALLOCATIONGRANULARITY
    flags, protection = mmap.MAP_PRIVATE | _NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), size + start, flags=flags, prot=protection, offset=offset - start)
    array = np.frombuffer(mapped, dtype, count, start).reshape(shape).view(MappedArray)
    array.path, array.offset = os.path.abspath(path), offset
    return array


def contiguous(array: NDArray[Any]) -> NDArray[Any]:
    """The array in C order: itself where it is already, so that a mapped one stays mapped.

    >>> contiguous(np.ones((2, 3)).T).flags.c_contiguous
    True
    """
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)
