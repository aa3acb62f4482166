"""Fixed-point arithmetic as TensorFlow Lite's reference defines it, in NumPy.

A real multiplier m is kept as round(2^31 q), with m = q 2^shift and q in [0.5, 1) (``QuantizeMultiplier`` of
tensorflow/lite/kernels/internal/quantization_util.cc). A product is rounded twice, half away from zero: by 2^31, then
by 2^-shift (``MultiplyByQuantizedMultiplier``, the variant built by default).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_multiplier", "multiplier", "rescaled"]

Integers = NDArray[np.int64]


def multiplier(real: float) -> tuple[int, int]:
    """(mantissa, shift) of a positive real multiplier; (0, 0) where it is too small to count."""
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    mantissa = math.floor(fraction * (1 << 31) + 0.5)
    if mantissa == 1 << 31:
        mantissa, shift = mantissa // 2, shift + 1
    return (0, 0) if shift < -31 else (mantissa, shift)


def multipliers(real: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """`multiplier` of each."""
    pairs = [multiplier(float(value)) for value in real]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)


def rescaled(x: Integers, mantissa: NDArray[np.integer] | int, shift: NDArray[np.integer] | int) -> Integers:
    """x times the multiplier, rounded; x as int64 holding int32 values, mantissa and shift broadcast against it."""
    shift64 = np.asarray(shift, np.int64)
    left, right = np.maximum(shift64, 0), np.maximum(-shift64, 0)
    high = ((x << left) * np.asarray(mantissa, np.int64) + (1 << 30)) >> 31
    mask = (np.int64(1) << right) - 1
    threshold = (mask >> 1) + (high < 0)
    return (high >> right) + ((high & mask) > threshold)


def mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """The multiplier of a sum of ``count`` values whose mean is to be scaled by ``real`` (``EvalIntegerMean`` of
    reduce.cc: the division is part of the multiplier, rounded down)."""
    mantissa, shift = multiplier(real)
    more = min(63 - (64 - count.bit_length()), 32, 31 + shift)
    return (mantissa << more) // count, shift - more
