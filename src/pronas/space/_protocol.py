"""What a search space must offer to predictors and to the controller; `StateSpace` is one, users may write others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


class Extended(Protocol):
    """Architectures of a level as pairs of a parent and what is added to it (`Extension`)."""

    @property
    def parents(self) -> npt.NDArray[np.int16]:
        """Rows (p, w) of the parents; each is extended by every block."""

    @property
    def blocks(self) -> npt.NDArray[np.int16]:
        """Rows (m, v) of what may follow a parent."""


@runtime_checkable
class Space(Protocol):
    """A space of architectures that grow level by level.

    Sets of architectures are *rows*: int16 arrays (n, w), where all rows of a level have the same width w and the width
    tells the level. What the numbers mean is the space's own business; others only keep, concatenate and pass rows.
    A space without levels (NAS-Bench-201: six edges, each one of five operators) has B = 1: `level1` is everything and
    `extend` yields nothing.

    Subclass it (``class MySpace(Space)``): the last methods then have defaults, for architectures that are not parents
    followed by a block.
    """

    @property
    def B(self) -> int:  # noqa: N802 - the paper's name
        """The number of levels."""

    @property
    def token_sizes(self) -> tuple[int, ...]:
        """The number of different tokens of each kind (one embedding table a kind); cells: inputs and operators."""

    def token_kinds(self, b: int) -> tuple[int, ...]:
        """Return the kind of each of the L tokens of an architecture of level b, as an index in `token_sizes`."""

    def tokens(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
        """Return (n, L) tokens, 0 <= token < token_sizes[kind]. A token means the same whatever the level and B."""

    def level1(self) -> npt.NDArray[np.int16]:
        """Return every architecture of level 1, once each: (n, w)."""

    def extend(self, parents: npt.NDArray[np.int16], chunk: int = 65536) -> Iterator[npt.NDArray[np.int16]]:
        """Yield the architectures one level above the parents, each once, at most ``chunk`` rows at a time."""

    def canonical(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Return for each row the one that stands for all that are the same architecture."""

    def keys(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[Any]:
        """Return (n,) comparable, sortable items that are equal exactly where rows are the same architecture."""

    def features(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """Return (n, d) numbers for predictors that are no networks; d and the columns' meaning don't depend on b."""

    def feature_names(self) -> tuple[str, ...]:
        """Return the d names of the columns of `features`."""

    def sample(self, count: int, b: int, generator: np.random.Generator) -> npt.NDArray[np.int16]:
        """Return (count, w) random architectures of level b; repeats may occur."""

    def mutate(self, rows: npt.NDArray[np.int16], generator: np.random.Generator) -> npt.NDArray[np.int16]:
        """Return rows that each differ from theirs in one random choice."""

    def encode(self, cells: Iterable[Any]) -> npt.NDArray[np.int16]:
        """Return the rows of architectures (`Cell` for `StateSpace`) of one level."""

    def decode(self, rows: npt.NDArray[np.int16]) -> list[Any]:
        """Return the architectures of rows."""

    def to_dict(self) -> Mapping[str, Any]:
        """Return plain data that tells this space from others; its ``kind`` names the class of spaces."""

    # -- with defaults

    def level_of(self, rows: npt.NDArray[np.int16]) -> int:
        """Return the level of rows (n, w), n >= 1: by default the first with as many tokens."""
        length = np.asarray(self.tokens(rows[:1])).shape[1]
        return next(b for b in range(1, self.B + 1) if len(self.token_kinds(b)) == length)

    def ordered_tokens(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
        """Return `tokens`, made the same for rows that differ only in an order without meaning (halves of a block)."""
        return np.asarray(self.tokens(rows), dtype=np.int64)

    @property
    def token_splits(self) -> tuple[int, ...]:
        """For each kind of token, how many come before a second sort of the same kind (0: all are of one sort).

        Unseen tokens are read as the mean of the seen ones of their sort: inputs of the cell, outputs of blocks.
        """
        return (0,) * len(self.token_sizes)

    def level_bound(self, b: int) -> int | None:
        """Return a number that the architectures of level b do not exceed; ``None``: unknown."""
        return None

    def extension(self, parents: npt.NDArray[np.int16]) -> Extended | None:
        """Return the next level as parents x blocks, where it is that; ``None``: use `extend`.

        A row is then its parent's followed by the block's, and so are its `ordered_tokens`; predictors share a parent's
        work among its extensions.
        """
        return None
