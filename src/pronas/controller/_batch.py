"""Choosing cells to train together: each choice counts what those before it will tell.

The best cells of a level are near copies of each other; trained together they tell the same thing. Given the joint
posterior of a shortlist, cells are chosen one after the other:

- ``greedy``: the best by acquisition, as if each were alone;
- ``believer``: each chosen cell is taken as measured at its predicted mean (Ginsbourger et al. 2010, Kriging believer);
- ``liar``: at a pessimistic value, one standard deviation below it (the same, constant liar), which lowers what is like
  it, also for the acquisition ``mean``;
- ``penalised``: the acquisition of what is like a chosen cell is lowered in proportion to its correlation with it
  (after González et al. 2016, local penalisation);
- ``joint``: each cell is the best of another draw from the joint posterior (Thompson sampling).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pronas.controller._acquisition import acquire
from pronas.predictors import Floats

#: Names of the ways in which a batch is chosen.
BATCHES = ("greedy", "believer", "liar", "penalised", "joint")

#: Noise of a pretended measurement, as a share of the largest variance: keeps a second choice of the same cell finite.
NOISE = 0.02
#: Standard deviations of the scores by which ``penalised`` lowers what is wholly correlated with a chosen cell.
PENALTY = 1.0


def choose_batch(
    way: str, acquisition: str, mean: Floats, covariance: Floats, best: float, count: int, seed: int
) -> NDArray[np.int64]:
    """Choose up to ``count`` of n candidates that are measured together, without waiting for each other's results.

        >>> mean = np.array([0.9, 0.89, 0.88])
        >>> covariance = 0.01 * np.array([[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> [choose_batch(way, "ei", mean, covariance, 0.85, 2, seed=0).tolist() for way in ("greedy", "believer")]
        [[0, 1], [0, 2]]

    Args:
        way: one of `BATCHES`.
        acquisition: ``mean``, ``optimistic`` or ``ei``.
        mean, covariance: (n,) and (n, n), the joint posterior of the candidates' scores.
        best: the best score so far.
        count: how many.
        seed: of the draws of ``joint``.

    Returns:
        Indexes int64 (count or n,), in the order of choice.
    """
    count = min(count, len(mean))
    if way == "joint":
        return _joint(mean, covariance, count, seed)
    mean, covariance = np.array(mean, dtype=np.float64), np.array(covariance, dtype=np.float64)
    if way == "penalised":
        return _penalised(acquisition, mean, covariance, best, count)
    noise = NOISE * float(covariance.diagonal().max())
    chosen: list[int] = []
    left = np.ones(len(mean), dtype=bool)
    for _ in range(count):
        std = np.sqrt(np.maximum(covariance.diagonal(), 1e-12))
        value = np.where(left, acquire(acquisition, mean, std, best), -np.inf)
        i = int(np.argmax(value))
        chosen.append(i)
        left[i] = False
        if way != "greedy":
            gain = covariance[:, i] / (covariance[i, i] + noise)
            if way == "liar":
                mean = mean - gain * std[i]
            covariance = covariance - np.outer(gain, covariance[i])
    return np.array(chosen, dtype=np.int64)


def _penalised(acquisition: str, mean: Floats, covariance: Floats, best: float, count: int) -> NDArray[np.int64]:
    std = np.sqrt(np.maximum(covariance.diagonal(), 1e-12))
    value = np.array(acquire(acquisition, mean, std, best), dtype=np.float64)
    step = PENALTY * max(float(value.std()), 1e-12)
    chosen: list[int] = []
    penalty = np.zeros(len(value))
    left = np.ones(len(value), dtype=bool)
    for _ in range(count):
        i = int(np.argmax(np.where(left, value - step * penalty, -np.inf)))
        chosen.append(i)
        left[i] = False
        penalty = np.maximum(penalty, np.maximum(covariance[:, i] / (std * std[i]), 0))
    return np.array(chosen, dtype=np.int64)


def _joint(mean: Floats, covariance: Floats, count: int, seed: int) -> NDArray[np.int64]:
    """One draw a choice; a draw whose best is chosen already takes its next best."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
    root = vectors * np.sqrt(np.maximum(values, 0))
    draws = mean + np.random.default_rng(seed).standard_normal((count, len(mean))) @ root.T
    chosen: list[int] = []
    left = np.ones(len(mean), dtype=bool)
    for draw in draws:
        i = int(np.argmax(np.where(left, draw, -np.inf)))
        chosen.append(i)
        left[i] = False
    return np.array(chosen, dtype=np.int64)
