"""The search space: blocks, cells and their text, levels, symmetry, counting. NumPy only."""

from pronas.space._cell import Block, Cell
from pronas.space._counting import Size
from pronas.space._extension import Extension
from pronas.space._names import (
    BINARY_OPERATORS,
    PAPER_OPERATORS,
    operator_is_binary,
    operator_names,
    register_operator,
)
from pronas.space._protocol import Space
from pronas.space._state_space import StateSpace, space_from_dict

__all__ = [
    "BINARY_OPERATORS",
    "PAPER_OPERATORS",
    "Block",
    "Cell",
    "Extension",
    "Size",
    "Space",
    "StateSpace",
    "operator_is_binary",
    "operator_names",
    "register_operator",
    "space_from_dict",
]
