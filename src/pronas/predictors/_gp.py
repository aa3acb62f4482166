"""A Gaussian process over a space's features: strong when few cells are evaluated, and honest about the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from pronas.predictors._checked import check_arrays, check_counts
from pronas.predictors._fit import floored, fold_numbers, joined
from pronas.predictors._kernel import JITTER, MOST, Hyperparameters, fit_hyperparameters, group_scales, matern
from pronas.predictors._predictor import Arrays, Floats, History, Observed, Predictor, Rows, check_history, known_noise
from pronas.predictors._target_transform import TargetTransform, fit_target_transform

if TYPE_CHECKING:
    from pronas.space import Space

#: Random features of a draw from the prior.
FREQUENCIES = 512
#: Width of the prior on the logarithm of the noise where measured cells are judged: the data say how noisy they are.
NOISE_WIDTH = 3.0
#: Cells that a state read from a file may know: their covariances are 3 GB.
_MOST = 20_000
#: Cells whose covariances with the fitted ones are held at once: so few that they stay in the cache.
BATCH = 1024


class GaussianProcess(Predictor):
    """Gaussian process regression on ``space.features``.

    Features come in groups (the part of their names before the colon); each group has a weight, found with amplitudes
    and noise by maximising the posterior of the hyperparameters, so what does not matter in a space is learnt from
    its cells. Rewards are seen through a transform (`TargetTransform`) that outliers cannot disturb. Scores, on which
    acquisition works, are on the transformed scale; `predict` gives rewards.

    ``draws`` functions from the posterior serve as members (Wilson et al. 2020, pathwise conditioning).
    """

    name = "gp"

    def __init__(self, space: Space, *, draws: int = 8) -> None:
        super().__init__(space)
        check_counts(self.name, 10_000, draws=draws)
        self.draws = draws
        names = [name.split(":")[0] for name in space.feature_names()]
        self.groups = [np.flatnonzero([name == group for name in names]) for group in dict.fromkeys(names)]
        self.transform: TargetTransform | None = None

    @property
    def fitted(self) -> bool:
        """Whether there is something to predict from."""
        return self.transform is not None

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make this predictor again."""
        return {"draws": self.draws}

    def fit(self, history: History, seed: int = 0) -> None:
        """Find the hyperparameters (on at most 300 cells, the best among them), then condition on all cells."""
        parts = check_history(history)
        features = np.concatenate([self._features(part.rows) for part in parts])
        rewards = np.concatenate([part.rewards for part in parts]).astype(np.float64)
        generator = np.random.default_rng(seed)
        some = _representative(rewards, generator)
        self.transform, scales = fit_target_transform(rewards), group_scales(features, self.groups)
        targets = self.transform.forward(rewards)
        extra = self._transformed_noise(rewards, known_noise(parts))
        hyper = fit_hyperparameters(features[some], self.groups, scales, targets[some], extra[some])
        self._condition(features, targets, extra, scales, hyper, int(generator.integers(2**31)))

    def _transformed_noise(self, rewards: Floats, noise: Floats) -> Floats:
        """Variances (n,) on the transformed scale of standard errors of rewards, at most that of all targets."""
        assert self.transform is not None
        if not noise.any():
            return np.zeros(len(rewards))
        width = (self.transform.forward(rewards + noise) - self.transform.forward(rewards - noise)) / 2
        return np.asarray(np.clip(width, 0, 1) ** 2)

    def _condition(
        self, features: Floats, targets: Floats, extra: Floats, scales: Floats, hyper: Hyperparameters, seed: int
    ) -> None:
        """Condition on cells; ``extra`` (n,) is the part of their noise's variance that is known beforehand."""
        self.hyper, self.scales, self.seed, self.extra = hyper, scales, seed, extra
        self.known, self.targets, self.centre = features, targets, features.mean(0)
        self.stretch = np.zeros(features.shape[1])
        for group, weight, scale in zip(self.groups, hyper.weights, scales, strict=True):
            self.stretch[group] = np.sqrt(weight * scale)
        self.points = (features - self.centre) * self.stretch
        covariance = self._covariance(self.points)
        covariance[np.diag_indices(len(covariance))] += hyper.noise + extra + JITTER
        self.factor = linalg.cholesky(covariance, lower=True)
        self.solved = linalg.cho_solve((self.factor, True), targets)
        self._whiten: Floats | None = None
        self._paths: tuple[Floats, ...] | None = None

    def _features(self, rows: Rows) -> Floats:
        return np.asarray(self.space.features(rows), dtype=np.float64)

    def _place(self, rows: Rows) -> Floats:
        points = self._features(rows) - self.centre
        points *= self.stretch
        return np.asarray(points)

    def _covariance(self, points: Floats, others: Floats | None = None) -> Floats:
        """Covariances (n, m) of points with others; None: the known cells."""
        others = self.points if others is None else others
        products = points @ others.T
        squared = -2 * products
        squared += np.einsum("ij,ij->i", points, points)[:, None]
        squared += np.einsum("ij,ij->i", others, others)
        covariance = matern(squared)
        covariance *= self.hyper.matern
        products *= self.hyper.linear
        covariance += products
        return covariance

    def scores(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and std (n,) on the transformed scale, on which they are normal."""
        self._must_be_fitted()
        if self._whiten is None:  # one product a batch is cheaper than a triangular solution
            self._whiten = linalg.solve_triangular(self.factor, np.eye(len(self.factor)), lower=True).T
        mean, variance = np.empty(len(rows)), np.empty(len(rows))
        for start in range(0, len(rows), BATCH):
            part = slice(start, start + BATCH)
            points = self._place(rows[part])
            across = self._covariance(points)
            reduced = across @ self._whiten
            mean[part] = across @ self.solved
            variance[part] = self.hyper.matern - np.einsum("ij,ij->i", reduced, reduced)
            variance[part] += self.hyper.linear * np.einsum("ij,ij->i", points, points)
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def joint(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean (n,) and covariance (n, n) of the scores: the exact posterior."""
        self._must_be_fitted()
        points = self._place(rows)
        across = self._covariance(points)
        reduced = linalg.solve_triangular(self.factor, across.T, lower=True)
        return across @ self.solved, self._covariance(points, points) - reduced.T @ reduced

    def posterior(self, history: History) -> tuple[Floats, Floats]:
        """As `Predictor.posterior`: a second process, on the rewards as they are, says how noisy measurements are.

        The transform of the rewards that serves proposals spreads the best apart, and with them their noise.
        """
        parts = check_history(history)
        features = np.concatenate([self._features(part.rows) for part in parts])
        rewards = floored(joined(parts))
        centre, width = float(rewards.mean()), float(rewards.std()) or 1.0
        targets, extra = (rewards - centre) / width, (known_noise(parts) / width) ** 2
        some = _representative(rewards, np.random.default_rng(0))
        judge = GaussianProcess(self.space, draws=self.draws)
        scales = group_scales(features, self.groups)
        hyper = fit_hyperparameters(features[some], self.groups, scales, targets[some], extra[some], NOISE_WIDTH)
        judge._condition(features, targets, extra, scales, hyper, 0)
        across = judge._covariance(judge.points)
        reduced = linalg.solve_triangular(judge.factor, across.T, lower=True)
        variance = across.diagonal() - (reduced**2).sum(0)
        mean = np.clip(centre + width * (across @ judge.solved), 0.0, 1.0)
        return mean, width * np.sqrt(np.maximum(variance, 0.0))

    def utility(self, rewards: ArrayLike) -> Floats:
        """Rewards on the scale of `scores`."""
        self._must_be_fitted()
        assert self.transform is not None
        return self.transform.forward(np.atleast_1d(np.asarray(rewards, dtype=np.float64)))

    def predict(self, rows: Rows) -> tuple[Floats, Floats]:
        """Median and half the central 68 % of the rewards, each (n,), within [0, 1]."""
        mean, std = self.scores(rows)
        return self.rewards(mean), (self.rewards(mean + std) - self.rewards(mean - std)) / 2

    def rewards(self, scores: Floats) -> Floats:
        """Rewards, in [0, 1], of scores of any shape."""
        assert self.transform is not None
        return np.clip(self.transform.inverse(scores), 0.0, 1.0)

    def ensemble(self, rows: Rows) -> Floats:
        """Functions drawn from the posterior (draws, n): a draw from the prior, corrected where cells are known."""
        self._must_be_fitted()
        frequencies, phases, amplitudes, slopes, solved = self._drawn()
        parts = [np.empty((self.draws, 0))]
        for start in range(0, len(rows), BATCH):
            points = self._place(rows[start : start + BATCH])
            prior = np.cos(points @ frequencies + phases) @ amplitudes + points @ slopes
            parts.append((prior + self._covariance(points) @ solved).T)
        return self.rewards(np.concatenate(parts, axis=1))

    def _drawn(self) -> tuple[Floats, ...]:
        """Draws from the prior as random features, and what corrects them; made once a fit."""
        if self._paths is None:
            generator = np.random.default_rng(self.seed)
            width = self.points.shape[1]
            # the spectral density of a Matérn 5/2 is a multivariate t with five degrees of freedom
            tails = np.sqrt(generator.chisquare(5, FREQUENCIES) / 5)
            frequencies = generator.standard_normal((width, FREQUENCIES)) / tails
            phases = generator.uniform(0, 2 * np.pi, FREQUENCIES)
            size = np.sqrt(2 * self.hyper.matern / FREQUENCIES)
            amplitudes = size * generator.standard_normal((FREQUENCIES, self.draws))
            slopes = np.sqrt(self.hyper.linear) * generator.standard_normal((width, self.draws))
            prior = np.cos(self.points @ frequencies + phases) @ amplitudes + self.points @ slopes
            noise = np.sqrt(self.hyper.noise + self.extra)[:, None] * generator.standard_normal(prior.shape)
            solved = linalg.cho_solve((self.factor, True), self.targets[:, None] - prior - noise)
            self._paths = (frequencies, phases, amplitudes, slopes, solved)
        return self._paths

    def out_of_fold(self, parts: list[Observed], seed: int = 0) -> Floats | None:
        """Predictions of each fifth from the others, in closed form (Rasmussen and Williams 2006, section 5.4.2).

        The hyperparameters are those of all cells.
        """
        fresh = GaussianProcess(self.space, draws=self.draws)
        fresh.fit(parts, seed)
        inverse = linalg.cho_solve((fresh.factor, True), np.eye(len(fresh.targets)))
        part = fold_numbers(len(fresh.targets), 5, seed)
        result = np.empty(len(part))
        for number in range(5):
            index = np.flatnonzero(part == number)
            off = linalg.solve(inverse[np.ix_(index, index)], fresh.solved[index], assume_a="pos")
            result[index] = fresh.targets[index] - off
        return fresh.rewards(result)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """What is known, and the hyperparameters."""
        self._must_be_fitted()
        assert self.transform is not None
        tensors: Arrays = {
            "features": self.known,
            "targets": self.targets,
            "noise": self.extra,
            "scales": self.scales,
            "logarithms": self.hyper.logarithms,
            "warp_rewards": self.transform.rewards,
            "warp_scores": self.transform.scores,
        }
        return tensors, {"seed": self.seed}

    def set_state(self, tensors: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take the state that ``state`` gave."""
        n, warps = len(tensors["features"]), len(tensors["warp_rewards"])
        if not 0 < n <= _MOST or warps < 2 or not isinstance(values["seed"], int) or values["seed"] < 0:
            raise ValueError(f"it knows {n} cells, from {warps} rewards and the seed {values['seed']!r}")
        groups = len(self.groups)
        shapes = {
            "features": (n, len(self.space.feature_names())), "targets": (n,), "noise": (n,), "scales": (groups,),
            "logarithms": (groups + 3,), "warp_rewards": (warps,), "warp_scores": (warps,),
        }  # fmt: skip
        arrays = {"noise": np.zeros(n)} | {name: np.array(array) for name, array in tensors.items()}  # 0.1 had no noise
        check_arrays(arrays, shapes)
        if not all((np.diff(arrays[name]) > 0).all() for name in ("warp_rewards", "warp_scores")):
            raise ValueError("its rewards do not rise")
        self.transform = TargetTransform(arrays["warp_rewards"], arrays["warp_scores"])
        hyper = Hyperparameters(arrays["logarithms"])
        features, targets, noise, scales = (arrays[name] for name in ("features", "targets", "noise", "scales"))
        self._condition(features, targets, noise, scales, hyper, values["seed"])


def _representative(rewards: Floats, generator: np.random.Generator) -> NDArray[np.int64]:
    """At most `MOST` indexes: half of them the best, the rest drawn."""
    if len(rewards) <= MOST:
        return np.arange(len(rewards))
    order = np.argsort(-rewards, kind="stable")
    return np.concatenate([order[: MOST // 2], generator.permutation(order[MOST // 2 :])[: MOST - MOST // 2]])
