"""The best k of a stream of candidates that is never held."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pronas.predictors._predictor import Floats, Rows
from pronas.space import Cell, Space

#: Says of cells whether each may be proposed: ``feasible(cells) -> booleans``.
Feasible = Callable[[Sequence[Cell]], Sequence[bool]]

#: Scores closer than this are ties, broken by the seed; far below what single precision tells apart.
TIE = 1e-10


@dataclass(frozen=True)
class Best:
    """The best classes of equal cells that were found, best first.

    Attributes:
        rows: int16 (k, 4b), one cell of each class.
        scores: float (k,), on the scale that was asked for.
    """

    rows: Rows
    scores: Floats


class TopK:
    """A running top k of classes of equal cells: of each class the best score counts.

    Renumbered copies of a cell are only recognised among candidates good enough to enter, so the cost of canonical
    forms does not grow with the stream. Cells in ``excluded`` (keys as bytes) and cells that are not ``feasible`` never
    enter; feasibility is asked best first, and only until k are known.

        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> top = TopK(space, 2)
        >>> top.offer(space.level1(), space.extensions(2), np.linspace(0, 1, 30).reshape(3, 10))
        >>> [str(cell) for cell in space.decode(top.best().rows)][0]
        '0:identity + 0:identity | 1:identity + 1:identity'

    Args:
        space: of the cells.
        k: how many classes are kept.
        excluded: keys as bytes (`key_bytes`) of cells that never enter.
        feasible: says of cells whether each may be proposed; None: all may.
        seed: of the order among equal scores.
    """

    def __init__(
        self,
        space: Space,
        k: int,
        *,
        excluded: Collection[bytes] = (),
        feasible: Feasible | None = None,
        seed: int = 0,
    ) -> None:
        self.space, self.k, self.excluded, self.feasible = space, k, excluded, feasible
        self.threshold = -np.inf
        self._generator = np.random.default_rng(seed)
        self._batch = max(k + k // 4, 64)
        self._rows: Rows | None = None
        self._scores: Floats = np.empty(0)
        self._keys: list[bytes] = []
        self._known: dict[bytes, bool] = {}

    def offer(self, parents: Rows, blocks: Rows, scores: Floats) -> None:
        """Consider every parent (p, 4(b-1)) with every block (m, 4), given their scores (p, m)."""
        flat = scores.reshape(-1)
        index = np.flatnonzero(flat > self.threshold - TIE)
        if not len(index):
            return
        jittered = flat[index] + TIE * self._generator.random(len(index))
        order = np.argsort(-jittered, kind="stable")
        index, jittered = index[order], jittered[order]
        for start in range(0, len(index), self._batch):
            stop = start + np.searchsorted(-jittered[start : start + self._batch], -self.threshold, "left")
            if stop == start:
                return  # sorted: nothing after it is better
            chosen = index[start:stop]
            rows = np.concatenate([parents[chosen // len(blocks)], blocks[chosen % len(blocks)]], axis=1)
            self._merge(rows.astype(np.int16, copy=False), jittered[start:stop])

    def offer_rows(self, rows: Rows, scores: Floats) -> None:
        """Consider whole cells (n, 4b) with scores (n,)."""
        self.offer(rows, np.empty((1, 0), np.int16), scores[:, None])

    def best(self) -> Best:
        """What is kept, best first."""
        rows = np.empty((0, 4), np.int16) if self._rows is None else self._rows
        return Best(rows, self._scores)

    def _merge(self, rows: Rows, scores: Floats) -> None:
        keys = [key.tobytes() for key in self.space.keys(rows)]
        if self._rows is not None:
            rows, scores = np.concatenate([self._rows, rows]), np.concatenate([self._scores, scores])
        keys = self._keys + keys
        kept: list[int] = []
        taken: set[bytes] = set()
        order = np.argsort(-scores, kind="stable")
        for start in range(0, len(order), max(1, self.k)):
            part = [i for i in order[start : start + self.k].tolist() if self._is_new(keys[i], taken)]
            kept += self._feasible_of(part, rows, keys)
            if len(kept) >= self.k:
                break
        kept = kept[: self.k]
        self._rows, self._scores, self._keys = rows[kept], scores[kept], [keys[i] for i in kept]
        if len(kept) == self.k:
            self.threshold = float(self._scores[-1])

    def _is_new(self, key: bytes, taken: set[bytes]) -> bool:
        if key in taken or key in self.excluded:
            return False
        taken.add(key)
        return True

    def _feasible_of(self, part: list[int], rows: Rows, keys: list[bytes]) -> list[int]:
        if self.feasible is None:
            return part
        unknown = [i for i in part if keys[i] not in self._known]
        if unknown:
            answers = self.feasible(self.space.decode(rows[unknown]))
            self._known.update((keys[i], bool(answer)) for i, answer in zip(unknown, answers, strict=True))
        return [i for i in part if self._known[keys[i]]]


def best_cells(space: Space, rows: Rows, scores: Floats, k: int, **options: object) -> Best:
    """The best k classes of a set of cells that is held in memory.

        >>> from pronas.space import StateSpace
        >>> space = StateSpace(1, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> best_cells(space, space.level1(), np.array([0.1, 0.3, 0.2]), k=2).scores.round(6).tolist()
        [0.3, 0.2]

    Args:
        space: theirs.
        rows: int16 (n, 4b).
        scores: (n,).
        k: how many.
        **options: of `TopK`.

    Returns:
        Up to k of them, best first.
    """
    top = TopK(space, k, **options)  # type: ignore[arg-type]
    top.offer_rows(rows, scores)
    return top.best()


def decode_best(space: Space, best: Best) -> list[Cell]:
    """The cells of the best.

        >>> from pronas.space import StateSpace
        >>> space = StateSpace(1, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> [str(cell) for cell in decode_best(space, Best(space.level1()[2:], np.array([0.9])))]
        ['0:identity + 0:identity']

    Args:
        space: theirs.
        best: k classes.

    Returns:
        k cells, best first.
    """
    return space.decode(best.rows) if len(best.rows) else []


def key_bytes(space: Space, rows: Rows) -> list[bytes]:
    """Keys as bytes, hashable.

        >>> from pronas.space import StateSpace
        >>> space = StateSpace(1, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> rows = np.array([[0, 0, 0, 1], [0, 1, 0, 0]], np.int16)  # the halves swapped
        >>> len(set(key_bytes(space, rows)))
        1

    Args:
        space: of the rows.
        rows: int16 (n, w).

    Returns:
        n keys, equal exactly where the cells are.
    """
    return [key.tobytes() for key in np.asarray(space.keys(rows))]
