"""Statistics of the training pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pronas.data._types import Dataset, Split


class Scale(NamedTuple):
    """Per-channel mean and standard deviation, in pixel units (0…255)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def scale_of(dataset: Dataset | Split) -> Scale:
    """Mean and standard deviation of each channel over the training images alone.

    Counted from histograms in whole numbers, hence the same to the bit on every machine. A channel that never changes
    gets a standard deviation of 1.
    """
    images = (dataset.train if isinstance(dataset, Dataset) else dataset).images
    pairs = [_moments(np.bincount(images[:, channel].ravel(), minlength=256)) for channel in range(images.shape[1])]
    return Scale(tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs))


def _moments(counts: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> tuple[float, float]:
    total = first = second = 0
    for value, count in enumerate(counts.tolist()):
        total, first, second = total + count, first + count * value, second + count * value * value
    variance = (total * second - first * first) / (total * total)
    return first / total, math.sqrt(variance) or 1.0
