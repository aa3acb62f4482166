"""How well predictions rank: Spearman's and Kendall's correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Ranking:
    """Rank correlations of n predictions with what was measured; None where undefined (constant, or fewer than two)."""

    spearman: float | None
    kendall: float | None
    n: int


def ranking(predicted: ArrayLike, measured: ArrayLike) -> Ranking:
    """Rank correlations of two equally long sequences."""
    left, right = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return Ranking(None, None, len(left))
    from scipy import stats  # 60 MB, and not needed for scoring

    return Ranking(float(stats.spearmanr(left, right)[0]), float(stats.kendalltau(left, right)[0]), len(left))
