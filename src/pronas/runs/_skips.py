"""The optional last level: the best cell with skip connections between cells of its network, by anchor points."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from pronas.networks import Skeleton
from pronas.space import Cell

#: Patterns that are listed before a sample is drawn; networks of many cells have 2^(n²) of them.
_LISTED = 20_000


def skip_patterns(
    cell: Cell, skeleton: Skeleton, input_shape: Sequence[int], classes: int, count: int | None, seed: int
) -> list[Cell]:
    """Return ``cell`` with different sets of skips, fewest skips first; at most ``count``, then a seeded sample.

    A skip joins cell i to cell j, but not where that is read anyway: j = i + 1, and j = i + 2 if the cell reads -2.
    """
    cells = len(skeleton.plan(cell, input_shape, classes).cells)
    nearest = 2 if -2 in cell.used_inputs else 1
    pairs = [(i, j) for i in range(cells) for j in range(i + 1 + nearest, cells)]
    sets = itertools.chain.from_iterable(itertools.combinations(pairs, size) for size in range(1, len(pairs) + 1))
    patterns = list(itertools.islice(sets, _LISTED))
    if count is not None and len(patterns) > count:
        chosen = np.random.default_rng([seed, len(patterns)]).choice(len(patterns), count, replace=False)
        patterns = [patterns[index] for index in sorted(chosen.tolist())]
    return [Cell(cell.blocks, pattern) for pattern in patterns]
