"""Choosing the next cells among every extension of the parents: by acquisition, or a front of several objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.controller._acquisition import acquire
from pronas.controller._archive import Archive
from pronas.controller._batch import choose_batch
from pronas.controller._pareto import select_front
from pronas.predictors import Feasible, Predictor, Rows, TopK, best_cells, key_bytes
from pronas.space import Cell, Space

#: Computed costs of cells, lower is better: ``costs(cells) -> (n, objectives - 1)``.
Costs = Callable[[Sequence[Cell]], NDArray[Any]]

#: Survivors kept beyond k before they are scored again exactly, so that rounding cannot decide who is among the best k.
MARGIN = 64
#: Candidates per proposed cell among which a batch is chosen, from their joint posterior.
JOINT = 12
#: Candidates per proposed cell whose costs are computed in a search for a front.
SHORTLIST = 8


@dataclass(frozen=True)
class Candidates:
    """Every extension of the parents (p, w): by each of the blocks (m, 4), or as the space extends them where None."""

    space: Space
    parents: Rows
    blocks: Rows | None

    def tiles(self, scores: Callable[[Rows, Rows], Iterator[tuple[int, Any]]]) -> Iterator[tuple[Rows, Rows, Any]]:
        """Parents, blocks and what ``scores`` (as `Predictor.extension_scores`) gives for them, tile by tile.

        That is a pair of arrays (p, m), or one array (members, p, m).
        """
        if self.blocks is not None:
            for start, values in scores(self.parents, self.blocks):
                count = values[0].shape[0]
                yield self.parents[start : start + count], self.blocks, values
        elif len(self.parents):
            for rows in self.space.extend(self.parents):
                for _, values in scores(np.empty((1, 0), np.int16), rows):
                    yield np.empty((1, 0), np.int16), rows, values

    def draw(self, count: int, generator: np.random.Generator) -> Rows:
        """Random candidates (count, w), repeats possible; none (0, 0) where there is nothing to extend."""
        if self.blocks is not None:
            drawn = generator.integers([len(self.parents), len(self.blocks)], size=(count, 2))
            joined = np.concatenate([self.parents[drawn[:, 0]], self.blocks[drawn[:, 1]]], axis=1)
            return joined.astype(np.int16, copy=False)
        kept = np.empty((0, 0), np.int16)
        for rows in self.space.extend(self.parents, count) if len(self.parents) else ():
            kept = generator.permutation(np.concatenate([kept, rows]) if len(kept) else rows)[:count]
        return kept


@dataclass(frozen=True)
class AcquisitionOptimizer:
    """How cells are chosen: the acquisition, what may be proposed, the costs of a search for a front, and the batch.

    ``batch`` (`BATCHES`): how cells that are trained together are told apart.
    """

    space: Space
    acquisition: str = "mean"
    feasible: Feasible | None = None
    costs: Costs | None = None
    batch: str = "greedy"

    def propose(self, predictor: Predictor, candidates: Candidates, count: int, archive: Archive, seed: int) -> Rows:
        """Up to ``count`` cells, best first, none of them in the archive."""
        if self.costs is not None:
            return self._front(predictor, candidates, count, archive, seed)
        if self.acquisition == "thompson":
            return self._thompson(predictor, candidates, count, archive, seed)
        alone = self.batch == "greedy" or count == 1
        top = self._top(archive, 2 * count + MARGIN if alone else JOINT * count + MARGIN, seed)
        best = float(predictor.utility(archive.best())[0])
        shortlisted = "optimistic" if self.batch == "joint" else self.acquisition
        for parents, blocks, (mean, std) in candidates.tiles(predictor.extension_scores):
            top.offer(parents, blocks, acquire(shortlisted, mean, std, best))
        rows = top.best().rows
        if not len(rows):
            return rows
        if not alone:
            mean, covariance = predictor.joint(rows)
            return rows[choose_batch(self.batch, self.acquisition, mean, covariance, best, count, seed)]
        exact = acquire(self.acquisition, *predictor.scores(rows), best)
        return best_cells(self.space, rows, exact, count, seed=seed).rows

    def _top(self, archive: Archive, k: int, seed: int) -> TopK:
        return TopK(self.space, k, excluded=archive.keys, feasible=self.feasible, seed=seed)

    def _thompson(self, predictor: Predictor, candidates: Candidates, count: int, archive: Archive, seed: int) -> Rows:
        """The members take turns, each choosing its best that is not chosen yet."""
        tops: list[TopK] = []
        for parents, blocks, scores in candidates.tiles(predictor.extension_ensemble):
            if not tops:
                tops = [self._top(archive, count, seed + m) for m in range(len(scores))]
            for top, value in zip(tops, scores, strict=True):
                top.offer(parents, blocks, value)
        lists = [top.best().rows for top in tops]
        return take_turns(self.space, lists, count, np.random.default_rng(seed))

    def _front(self, predictor: Predictor, candidates: Candidates, count: int, archive: Archive, seed: int) -> Rows:
        """The best fronts of (acquisition, costs) in a shortlist: half the best by acquisition, half drawn at random.

        The cheap end of a front does not score well, hence the random half.
        """
        assert self.costs is not None
        best = AcquisitionOptimizer(self.space, self.acquisition, self.feasible)
        rows = best.propose(predictor, candidates, SHORTLIST * count, archive, seed)
        if not len(rows):
            return rows  # nothing to extend, or nothing that may be proposed
        extra = candidates.draw(SHORTLIST * count, np.random.default_rng(seed))
        top = self._top(archive, len(rows) + len(extra), seed)
        top.offer_rows(np.concatenate([rows, extra]), np.zeros(len(rows) + len(extra)))
        rows = top.best().rows
        name = "mean" if self.acquisition == "thompson" else self.acquisition
        value = acquire(name, *predictor.scores(rows), float(predictor.utility(archive.best())[0]))
        costs = np.asarray(self.costs(self.space.decode(rows)), dtype=np.float64).reshape(len(rows), -1)
        return rows[select_front(np.column_stack([-value, costs]), count)]


def take_turns(space: Space, lists: list[Rows], count: int, generator: np.random.Generator) -> Rows:
    """Up to ``count`` rows from lists in order of preference, the lists taking turns, in an order drawn each turn."""
    keys = [key_bytes(space, rows) if len(rows) else [] for rows in lists]
    place = [0] * len(lists)
    chosen: list[Rows] = []
    taken: set[bytes] = set()
    while len(chosen) < count and any(p < len(k) for p, k in zip(place, keys, strict=True)):
        for m in generator.permutation(len(lists)).tolist():
            while place[m] < len(keys[m]) and keys[m][place[m]] in taken:
                place[m] += 1
            if place[m] < len(keys[m]) and len(chosen) < count:
                taken.add(keys[m][place[m]])
                chosen.append(lists[m][place[m]])
    return np.array(chosen, dtype=np.int16).reshape(len(chosen), lists[0].shape[1] if lists else 0)
