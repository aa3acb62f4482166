"""The text forms of cells as people have them: copied, quoted, broken over lines; and what is said of bad ones."""

import pytest

from pronas.errors import UsageError
from pronas.space import Block, Cell, StateSpace

OLD = StateSpace(3, ["3x3 maxpool", "3x3 avgpool", "3x3 sep-bconv", "linear"], 0)
SEP = Cell((Block(0, "3x3 sep-bconv", 0, "3x3 maxpool"),))
FIRST = Cell((Block(0, "3x3 maxpool", 0, "3x3 maxpool"),))


def test_the_block_text_reads_as_documented():
    cell = Cell.parse("-2:5x5 dconv + -2:3x3 maxpool | -1:identity + 0:3x3 dconv @ 1>3, 0>2")
    assert cell.blocks == (Block(-2, "5x5 dconv", -2, "3x3 maxpool"), Block(-1, "identity", 0, "3x3 dconv"))
    assert cell.skips == ((0, 2), (1, 3))
    assert str(cell) == "-2:5x5 dconv + -2:3x3 maxpool | -1:identity + 0:3x3 dconv @ 0>2, 1>3"


@pytest.mark.parametrize(
    "text",
    [
        "[[1. 0. 0.]] [[0. 0. 1. 0.]] [[1. 0. 0.]] [[1. 0. 0. 0.]]",
        "[[1. 0. 0.]] [[0. 0. 3. 0.]] [[1. 0. 0.]] [[1. 0. 0. 0.]]",
        '"[[1. 0. 0.]] [[0. 0. 3. 0.]]\n[[1. 0. 0.]]  [[ 1.  0.  0.  0.]]"',
        "[[[1,0,0]], [[0, 0, 3, 0]], [[1, 0, 0]], [[1, 0, 0, 0]]]",
        "[array([[1., 0., 0.]]), array([[0., 0., 3., 0.]]), array([[1., 0., 0.]]), array([[1, 0, 0, 0]], dtype=int8)]",
        "'[[1. 0. 0.]]' '[[0. 0. 3. 0.]]' '[[1. 0. 0.]]' '[[1. 0.\\n 0. 0.]]'",
        "[1 0 0] [0 0 1 0] [1 0 0] [1 0 0 0]",
    ],
)
def test_representation_strings_in_any_copied_shape(text):
    assert Cell.parse(text, OLD) == SEP


def test_the_old_systems_example():
    text = "[[1. 0. 0.]] [[1. 0. 0. 0.]] [[1. 0. 0.]] [[1. 0. 0. 0.]]"
    assert Cell.parse(text, OLD) == FIRST
    assert FIRST.representation(OLD) == text
    assert SEP.representation(OLD, "index") == "[[1. 0. 0.]] [[0. 0. 3. 0.]] [[1. 0. 0.]] [[1. 0. 0. 0.]]"


def test_a_list_is_printed_in_the_old_quoting():
    cell = Cell.from_list([0, "3x3 sep-bconv", 0, "3x3 sep-bconv"])
    assert str(cell.to_list()) == "[0, '3x3 sep-bconv', 0, '3x3 sep-bconv']"
    for text in (
        str(cell.to_list()),
        '[0, "3x3 sep-bconv", 0, "3x3 sep-bconv"]',
        "[0, 3x3 sep-bconv,\n 0, 3x3 sep-bconv]",
    ):
        assert Cell.parse(text) == cell


def test_the_number_of_fields_tells_a_reward():
    assert Cell.parse("0.5484,0,3x3 sep-bconv,0,3x3 maxpool") == Cell.parse("0,3x3 sep-bconv,0,3x3 maxpool") == SEP
    assert Cell.parse('"0.5","0","3x3 sep-bconv","0","3x3 maxpool"') == SEP


