"""Statistics of the training pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pronas.data._cache import remembered
from pronas.data._types import Dataset, Split

_CHUNK = 1 << 20


class PixelScale(NamedTuple):
    """Per-channel mean and standard deviation, in pixel units (0…255).

    Attributes:
        mean: (C,), in units of 0…255.
        std: (C,), in the same units, above 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def scale_of(dataset: Dataset | Split) -> PixelScale:
    """Mean and standard deviation of each channel over the training images alone.

    Counted from histograms in whole numbers, hence the same to the bit on every machine. A channel that never changes
    gets a standard deviation of 1.

        >>> from pronas.data import load_dataset
        >>> [round(value) for value in scale_of(load_dataset("digits", limit=100)).mean]
        [77]

    Args:
        dataset: its training images count, or those of a split: uint8 (n, C, H, W).

    Returns:
        (C,) means and standard deviations, in units of 0…255.
    """
    if isinstance(dataset, Dataset):
        train = dataset.train.images
        counts = remembered(dataset.key, "histogram", lambda: _histogram(train).tolist())
    else:
        counts = _histogram(dataset.images).tolist()
    pairs = [_moments(channel) for channel in counts]
    return PixelScale(tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs))


def _histogram(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each value occurs in each channel: int64 (C, 256)."""
    counts = np.zeros((images.shape[1], 256), np.int64)
    step = max(1, _CHUNK // max(1, images[:1].nbytes))  # counting makes each value eight bytes
    for start in range(0, len(images), step):
        for channel in range(images.shape[1]):
            counts[channel] += np.bincount(images[start : start + step, channel].ravel(), minlength=256)
    return counts


def _moments(counts: list[int]) -> tuple[float, float]:
    total = first = second = 0
    for value, count in enumerate(counts):
        total, first, second = total + count, first + count * value, second + count * value * value
    variance = (total * second - first * first) / (total * total)
    return first / total, math.sqrt(variance) or 1.0
