"""Random cells, and random small changes of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pronas.space._canonical import Rows

if TYPE_CHECKING:
    from pronas.space._state_space import StateSpace


def sample_rows(space: StateSpace, count: int, b: int, generator: np.random.Generator) -> Rows:
    """Return (count, 4b) rows, uniform over the raw cells of b blocks."""
    return (generator.integers(0, _choices(space, b), size=(count, 4 * b)) + _lowest(space, b)).astype(np.int16)


def mutate_rows(space: StateSpace, rows: Rows, generator: np.random.Generator) -> Rows:
    """Return (n, 4b) rows in each of which one input or one operator is another one, uniform over what can change."""
    b = rows.shape[1] // 4
    choices, lowest = _choices(space, b), _lowest(space, b)
    columns = np.flatnonzero(choices > 1)
    if not len(columns):
        return rows.copy()  # one input and one operator: there is nothing else
    column = columns[generator.integers(0, len(columns), size=len(rows))]
    shift = 1 + generator.integers(0, choices[column] - 1)
    n = np.arange(len(rows))
    result = rows.copy()
    result[n, column] = (rows[n, column] - lowest[column] + shift) % choices[column] + lowest[column]
    return result


def _choices(space: StateSpace, b: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return (4b,) how many values each column may take."""
    sizes = [x for i in range(b) for x in [len(space.inputs(i + 1)), len(space.operators)] * 2]
    return np.array(sizes, dtype=np.int64)


def _lowest(space: StateSpace, b: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.tile(np.array([space.input_lookback_depth, 0], dtype=np.int64), 2 * b)
