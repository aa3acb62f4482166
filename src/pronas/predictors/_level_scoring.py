"""Scoring whole levels with a fitted predictor: in chunks that can be shared out, interrupted and taken up again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pronas.errors import UsageError
from pronas.predictors._predictor import Floats, Predictor, Rows
from pronas.predictors._tokens import compose
from pronas.predictors._top_k import Best, TopK, best_cells
from pronas.space import StateSpace

#: Candidates of one chunk, about: some tenths of a second for one process.
CHUNK = 500_000
#: Cells of a level that is held, at most.
HELD = 1_000_000
#: Kept beyond the cells asked for, until they are scored exactly.
MARGIN = 64


@dataclass(frozen=True)
class Level:
    """The candidates of one level: ``base`` rows, extended by every block of ``between`` in turn, then by ``blocks``.

    The parents are never held: parent i is a base row and one block of each level between, counted off like digits.

    Attributes:
        base: int16 (p, w), rows of cells.
        between: int16 (m, 4) each, blocks.
        blocks: int16 (m, 4), the last.
        chunk_size: candidates of a chunk, about.

        >>> from pronas.predictors import Observed, make_predictor
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> level = plan_level(space, 2, None, chunk=12)
        >>> level.parents, level.candidates, level.chunk, level.chunks, level.parent_rows(2).tolist()
        (3, 30, 1, 3, [[0, 1, 0, 1]])
    """

    base: Rows
    between: tuple[Rows, ...]
    blocks: Rows
    chunk_size: int = CHUNK

    @property
    def parents(self) -> int:
        """How many parents there are."""
        count = len(self.base)
        for blocks in self.between:
            count *= len(blocks)
        return count

    @property
    def candidates(self) -> int:
        """How many candidates there are, renumbered copies counted."""
        return self.parents * len(self.blocks)

    @property
    def chunk(self) -> int:
        """Parents of a chunk."""
        return max(1, self.chunk_size // max(1, len(self.blocks)))

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.parents // self.chunk)

    def parent_rows(self, number: int) -> Rows:
        """The parents of a chunk."""
        index = np.arange(number * self.chunk, min((number + 1) * self.chunk, self.parents))
        parts: list[Rows] = []
        for blocks in reversed(self.between):
            parts.append(blocks[index % len(blocks)])
            index = index // len(blocks)
        return np.concatenate([self.base[index], *reversed(parts)], axis=1).astype(np.int16, copy=False)


def plan_level(space: StateSpace, blocks: int, parents: Rows | None, *, chunk: int = CHUNK, held: int = HELD) -> Level:
    """The candidates of level ``blocks``, in chunks; nothing is held but parents.

        >>> from pronas.predictors import Observed, make_predictor
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> plan_level(space, 2, space.level1()[:1]).candidates  # one parent, ten blocks
        10

    Args:
        space: of the cells.
        blocks: the level, 2 or more.
        parents: int16 (p, 4(blocks - 1)), whose extensions are candidates; None: every cell there is.
        chunk: candidates of a chunk, about.
        held: levels of up to so many cells are held, each class once; beyond, parents are counted off with their
            renumberings.

    Returns:
        The level; `score_chunk` and its kin take it, a chunk at a time.

    Raises:
        UsageError: the level is below 2, or has more than 2^62 candidates.
    """
    if blocks < 2:
        raise UsageError(f"level {blocks} is not scored: every cell of level 1 is a start; take 2 or more blocks")
    if parents is not None:
        return Level(parents, (), space.extensions(blocks), chunk)
    base, level = space.level1(), 1
    while level + 1 < blocks and len(base) * len(space.extensions(level + 1)) <= held:
        base, level = np.concatenate(list(space.extend(base))), level + 1
    between = tuple(space.extensions(b) for b in range(level + 1, blocks))
    plan = Level(base, between, space.extensions(blocks), chunk)
    if plan.candidates > 2**62:
        raise UsageError(f"level {blocks} has {plan.candidates:.1e} candidates: score the children of the best instead")
    return plan


def score_chunk(predictor: Predictor, level: Level, number: int) -> tuple[Rows, Floats]:
    """Parents of a chunk and the predicted scores of their extensions.

        >>> from pronas.predictors import Observed, make_predictor
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> predictor = make_predictor("gp", space)
        >>> predictor.fit([Observed(space.level1(), np.array([0.9, 0.8, 0.7]))])
        >>> level = plan_level(space, 2, space.level1())
        >>> rows, scores = score_chunk(predictor, level, 0)
        >>> rows.shape, scores.shape, scores.dtype.name
        ((3, 4), (3, 10), 'float32')

    Args:
        predictor: fitted.
        level: from `plan_level`.
        number: of the chunk, from 0.

    Returns:
        Parents int16 (p, w), scores float32 (p, m), on the scale of `Predictor.scores`.

    Raises:
        UsageError: the predictor is not fitted.
    """
    parents = level.parent_rows(number)
    scores = np.empty((len(parents), len(level.blocks)), dtype=np.float32)
    for start, (mean, _) in predictor.extension_scores(parents, level.blocks):
        scores[start : start + len(mean)] = mean
    return parents, scores


def best_of_chunk(predictor: Predictor, level: Level, number: int, k: int, threshold: float) -> Best:
    """The best of a chunk that are better than ``threshold``, up to k and a margin.

        >>> from pronas.predictors import Observed, make_predictor
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> predictor = make_predictor("gp", space)
        >>> predictor.fit([Observed(space.level1(), np.array([0.9, 0.8, 0.7]))])
        >>> level = plan_level(space, 2, space.level1())
        >>> best = best_of_chunk(predictor, level, 0, k=2, threshold=-np.inf)
        >>> len(best.rows), bool(best.scores[0] >= best.scores[1])
        (27, True)

    Args:
        predictor: fitted.
        level: from `plan_level`.
        number: of the chunk, from 0.
        k: how many cells are asked for.
        threshold: score that the best so far have.

    Returns:
        Rows and scores, on the scale of `Predictor.scores`.

    Raises:
        UsageError: the predictor is not fitted.
    """
    parents, scores = score_chunk(predictor, level, number)
    top = TopK(predictor.space, k + MARGIN, seed=number)
    top.threshold = threshold
    top.offer(parents, level.blocks, scores)
    return top.best()


def merged(space: Any, found: Sequence[Best], k: int) -> Best:
    """The best k, and a margin, of several bests.

        >>> from pronas.predictors import Observed, make_predictor
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> from pronas.predictors import Best
        >>> rows = space.level1()
        >>> one, two = Best(rows[:1], np.array([0.5])), Best(rows[1:], np.array([0.9, 0.1]))
        >>> merged(space, [one, two], k=2).scores.round(3).tolist()
        [0.9, 0.5, 0.1]

    Args:
        space: theirs.
        found: from `best_of_chunk`.
        k: how many cells are asked for.

    Returns:
        Up to k and a margin, each class once.
    """
    parts = [best for best in found if len(best.rows)]
    if not parts:
        return Best(np.empty((0, 4), np.int16), np.empty(0))
    rows = np.concatenate([best.rows for best in parts])
    return best_cells(space, rows, np.concatenate([best.scores for best in parts]), k + MARGIN)


def exact(predictor: Predictor, best: Best, k: int) -> Best:
    """The best k by plain scoring, with predicted rewards.

        >>> from pronas.predictors import Observed, make_predictor
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> predictor = make_predictor("gp", space)
        >>> predictor.fit([Observed(space.level1(), np.array([0.9, 0.8, 0.7]))])
        >>> level = plan_level(space, 2, space.level1())
        >>> exact(predictor, best_of_chunk(predictor, level, 0, 2, -np.inf), k=2).rows.shape
        (2, 8)

    Args:
        predictor: fitted.
        best: candidates, by scores that may be rounded.
        k: how many to keep.

    Returns:
        Rows int16 (k, w) and predicted rewards (k,), best first.
    """
    if not len(best.rows):
        return best
    scores, _ = predictor.scores(best.rows)
    chosen = best_cells(predictor.space, best.rows, scores, k)
    return Best(chosen.rows, predictor.predict(chosen.rows)[0])


def every_line(predictor: Predictor, level: Level, number: int) -> bytes:
    """CSV lines ``score,input1,op1,…`` of every extension of a chunk's parents.

        >>> from pronas.predictors import Observed, make_predictor
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> predictor = make_predictor("gp", space)
        >>> predictor.fit([Observed(space.level1(), np.array([0.9, 0.8, 0.7]))])
        >>> level = plan_level(space, 2, space.level1())
        >>> lines = every_line(predictor, level, 0).decode().splitlines()
        >>> len(lines), lines[0].partition(",")[2]
        (30, '0,3x3 conv,0,3x3 conv,0,3x3 conv,0,3x3 conv')

    Args:
        predictor: fitted.
        level: from `plan_level`.
        number: of the chunk, from 0.

    Returns:
        UTF-8 text, a line a candidate, scores as predicted rewards.
    """
    parents, scores = score_chunk(predictor, level, number)
    rewards = predictor.rewards(scores)
    heads = _texts(predictor.space, parents)
    tails = _texts(predictor.space, level.blocks)
    lines = []
    for head, row in zip(heads, rewards.tolist(), strict=True):
        lines.append("".join([f"{score:.6f},{head},{tail}\n" for score, tail in zip(row, tails, strict=True)]))
    return "".join(lines).encode()


def every_row(predictor: Predictor, level: Level, number: int) -> tuple[Rows, Floats]:
    """Rows (n, 4b) of every extension of a chunk's parents, and their predicted rewards (n,).

        >>> from pronas.predictors import Observed, make_predictor
        >>> from pronas.space import StateSpace
        >>> space = StateSpace(2, ["3x3 conv", "identity"], input_lookback_depth=0)
        >>> predictor = make_predictor("gp", space)
        >>> predictor.fit([Observed(space.level1(), np.array([0.9, 0.8, 0.7]))])
        >>> level = plan_level(space, 2, space.level1())
        >>> rows, rewards = every_row(predictor, level, 0)
        >>> rows.shape, rewards.shape
        ((30, 8), (30,))

    Args:
        predictor: fitted.
        level: from `plan_level`.
        number: of the chunk, from 0.

    Returns:
        int16 (n, 4b), and float (n,) in units of rewards.
    """
    parents, scores = score_chunk(predictor, level, number)
    return compose(parents, level.blocks), predictor.rewards(scores).reshape(-1)


def _texts(space: Any, rows: Rows) -> list[str]:
    """Rows as ``input1,op1,…``; blocks alone too, which are no cells by themselves."""
    names = [name.replace('"', '""') for name in space.operators]
    quoted = [f'"{name}"' if "," in name or '"' in name else name for name in names]
    return [
        ",".join(quoted[value] if place % 2 else str(value) for place, value in enumerate(row)) for row in rows.tolist()
    ]
