"""How well predictions rank: Spearman's and Kendall's correlation, and the report made after every fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Ranking:
    """Rank correlations of n predictions with what was measured; None where undefined (constant, or fewer than two)."""

    spearman: float | None
    kendall: float | None
    n: int


@dataclass(frozen=True)
class FitReport:
    """What a fit was worth.

    ``in_sample``: on the cells it was fitted on; ``cross_validated``: each cell predicted by a predictor that did not
    see it; ``extrapolation``: the predictions made for this level *before* any of its cells was evaluated (the true
    step from b to b + 1), None at level 1. ``seconds`` is the time of fitting, cross-validation not counted.
    """

    level: int
    round: int
    predictor: str
    samples: int
    in_sample: Ranking
    cross_validated: Ranking | None = None
    extrapolation: Ranking | None = None
    seconds: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def ranking(predicted: ArrayLike, measured: ArrayLike) -> Ranking:
    """Rank correlations of two equally long sequences."""
    left, right = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return Ranking(None, None, len(left))
    from scipy import stats  # 60 MB, and not needed for scoring

    return Ranking(float(stats.spearmanr(left, right)[0]), float(stats.kendalltau(left, right)[0]), len(left))
