"""The search space of cells: which blocks there are, sets of cells as integer rows, and how cells grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pronas.errors import UsageError, nearest
from pronas.space._block import Block
from pronas.space._canonical import Ints, Rows, Shape, canonical_rows, row_keys
from pronas.space._catalogue import file_arguments
from pronas.space._cell import Cell
from pronas.space._counting import Size, count_raw, count_unique
from pronas.space._extension import Extension
from pronas.space._features import Floats, feature_names, features
from pronas.space._names import PAPER_OPERATORS, canonical_operator, known_operator, operator_is_binary
from pronas.space._sampling import mutate_rows, sample_rows

_MOST = 1_000  # blocks of a cell, and cells that it reads back: what is counted in millions was a slip, or forged


@dataclass(frozen=True, init=False)
class StateSpace:
    """The cells of 1 to B blocks over a list of operators (arXiv 1712.00559, section 3.1).

    Sets of cells are *rows*: int16 arrays (n, 4b) of ``input value, operator index, input value, operator index, …``,
    all with the same number of blocks b. Skips between cells are not in rows.

        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> [str(cell) for cell in space.decode(space.level1())]
        ['0:3x3 conv + 0:3x3 conv', '0:3x3 conv + 0:identity', '0:identity + 0:identity']

    Args:
        B: the largest number of blocks in a cell.
        operators: registered names; ``None``: the paper's eight.
        input_lookback_depth: -k: a cell may read the outputs of the k cells before it (-2: the paper);
            0: *flat* cells, whose only input, written 0, is the cell's own.
        input_lookforward_depth: ``None``: a block may read every earlier block of its cell; n: only the first n.

    Raises:
        UsageError: B < 1 or > 1,000, no operators, an unknown or repeated one, lookback > 0 or lookforward < 0.
    """

    B: int
    operators: tuple[str, ...]
    input_lookback_depth: int
    input_lookforward_depth: int | None

    def __init__(
        self,
        B: int,  # noqa: N803 - the paper's and the old systems' name
        operators: Sequence[str] | None = None,
        input_lookback_depth: int = -2,
        input_lookforward_depth: int | None = None,
    ) -> None:
        lookforward = (
            None if input_lookforward_depth is None else _whole("input_lookforward_depth", input_lookforward_depth)
        )
        fields = {
            "B": _whole("B", B),
            "operators": _check_operators(PAPER_OPERATORS if operators is None else operators),
            "input_lookback_depth": _whole("input_lookback_depth", input_lookback_depth),
            "input_lookforward_depth": lookforward,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if not 1 <= self.B <= _MOST:
            raise UsageError(f"B is the number of blocks in a cell, at most {_MOST:,} and at least 1, not {self.B}")
        if not -_MOST <= self.input_lookback_depth <= 0:
            raise UsageError(
                f"input_lookback_depth is 0 (flat cells) or negative, not {self.input_lookback_depth} "
                f"(no further back than {_MOST:,} cells)"
            )
        if lookforward is not None and lookforward < 0:
            raise UsageError(f"input_lookforward_depth is None (every earlier block) or at least 0, not {lookforward}")

    @property
    def flat(self) -> bool:
        """Whether cells have one input, their own, written 0."""
        return self.input_lookback_depth == 0

    @property
    def binary(self) -> bool:
        """Whether some operator is for binarized cells only."""
        return any(operator_is_binary(name) for name in self.operators)

    @cached_property
    def shape(self) -> Shape:
        """The numbers that canonical forms and counts need."""
        lookback = -self.input_lookback_depth
        limit = self.input_lookforward_depth
        return Shape(
            lookback, max(lookback, 1), len(self.operators), None if limit is None or limit >= self.B - 1 else limit
        )

    def readable(self, b: int) -> int:
        """Return how many earlier blocks block b (1-based) may read."""
        return b - 1 if self.input_lookforward_depth is None else min(b - 1, self.input_lookforward_depth)

    def inputs(self, b: int) -> tuple[int, ...]:
        """Return the input values that block b (1-based) may read, ascending: inputs of the cell, then blocks.

        Raises:
            UsageError: b is not in 1 … B.
        """
        self.check_level(b)
        return tuple(range(self.input_lookback_depth, self.shape.inputs - self.shape.shift + self.readable(b)))

    def check_level(self, b: int) -> None:
        """Raise a UsageError unless b is in 1 … B."""
        if not 1 <= b <= self.B:
            raise UsageError(f"a cell of this space has 1 to {self.B} blocks, not {b}")

    def check(self, cell: Cell) -> None:
        """Check that a cell is of this space.

        Raises:
            UsageError: too many blocks, an operator that the space does not have (the nearest is named) or an input out
                of range.
        """
        if len(cell) > self.B:
            raise UsageError(f"the cell has {len(cell)} blocks, more than the space's B={self.B}: {cell}")
        for i, block in enumerate(cell.blocks):
            allowed = self.inputs(i + 1)
            for value, operator in block.halves:
                if value not in allowed:
                    raise UsageError(
                        f"block {i} reads {value}, but in this space it may read {_listed(allowed)}: {cell}"
                    )
                self.operator_index(operator)

    def operator_index(self, name: str) -> int:
        """Return the place of an operator in ``operators``, by either name if it has two.

        Raises:
            UsageError: it is not in this space; the nearest that is, is named.
        """
        index = self._indexes.get(canonical_operator(name))
        if index is None:
            hint = nearest(name, self.operators) or "; it has " + ", ".join(self.operators)
            raise UsageError(f"operator {name!r} is not in this space{hint}")
        return index

    @cached_property
    def _indexes(self) -> dict[str, int]:
        return {canonical_operator(name): i for i, name in enumerate(self.operators)}

    def encode(self, cells: Iterable[Cell]) -> Rows:
        """Return the rows of cells that all have the same number of blocks; skips are left out.

        Raises:
            UsageError: a cell is not of this space, or the numbers of blocks differ.
        """
        rows = []
        for cell in cells:
            self.check(cell)
            rows.append([x for b in cell.blocks for v, op in b.halves for x in (v, self.operator_index(op))])
        if len({len(row) for row in rows}) > 1:
            raise UsageError("rows hold cells of one number of blocks; encode the cells of each level by themselves")
        return np.array(rows, dtype=np.int16).reshape(len(rows), len(rows[0]) if rows else 0)

    def decode(self, rows: npt.ArrayLike) -> list[Cell]:
        """Return the cells of rows (n, 4b).

        Raises:
            UsageError: the rows are not of this space.
        """
        names = self.operators

        @cache  # cells of a level share most of their blocks
        def block(a: int, p: int, b: int, q: int) -> Block:
            return Block(a, names[p], b, names[q])

        return [Cell(tuple(map(block, *[iter(row)] * 4))) for row in self.check_rows(rows).tolist()]

    def check_rows(self, rows: npt.ArrayLike) -> Rows:
        """Return ``rows`` as an int16 array (n, 4b) of this space.

        Raises:
            UsageError: not two-dimensional, not 4b wide with b in 1 … B, not whole numbers, or a value out of range.
        """
        array = np.asarray(rows)
        if array.ndim != 2 or array.shape[1] % 4 or (array.size and array.dtype.kind not in "iu"):
            raise UsageError(f"rows are whole numbers (n, 4b), not {array.dtype} {array.shape}")
        if not array.size:
            return array.astype(np.int16)
        self.check_level(array.shape[1] // 4)
        parts = array.reshape(len(array), -1, 2, 2)
        high = np.array([self.inputs(b + 1)[-1] for b in range(parts.shape[1])])[:, None]
        bad = (parts[..., 0] < self.input_lookback_depth) | (parts[..., 0] > high)
        bad |= (parts[..., 1] < 0) | (parts[..., 1] >= len(self.operators))
        if bad.any():
            n, b, _ = (int(x[0]) for x in np.nonzero(bad))
            raise UsageError(f"row {n}: block {b} {parts[n, b].ravel().tolist()} has a value out of this space's range")
        return array.astype(np.int16, copy=False)

    def level1(self) -> Rows:
        """Return every cell of one block, (n, 4), without symmetric duplicates: 136 in the paper's space."""
        return self.extensions(1)

    def extensions(self, b: int) -> Rows:
        """Return every block that may be block b (1-based), smaller half first: (m, 4), in ascending order."""
        sources, operators = len(self.inputs(b)), len(self.operators)
        codes = np.stack(np.triu_indices(sources * operators), axis=1)[:, None]
        return self.shape.rows(codes.astype(np.int64))

    def extend(self, parents: npt.ArrayLike, chunk: int = 65536) -> Iterator[Rows]:
        """Yield every cell that has one block more than a parent, each class of equal cells once.

        The parent's blocks come first, as they are; candidates come in order of their parents. Memory depends on the
        number of parents and on ``chunk`` only.

        Args:
            parents: rows (k, 4(b-1)).
            chunk: candidates in a yielded array, at most.

        Raises:
            UsageError: the parents are not of this space, or have B blocks already.
        """
        return self.extension(parents).chunks(chunk)

    def extension(self, parents: npt.ArrayLike) -> Extension:
        """Return the candidates of the level after ``parents`` as pairs of parents and blocks (see `Extension`).

        Raises:
            UsageError: the parents are not of this space, or have B blocks already.
        """
        return Extension(self, parents)

    def canonical(self, rows: npt.ArrayLike) -> Rows:
        """Return the canonical form of each row: the smallest of all that are the same cell, (n, 4b).

        Two rows are the same cell when swapping halves of blocks and renumbering blocks (in an order that this space
        allows) leads from one to the other.
        """
        return canonical_rows(self.check_rows(rows), self.shape)

    def keys(self, rows: npt.ArrayLike) -> npt.NDArray[np.void]:
        """Return (n,) items that are equal exactly where rows are the same cell (`canonical`)."""
        return row_keys(self.canonical(rows))

    def size(self, b: int) -> Size:
        """Return the number of cells of b blocks, exactly: raw, and unique (each class of equal cells once).

        136 unique of 256 at level 1 of the paper's space, 5.6e14 raw at level 5.
        """
        self.check_level(b)
        raw = count_raw(tuple(len(self.inputs(i + 1)) for i in range(b)), len(self.operators))
        return Size(raw, count_unique(b, self.shape.inputs, len(self.operators), self.input_lookforward_depth))

    @property
    def token_sizes(self) -> tuple[int, ...]:
        """The number of different input tokens and operator tokens."""
        return len(self.inputs(self.B)), len(self.operators)

    def token_kinds(self, b: int) -> tuple[int, ...]:
        """Return the kind (0: input, 1: operator) of each of the 4b tokens of a cell of b blocks."""
        self.check_level(b)
        return (0, 1) * (2 * b)

    def tokens(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return (n, 4b) tokens: input value - input_lookback_depth, operator index, … the same whatever B is."""
        tokens = self.check_rows(rows).astype(np.int64)
        tokens[:, ::2] -= self.input_lookback_depth
        return tokens

    def ordered_tokens(self, rows: npt.ArrayLike) -> Ints:
        """Return `tokens` (n, 4b) with the halves of each block in ascending order, the same whichever came first."""
        tokens = self.tokens(rows)
        pairs = tokens.reshape(len(tokens), tokens.shape[1] // 4, 2, 2)
        code = pairs[..., 0] * len(self.operators) + pairs[..., 1]
        swapped = (code[..., 0] > code[..., 1])[..., None, None]
        return np.where(swapped, pairs[:, :, ::-1], pairs).reshape(tokens.shape)

    @property
    def token_splits(self) -> tuple[int, ...]:
        """How many input tokens are inputs of the cell, before those of blocks; operators are of one sort."""
        return self.shape.inputs, 0

    def level_of(self, rows: npt.NDArray[np.int16]) -> int:
        """Return how many blocks the cells of rows (n, 4b) have."""
        return int(rows.shape[1]) // 4

    def level_bound(self, b: int) -> int:
        """Return a number that the cells of level b do not exceed: swapped halves counted once, numberings each."""
        return prod(len(self.extensions(i + 1)) for i in range(b))

    def features(self, rows: npt.ArrayLike) -> Floats:
        """Return (n, d) float32 for predictors that are no networks; equal for equal cells, d the same for all b."""
        checked = self.check_rows(rows)
        if not len(checked):
            return np.zeros((0, len(self.feature_names())), dtype=np.float32)
        return features(self.shape, checked)

    def feature_names(self) -> tuple[str, ...]:
        """Return the names of the d columns of `features`, ``group:what``."""
        return feature_names(self.operators, self.shape)

    def sample(self, count: int, b: int, generator: np.random.Generator) -> Rows:
        """Return (count, 4b) random cells of b blocks, uniform over the raw ones."""
        self.check_level(b)
        return sample_rows(*self._columns(b), count, generator)

    def mutate(self, rows: npt.ArrayLike, generator: np.random.Generator) -> Rows:
        """Return rows that each differ from theirs in one input or one operator."""
        checked = self.check_rows(rows)
        return mutate_rows(*self._columns(checked.shape[1] // 4), checked, generator)

    def _columns(self, b: int) -> tuple[Ints, Ints]:
        """Return how many values each column of a row may take, and its lowest, both (4b,)."""
        choices = [x for i in range(b) for x in [len(self.inputs(i + 1)), len(self.operators)] * 2]
        return np.array(choices, dtype=np.int64), np.array([self.input_lookback_depth, 0] * (2 * b), dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the space as plain data, for `space_from_dict`."""
        return {
            "kind": "cells",
            "B": self.B,
            "operators": list(self.operators),
            "input_lookback_depth": self.input_lookback_depth,
            "input_lookforward_depth": self.input_lookforward_depth,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StateSpace:
        """Make the space that `to_dict` wrote.

        Raises:
            UsageError: an entry is unknown, missing or wrong.
        """
        fields = ("B", "operators", "input_lookback_depth", "input_lookforward_depth")
        for name in data:
            if name not in ("kind", *fields):
                raise UsageError(f"unknown entry {name!r} of a space{nearest(str(name), fields)}")
        if data.get("kind", "cells") != "cells" or "B" not in data:
            raise UsageError("a space of cells has an entry B and kind 'cells'")
        return cls(**{name: data[name] for name in fields if name in data})

    @classmethod
    def from_toml(cls, path: str | Path, B: int | None = None) -> StateSpace:  # noqa: N803
        """Read a space from a TOML file.

        At the top of the file, or in its table ``[space]``: ``blocks`` (or ``B``), ``operators``, ``lookback`` (or
        ``input_lookback_depth``), ``lookforward`` (or ``input_lookforward_depth``), and ``kind``: the named space that
        gives what is left out (``pnas``).

        Args:
            path: the file.
            B: overrides the file's number of blocks.

        Raises:
            UsageError: the file cannot be read, is no TOML, or an entry is unknown or wrong; the message names the
                file.
        """
        try:
            return cls(**file_arguments(Path(path), B))
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None

    def with_blocks(self, b: int) -> StateSpace:
        """Return the same space with another B."""
        return StateSpace(b, self.operators, self.input_lookback_depth, self.input_lookforward_depth)


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"{name} is a whole number, not {value!r}")
    return int(value.__index__())


def _check_operators(operators: Sequence[str]) -> tuple[str, ...]:
    if isinstance(operators, str) or not isinstance(operators, Iterable):
        raise UsageError(f"operators is a list of names, not {operators!r}")
    names = tuple(known_operator(name) for name in operators)
    if not names:
        raise UsageError("a space needs at least one operator")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UsageError(f"operator {name!r} is listed twice")
        if canonical_operator(name) in map(canonical_operator, names[:i]):
            raise UsageError(f"operator {name!r} is another name of one that is listed already: keep one of them")
    return names


def _listed(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