def test_skips_survive_csv():
    cell = Cell(SEP.blocks, ((0, 2), (1, 3)))
    assert cell.to_csv() == "0,3x3 sep-bconv,0,3x3 maxpool,@ 0>2 1>3"
    assert Cell.parse(cell.to_csv()) == Cell.parse("0.1," + cell.to_csv()) == cell


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("hello", "cannot read 'hello'"),
        ("-1:identity", "block 0 '-1:identity'"),
        ("-1:identity + -1:identity |", "block 1"),
        ("x:identity + -1:identity", "whole number, not 'x'"),
        ("-1:identity + 0:identity", "block 0 reads 0"),
        ("0:identity + -1:identity", "flat"),
        ("-1:identity + -1:identity | 1:identity + 0:identity", "block 1 reads 1"),
        ("-1:identity + -1:identity @ 2>1", "skip 2>1"),
        ("-1:identity + -1:identity @ 2-3", "skip '2-3'"),
        ("-1:identity + -1:identity @", "skip ''"),
        ("-1: + -1:identity", "needs a letter"),
        ("-1,identity,-1", "cannot read"),
        ("-1,identity,-1,identity,-1,identity", "not 6 in all"),
        ("a,-1,identity,-1,identity", "reward, not 'a'"),
        ("[0, 'identity', 0]", "not 3 in all"),
        ("[0, 'a|b', 0, 'identity']", "'|'"),
    ],
)
def test_bad_text_gets_one_clear_line(text, words):
    with pytest.raises(UsageError) as error:
        Cell.parse(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[1. 0. 0.]] [[1. 0. 0. 0.]] [[1. 0. 0.]]", "not 3 in all"),
        ("[[1. 0. 0.]] [[1. 0. 0.]] [[1. 0. 0.]] [[1. 0. 0.]]", "group 1 has 3 entries, but the space has 4 operators"),
        ("[[1. 0.]] [[1. 0. 0. 0.]] [[1. 0.]] [[1. 0. 0. 0.]]", "group 0 has 2 entries"),
        ("[[1. 1. 0.]] [[1. 0. 0. 0.]] [[1. 0. 0.]] [[1. 0. 0. 0.]]", "group 0 [1.0, 1.0, 0.0] must hold a single"),
        ("[[0. 0. 0.]] [[1. 0. 0. 0.]] [[1. 0. 0.]] [[1. 0. 0. 0.]]", "group 0"),
        ("[[0. 3. 0.]] [[1. 0. 0. 0.]] [[1. 0. 0.]] [[1. 0. 0. 0.]]", "group 0"),
        ("[[0. 1. 0.]] [[1. 0. 0. 0.]] [[1. 0. 0.]] [[1. 0. 0. 0.]]", "flat"),
        ("0:linear + 0:3x3 maxpol", "did you mean '3x3 maxpool'?"),
        ("-1:linear + -1:linear", "block 0 reads -1"),
        (" | ".join(["0:linear + 0:linear"] * 4), "4 blocks, more than the space's B=3"),
    ],
)
def test_text_that_is_not_of_the_space(text, words):
    with pytest.raises(UsageError, match=r"^[^\n]+$") as error:
        Cell.parse(text, OLD)
    assert words in str(error.value)


def test_a_representation_string_needs_a_space():
    with pytest.raises(UsageError, match="only be read with its search space"):
        Cell.parse("[[1. 0. 0.]] [[1. 0. 0. 0.]] [[1. 0. 0.]] [[1. 0. 0. 0.]]")
    with pytest.raises(UsageError, match="unknown style 'two'"):
        SEP.representation(OLD, "two")


def test_one_input_more_than_any_block_reads_is_accepted_as_the_old_systems_wrote_it():
    space = StateSpace(2, ["linear"], -1)
    assert space.inputs(2) == (-1, 0)
    assert str(Cell.parse("[1 0 0] [1] [1 0 0] [1]", space)) == "-1:linear + -1:linear"
    with pytest.raises(UsageError, match="group 0"):
        Cell.parse("[0 0 1] [1] [1 0 0] [1]", space)
