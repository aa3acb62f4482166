"""What a training says of its network: finer than the accuracy, which ties where validation images are few."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike


def signal(accuracy: float, curves: Mapping[str, Sequence[float]]) -> float:
    """Return the mean of the validation accuracy and of the probability that true classes were given (geometric mean,
    exp of minus the cross-entropy), both from 0 to 1; without a loss the accuracy alone.

    Args:
        accuracy: with the weights that were kept.
        curves: of the training, one number an epoch.
    """
    losses = curves.get("validation_loss")
    if not losses or not math.isfinite(losses[-1]):
        return accuracy
    return (accuracy + math.exp(-losses[-1])) / 2


def is_luck(accuracy: float, counts: ArrayLike) -> bool:
    """Whether an accuracy is so little above that of a guess that networks cannot be told apart by it.

    Args:
        accuracy: of validation images, 0 to 1.
        counts: images of each class, (classes,): a guess is the largest class.
    """
    images = np.asarray(counts, np.float64)
    chance = float(images.max() / images.sum())
    return accuracy < chance + min(chance, 0.1 * (1 - chance))
