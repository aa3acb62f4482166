"""Scales for which every runtime rounds alike: a step of a result is worth an even whole number of steps of the sum.

A sum divided by an even number lies on a rounding's edge or a whole step off it. TensorFlow Lite's second rounding,
which lifts what is just below the edge, then finds nothing there; so runtimes that round once, floats included,
give the same result, if they round edges away from zero, as it does. That they do if the divisor is a little less
than the even number (`_just_below`), which is harmless to the second rounding unless the number is a power of two
or just below one.

An addition's sum is no whole number of steps, but there are only 65,536 pairs of bytes: `addition_scale` keeps clear of
scales that put a frequent one on an edge, where fixed point and floats would part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["addition_scale", "mean_scale", "weight_scales"]

_TRIED = 4  # numbers among which a channel's is chosen
_HIGHEST = 1.8  # their mantissa, 1 to 2
_COARSER = 1 + np.arange(16) / 512
_NEAR = 3e-5  # steps of the result: what sums of floats and of fixed point may miss


def weight_scales(
    weight: NDArray[np.float32], bias: NDArray[np.float32], source: float, output: float
) -> NDArray[np.float32]:
    """One scale a channel: no weight is beyond 127, the bias fits in 29 bits, and a step of the result is worth an even
    whole number of steps of the sum: of a few such numbers the one that rounds the weights least.

    Args:
        weight: (out, ...).
        bias: (out,).
        source, output: scales of the map that is read and of the result.
    """
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    least = np.maximum(np.maximum(np.abs(flat).max(1) / 127, np.abs(bias) / (source * (1 << 29))), 1e-9)
    best: NDArray[np.float32] = least.astype(np.float32)
    smallest = np.full(len(flat), np.inf)
    for less in range(_TRIED):
        divisor = _divisor(output / source / least, less)
        scales = _just_below(output / source, np.maximum(divisor, 1))
        error = ((np.rint(flat / scales[:, None]) * scales[:, None] - flat) ** 2).sum(1)
        better = (divisor > 0) & (error < smallest)
        best, smallest = np.where(better, scales, best), np.where(better, error, smallest)
    return best


def _divisor(most: NDArray[np.float64], less: int = 0) -> NDArray[np.float64]:
    """Of the even numbers up to ``most`` that make all roundings one, the largest, or one ``less`` places below it; 0
    where there is none, or weights would lose more than a sixth of their resolution."""
    found = 2 * np.floor(np.minimum(most, _HIGHEST * _octave(2 * np.floor(most / 2))) / 2) - 2 * less
    fits = (found >= most * 5 / 6) & (found <= _HIGHEST * _octave(found)) & (most < 1 << 20)
    return np.where(fits, found, 0)


def _octave(number: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest power of two below each number."""
    found: NDArray[np.float64] = 2.0 ** np.floor(np.log2(np.maximum(number - 1, 1)))
    return found


def _just_below(ratio: float, divisor: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scales with which a sum is divided by just less than ``divisor``: the highest sums, 256 steps of the result, miss
    less than the second rounding's reach leaves."""
    reach = divisor / (2 * _octave(divisor))
    exact = ratio / divisor * (1 + 0.9 * (1 - reach) / (256 * divisor))
    near = exact.astype(np.float32)
    return np.where(near > exact, np.nextafter(near, np.float32(0)), near)


def mean_scale(scale: float, source: float, count: int) -> float:
    """The scale of a mean of ``count`` values of scale ``source``, near ``scale`` or coarser.

    The division is part of the mean's multiplier, whose mantissa keeps all its bits only if the number's is not below
    that of ``count``; so the scale may become up to twice as coarse, for maps of 2^n pixels hardly so.
    """
    found = max(2, 2 * math.ceil(0.97 * count * scale / source / 2))
    while math.frexp(found)[0] < math.frexp(count)[0]:
        found += 2
    return float(np.nextafter(np.float32(found * source / count), np.float32(np.inf)))


def addition_scale(scale: float, sources: Sequence[float], frequencies: Sequence[NDArray[np.float64]]) -> float:
    """Of a few scales up to 3 % coarser than ``scale`` the one with which a sum comes least often so near a rounding's
    edge that runtimes part.

    Args:
        scale: of the result.
        sources: scales of the two maps that are added.
        frequencies: of each map's distances from its zero point, -255 to 255: how often it holds them; 511 numbers.
    """
    steps = np.arange(-255, 256)
    sums = (steps * sources[0])[:, None] + steps * sources[1]
    joint, reach = np.outer(*frequencies), _NEAR * max(1.0, max(sources) / scale)
    tried = [float(np.float32(scale * factor)) for factor in _COARSER]
    return min(tried, key=lambda one: float(joint[np.abs(np.mod(sums / one, 1) - 0.5) < reach].sum()))
