"""Canonical forms: one representative for all cells that differ only in swapped halves or in the numbering of blocks.

The canonical row is the lexicographically smallest over all numberings in which a block comes after those that it
reads, each block with its smaller half first. It is built block by block: of the blocks that may come next, the one
with the smallest code comes next; only ties branch. All rows advance together, as arrays of *states* (a row, and the
positions given to its blocks so far).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
_TAKEN = np.iinfo(np.int64).max
_CHUNK = 4096


@dataclass(frozen=True)
class Shape:
    """What canonical forms need to know of a space: value + shift is the source's index, inputs before blocks."""

    shift: int
    inputs: int
    operators: int
    limit: int | None = None  # only the first so many blocks may be read

    def half_codes(self, rows: Rows) -> Ints:
        """Return (n, b, 2) codes ``source index * operators + operator``."""
        parts = rows.reshape(len(rows), rows.shape[1] // 4, 2, 2).astype(np.int64)
        return (parts[..., 0] + self.shift) * self.operators + parts[..., 1]

    def rows(self, halves: Ints) -> Rows:
        """Return the rows of (n, b, 2) half codes."""
        parts = np.stack([halves // self.operators - self.shift, halves % self.operators], axis=-1)
        return parts.reshape(len(halves), 4 * halves.shape[1]).astype(np.int16)


def canonical_rows(rows: Rows, shape: Shape) -> Rows:
    """Return the canonical form of each row: (n, 4b) to (n, 4b)."""
    if not len(rows):
        return rows.copy()
    parts = [_search(shape.half_codes(rows[i : i + _CHUNK]), shape, False)[0] for i in range(0, len(rows), _CHUNK)]
    return shape.rows(np.concatenate(parts))


def labelings(rows: Rows, shape: Shape) -> tuple[Rows, Ints, Ints]:
    """Return the canonical rows (n, 4b) and every numbering that leads to them.

    Returns:
        canonical rows; the row index of each numbering (m,), ascending; its positions (m, b): where block j goes.
        The numberings of one row differ by the automorphisms of its cell.
    """
    halves, index, position = _search(shape.half_codes(rows), shape, True)
    return shape.rows(halves), index, position


def row_keys(canonical: Rows) -> npt.NDArray[np.void]:
    """Return one comparable item a row: its bytes."""
    data = np.ascontiguousarray(canonical, dtype="<i2")
    return data.view(np.dtype((np.void, data.shape[1] * 2))).reshape(len(data))


def _search(halves: Ints, shape: Shape, everything: bool) -> tuple[Ints, Ints, Ints]:
    """Return sorted half codes (n, b, 2), and the states (row index, positions) that reached them.

    With ``everything`` false, tied blocks that nobody reads are interchangeable and only one is followed. Inside,
    states are the last axis: NumPy is several times faster along a long axis than along one of two or five.
    """
    n, blocks, _ = halves.shape
    if not n:
        return halves, np.zeros(0, dtype=np.int64), np.zeros((0, blocks), dtype=np.int64)
    halves = np.ascontiguousarray(halves.transpose(2, 1, 0))
    source, operator = halves // shape.operators - shape.inputs, halves % shape.operators
    read = (
        np.stack([(source == j).any(axis=(0, 1)) for j in range(blocks)])
        if blocks
        else np.zeros((0, n), dtype=np.bool_)
    )
    base = (shape.inputs + blocks) * shape.operators
    state = np.arange(n)
    position = np.full((blocks, n), -1, dtype=np.int64)
    result = np.empty((n, blocks, 2), dtype=np.int64)
    for turn in range(blocks):
        codes = _codes(source[..., state], operator[..., state], position, shape, base)
        if shape.limit is not None:
            _forbid_late_reads(codes, read[:, state], position, shape.limit - turn - 1)
        starts = np.flatnonzero(np.r_[True, state[1:] != state[:-1]])
        best = np.minimum.reduceat(codes.min(axis=0), starts)
        result[:, turn, 0], result[:, turn, 1] = np.divmod(best, base)
        ties = codes == best[state]
        if not everything:
            unread = ties & ~read[:, state]
            ties ^= unread & (np.cumsum(unread, axis=0) > 1)
        chosen, block = np.nonzero(ties.T)
        state, position = state[chosen], position[:, chosen]
        position[block, np.arange(len(block))] = turn
    return result, state, position.T


def _codes(source: Ints, operator: Ints, position: Ints, shape: Shape, base: int) -> Ints:
    """Return (blocks, states) codes of each block under the numbering so far; those that cannot come next are last."""
    _, blocks, states = source.shape
    index = np.maximum(source, 0).reshape(2 * blocks, states)
    on_block = source >= 0
    new = np.where(on_block, np.take_along_axis(position, index, axis=0).reshape(source.shape), source)
    waiting = on_block & (new < 0)
    half = (new + shape.inputs) * shape.operators + operator
    codes: Ints = np.minimum(half[0], half[1]) * base + np.maximum(half[0], half[1])
    codes[waiting[0] | waiting[1] | (position >= 0)] = _TAKEN
    return codes


def _forbid_late_reads(codes: Ints, read: npt.NDArray[np.bool_], position: Ints, room: int) -> None:
    """Where only the first blocks may be read, let no unread block take a place that a read one needs."""
    needed = (read & (position < 0)).sum(axis=0)
    codes[(needed > max(room, 0)) & ~read] = _TAKEN
