"""Growing cells: every class once, parents first, as a stream, and nothing missing."""

import tracemalloc

import numpy as np
import pytest

from pronas.errors import UsageError
from pronas.space import Extension, StateSpace

OPS = ["3x3 dconv", "identity", "3x3 maxpool"]


def by_hand(space, parents):
    """The first of each class among all parents x blocks, in order."""
    blocks = space.extensions(parents.shape[1] // 4 + 1)
    rows = np.concatenate([np.repeat(parents, len(blocks), axis=0), np.tile(blocks, (len(parents), 1))], axis=1)
    _, first = np.unique(space.keys(rows), return_index=True)
    return rows[np.sort(first)]


CASES = [(2, -2, None), (3, 0, None), (2, -1, None), (1, -1, None), (1, -3, None)]


@pytest.mark.parametrize(("operators", "lookback", "lookforward"), CASES)
@pytest.mark.parametrize("kept", [1.0, 0.4])
def test_candidates_are_the_first_of_each_class(operators, lookback, lookforward, kept):
    space, rng = StateSpace(5, OPS[:operators], lookback, lookforward), np.random.default_rng(0)
    rows = space.level1()
    for _ in range(3):
        rows = rows[rng.permutation(len(rows))[: max(1, min(150, int(kept * len(rows))))]]
        candidates = np.concatenate(list(space.extend(rows)))
        np.testing.assert_array_equal(candidates, by_hand(space, rows))
        rows = candidates


@pytest.mark.parametrize(("operators", "lookback", "lookforward"), CASES)
def test_parents_in_any_numbering_and_repeated(operators, lookback, lookforward):
    space = StateSpace(5, OPS[:operators], lookback, lookforward)
    parents = space.sample(120, 3, np.random.default_rng(1))
    parents = np.concatenate([parents, space.canonical(parents[:40]), parents[:20]])
    np.testing.assert_array_equal(np.concatenate(list(space.extend(parents))), by_hand(space, parents))


@pytest.mark.parametrize(
    ("operators", "lookback", "lookforward", "blocks"),
    [(2, -2, None, 4), (3, 0, None, 4), (1, -1, None, 6), (2, -2, 1, 4), (2, 0, 2, 5), (1, -1, 3, 6), (2, -2, 0, 4)],
)
def test_whole_levels_hold_every_class_once(operators, lookback, lookforward, blocks):
    space = StateSpace(blocks, OPS[:operators], lookback, lookforward)
    rows = space.level1()
    assert len(rows) == space.size(1).unique
    for b in range(2, blocks + 1):
        rows = np.concatenate(list(space.extend(rows, chunk=5000)))
        assert len(rows) == len(np.unique(space.keys(rows))) == space.size(b).unique


@pytest.mark.parametrize("last", [[], [0, 0, 1, 0], [5, 0, 3, 1]])
def test_parents_with_very_many_automorphisms(last):
    space = StateSpace(8, OPS[:2], -1)
    parents = np.array([[-1, 0, -1, 0] * 6 + last], dtype=np.int16)
    np.testing.assert_array_equal(np.concatenate(list(space.extend(parents))), by_hand(space, parents))


def test_level_2_of_the_papers_space():
    space = StateSpace(2)
    assert sum(len(rows) for rows in space.extend(space.level1())) == space.size(2).unique == 31620


def test_where_reading_is_limited_no_child_of_a_parent_is_lost():
    space = StateSpace(3, ["identity"], -2, 1)
    # Neither block of the parent is read, so that either may be: the first one in the other numbering.
    parent = np.array([[-2, 0, -2, 0, -1, 0, -1, 0]], dtype=np.int16)
    children = np.concatenate(list(space.extend(parent)))
    assert len(children) == len(np.unique(space.keys(children)))
    read = {tuple(np.unique(c[8::2][c[8::2] >= 0])) + tuple(c[:1]) for c in children}
    assert {(0, -2), (0, -1)} <= read


def test_chunks_are_a_stream_of_the_same_rows():
    space = StateSpace(3)
    parents = np.concatenate(list(space.extend(space.level1())))[:500]
    whole = np.concatenate(list(space.extend(parents)))
    for chunk in (1, 100, 7000):
        parts = []
        for rows in space.extend(parents[:20], chunk):
            assert 1 <= len(rows) <= chunk
            assert rows.dtype == np.int16
            parts.append(rows)
        joined = np.concatenate(parts)
        np.testing.assert_array_equal(joined, whole[: len(joined)])
    with pytest.raises(UsageError, match="chunk"):
        list(space.extend(parents, 0))


def test_memory_does_not_grow_with_the_candidates():
    space = StateSpace(5)
    parents = space.sample(2000, 4, np.random.default_rng(0))
    tracemalloc.start()
    total = sum(len(rows) for rows in space.extend(parents))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 2_000_000  # 80 MB as rows
    assert peak < 25e6


def test_pairs_and_rows():
    space = StateSpace(3)
    extension = Extension(space, space.level1())
    assert len(extension) == 136 * len(extension.blocks) == 136 * 300
    mask = extension.first()
    np.testing.assert_array_equal(np.concatenate([extension.first(0, 50), extension.first(50, 500)]), mask)
    rng = np.random.default_rng(0)
    parent, block = rng.integers(0, 136, 300), rng.integers(0, 300, 300)
    np.testing.assert_array_equal(extension.is_first(parent, block), mask[parent, block])
    assert extension.is_first([], []).shape == (0,)
    np.testing.assert_array_equal(extension.rows([3], [7]), [[*space.level1()[3], *space.extensions(2)[7]]])
