"""Acquisition: what is maximised when the next cells are chosen, given the predicted mean and std."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from pronas.predictors import Floats

#: Names of the acquisition functions. ``thompson`` is not a function of mean and std: each choice follows a draw.
ACQUISITIONS = ("mean", "optimistic", "ei", "thompson")


def acquire(name: str, mean: Floats, std: Floats, best: float) -> Floats:
    """The acquisition of every candidate.

    ``mean``; ``optimistic``: mean plus one std; ``ei``: the expected improvement over ``best``, as its logarithm,
    so that far-off candidates are still ordered. Of a predictor that gives no std it is the mean.
    """
    if name == "mean" or (name == "ei" and not np.any(std)):
        return mean
    if name == "optimistic":
        return mean + std
    return log_expected_improvement(mean, std, best)


def log_expected_improvement(mean: ArrayLike, std: ArrayLike, best: float) -> Floats:
    """log E[max(f - best, 0)] of normal f (Jones et al. 1998), stable far below ``best`` (Ament et al. 2023).

    As z = (mean - best) / std goes to -∞ it goes like -z²/2 - 2 log|z|.

        >>> log_expected_improvement([0.9, 0.8], [0.1, 0.1], best=0.9).round(2).tolist()
        [-3.22, -4.79]

    Args:
        mean: float (n,), rewards for example.
        std: float (n,), in the same unit.
        best: the best so far, in the same unit.

    Returns:
        float64 (n,), natural logarithms.
    """
    width = np.maximum(np.asarray(std, dtype=np.float64), 1e-12)
    z = np.clip((np.asarray(mean, dtype=np.float64) - best) / width, -1e8, 1e8)
    density = np.exp(-0.5 * np.minimum(z * z, 1400.0)) / np.sqrt(2 * np.pi)
    near = np.log(np.maximum(density + z * ndtr(z), 1e-300))
    with np.errstate(divide="ignore"):
        far = -0.5 * z * z - 0.5 * np.log(2 * np.pi) - 2 * np.log(np.maximum(np.abs(z), 1.0))
    return np.asarray(np.where(z > -8, near, far) + np.log(width))
