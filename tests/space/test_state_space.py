"""The state space: values, rows, errors, tokens, sampling, plain data."""

import subprocess
import sys

import numpy as np
import pytest

from pronas.errors import UsageError
from pronas.space import PAPER_OPERATORS, Cell, Space, StateSpace, named_space, space_from_dict

PAPER = StateSpace(5)


def test_the_papers_space():
    assert PAPER.operators == PAPER_OPERATORS
    assert PAPER.level1().shape == (136, 4)
    assert len(np.unique(PAPER.keys(PAPER.level1()))) == 136
    assert PAPER.inputs(1) == (-2, -1)
    assert PAPER.inputs(5) == (-2, -1, 0, 1, 2, 3)
    assert not PAPER.flat
    assert not PAPER.binary


def test_flat_spaces_read_0():
    space = StateSpace(3, ["3x3 bconv", "linear"], 0)
    assert space.flat
    assert space.binary
    assert [space.inputs(b) for b in (1, 2, 3)] == [(0,), (0, 1), (0, 1, 2)]
    assert [str(c) for c in space.decode(space.level1())] == [
        "0:3x3 bconv + 0:3x3 bconv",
        "0:3x3 bconv + 0:linear",
        "0:linear + 0:linear",
    ]


def test_lookforward_limits_what_is_read():
    assert StateSpace(4, input_lookforward_depth=1).inputs(4) == (-2, -1, 0)
    assert StateSpace(4, input_lookforward_depth=0).inputs(4) == (-2, -1)
    assert StateSpace(4, input_lookback_depth=0, input_lookforward_depth=2).inputs(4) == (0, 1, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"B": 0}, "at least 1, not 0"),
        ({"B": 2.5}, "B is a whole number"),
        ({"B": True}, "B is a whole number"),
        ({"B": 2, "operators": []}, "at least one operator"),
        ({"B": 2, "operators": "linear"}, "list of names"),
        ({"B": 2, "operators": ["linear", "linear"]}, "'linear' is listed twice"),
        ({"B": 2, "operators": ["3x3 dconvv"]}, "unknown operator '3x3 dconvv'; did you mean '3x3 dconv'?"),
        ({"B": 2, "operators": [3]}, "name is a string"),
        ({"B": 2, "input_lookback_depth": 1}, "0 (flat cells) or negative, not 1"),
        ({"B": 2, "input_lookforward_depth": -1}, "at least 0, not -1"),
    ],
)
def test_bad_spaces(arguments, words):
    with pytest.raises(UsageError) as error:
        StateSpace(**arguments)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "rows",
    [
        [[-2, 0, -2]],
        [-2, 0, -2, 0],
        [[-3, 0, -2, 0]],
        [[0, 0, -2, 0]],
        [[-1, 8, -2, 0]],
        [[-1, -1, -2, 0]],
        [[-1.5, 0, -2, 0]],
        [[-1, 0, -2, 0] * 6],
        [[-1, 0, -2, 0, 1, 0, 0, 0]],
        [[-1, 0, -2, 70000]],
    ],
)
def test_rows_that_are_not_of_the_space(rows):
    for method in (PAPER.decode, PAPER.canonical, PAPER.keys, PAPER.tokens, PAPER.features, PAPER.extend):
        with pytest.raises(UsageError):
            method(np.array(rows))


def test_no_rows():
    none = np.zeros((0, 8), dtype=np.int16)
    assert PAPER.decode(none) == []
    assert PAPER.canonical(none).shape == (0, 8)
    assert PAPER.keys(none).shape == (0,)
    assert PAPER.features(none).shape == (0, len(PAPER.feature_names()))
    assert list(PAPER.extend(none)) == []
    assert len(PAPER.encode([])) == 0


def test_encode_wants_one_level():
    cells = [
        Cell.parse("-1:identity + -1:identity"),
        Cell.parse("-1:identity + -1:identity | 0:identity + -1:identity"),
    ]
    with pytest.raises(UsageError, match="one number of blocks"):
        PAPER.encode(cells)


