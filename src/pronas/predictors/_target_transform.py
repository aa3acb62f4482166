"""Rewards on the scale on which a Gaussian process sees them.

Rewards of cells are skewed: a long tail of poor ones (and failures), and the good ones, which matter, close together.
The transform is the mean of two standardised views: normal scores of the ranks, which no outlier can disturb, and
-log(best + margin - reward), which spreads the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TargetTransform:
    """A monotone, piecewise linear map from rewards to scores: both arrays ascending, ``rewards`` without repeats."""

    rewards: Floats
    scores: Floats

    def forward(self, rewards: ArrayLike) -> Floats:
        """Scores of rewards."""
        return _through(np.asarray(rewards, dtype=np.float64), self.rewards, self.scores)

    def inverse(self, scores: ArrayLike) -> Floats:
        """Rewards of scores."""
        return _through(np.asarray(scores, dtype=np.float64), self.scores, self.rewards)


def fit_target_transform(rewards: Floats) -> TargetTransform:
    """The transform of these rewards (n,), whose scores have mean 0 and about unit variance."""
    values: Floats = np.asarray(rewards, dtype=np.float64)
    both = _standard(_standard(_normal_scores(values)) + _standard(_stretched(values)))
    unique, index = np.unique(values, return_index=True)
    scores = both[index]
    if len(unique) == 1:
        return TargetTransform(np.array([unique[0] - 0.5, unique[0] + 0.5]), np.array([-1.0, 1.0]))
    return TargetTransform(unique, scores)


def _normal_scores(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # ties share their mean rank, from 1
    return np.asarray(ndtri((ranks - 0.5) / len(values)))


def _stretched(values: Floats) -> Floats:
    low, high = np.quantile(values, [0.25, 0.75])
    margin = max(0.5 * (high - low), 1e-5)
    return np.asarray(-np.log(values.max() - values + margin))


def _standard(values: Floats) -> Floats:
    std = values.std()
    return np.asarray((values - values.mean()) / (std if std > 0 else 1.0))


def _through(x: Floats, xs: Floats, ys: Floats) -> Floats:
    """Linear interpolation, and beyond the ends along the chord of the outermost tenth."""
    result = np.interp(x, xs, ys)
    k = max(1, len(xs) // 10)
    low, high = x < xs[0], x > xs[-1]
    result[low] = ys[0] + (x[low] - xs[0]) * (ys[k] - ys[0]) / (xs[k] - xs[0])
    result[high] = ys[-1] + (x[high] - xs[-1]) * (ys[-1] - ys[-1 - k]) / (xs[-1] - xs[-1 - k])
    return result
