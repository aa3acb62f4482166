"""A cell as plain, immutable data: blocks of two inputs and two operators, and optional skips between cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pronas.errors import UsageError
from pronas.space._names import check_operator_name

if TYPE_CHECKING:
    from pronas.space._state_space import StateSpace


@dataclass(frozen=True, order=True)
class Block:
    """One block: two inputs, each under an operator; the two results are combined.

    Input values: negative is an earlier cell (-1 the previous one), 0, 1, … an earlier block of this cell. In flat
    cells 0 is the cell's own input and v >= 1 is block v - 1.
    """

    input1: int
    operator1: str
    input2: int
    operator2: str

    def __post_init__(self) -> None:
        for name, value in (("input1", self.input1), ("input2", self.input2)):
            if type(value) is int:
                continue
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise UsageError(f"a block's input is a whole number, not {value!r}")
            object.__setattr__(self, name, int(value))
        check_operator_name(self.operator1)
        check_operator_name(self.operator2)

    @property
    def halves(self) -> tuple[tuple[int, str], tuple[int, str]]:
        """The two ``(input, operator)`` pairs."""
        return (self.input1, self.operator1), (self.input2, self.operator2)

    def __str__(self) -> str:
        return f"{self.input1}:{self.operator1} + {self.input2}:{self.operator2}"


@dataclass(frozen=True)
class Cell:
    """A cell: its blocks in order, and the skips between cells of the macro network (usually none).

    Args:
        blocks: at least one; a block reads only inputs of the cell and blocks before it.
        skips: ``(source, target)`` positions of cells in the macro network joined by anchor points, source < target;
            kept sorted and without repeats.

    Raises:
        UsageError: no blocks, an input out of range, flat and other readings mixed, or a skip that goes backwards.
    """

    blocks: tuple[Block, ...]
    skips: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        object.__setattr__(self, "skips", _check_skips(self.skips))
        if not self.blocks:
            raise UsageError("a cell needs at least one block, for example '-1:3x3 dconv + -1:identity'")
        _check_inputs(self.blocks, self.flat)

    @property
    def flat(self) -> bool:
        """Whether 0 means the cell's own input (then v >= 1 is block v - 1); the first block tells."""
        return self.blocks[0].input1 == 0

    def source_block(self, value: int) -> int | None:
        """Return the index of the block that an input value reads, or ``None`` where it reads an input of the cell."""
        index = value - 1 if self.flat else value
        return index if index >= 0 else None

    @cached_property
    def used_inputs(self) -> tuple[int, ...]:
        """The values, in ascending order, of the cell inputs that some block reads."""
        return tuple(sorted({v for b in self.blocks for v, _ in b.halves if self.source_block(v) is None}))

    @cached_property
    def unused(self) -> tuple[int, ...]:
        """Indexes of the blocks whose output no later block reads: together they are the cell's output."""
        read = {self.source_block(v) for b in self.blocks for v, _ in b.halves}
        return tuple(i for i in range(len(self.blocks)) if i not in read)

    @cached_property
    def depth(self) -> int:
        """The number of blocks on the longest path through the cell."""
        depths: list[int] = []
        for block in self.blocks:
            sources = (self.source_block(v) for v, _ in block.halves)
            depths.append(1 + max(0 if s is None else depths[s] for s in sources))
        return max(depths)

    @property
    def operators(self) -> tuple[str, ...]:
        """The distinct operators, sorted by name."""
        return tuple(sorted({op for b in self.blocks for _, op in b.halves}))

    def __len__(self) -> int:
        return len(self.blocks)

    def __str__(self) -> str:
        from pronas.space._text import to_text

        return to_text(self)

    def to_list(self) -> list[int | str]:
        """Return ``[input1, operator1, input2, operator2, …]``; skips are not in it."""
        return [x for b in self.blocks for x in (b.input1, b.operator1, b.input2, b.operator2)]

    def to_csv(self) -> str:
        """Return ``input1,op1,input2,op2,…``, a row of a CSV file; skips follow as one last field ``@ 0>2 1>3``."""
        from pronas.space._text import to_csv

        return to_csv(self)

    def representation(self, space: StateSpace, style: str = "one") -> str:
        """Return the old systems' one-hot string, ``[[1. 0.]] [[0. 1.]] …``.

        Args:
            space: gives the number of inputs and operators.
            style: ``"one"``: the hot entry is ``1.``; ``"index"``: it is its index + 1.

        Raises:
            UsageError: the cell is not of this space, or the style is not known.
        """
        from pronas.space._text import to_representation

        return to_representation(self, space, style)

    def canonical(self) -> Cell:
        """Return the one cell that stands for all that are the same but for swapped halves and numbering of blocks.

        It does not depend on a space: operators are ordered by name. Skips are kept.
        """
        from pronas.space._canonical import canonical_cell

        return canonical_cell(self)

    def to_svg(self, theme: str = "auto") -> str:
        """Draw the cell as an SVG document; ``theme`` is ``light``, ``dark`` or ``auto`` (what the viewer prefers).

        Raises:
            UsageError: an unknown theme.
        """
        from pronas.space._picture import cell_svg

        return cell_svg(self, theme)

    def _repr_svg_(self) -> str:
        return self.to_svg()

    @classmethod
    def from_list(cls, items: Sequence[object], skips: Iterable[tuple[int, int]] = ()) -> Cell:
        """Make a cell of ``[input1, operator1, input2, operator2, …]``.

        Raises:
            UsageError: the length is not a multiple of four, or a part is not what belongs there.
        """
        from pronas.space._text import from_items

        return from_items(items, tuple(skips))

    @classmethod
    def parse(cls, text: str, space: StateSpace | None = None) -> Cell:
        """Read a cell from any of its text forms; the form is told by the text itself.

        The forms: ``-2:5x5 dconv + -2:3x3 maxpool | …``; the list ``[0, '3x3 dconv', 0, 'identity']``; a CSV row, with
        or without a reward before it; the one-hot representation string. Skips follow as ``@ 0>2, 1>3``.

        Args:
            text: spacing, line breaks and surrounding quotes do not matter.
            space: if given, the cell is checked against it; a representation string cannot be read without.

        Raises:
            UsageError: the text is none of the forms, or the cell is not of the space.
        """
        from pronas.space._text import parse

        return parse(text, space)


def _check_skips(skips: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    try:
        result = sorted({(int(a), int(b)) for a, b in skips})
    except (TypeError, ValueError):
        raise UsageError(f"skips are pairs of positions of cells, for example ((0, 2),), not {skips!r}") from None
    for source, target in result:
        if not 0 <= source < target:
            raise UsageError(f"skip {source}>{target} must lead from a cell to a later one, for example 0>2")
    return tuple(result)


def _check_inputs(blocks: Sequence[Block], flat: bool) -> None:
    for index, block in enumerate(blocks):
        for value, _ in block.halves:
            if flat and value < 0:
                raise UsageError(f"block {index} reads {value}, but the cell is flat (its first block reads 0)")
            if value > (index if flat else index - 1):
                raise UsageError(f"block {index} reads {value}, but it may read {_readable(index, flat)}")


def _readable(index: int, flat: bool) -> str:
    if flat:
        return "only 0, the flat cell's input" if index == 0 else f"0 to {index}"
    if index == 0:
        return "only inputs of the cell: negative values, or 0 twice in a flat cell"
    return f"negative values and 0 to {index - 1}"
