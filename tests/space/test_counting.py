"""Counts of cells, beside brute force and the paper's figures."""

from itertools import product

import numpy as np
import pytest

from pronas.space import StateSpace


def test_the_papers_figures():
    space = StateSpace(5)
    assert space.size(1) == (256, 136)
    assert space.size(5).raw == 556_627_761_561_600
    assert space.size(5).unique == 3_147_356_952_080


@pytest.mark.parametrize("operators", [1, 2])
@pytest.mark.parametrize("lookback", [-2, -1, 0])
@pytest.mark.parametrize("lookforward", [None, 0, 1, 2])
def test_counts_agree_with_writing_every_cell_down(operators, lookback, lookforward):
    space = StateSpace(4, ["identity", "3x3 conv"][:operators], lookback, lookforward)
    for b in range(1, 5):
        columns = [x for i in range(b) for x in [space.inputs(i + 1), range(operators)] * 2]
        if np.prod([len(c) for c in columns]) > 60_000:
            break
        rows = np.array(list(product(*columns)), dtype=np.int16)
        assert space.size(b) == (len(rows), len(np.unique(space.keys(rows))))


def test_long_cells_are_counted_at_once():
    size = StateSpace(15).size(15)
    assert size.raw > size.unique > size.raw // (2**15 * 1_307_674_368_000)