def test_levels_out_of_range():
    for call in (PAPER.inputs, PAPER.size, PAPER.extensions, PAPER.token_kinds):
        for b in (0, 6):
            with pytest.raises(UsageError, match="1 to 5 blocks"):
                call(b)
    with pytest.raises(UsageError, match="cannot be extended in a space of B=5"):
        PAPER.extend(PAPER.sample(3, 5, np.random.default_rng(0)))
    with pytest.raises(UsageError, match="no parents"):
        PAPER.extend(np.zeros((1, 0), dtype=np.int16))


def test_tokens_mean_the_same_whatever_b_is():
    row = np.array([[-2, 1, -1, 7, 0, 3, -2, 0]], dtype=np.int16)
    for space in (StateSpace(2), StateSpace(9)):
        assert space.tokens(row).tolist() == [[0, 1, 1, 7, 2, 3, 0, 0]]
    assert PAPER.token_sizes == (6, 8)
    assert PAPER.token_kinds(2) == (0, 1, 0, 1, 0, 1, 0, 1)
    rows = PAPER.sample(500, 5, np.random.default_rng(1))
    assert (PAPER.tokens(rows).max(axis=0) < np.array([PAPER.token_sizes[k] for k in PAPER.token_kinds(5)])).all()


def test_the_protocol_holds():
    space: Space = PAPER
    assert isinstance(space, Space)


def test_samples_cover_the_space_and_are_seeded():
    space = StateSpace(2, ["linear", "3x3 maxpool"], -1)
    rows = space.sample(3000, 2, np.random.default_rng(0))
    assert len(np.unique(rows, axis=0)) == space.size(2).raw
    assert (rows == space.sample(3000, 2, np.random.default_rng(0))).all()
    assert rows.dtype == np.int16


def test_a_mutation_changes_one_choice_and_stays_in_the_space():
    rows = PAPER.sample(2000, 5, np.random.default_rng(0))
    changed = PAPER.mutate(rows, np.random.default_rng(1))
    assert ((rows != changed).sum(axis=1) == 1).all()
    assert (rows != changed).any(axis=0).all()
    PAPER.check_rows(changed)
    single = StateSpace(1, ["linear"], 0)
    assert (single.mutate(single.level1(), np.random.default_rng(0)) == single.level1()).all()


@pytest.mark.parametrize("space", [PAPER, StateSpace(2, ["linear"], 0, 1), StateSpace(3, input_lookback_depth=-4)])
def test_plain_data_round_trips(space):
    again = space_from_dict(space.to_dict())
    assert again == space
    assert hash(again) == hash(space)
    assert space.with_blocks(7).B == 7


@pytest.mark.parametrize(
    "data", [{}, {"B": 3, "operator": []}, {"B": 3, "kind": "nasbench"}, {"operators": ["linear"]}]
)
def test_bad_plain_data(data):
    with pytest.raises(UsageError):
        space_from_dict(data)


def test_importing_the_space_brings_no_heavy_library_but_numpy():
    code = (
        "import contextlib, sys, pronas.cli, pronas.space; pronas.space.StateSpace(3).level1()\n"
        "sys.argv = ['pronas', 'space', '--blocks', '2']\n"
        "with contextlib.suppress(SystemExit): pronas.cli.main()\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'pandas', 'matplotlib', 'PIL'} & set(sys.modules); "
        "assert 'numpy' in sys.modules and not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_either_name_of_the_identity_is_of_the_space():
    old, new = (StateSpace(2, ["3x3 bconv", name], 0) for name in ("linear", "identity"))
    cells = [Cell.parse(f"0:{name} + 0:3x3 bconv | 1:{name} + 0:{name}") for name in ("linear", "identity")]
    for space in (old, new):
        assert space.encode(cells).tolist() == [[0, 1, 0, 0, 1, 1, 0, 1]] * 2
        assert len(set(space.keys(space.encode(cells)).tolist())) == 1
    assert old.feature_names() == new.feature_names()
    with pytest.raises(UsageError, match="another name"):
        StateSpace(2, ["linear", "identity"], 0)


def test_the_binary_space_has_ten_operators():
    assert len(named_space("binary").operators) == 10
    assert {"7x7 bconv", "7x7 sep-bconv"} < set(named_space("binary").operators)
