"""Which cells to evaluate next: progressive (the paper's), random, and regularized evolution.

A strategy turns the archive and its last proposal into the next proposal. It holds no state of its own besides its
settings, and its random numbers come from the seed and the number of cells evaluated, so a search that is replayed
proposes the same cells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pronas.controller._acquisition_optimizer import AcquisitionOptimizer, Candidates
from pronas.controller._archive import Archive
from pronas.predictors import Feasible, Floats, Predictor, Rows, key_bytes
from pronas.space import Space

#: Names of the strategies.
STRATEGIES = ("progressive", "random", "evolution")
#: Consecutive draws without a new feasible cell after which a random draw gives up.
PATIENCE = 2000


@dataclass(frozen=True)
class Proposal:
    """Cells to evaluate together: ``rows`` (n, 4b), the predicted mean and std (n,), NaN where nothing predicted."""

    level: int
    round: int
    rows: Rows
    mean: Floats
    std: Floats

    def __len__(self) -> int:
        return len(self.rows)


class Strategy(ABC):
    """Proposes cells, round by round, until the budget is spent or nothing is left."""

    #: Whether the predictor must be fitted before `next` is called.
    guided: bool

    @abstractmethod
    def next(self, archive: Archive, last: Proposal | None) -> Proposal | None:
        """The next cells, or None at the end. ``last`` is the previous proposal, all of it evaluated."""


@dataclass(frozen=True)
class Progressive(Strategy):
    """Level 1 whole; then, level by level, the K best extensions of what was evaluated (arXiv 1712.00559, algorithm 1).

    ``first``: how many cells of level 1 to evaluate (None: all, as in the paper); fewer start with ``initial`` random
    ones and go on guided. ``rounds``: in how many rounds, each after a new fit, a level's children are chosen.
    """

    space: Space
    blocks: int
    k: int | None
    rounds: int
    optimizer: AcquisitionOptimizer
    predictor: Predictor
    seed: int
    first: int | None = None
    initial: int = 10
    guided: bool = True

    def next(self, archive: Archive, last: Proposal | None) -> Proposal | None:
        """The rest of this level's children, or the next level's."""
        level, done = (1, 0) if last is None else (last.level, last.round)
        while level <= self.blocks:
            proposal = self._round(archive, level, done + 1)
            if proposal is not None and len(proposal):
                return proposal
            level, done = level + 1, 0
        return None

    def _round(self, archive: Archive, level: int, number: int) -> Proposal | None:
        budget = self.first if level == 1 else self.k
        evaluated = len(archive.level(level))
        if budget is None:
            return self._everything(archive, level) if number == 1 else None
        if budget <= evaluated or (number > self.rounds and level > 1):
            return None
        if level == 1 and not len(archive):
            return self._start(archive, min(budget, self.initial))
        left = max(1, self.rounds - number + 1)
        return self._guided(archive, level, number, -(-(budget - evaluated) // left))

    def _everything(self, archive: Archive, level: int) -> Proposal | None:
        if level == 1:
            rows = _new(self.space, self.space.level1(), archive, self.optimizer.feasible)
            return _unpredicted(1, 1, rows)
        parents = parents_of(archive, level)
        parts = list(self.space.extend(parents)) if len(parents) else []
        if not parts:
            return None
        rows = _new(self.space, np.concatenate(parts), archive, self.optimizer.feasible)
        mean, std = self.predictor.predict(rows)
        return Proposal(level, 1, rows, mean, std)

    def _start(self, archive: Archive, count: int) -> Proposal:
        rows = _new(self.space, self.space.level1(), archive, None)
        order = np.random.default_rng([self.seed, 1]).permutation(len(rows))
        kept: list[int] = []
        for i in order.tolist():
            if len(kept) == count:
                break
            feasible = self.optimizer.feasible
            if feasible is None or feasible(self.space.decode(rows[i : i + 1]))[0]:
                kept.append(i)
        return _unpredicted(1, 1, rows[kept])

    def _guided(self, archive: Archive, level: int, number: int, count: int) -> Proposal | None:
        candidates = candidates_of(self.space, archive, level)
        rows = self.optimizer.propose(self.predictor, candidates, count, archive, self.seed + 7919 * len(archive))
        if not len(rows):
            return None
        mean, std = self.predictor.predict(rows)
        return Proposal(level, number, rows, mean, std)


@dataclass(frozen=True)
class Random(Strategy):
    """Cells of B blocks, drawn uniformly among numberings, each class at most once."""

    space: Space
    blocks: int
    budget: int
    feasible: Feasible | None
    seed: int
    guided: bool = False

    def next(self, archive: Archive, last: Proposal | None) -> Proposal | None:
        """All the cells at once."""
        count = self.budget - len(archive)
        if count <= 0:
            return None
        generator = np.random.default_rng([self.seed, len(archive)])
        rows = draw_cells(self.space, self.blocks, count, archive, self.feasible, generator)
        return _unpredicted(self.blocks, 1 if last is None else last.round + 1, rows) if len(rows) else None


POPULATION = 20
"""Cells that live at a time in regularized evolution, the first of them drawn at random."""


@dataclass(frozen=True)
class Evolution(Strategy):
    """Regularized evolution (Real et al., arXiv 1802.01548): the last ``population`` cells are alive.

    Each child is a mutation, one input or one operator changed, of the best of ``sample`` living cells drawn at random;
    ``batch`` children are evaluated together.
    """

    space: Space
    blocks: int
    budget: int
    feasible: Feasible | None
    seed: int
    population: int = POPULATION
    sample: int = 5
    batch: int = 4
    guided: bool = False

    def next(self, archive: Archive, last: Proposal | None) -> Proposal | None:
        """The random first population, then batches of mutations."""
        left = self.budget - len(archive)
        if left <= 0:
            return None
        generator = np.random.default_rng([self.seed, len(archive)])
        number = 1 if last is None else last.round + 1
        alive = archive.level(self.blocks)
        if len(alive) < self.population:
            count = min(left, self.population - len(alive))
            rows = draw_cells(self.space, self.blocks, count, archive, self.feasible, generator)
        else:
            rows = self._children(archive, min(left, self.batch), generator)
        return _unpredicted(self.blocks, number, rows) if len(rows) else None

    def _children(self, archive: Archive, count: int, generator: np.random.Generator) -> Rows:
        alive = archive.level(self.blocks)
        rows, rewards = alive.rows[-self.population :], alive.rewards[-self.population :]

        def mutations() -> Iterable[Rows]:
            while True:
                drawn = generator.choice(len(rows), min(self.sample, len(rows)), replace=False)
                best = int(drawn[np.argmax(rewards[drawn])])
                yield self.space.mutate(rows[best : best + 1], generator)[0]

        return _collect(self.space, mutations(), count, archive, self.feasible)


def parents_of(archive: Archive, level: int) -> Rows:
    """The evaluated cells that level ``level`` extends: those that did not fail, or all where every one did."""
    before = archive.level(level - 1)
    alive = before.rewards > 0
    return np.asarray(before.rows[alive]) if alive.any() else before.rows


def candidates_of(space: Space, archive: Archive, level: int) -> Candidates:
    """Everything that level ``level`` may propose, given what was evaluated.

    The parents are the extension's, if there is one: with a limited lookforward some children need renumbered ones.
    """
    if level == 1:
        return Candidates(space, np.empty((1, 0), np.int16), space.level1())
    parents = parents_of(archive, level)
    extension = space.extension(parents) if len(parents) else None
    if extension is None:
        return Candidates(space, parents, None)
    return Candidates(space, extension.parents, extension.blocks)


def draw_cells(
    space: Space, blocks: int, count: int, archive: Archive, feasible: Feasible | None, generator: np.random.Generator
) -> Rows:
    """Up to ``count`` random cells, none of them in the archive, each class once."""

    def draws() -> Iterable[Rows]:
        while True:
            yield from space.sample(64, blocks, generator)

    return _collect(space, draws(), count, archive, feasible)


def _collect(space: Space, stream: Iterable[Rows], count: int, archive: Archive, feasible: Feasible | None) -> Rows:
    kept: list[Rows] = []
    taken = set(archive.keys)
    misses = 0
    for row in stream:
        key = key_bytes(space, row[None])[0]
        fresh = key not in taken and (feasible is None or bool(feasible(space.decode(row[None]))[0]))
        taken.add(key)
        misses = 0 if fresh else misses + 1
        if fresh:
            kept.append(row)
        if len(kept) == count or misses >= PATIENCE:
            break
    return np.stack(kept) if kept else np.empty((0, 4), np.int16)


def _new(space: Space, rows: Rows, archive: Archive, feasible: Feasible | None) -> Rows:
    fresh = np.array([key not in archive.keys for key in key_bytes(space, rows)], dtype=bool)
    rows = rows[fresh]
    if feasible is None or not len(rows):
        return rows
    return np.asarray(rows[np.asarray(feasible(space.decode(rows)), dtype=bool)])


def _unpredicted(level: int, number: int, rows: Rows) -> Proposal:
    nothing = np.full(len(rows), np.nan)
    return Proposal(level, number, rows, nothing, nothing)
