"""Random cells, and random small changes of cells.

A row's column c takes one of ``choices[c]`` values, from ``lowest[c]`` on.
"""

from __future__ import annotations

import numpy as np

from pronas.space._canonical import Ints, Rows


def sample_rows(choices: Ints, lowest: Ints, count: int, generator: np.random.Generator) -> Rows:
    """Return (count, 4b) rows, uniform over the raw cells."""
    return (generator.integers(0, choices, size=(count, len(choices))) + lowest).astype(np.int16)


def mutate_rows(choices: Ints, lowest: Ints, rows: Rows, generator: np.random.Generator) -> Rows:
    """Return (n, 4b) rows in each of which one input or one operator is another one, uniform over what can change."""
    columns = np.flatnonzero(choices > 1)
    if not len(columns):
        return rows.copy()  # one input and one operator: there is nothing else
    column = columns[generator.integers(0, len(columns), size=len(rows))]
    shift = 1 + generator.integers(0, choices[column] - 1)
    n = np.arange(len(rows))
    result = rows.copy()
    result[n, column] = (rows[n, column] - lowest[column] + shift) % choices[column] + lowest[column]
    return result
