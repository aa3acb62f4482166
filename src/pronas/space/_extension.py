"""Growing cells by one block, each class of equal cells once, without ever holding the candidates.

A candidate is a pair: parent p and block x. The same cell arises from several pairs; the smallest (by parent, then by
block) is the one that counts. All pairs that make the cell of (p, x) are found without building it:

- an isomorphism that keeps the new block last maps p to itself, or to a parent p' that is the same cell: then (p, x) is
  (p', image of x);
- any other takes away some block y of p that nobody reads, neither in p nor x. What is left of p is its *core*; some
  parent p' is that core and the image of x: then (p, x) is (p', image of y). So parents are indexed by their cores,
  and only pairs of parents that share a core are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pronas.errors import UsageError
from pronas.space._canonical import Ints, Rows, Shape, labelings, row_keys

Mask = npt.NDArray[np.bool_]
_PAIRS = 1 << 19  # pairs looked at in one go: bounds the working memory


@dataclass(frozen=True)
class _Numberings:
    """Numberings of cells (or cores) that lead to their canonical form, ordered by class and then by parent."""

    order: Ints  # (m,) class * parents + parent, ascending
    parent: Ints  # (m,)
    place: Ints  # (m, b): where each block of the parent goes; -1 for a block that was taken away
    block: Ints  # (m, b): the parent's block at each place
    taken: Ints  # (m, 2): half codes of the block taken away, under this numbering; zeros where none was
    first: Mask  # (m,) one numbering of each cell (or parent and core) is marked


class GrowingSpace(Protocol):
    """What an extension needs of a space of cells (`StateSpace`)."""

    @property
    def B(self) -> int:  # noqa: N802
        """The largest number of blocks."""

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators' names."""

    @property
    def shape(self) -> Shape:
        """The numbers that canonical forms need."""

    def check_rows(self, rows: npt.ArrayLike) -> Rows:
        """Return rows of this space as an array, or raise a UsageError."""

    def extensions(self, b: int) -> Rows:
        """Return every block that may be block b."""

    def inputs(self, b: int) -> tuple[int, ...]:
        """Return the input values that block b may read."""

    def readable(self, b: int) -> int:
        """Return how many earlier blocks block b may read."""


