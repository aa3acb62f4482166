"""Rows of architectures as indexes into embedding tables."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int16]

#: ``tokens``: the paper's, a step a token, four a block; ``halves``: the old systems', a step an input and operator.
Form = Literal["tokens", "halves"]


def compose(parents: Rows, blocks: Rows) -> Rows:
    """Every parent with every block: the candidates of a level.

        >>> compose(np.array([[0, 0, 0, 0]], np.int16), np.array([[1, 0, 0, 1], [1, 1, 0, 1]], np.int16)).tolist()
        [[0, 0, 0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 1, 0, 1]]

    Args:
        parents: int16 (p, 4(b-1)).
        blocks: int16 (m, 4).

    Returns:
        int16 (p·m, 4b), the candidates of one parent together.
    """
    left = np.repeat(parents, len(blocks), axis=0)
    return np.concatenate([left, np.tile(blocks, (len(parents), 1))], axis=1).astype(np.int16, copy=False)


def seen_values(index: NDArray[Any], size: int) -> NDArray[np.bool_]:
    """Which of ``size`` indexes occur."""
    seen = np.zeros(size, dtype=bool)
    seen[np.unique(index)] = True
    return seen
