"""What every predictor does: fit rewards of cells, predict the mean and the std of unseen ones, keep its state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pronas.errors import UsageError
from pronas.predictors._tokens import compose

if TYPE_CHECKING:
    from pronas.space import Space

#: Architectures, int16 (n, w): all of one level, which the width tells.
Rows = NDArray[np.int16]
#: Double precision; single where a whole level streams by.
Floats = NDArray[np.floating[Any]]
Arrays = dict[str, NDArray[Any]]
#: The place of the first of some parents, and mean and std (p, m) of their extensions.
Tile = tuple[int, tuple[Floats, Floats]]

#: Candidates that the generic path scores at once; 16,384 rows of five blocks are 0.7 MB.
CHUNK = 16_384


@dataclass(frozen=True)
class Observed:
    """Evaluated cells of one level.

        >>> len(Observed(np.zeros((2, 4), np.int16), np.array([0.9, 0.8])))
        2

    Attributes:
        rows: int16 (n, w), w = 4b.
        rewards: float (n,), 0 to 1.
        noise: float (n,), standard errors of the rewards, 0 where unknown; None: all unknown.
    """

    rows: Rows
    rewards: Floats
    noise: Floats | None = None

    def __len__(self) -> int:
        return len(self.rewards)


#: What was measured so far, a part a level.
History = Sequence[Observed]


class Predictor(ABC):
    """A model of a cell's reward.

    ``fit`` forgets what was fitted before: the result is a function of the history, the settings and the seed alone, so
    a resumed search gets the same predictor. Predictions of a block and of the same block with its halves swapped are
    equal. Implementations keep their settings as plain attributes and their fitted state in ``tensors``.

        >>> from pronas.predictors import make_predictor
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> predictor = make_predictor("gp", space)
        >>> predictor.fit([Observed(space.level1(), np.array([0.9, 0.8, 0.7]))])
        >>> start, (mean, std) = next(predictor.extension_scores(space.level1(), space.extensions(2)))
        >>> start, mean.shape, predictor.ensemble(space.level1()).shape[1]
        (0, (3, 10), 3)

    Args:
        space: of the cells, whose tokens or features it reads.
    """

    name: ClassVar[str]

    def __init__(self, space: Space) -> None:
        self.space = space

    @abstractmethod
    def fit(self, history: History, seed: int = 0) -> None:
        """Fit the rewards of evaluated cells, every level at once. Raises UsageError when there are none."""

    @abstractmethod
    def ensemble(self, rows: Rows) -> Floats:
        """Predictions (members, n) of every member of the ensemble, or of equally likely draws where there is none."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Keyword arguments (JSON values) that make this predictor again."""

    @abstractmethod
    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """The fitted state: arrays, and JSON values beside them."""

    @abstractmethod
    def set_state(self, tensors: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take the state that ``state`` gave."""

    @property
    @abstractmethod
    def fitted(self) -> bool:
        """Whether ``fit`` or ``set_state`` was called."""

    def predict(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and std (one standard deviation), each (n,) float64, of the rewards of ``rows`` (n, 4b)."""
        members = self.ensemble(rows)
        return np.asarray(members.mean(0)), np.asarray(members.std(0))

    def out_of_fold(self, parts: list[Observed], seed: int = 0) -> Floats | None:
        """Predictions (n,) of each observed cell by a fit without it, where cheaper than refitting; None: refit."""
        return None

    def scores(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and std on the scale on which acquisition works: rewards, unless the predictor transforms them."""
        return self.predict(rows)

    def utility(self, rewards: ArrayLike) -> Floats:
        """Rewards (n,) on the scale of `scores`."""
        return np.atleast_1d(np.asarray(rewards, dtype=np.float64))

    def rewards(self, scores: Floats) -> Floats:
        """Scores on the scale of `scores` as rewards, any shape."""
        return scores

    def joint(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean (n,) and covariance (n, n) of the scores of ``rows``, for choosing batches; n at most some thousands.

        Here: the standard deviations of `scores`, and correlations that fall with the distance of the features.
        Predictors that know better override this.
        """
        mean, std = self.scores(rows)
        std = np.maximum(std, max(0.1 * float(np.std(mean)), 1e-6))
        return np.asarray(mean, dtype=np.float64), similarity(self.space.features(rows)) * std[:, None] * std

    def posterior(self, history: History) -> tuple[Floats, Floats]:
        """Mean and standard deviation (n,) of the true rewards of the cells that the predictor was fitted on.

        Not of the measurements: these are noisy, and the best of many is lucky. Here a measured and a predicted reward
        are averaged, by their precisions where the noise is known, else half and half.
        """
        parts = check_history(history)
        predicted = np.concatenate([self.predict(part.rows)[0] for part in parts])
        rewards = np.concatenate([part.rewards for part in parts])
        noise = known_noise(parts)
        off = float(np.mean((rewards - predicted) ** 2))  # of prediction and measurement together
        own = np.maximum(off - noise**2, 0.1 * off)
        weight = np.where(noise > 0, own / np.maximum(own + noise**2, 1e-12), 0.5)
        return predicted + weight * (rewards - predicted), np.sqrt((1 - weight) * own)

    def extension_scores(self, parents: Rows, blocks: Rows) -> Iterator[Tile]:
        """Score every parent extended by every block, in tiles.

        Yields ``(start, (mean, std))``, both (p, m): as `scores` for the p parents from ``start`` on, each with
        the m blocks (m, 4). Predictors that can share a parent's work override this.
        """
        step = max(1, CHUNK // max(1, len(blocks)))
        for start in range(0, len(parents), step):
            tile = parents[start : start + step]
            mean, std = self.scores(compose(tile, blocks))
            yield start, (mean.reshape(len(tile), -1), std.reshape(len(tile), -1))

    def extension_ensemble(self, parents: Rows, blocks: Rows) -> Iterator[tuple[int, Floats]]:
        """As `extension_scores`, but every member's predictions: (members, p, m)."""
        step = max(1, CHUNK // max(1, len(blocks)))
        for start in range(0, len(parents), step):
            tile = parents[start : start + step]
            scores = self.ensemble(compose(tile, blocks))
            yield start, scores.reshape(len(scores), len(tile), len(blocks))

    def _must_be_fitted(self) -> None:
        if not self.fitted:
            raise UsageError(f"the {self.name} predictor has not been fitted: call fit (or train) first")


def check_history(history: History) -> list[Observed]:
    """Return the parts that hold cells, fewest blocks first.

        >>> check_history([])
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: a predictor needs at least one evaluated cell to be fitted

    Args:
        history: what was measured, a part a level; parts may be empty.

    Returns:
        At least one part.

    Raises:
        UsageError: no cell was evaluated.
    """
    parts = sorted((part for part in history if len(part)), key=lambda part: part.rows.shape[1])
    if not parts:
        raise UsageError("a predictor needs at least one evaluated cell to be fitted")
    return parts


def known_noise(parts: Sequence[Observed]) -> NDArray[np.float64]:
    """Standard errors of the rewards of all parts in order (n,), 0 where unknown."""
    return np.concatenate([np.zeros(len(part)) if part.noise is None else part.noise for part in parts])


def similarity(features: Floats) -> NDArray[np.float64]:
    """Correlations (n, n) that fall with the distance of features (n, d): 1/e at the median distance."""
    scaled = np.asarray(features, dtype=np.float64)
    scaled = (scaled - scaled.mean(0)) / np.maximum(scaled.std(0), 1e-9)
    squares = (scaled**2).sum(1)
    distance = np.maximum(squares[:, None] + squares - 2 * scaled @ scaled.T, 0)
    positive = distance[distance > 1e-9]
    return np.asarray(np.exp(-distance / (np.median(positive) if len(positive) else 1.0)))
