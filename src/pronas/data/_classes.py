"""Weights against unbalanced classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pronas.errors import DataError


def class_weights(counts: ArrayLike) -> NDArray[np.float32]:
    """What an image of each class should weigh in the loss, for all classes to count the same: inverse frequency.

        weight = images / (classes with images * images of the class)

    so that the mean weight of an image is 1 (King & Zeng 2001; scikit-learn's ``balanced``). A class without images
    weighs 0.

        >>> [round(float(weight), 4) for weight in class_weights([75, 25])]
        [0.6667, 2.0]

    Args:
        counts: images of each class, (classes,), as ``Dataset.class_counts``.

    Returns:
        float32 (classes,).

    Raises:
        DataError: no class has an image.
    """
    images = np.asarray(counts, np.float64)
    there = images > 0
    if not there.any():
        raise DataError("class weights: no class has an image")
    weights = np.zeros(len(images))
    weights[there] = images.sum() / (there.sum() * images[there])
    return weights.astype(np.float32)
