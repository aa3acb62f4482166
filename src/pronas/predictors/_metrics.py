"""How well predictions rank: Spearman's and Kendall's correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class RankCorrelations:
    """Rank correlations of predictions with what was measured.

    Attributes:
        spearman: -1 to 1 (Spearman 1904), or None where undefined: constant, or fewer than two.
        kendall: the same by pairs (Kendall 1938).
        n: how many predictions.
    """

    spearman: float | None
    kendall: float | None
    n: int


def rank_correlations(predicted: ArrayLike, measured: ArrayLike) -> RankCorrelations:
    """Rank correlations of two sequences (n,): Spearman (1904) and Kendall (1938), -1 to 1.

        >>> rank_correlations([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
        RankCorrelations(spearman=1.0, kendall=1.0, n=3)

    Args:
        predicted: numbers (n,).
        measured: numbers (n,), in the same order.

    Returns:
        Both, None where undefined: constant, or fewer than two.
    """
    left, right = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return RankCorrelations(None, None, len(left))
    from scipy import stats  # 60 MB, and not needed for scoring

    return RankCorrelations(float(stats.spearmanr(left, right)[0]), float(stats.kendalltau(left, right)[0]), len(left))
