"""The Gaussian process's covariance: Matérn 5/2 plus linear, over groups of features with a weight each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]

#: Added to the diagonal.
JITTER = 1e-6
#: Cells that the weights are fitted to, at most; all cells enter the predictions.
MOST = 300
#: Standard deviation of the priors on the logarithms of weights, amplitudes and noise.
WIDTH = 1.0


class Hyperparameters:
    """Weights of the groups, amplitudes of both terms, noise: all positive, and their logarithms as one vector."""

    def __init__(self, logarithms: Floats) -> None:
        self.logarithms = logarithms
        values = np.exp(logarithms)
        self.weights, (self.matern, self.linear, self.noise) = values[:-3], values[-3:]


def prior_mean(groups: int) -> Floats:
    """Logarithms at the centre of the priors: weights that sum to one, little of the linear term, little noise."""
    return np.concatenate([np.full(groups, -np.log(groups)), np.log([1.0, 0.1, 0.02])])


def group_scales(features: Floats, groups: Sequence[Ints]) -> Floats:
    """For each group the factor that makes the mean squared distance between two cells one (zero where all agree)."""
    centred = features - features.mean(0)
    distance = np.array([2 * (centred[:, group] ** 2).sum() / max(1, len(features) - 1) for group in groups])
    return np.where(distance > 1e-12, 1 / np.maximum(distance, 1e-12), 0.0)


def matern(squared: Floats) -> Floats:
    """Matérn 5/2 of squared distances, in place of them."""
    r = squared
    np.maximum(r, 0, out=r)
    r *= 5
    near = r / 3  # 1 + r + r²/3, times exp(-r)
    np.sqrt(r, out=r)
    near += r
    near += 1
    np.negative(r, out=r)
    np.exp(r, out=r)
    r *= near
    return r


def fit_hyperparameters(
    features: Floats, groups: Sequence[Ints], scales: Floats, targets: Floats, extra: Floats, noise_width: float = WIDTH
) -> Hyperparameters:
    """Maximum a posteriori, by L-BFGS on the marginal likelihood; ``extra`` (n,): known variances of the noise.

    ``noise_width``: of the prior on the logarithm of the noise; large: the data alone say how noisy they are.
    """
    squared, products = _group_matrices(features, groups, scales)
    centre = prior_mean(len(groups))
    width = np.full(len(centre), WIDTH)
    width[-1] = noise_width

    def loss(logarithms: Floats) -> tuple[float, Floats]:
        value, gradient = _negative_evidence(Hyperparameters(logarithms), squared, products, targets, extra)
        away = (logarithms - centre) / width
        return value + 0.5 * float(away @ away), gradient + away / width

    found = optimize.minimize(loss, centre, jac=True, method="L-BFGS-B", options={"maxiter": 30})
    return Hyperparameters(np.asarray(found.x if np.isfinite(found.fun) else centre))


def _group_matrices(features: Floats, groups: Sequence[Ints], scales: Floats) -> tuple[Floats, Floats]:
    """Squared distances and products (groups, n, n) of every pair of cells, scaled."""
    centred = features - features.mean(0)
    products = np.stack([s * (centred[:, g] @ centred[:, g].T) for g, s in zip(groups, scales, strict=True)])
    own = np.einsum("gii->gi", products)
    return np.maximum(own[:, :, None] + own[:, None] - 2 * products, 0), products


def _negative_evidence(
    h: Hyperparameters, squared: Floats, products: Floats, targets: Floats, extra: Floats
) -> tuple[float, Floats]:
    """-log p(targets) and its gradient in the logarithms."""
    n = len(targets)
    r = np.sqrt(5 * np.tensordot(h.weights, squared, 1))
    decay = np.exp(-r)
    near, slope = (1 + r + r * r / 3) * decay, -(5 / 6) * (1 + r) * decay
    straight = np.tensordot(h.weights, products, 1)
    covariance = h.matern * near + h.linear * straight
    covariance[np.diag_indices(n)] += h.noise + extra + JITTER
    try:
        factor = linalg.cholesky(covariance, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return 1e10, np.zeros(len(h.logarithms))
    inverse = linalg.lapack.dpotri(factor, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    solved = inverse @ targets
    m = 0.5 * (inverse - np.outer(solved, solved))
    shared = (h.matern * m * slope).ravel()
    by_group = squared.reshape(len(squared), -1) @ shared + products.reshape(len(products), -1) @ (h.linear * m).ravel()
    rest = [h.matern * np.vdot(m, near), h.linear * np.vdot(m, straight), h.noise * np.trace(m)]
    value = 0.5 * float(targets @ solved) + float(np.log(np.diag(factor)).sum())
    return value, np.concatenate([by_group * h.weights, rest])
