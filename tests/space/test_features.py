"""Features: what the columns say, on cells where it can be counted by hand."""

import numpy as np
import pytest

from pronas.space import Cell, StateSpace

SPACE = StateSpace(4, ["identity", "3x3 conv"])


def named(text, space=SPACE):
    cell = Cell.parse(text, space)
    return dict(zip(space.feature_names(), space.features(space.encode([cell]))[0].tolist(), strict=True))


def test_one_block():
    f = named("-2:identity + -1:3x3 conv")
    assert (f["cell:blocks"], f["cell:depth"], f["cell:unused"], f["cell:operators"]) == (1, 1, 1, 2)
    assert (f["count:identity"], f["share:identity"], f["output:3x3 conv"], f["on_block:identity"]) == (1, 0.5, 1, 0)
    assert (f["input:-2"], f["used:-1"], f["pair:identity+3x3 conv"], f["pair:identity+identity"]) == (1, 1, 1, 0)
    assert (f["path1:-2>identity"], f["path1:-1>3x3 conv"], f["path1:-1>identity"]) == (1, 1, 0)
    assert f["cell:log_paths"] == pytest.approx(np.log(2))


def test_a_chain():
    f = named("-1:identity + -1:identity | 0:3x3 conv + -2:identity | 1:3x3 conv + 1:identity")
    assert (f["cell:depth"], f["cell:mean_depth"], f["cell:unused"], f["cell:most_read"]) == (3, 2, 1, 2)
    assert (f["cell:equal_halves"], f["cell:same_source"], f["cell:block_reads"]) == (1, 2, 3)
    assert (f["depth1:identity"], f["depth2:3x3 conv"], f["depth3:identity"], f["depth4+:identity"]) == (2, 1, 1, 0)
    assert sum(v for k, v in f.items() if k.startswith("path1:")) == 0
    # one half of block 1 reads an input, and both halves of block 2 read block 1
    assert (f["path2:-2>identity>3x3 conv"], f["path2:-2>identity>identity"], f["path2:-1>identity>3x3 conv"]) == (
        1,
        1,
        0,
    )
    # two halves of block 0, through block 1, into two halves of block 2
    assert (f["path3+:-1>identity>…"], f["path3+:-2>identity>…"]) == (4, 0)
    assert f["cell:log_paths"] == pytest.approx(np.log(6), rel=1e-6)


def test_columns_do_not_depend_on_the_number_of_blocks():
    for space in (SPACE, StateSpace(3, ["linear", "3x3 bconv"], 0)):
        names = space.feature_names()
        assert len(set(names)) == len(names)
        assert names == space.with_blocks(9).feature_names()
        for b in range(1, space.B + 1):
            rows = space.sample(50, b, np.random.default_rng(b))
            features = space.features(rows)
            assert features.shape == (50, len(names))
            assert features.dtype == np.float32
            assert np.isfinite(features).all()
            np.testing.assert_array_equal(features, space.with_blocks(9).features(rows))


def test_chunks_do_not_show():
    rows = SPACE.sample(3000, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(SPACE.features(rows)[2990:], SPACE.features(rows[2990:]))


def test_most_different_cells_differ():
    space = StateSpace(2)
    rows = space.level1()
    assert len(np.unique(space.features(rows), axis=0)) == len(rows)
