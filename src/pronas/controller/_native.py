"""The compiled last step of the LSTM, through ctypes; there may be none, and then PyTorch does the work."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

#: Cells are padded to a multiple of this.
LANES = 16


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled scorer beside this file, or None."""
    path = Path(__file__).with_name("libpronas_scorer.so")
    if not path.is_file():
        return None
    try:
        core = ctypes.CDLL(str(path))
    except OSError:
        return None
    pointer, whole = ctypes.c_void_p, ctypes.c_int64
    core.pronas_last_step.argtypes = [pointer] * 6 + [whole] * 3 + [ctypes.c_float, pointer]
    core.pronas_last_step.restype = None
    return core


def last_step(
    starts: Float32, memory: Float32, tokens: Float32, weights: Float32, first: Int32, following: Int32, bias: float
) -> Float32:
    """Pre-sigmoid scores of every start with each of its last tokens, one start after the other.

    Args:
        starts, memory: (count, 4, width) exponentials and (count, width), as in csrc/scorer.c.
        tokens, weights: (distinct, 4, width) exponentials and (width,).
        first, following: start s is followed by ``following[first[s % k] : first[s % k + 1]]``, k = len(first) - 1.
        bias: added to every score.
    """
    core = library()
    assert core is not None
    count, patterns = len(starts), len(first) - 1
    scores = np.empty(count // patterns * len(following), np.float32)
    arrays = [np.ascontiguousarray(array) for array in (starts, memory, tokens, weights, first, following)]
    core.pronas_last_step(
        *(_pointer(array) for array in arrays), count, patterns, starts.shape[2], bias, _pointer(scores)
    )
    return scores


def _pointer(array: NDArray[Any]) -> int:
    return int(array.ctypes.data)
