"""Cells and operator names as values."""

import dataclasses

import numpy as np
import pytest

from pronas.errors import UsageError
from pronas.space import (
    BINARY_OPERATORS,
    PAPER_OPERATORS,
    Block,
    Cell,
    operator_is_binary,
    operator_names,
    register_operator,
)

PNASNET5 = Cell.parse(
    "-2:5x5 dconv + -2:3x3 maxpool | -1:7x7 dconv + -1:3x3 maxpool | -1:5x5 dconv + -1:3x3 dconv"
    " | 2:3x3 dconv + -1:3x3 maxpool | -2:3x3 dconv + -1:identity"
)


def test_pnasnet5():
    assert len(PNASNET5) == 5
    assert not PNASNET5.flat
    assert PNASNET5.used_inputs == (-2, -1)
    assert PNASNET5.unused == (0, 1, 3, 4)
    assert PNASNET5.depth == 2
    assert PNASNET5.operators == ("3x3 dconv", "3x3 maxpool", "5x5 dconv", "7x7 dconv", "identity")


def test_flat_cells_read_their_own_input_as_0():
    cell = Cell.parse("0:linear + 0:linear | 1:linear + 0:linear | 1:linear + 2:linear")
    assert cell.flat
    assert [cell.source_block(v) for v in range(4)] == [None, 0, 1, 2]
    assert cell.used_inputs == (0,)
    assert cell.unused == (2,)
    assert cell.depth == 3


def test_cells_are_values():
    again = Cell(PNASNET5.blocks)
    assert again == PNASNET5
    assert hash(again) == hash(PNASNET5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.blocks = ()
    assert Cell(again.blocks, [(2, 4), (0, 1), (0, 1)]).skips == ((0, 1), (2, 4))


def test_numpy_numbers_become_plain_ones():
    block = Block(np.int16(-1), "linear", np.int64(-2), "linear")
    assert type(block.input1) is int
    assert repr(block) == repr(Block(-1, "linear", -2, "linear"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cell(()),
        lambda: Cell((Block(1, "linear", 0, "linear"),)),
        lambda: Cell((Block(-1, "linear", -1, "linear"), Block(1, "linear", 0, "linear"))),
        lambda: Cell((Block(-1, "linear", -1, "linear"),), ((1, 1),)),
        lambda: Cell((Block(-1, "linear", -1, "linear"),), ("0>2",)),
        lambda: Cell((Block(-1, "linear", -1, "linear"),), (3,)),
        lambda: Block(0.5, "linear", 0, "linear"),
        lambda: Block(True, "linear", 0, "linear"),
        lambda: Block(0, None, 0, "linear"),
        lambda: Cell.from_list([]),
        lambda: Cell.from_list([0, "linear", None, "linear"]),
        lambda: Cell.from_list([0, 1, 0, 1]),
    ],
)
def test_impossible_cells_are_refused(make):
    with pytest.raises(UsageError):
        make()


def test_operator_names():
    assert set(PAPER_OPERATORS) <= set(operator_names(binary=False))
    assert set(BINARY_OPERATORS) <= set(operator_names(binary=True))
    assert "3x3 bconv" not in operator_names(binary=False)
    assert "3x3 dconv" not in operator_names(binary=True)
    assert set(operator_names(True)) & set(operator_names(False)) >= {
        "3x3 maxpool",
        "3x3 avgpool",
        "identity",
        "linear",
    }
    assert len(PAPER_OPERATORS) == 8


def test_users_register_operators():
    register_operator("test-only squeeze", binary=True)
    assert operator_is_binary("test-only squeeze") is True
    assert "test-only squeeze" in operator_names(True)
    with pytest.raises(UsageError, match="unknown operator"):
        operator_is_binary("never registered")


@pytest.mark.parametrize(
    "name", ["a|b", "a+b", "a:b", "a@b", "a,b", "a'b", 'a"b', "a\nb", "a\tb", "[a]", "", " a", "3", 7]
)
def test_names_that_would_break_the_text_forms_are_refused(name):
    with pytest.raises(UsageError):
        register_operator(name)


def test_linear_is_identity():
    old = Cell.parse("0:linear + 0:3x3 bconv | 1:linear + 0:linear")
    new = Cell.parse("0:3x3 bconv + 0:identity | 0:identity + 1:identity")
    assert old != new
    assert old.canonical() == new.canonical()
    assert "linear" not in str(old.canonical())
