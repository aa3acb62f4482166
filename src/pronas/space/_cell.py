"""A cell as plain, immutable data: blocks of two inputs and two operators, and optional skips between cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from pronas.errors import UsageError
from pronas.space import _text as text_forms
from pronas.space._block import Block
from pronas.space._canonical import Shape, canonical_rows
from pronas.space._names import canonical_operator
from pronas.space._picture import cell_svg
from pronas.space._text import CellSpace


@dataclass(frozen=True)
class Cell:
    """A cell: its blocks in order, and the skips between cells of the macro network (usually none).

        >>> cell = Cell.parse("-2:5x5 dconv + -1:identity | 0:3x3 maxpool + -1:3x3 dconv")
        >>> len(cell), cell.used_inputs, cell.unused, cell.depth
        (2, (-2, -1), (1,), 2)
        >>> swapped = Cell.parse("-1:identity + -2:5x5 dconv | -1:3x3 dconv + 0:3x3 maxpool")
        >>> cell == swapped, cell.canonical() == swapped.canonical()
        (False, True)

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
        return text_forms.to_text(self.blocks, self.skips)

    def to_list(self) -> list[int | str]:
        """Return ``[input1, operator1, input2, operator2, …]``; skips are not in it."""
        return [x for b in self.blocks for x in (b.input1, b.operator1, b.input2, b.operator2)]

    def to_csv(self) -> str:
        """Return ``input1,op1,input2,op2,…``, a row of a CSV file; skips follow as one last field ``@ 0>2 1>3``."""
        return text_forms.to_csv(self.blocks, self.skips)

    def representation(self, space: CellSpace, style: str = "one") -> str:
        """Return the old systems' one-hot string, ``[[1. 0.]] [[0. 1.]] …``.

        Args:
            space: gives the number of inputs and operators.
            style: ``"one"``: the hot entry is ``1.``; ``"index"``: it is its index + 1.

        Raises:
            UsageError: the cell is not of this space, or the style is not known.
        """
        text_forms.check_style(style)
        space.check(self)
        return text_forms.to_representation(self.blocks, self.skips, space, style)

    def canonical(self) -> Cell:
        """Return the one cell that stands for all that are the same but for swapped halves and numbering of blocks.

        It does not depend on a space: operators are ordered by name, and one that has two is called by the first
        (``identity`` for ``linear``). Skips are kept.
        """
        return _canonical(self)

    def to_svg(self, theme: str = "auto") -> str:
        """Draw the cell as an SVG document; ``theme`` is ``light``, ``dark`` or ``auto`` (what the viewer prefers).

        Raises:
            UsageError: an unknown theme.
        """
        return cell_svg(self, theme)

    def _repr_svg_(self) -> str:
        return self.to_svg()

    @classmethod
    def from_list(cls, items: Sequence[object], skips: Iterable[tuple[int, int]] = ()) -> Cell:
        """Make a cell of ``[input1, operator1, input2, operator2, …]``.

        Raises:
            UsageError: the length is not a multiple of four, or a part is not what belongs there.
        """
        return cls(text_forms.from_items(items), tuple(skips))

    @classmethod
    def parse(cls, text: str, space: CellSpace | None = None) -> Cell:
        """Read a cell from any of its text forms; the form is told by the text itself.

        The forms: ``-2:5x5 dconv + -2:3x3 maxpool | …``; the list ``[0, '3x3 dconv', 0, 'identity']``; a CSV row, with
        or without a reward before it; the one-hot representation string. Skips follow as ``@ 0>2, 1>3``.

        Args:
            text: spacing, line breaks and surrounding quotes do not matter.
            space: if given, the cell is checked against it; a representation string cannot be read without.

        Raises:
            UsageError: the text is none of the forms, or the cell is not of the space.
        """
        cell = cls(*text_forms.parse(text, space))
        if space is not None:
            space.check(cell)
        return cell


@lru_cache(maxsize=1 << 16)
def _canonical(cell: Cell) -> Cell:
    names = sorted({canonical_operator(name) for name in cell.operators})
    shift = 0 if cell.flat else max(1, -min(v for b in cell.blocks for v, _ in b.halves))
    shape = Shape(shift, max(shift, 1), len(names))
    row = [x for b in cell.blocks for v, op in b.halves for x in (v, names.index(canonical_operator(op)))]
    smallest = canonical_rows(np.array([row], dtype=np.int16), shape)[0].tolist()
    blocks = (Block(a, names[p], b, names[q]) for a, p, b, q in zip(*[iter(smallest)] * 4, strict=True))
    return Cell(tuple(blocks), cell.skips)


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
