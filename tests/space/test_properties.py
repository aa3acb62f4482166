"""Properties of parsers and canonical forms, on random spaces and cells."""

import contextlib
import random
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronas.errors import UsageError
from pronas.space import Block, Cell, StateSpace, operator_names

# no deadlines, the machine may be busy; the same examples every time
CALM = settings(deadline=None, derandomize=True, max_examples=80)
QUICK = settings(CALM, max_examples=50)


@st.composite
def spaces(draw, blocks=5, operators=4):
    known = [name for name in operator_names() if name != "linear"]  # the identity by another name
    names = draw(st.lists(st.sampled_from(known), min_size=1, max_size=operators, unique=True))
    lookforward = draw(st.one_of(st.none(), st.integers(0, blocks)))
    return StateSpace(draw(st.integers(1, blocks)), names, draw(st.integers(-3, 0)), lookforward)


@st.composite
def cells_in_spaces(draw, **limits):
    space = draw(spaces(**limits))
    blocks = []
    for b in range(1, draw(st.integers(1, space.B)) + 1):
        value, name = st.sampled_from(space.inputs(b)), st.sampled_from(space.operators)
        blocks.append(Block(draw(value), draw(name), draw(value), draw(name)))
    pairs = st.tuples(st.integers(0, 4), st.integers(5, 9))
    return space, Cell(tuple(blocks), tuple(draw(st.lists(pairs, max_size=3))))


def messed(text, rng):
    """The same text with other spacing, line breaks and quotes around it."""
    text = "".join(rng.choice([" ", "  ", "\n", " \t"]) if c == " " else c for c in text)
    return rng.choice(["", "'", '"', "  "]).join(["", text, ""])


@CALM
@given(cells_in_spaces(), st.integers(0, 99))
def test_every_text_form_round_trips(pair, seed):
    (space, cell), rng = pair, random.Random(seed)
    texts = [
        str(cell),
        cell.to_csv(),
        f"0.25,{cell.to_csv()}",
        cell.representation(space),
        cell.representation(space, "index"),
    ]
    for text in texts:
        assert Cell.parse(text, space) == cell
        assert Cell.parse(messed(text, rng), space) == cell
    assert Cell.from_list(cell.to_list(), cell.skips) == cell
    bare = Cell(cell.blocks)
    assert Cell.parse(str(cell.to_list()), space) == Cell.parse(str(bare), space) == bare


@CALM
@given(cells_in_spaces())
def test_encode_and_decode_are_inverse(pair):
    space, cell = pair
    rows = space.encode([cell, cell])
    assert rows.dtype == np.int16
    assert rows.shape == (2, 4 * len(cell))
    assert space.decode(rows) == [Cell(cell.blocks)] * 2


@CALM
@given(st.text(alphabet="0123456789-:+|@>,.[]' \n\"abcnvx", max_size=60))
def test_any_text_is_a_cell_or_a_usage_error(text):
    space = StateSpace(3)
    for where in (None, space):
        with contextlib.suppress(UsageError):  # anything else fails the test
            cell = Cell.parse(text, where)
            assert Cell.parse(str(cell)) == cell


def relabelled(row, space, order, swaps):
    """``row`` with its blocks in another order and halves swapped, or None where a block would read a later one."""
    shift = 1 if space.flat else 0
    place = {old: new for new, old in enumerate(order)}
    blocks = [row[4 * i : 4 * i + 4] for i in range(len(order))]
    result = []
    for new, old in enumerate(order):
        halves = []
        for value, op in (blocks[old][:2], blocks[old][2:]):
            if value - shift >= 0:
                value = place[value - shift] + shift
            if value not in space.inputs(new + 1):
                return None
            halves.append((value, op))
        result += [x for half in (halves[::-1] if swaps[old] else halves) for x in half]
    return result


def smallest(row, space):
    """The canonical row, by trying every order and every swap of halves."""
    candidates = []
    b = len(row) // 4
    for order in permutations(range(b)):
        for swaps in np.ndindex(*[2] * b):
            other = relabelled(row, space, order, swaps)
            candidates += [] if other is None else [other]
    return min(candidates)


@QUICK
@given(cells_in_spaces(blocks=4, operators=2))
def test_canonical_is_the_smallest_of_all_numberings(pair):
    space, cell = pair
    row = space.encode([cell])
    assert space.canonical(row)[0].tolist() == smallest(row[0].tolist(), space)


@CALM
@given(cells_in_spaces(blocks=7, operators=2), st.integers(0, 99))
def test_equal_cells_have_equal_keys_canonical_forms_and_features(pair, seed):
    (space, cell), rng = pair, random.Random(seed)
    row = space.encode([cell])[0].tolist()
    orders = list(permutations(range(len(cell))))[:200]
    others = [relabelled(row, space, rng.choice(orders), [rng.random() < 0.5 for _ in cell.blocks]) for _ in range(20)]
    rows = np.array([row, *(other for other in others if other)], dtype=np.int16)
    assert len(np.unique(space.keys(rows))) == 1
    features = space.features(rows)
    np.testing.assert_allclose(features, np.broadcast_to(features[0], features.shape), rtol=1e-6)
    assert len({c.canonical() for c in space.decode(rows)}) == 1
    assert len({(c.depth, len(c.unused), c.used_inputs) for c in space.decode(rows)}) == 1


@CALM
@given(cells_in_spaces())
def test_a_cells_canonical_form_keeps_skips_and_is_stable(pair):
    _, cell = pair
    once = cell.canonical()
    assert once.skips == cell.skips
    assert once.canonical() == once
    assert Cell.parse(str(once)) == once


def test_keys_tell_different_cells_apart():
    space = StateSpace(3, ["identity", "3x3 conv"], -1)
    rows = space.sample(300, 3, np.random.default_rng(0))
    by_key = {}
    for row, key in zip(rows.tolist(), space.keys(rows), strict=True):
        by_key.setdefault(bytes(key), set()).add(tuple(smallest(row, space)))
    assert all(len(forms) == 1 for forms in by_key.values())
    assert len(by_key) == len(set().union(*by_key.values()))


def test_ten_equal_blocks_do_not_explode():
    space = StateSpace(10)
    row = np.array([[-1, 0, -1, 0] * 10], dtype=np.int16)
    assert (space.canonical(row) == row).all()


@pytest.mark.parametrize("seed", range(3))
def test_long_cells_keep_their_key_when_renumbered(seed):
    space, rng = StateSpace(10, ["identity", "3x3 conv"]), random.Random(seed)
    row = space.sample(1, 10, np.random.default_rng(seed))[0].tolist()
    rows = [row]
    while len(rows) < 5:
        # a random topological order: sort by depth with random ties
        (cell,) = space.decode(np.array([row]))
        depth = []
        for block in cell.blocks:
            depth.append(1 + max(depth[v] if v >= 0 else 0 for v, _ in block.halves))
        order = sorted(range(10), key=lambda i: (depth[i], rng.random()))
        rows.append(relabelled(row, space, order, [rng.random() < 0.5 for _ in range(10)]))
    assert len(np.unique(space.keys(np.array(rows)))) == 1
