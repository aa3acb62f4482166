"""Rows of architectures as indexes into embedding tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pronas.space import StateSpace

if TYPE_CHECKING:
    from pronas.space import Space

Rows = NDArray[np.int16]
Ints = NDArray[np.int64]

#: ``tokens``: the paper's, a step a token, four a block; ``halves``: the old systems', a step an input and operator.
Form = Literal["tokens", "halves"]


def ordered_tokens(space: Space, rows: Rows) -> Ints:
    """Tokens (n, L) as ``space.tokens``, the halves of each block in ascending order where rows are cells of blocks.

    Sorting the halves makes every predictor that reads tokens blind to their order.
    """
    tokens = np.asarray(space.tokens(rows), dtype=np.int64)
    if not isinstance(space, StateSpace):
        return tokens
    pairs = tokens.reshape(len(tokens), -1, 2, 2)
    code = pairs[..., 0] * len(space.operators) + pairs[..., 1]
    swapped = (code[..., 0] > code[..., 1])[..., None, None]
    return np.where(swapped, pairs[:, :, ::-1], pairs).reshape(len(tokens), -1)


def level_of(space: Space, rows: Rows) -> int:
    """The level of rows (n, w), n >= 1, told by their width."""
    if isinstance(space, StateSpace):
        return int(rows.shape[1]) // 4
    length = np.asarray(space.tokens(rows[:1])).shape[1]
    fitting = [b for b in range(1, space.B + 1) if len(space.token_kinds(b)) == length]
    return fitting[0]


def first_blocks(space: Space) -> tuple[int, ...]:
    """For each kind of token, how many come before a second sort of the same kind: inputs of the cell before blocks."""
    if isinstance(space, StateSpace):
        return (len(space.inputs(1)), 0)
    return (0,) * len(space.token_sizes)


def compose(parents: Rows, blocks: Rows) -> Rows:
    """Every parent (p, 4(b-1)) with every block (m, 4): rows (p·m, 4b), the candidates of one parent together."""
    left = np.repeat(parents, len(blocks), axis=0)
    return np.concatenate([left, np.tile(blocks, (len(parents), 1))], axis=1).astype(np.int16, copy=False)


def seen_values(index: NDArray[Any], size: int) -> NDArray[np.bool_]:
    """Which of ``size`` indexes occur."""
    seen = np.zeros(size, dtype=bool)
    seen[np.unique(index)] = True
    return seen
