"""The search space: blocks, cells and their text, levels, symmetry, counting. NumPy only."""

from pronas.space._block import Block
from pronas.space._cell import Cell
from pronas.space._counting import Size
from pronas.space._extension import Extension
from pronas.space._layout import SIZES, CellLayout, layout_cell
from pronas.space._named import named_space, space, space_from_dict, space_from_toml, space_names
from pronas.space._names import (
    BINARY_OPERATORS,
    PAPER_OPERATORS,
    canonical_operator,
    operator_is_binary,
    operator_names,
    register_operator,
)
from pronas.space._picture import PALETTES, cell_layout, cell_svg, input_label, operator_family, shorten
from pronas.space._protocol import Space
from pronas.space._state_space import StateSpace

__all__ = [
    "BINARY_OPERATORS",
    "PALETTES",
    "PAPER_OPERATORS",
    "SIZES",
    "Block",
    "Cell",
    "CellLayout",
    "Extension",
    "Size",
    "Space",
    "StateSpace",
    "canonical_operator",
    "cell_layout",
    "cell_svg",
    "input_label",
    "layout_cell",
    "named_space",
    "operator_family",
    "operator_is_binary",
    "operator_names",
    "register_operator",
    "shorten",
    "space",
    "space_from_dict",
    "space_from_toml",
    "space_names",
]
