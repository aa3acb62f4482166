"""Cross-validated rank correlation: each cell predicted by a predictor that did not see it."""

from __future__ import annotations

import copy

import numpy as np

from pronas.predictors._fit import fold_numbers
from pronas.predictors._metrics import RankCorrelations, rank_correlations
from pronas.predictors._predictor import Floats, History, Observed, Predictor, check_history

#: Parts in which the evaluated cells are left out in turn.
FOLDS = 5
#: Fewer cells than this are not cross-validated.
FEWEST = 10


def cross_validate(predictor: Predictor, history: History, seed: int = 0) -> RankCorrelations | None:
    """Rank correlation of predictions of cells that were left out of the fit, a fifth at a time.

        >>> from pronas.predictors import make_predictor
        >>> from pronas.space import named_space
        >>> space = named_space("flat")
        >>> rows = space.level1()  # the more expensive, the better
        >>> history = [Observed(rows, 1 - rows[:, 1] / 10 - rows[:, 3] / 10)]
        >>> cross_validate(make_predictor("gp", space), history).spearman > 0.8
        True

    Args:
        predictor: its settings are what is tried; it is not changed.
        history: what was measured, a part a level.
        seed: of the folds and of the fits.

    Returns:
        Over all n cells; None when there are fewer than ten.

    Raises:
        UsageError: no cell was evaluated.
    """
    parts = check_history(history)
    rewards = np.concatenate([part.rewards for part in parts])
    if len(rewards) < FEWEST:
        return None
    return rank_correlations(out_of_fold(predictor, parts, seed), rewards)


def out_of_fold(predictor: Predictor, parts: list[Observed], seed: int = 0) -> Floats:
    """Predicted means (n,), in the order of the parts; ``predictor`` itself is not changed."""
    quick = predictor.out_of_fold(parts, seed)
    if quick is not None:
        return quick
    count = sum(len(part) for part in parts)
    fold = fold_numbers(count, FOLDS, seed)
    level = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    result = np.empty(count)
    for number in range(FOLDS):
        fresh = copy.copy(predictor)
        fresh.fit([_subset(part, fold[level == i] != number) for i, part in enumerate(parts)], seed)
        for i, part in enumerate(parts):
            left_out = fold[level == i] == number
            if left_out.any():
                result[np.flatnonzero(level == i)[left_out]] = fresh.predict(part.rows[left_out])[0]
    return result


def _subset(part: Observed, mask: Floats) -> Observed:
    return Observed(part.rows[mask], part.rewards[mask], None if part.noise is None else part.noise[mask])
