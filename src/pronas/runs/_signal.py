"""What a training says of its network: finer than the accuracy, which ties where validation images are few."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


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