class Extension:
    """The candidates of a level: parents x blocks, and which of those pairs count.

    Row ``p * len(blocks) + x`` of the level would be parent p followed by block x; `first` says whether it is the first
    of all pairs that make the same cell. Only the parents are held.

        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> parents = space.level1()
        >>> level = space.extension(parents)
        >>> len(parents), len(level.blocks), len(level), sum(len(rows) for rows in level.chunks(100))
        (3, 10, 30, 27)

    Attributes:
        parents: rows (k, 4(b-1)) int16, as given. They may hold the same cell several times; it counts once. Where only
            the first n blocks may be read, parents are followed by other numberings of them, in which other blocks
            come first: without these some of their children could not be written.
        blocks: (m, 4) int16, every block that may follow, its smaller half first, in ascending order.
    """

    def __init__(self, space: GrowingSpace, parents: npt.ArrayLike) -> None:
        """Index the parents.

        Raises:
            UsageError: the parents are not rows of the space, or have B blocks already.
        """
        self.parents: Rows = space.check_rows(parents)
        if not self.parents.shape[1]:
            raise UsageError("there are no parents to extend; level 1 is space.level1()")
        b = self.parents.shape[1] // 4 + 1
        if b > space.B:
            raise UsageError(f"cells of {space.B} blocks cannot be extended in a space of B={space.B}")
        self.blocks: Rows = space.extensions(b)
        self._shape: Shape = space.shape
        if space.readable(b) < b - 1:
            self.parents = np.concatenate([self.parents, *_renumberings(self.parents, space.shape, space.readable(b))])
        self._codes = len(space.inputs(b)) * len(space.operators)
        self._halves = self._shape.half_codes(self.blocks)[:, 0]
        self._equal = self._index_parents()
        self._cores = self._index_cores()

    def __len__(self) -> int:
        """Return the number of pairs, those that do not count included."""
        return len(self.parents) * len(self.blocks)

    def first(self, start: int = 0, stop: int | None = None) -> Mask:
        """Return (stop - start, m): whether (parent, block) is the first pair that makes its cell."""
        stop = len(self.parents) if stop is None else min(stop, len(self.parents))
        mask = np.ones((max(stop - start, 0), len(self.blocks)), dtype=np.bool_)
        self._mask_equal(mask, start, stop)
        self._mask_shared_cores(mask, start, stop)
        return mask

    def is_first(self, parent: npt.ArrayLike, block: npt.ArrayLike) -> Mask:
        """Return (n,): `first` for single pairs, given as indexes (n,) of parents and of blocks."""
        p, x = np.asarray(parent, dtype=np.int64), np.asarray(block, dtype=np.int64)
        result = np.ones(p.shape, dtype=np.bool_)
        order = np.argsort(p, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(p[order])) + 1):
            if len(part):
                result[part] = self.first(int(p[part[0]]), int(p[part[0]]) + 1)[0, x[part]]
        return result

    def rows(self, parent: npt.ArrayLike, block: npt.ArrayLike) -> Rows:
        """Return the rows (n, 4b) of pairs, given as indexes (n,) of parents and of blocks."""
        return np.concatenate([self.parents[np.asarray(parent)], self.blocks[np.asarray(block)]], axis=1)

    def chunks(self, chunk: int = 65536) -> Iterator[Rows]:
        """Yield the rows of all pairs that count, in order, at most ``chunk`` at a time."""
        if chunk < 1:
            raise UsageError(f"chunk is at least 1, not {chunk}")
        step = max(1, chunk // len(self.blocks))
        for start in range(0, len(self.parents), step):
            parent, block = np.nonzero(self.first(start, start + step))
            for i in range(0, len(parent), chunk):
                yield self.rows(parent[i : i + chunk] + start, block[i : i + chunk])

    def _index_parents(self) -> _Numberings:
        canonical, parent, place = labelings(self.parents, self._shape)
        return _numberings(_classes(canonical)[parent], parent, place, np.zeros((len(parent), 2), dtype=np.int64))

    def _index_cores(self) -> _Numberings:
        """Take each block that nobody reads from each parent, and number what is left in every canonical way."""
        shape, halves = self._shape, self._shape.half_codes(self.parents)
        source = halves // shape.operators - shape.inputs
        blocks = halves.shape[1]
        read = (source[:, :, :, None] == np.arange(blocks)).any(axis=(1, 2))
        owner, taken = np.nonzero(~read)
        keep = np.array([[j for j in range(blocks) if j != y] for y in range(blocks)], dtype=np.int64).reshape(
            blocks, -1
        )
        core = np.take_along_axis(halves[owner], keep[taken][:, :, None], axis=1)
        core -= (core // shape.operators - shape.inputs > taken[:, None, None]) * shape.operators
        canonical, item, core_place = labelings(shape.rows(core), shape)
        place = np.full((len(item), blocks), -1, dtype=np.int64)
        np.put_along_axis(place, keep[taken[item]], core_place, axis=1)
        own = halves[owner[item], taken[item]]
        return _numberings(_classes(canonical)[item], owner[item], place, self._rename(own, place), item)

    def _rename(self, halves: Ints, names: Ints) -> Ints:
        """Return half codes (n, …) with the blocks that they read renamed by ``names`` (n, b), smaller half first."""
        operators, inputs = self._shape.operators, self._shape.inputs
        source = halves // operators - inputs
        wide = np.maximum(source, 0).reshape(len(halves), int(np.prod(halves.shape[1:])))
        new = np.take_along_axis(names, wide, axis=1).reshape(halves.shape) if names.shape[1] else source
        renamed: Ints = np.where(source >= 0, (new + inputs) * operators + halves % operators, halves)
        renamed.sort(axis=-1)
        return renamed

    def _block_index(self, halves: Ints) -> Ints:
        """Return the index in ``blocks`` of half codes (…, 2), smaller first; -1 where no such block may follow."""
        low, high = halves[..., 0], halves[..., 1]
        index = low * self._codes - low * (low - 1) // 2 + high - low
        return np.where(high < self._codes, index, -1)

    def _pairs(self, table: _Numberings, start: int, stop: int) -> Iterator[tuple[Ints, Ints]]:
        """Yield indexes of (a marked numbering in start … stop, any numbering of its class, its parent not later)."""
        left = np.flatnonzero(table.first & (table.parent >= start) & (table.parent < stop))
        group = table.order[left] - table.parent[left]
        low = np.searchsorted(table.order, group, side="left")
        count = np.searchsorted(table.order, table.order[left], side="right") - low
        bounds = np.searchsorted(np.cumsum(count), np.arange(0, count.sum() + _PAIRS, _PAIRS), side="left")
        for i, j in zip(bounds[:-1], bounds[1:] + 1, strict=True):
            part = slice(i, j)
            offset = np.arange(count[part].sum()) - np.repeat(np.cumsum(count[part]) - count[part], count[part])
            yield np.repeat(left[part], count[part]), np.repeat(low[part], count[part]) + offset

    def _mask_equal(self, mask: Mask, start: int, stop: int) -> None:
        """Unmark pairs that an automorphism of the parent, or a parent that is the same cell, makes earlier."""
        table, own = self._equal, np.arange(len(self.blocks))
        step = max(1, _PAIRS // len(self.blocks))
        for left, right in self._pairs(table, start, stop):
            moved = left != right  # a numbering beside itself is the identity
            parent, other = table.parent[left[moved]], table.parent[right[moved]]
            images = np.take_along_axis(table.block[right[moved]], table.place[left[moved]], axis=1)
            keep = _enough(parent, other, images)
            parent, other, images = parent[keep], other[keep], images[keep]
            for i in range(0, len(images), step):
                p, z, image = parent[i : i + step], other[i : i + step], images[i : i + step]
                halves = np.broadcast_to(self._halves, (len(p), *self._halves.shape))
                to = self._block_index(self._rename(halves, image))
                which, block = np.nonzero(((z < p)[:, None] | (to < own)) & (to >= 0))
                mask[p[which] - start, block] = False

    def _mask_shared_cores(self, mask: Mask, start: int, stop: int) -> None:
        """Unmark pairs that another block of the parent, taken away instead of the new one, makes earlier."""
        table = self._cores
        for left, right in self._pairs(table, start, stop):
            block = self._block_index(self._rename(table.taken[right], table.block[left]))
            to = self._block_index(self._rename(table.taken[left], table.block[right]))
            a, z = table.parent[left], table.parent[right]
            gone = (block >= 0) & (to >= 0) & ((z < a) | (to < block))
            mask[a[gone] - start, block[gone]] = False


def _enough(parent: Ints, other: Ints, images: Ints) -> Mask | slice:
    """Select isomorphisms that between them have every image of every two blocks: a new block reads no more than two.

    Many equal blocks have very many automorphisms (8 have 40,320), of which a few hundred say it all.
    """
    if len(images) <= 100 * len(np.unique(parent)):
        return slice(None)
    blocks = images.shape[1]
    pair = parent * (int(other.max()) + 1) + other
    keep = np.zeros(len(images), dtype=np.bool_)
    for i, j in combinations_with_replacement(range(blocks), 2):
        keep[np.unique((pair * blocks + images[:, i]) * blocks + images[:, j], return_index=True)[1]] = True
    return keep


def _renumberings(rows: Rows, shape: Shape, limit: int) -> Iterator[Rows]:
    """Yield the rows renumbered so that one or two unread blocks beyond the first ``limit`` come among those."""
    halves = shape.half_codes(rows)
    source, operator = halves // shape.operators - shape.inputs, halves % shape.operators
    blocks = np.arange(halves.shape[1])
    read = (source[:, :, :, None] == blocks).any(axis=(1, 2))
    for chosen in (c for size in (1, 2) for c in combinations(blocks.tolist(), size) if c[-1] >= limit):
        ahead = read | np.isin(blocks, chosen)
        possible = ~read[:, chosen].any(axis=1) & (ahead.sum(axis=1) <= limit)
        order = np.argsort(~ahead[possible], axis=1, kind="stable")
        place = np.argsort(order, axis=1)
        wide = np.maximum(source[possible], 0).reshape(len(order), 2 * len(blocks))
        new = np.take_along_axis(place, wide, axis=1).reshape(source[possible].shape)
        code = (np.where(source[possible] >= 0, new, source[possible]) + shape.inputs) * shape.operators
        yield shape.rows(np.take_along_axis(code + operator[possible], order[:, :, None], axis=1))


def _classes(canonical: Rows) -> Ints:
    """Return (n,) the number of each canonical row's class."""
    if not canonical.size:
        return np.zeros(len(canonical), dtype=np.int64)
    return np.unique(row_keys(canonical), return_inverse=True)[1].astype(np.int64).reshape(-1)


def _numberings(group: Ints, parent: Ints, place: Ints, taken: Ints, item: Ints | None = None) -> _Numberings:
    count = int(parent.max(initial=0)) + 1
    order = group * count + parent
    by = np.argsort(order, kind="stable")
    item = parent if item is None else item
    first = np.r_[True, item[1:] != item[:-1]][: len(item)]
    kept = (place >= 0).sum(axis=1).max(initial=0)
    # the inverse of place; a block taken away (-1) sorts first and is cut off
    block = np.argsort(place, axis=1, kind="stable")[:, place.shape[1] - kept :]
    return _Numberings(order[by], parent[by], place[by], block[by], taken[by], first[by])
