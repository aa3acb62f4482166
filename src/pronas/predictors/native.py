"""The compiled steps of the LSTM (csrc), through ctypes; there may be none, and then PyTorch does the work."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.machine import compiled_library

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

__all__ = ["LANES", "library"]

#: Cells are padded to a multiple of this.
LANES = 16


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled scorer, or None."""
    path = compiled_library("pronas.predictors", "libpronas_scorer.so")
    if path is None:
        return None
    try:
        core = ctypes.CDLL(str(path))
        pointer, whole = ctypes.c_void_p, ctypes.c_int64
        core.pronas_exponentials.argtypes = [pointer, whole, whole]
        core.pronas_step.argtypes = [pointer] * 5 + [whole] * 4 + [pointer] * 3
        core.pronas_last_step.argtypes = [pointer] * 6 + [whole] * 3 + [ctypes.c_float, pointer, pointer]
        core.pronas_forward.argtypes = [pointer] * 3 + [whole] * 2 + [pointer] * 3
        core.pronas_backward.argtypes = [pointer] * 4 + [whole] * 2 + [pointer] * 3
        core.pronas_adam.argtypes = [pointer] * 4 + [whole] + [ctypes.c_float] * 5
    except (OSError, AttributeError):
        return None
    return core


def _core() -> ctypes.CDLL:
    core = library()
    assert core is not None
    return core


def exponentials(gates: Float32) -> None:
    """Gates (count, 4 · width) become exp(-gates), those of the candidate exp(-2 gates), in place."""
    _core().pronas_exponentials(_pointer(gates), len(gates), gates.shape[1] // 4)


def step(
    starts: Float32, memory: Float32, tokens: Float32, before: Int32, following: Int32, state: Float32, next_: Float32
) -> None:
    """One step of groups of starts: pair k of each group continues start ``before[k]`` with token ``following[k]``.

    Args:
        starts, memory: recurrent products (groups · each, 4 · width) and memory (groups · each, width).
        tokens: exponentials (distinct, 4 · width).
        before, following: (pairs,).
        state, next_: (groups · pairs, width), take the new h and memory.
    """
    groups = len(state) // len(before)
    each, width = len(starts) // groups, memory.shape[1]
    arrays = (_pointer(array) for array in (starts, memory, tokens, before, following))
    sizes, room = (groups, each, len(before), width), np.empty(4 * width, np.float32)
    _core().pronas_step(*arrays, *sizes, _pointer(room), _pointer(state), _pointer(next_))


def last_step(
    starts: Float32,
    memory: Float32,
    tokens: Float32,
    weights: Float32,
    first: Int32,
    following: Int32,
    bias: float,
    scores: Float32,
) -> None:
    """Pre-sigmoid scores of every start with each of its last tokens, one start after the other.

    Args:
        starts, memory, tokens: as in `step`.
        weights: (width,).
        first, following: start s is followed by ``following[first[s % k] : first[s % k + 1]]``, k = len(first) - 1.
        bias: added to every score.
        scores: takes them.
    """
    patterns, room = len(first) - 1, np.empty(memory.shape[1] * 4, np.float32)
    arrays = (_pointer(array) for array in (starts, memory, tokens, weights, first, following))
    sizes = (len(starts), patterns, memory.shape[1])
    _core().pronas_last_step(*arrays, *sizes, bias, _pointer(room), _pointer(scores))


def forward(*arrays: NDArray[Any]) -> None:
    """One step of fitting: gates (…, 4H), memory before, started (…) uint8; memory, its tanh and state are written."""
    first, last = arrays[:3], arrays[3:]
    sizes = (arrays[2].size, arrays[1].shape[-1])
    _core().pronas_forward(*map(_pointer, first), *sizes, *map(_pointer, last))


def backward(*arrays: NDArray[Any]) -> None:
    """The same backwards: activations, memory before, tanh of memory, started, gradients of state, memory, gates."""
    first, last = arrays[:4], arrays[4:]
    sizes = (arrays[3].size, arrays[1].shape[-1])
    _core().pronas_backward(*map(_pointer, first), *sizes, *map(_pointer, last))


def adam(vectors: Sequence[Float32], decays: tuple[float, float], *rest: float) -> None:
    """A step of Adam on values, gradient, first and second moment, all (count,); the gradient becomes zero.

    ``rest`` are the corrected rate, the correction of the root, and epsilon.
    """
    _core().pronas_adam(*map(_pointer, vectors), vectors[0].size, *decays, *rest)


def _pointer(array: NDArray[Any]) -> int:
    assert array.flags.c_contiguous
    return int(array.ctypes.data)
