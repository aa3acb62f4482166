"""`ControllerManager`: which cells to train next, learnt from the rewards of those trained so far."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pronas.controller import _state_io as state_io
from pronas.controller._acquisition_optimizer import AcquisitionOptimizer, Costs
from pronas.controller._archive import Archive, check_noise, check_rewards
from pronas.controller._fit_report import FitReport
from pronas.controller._options import build_strategy, check_options, old_predictor_settings
from pronas.controller._proposal_files import extrapolation, write_scores
from pronas.controller._strategies import Proposal
from pronas.errors import UsageError
from pronas.predictors import (
    Feasible,
    Floats,
    Predictor,
    Rows,
    cross_validate,
    key_bytes,
    make_predictor,
    rank_correlations,
)
from pronas.space import Cell, Space

#: Evaluated cells below which the best is the one of the highest reward.
FEWEST_JUDGED = 10


class ControllerManager:
    """Proposes cells level by level and learns from their rewards (arXiv 1712.00559, algorithm 1).

        >>> from pronas.space import StateSpace
        >>> controller = ControllerManager(StateSpace(2, ["3x3 conv", "identity"]), K=2, predictor="gp")
        >>> for level in range(2):
        ...     cells = controller.get_actions()
        ...     report = controller.train([1 / (1 + len(str(cell))) for cell in cells])  # their rewards
        ...     controller.update() if level < 1 else None
        >>> len(cells), report.samples
        (2, 12)

    or, in any order and any numbers, ``ask(n)`` and ``tell(cells, rewards)``. Everything is a function of the
    arguments, the seed and the rewards, so feeding the same rewards to a new manager leads to the same state.

    Args:
        state_space: the cells to search among.
        B: the largest number of blocks to go to; None: the space's.
        K: children at each level after the first; None: all.
        train_iterations, reg_param, controller_cells, embedding_dim: the LSTM's steps of fitting, L2, cells and
            embedding (the old systems' names); None for ``train_iterations``: chosen by measurement.
        input_B: accepted and ignored, with a note: a checkpoint knows its space.
        restore_controller: take up the state saved in ``directory``.
        predictor: a name (`PREDICTORS`) or an unfitted predictor.
        acquisition: ``mean``, ``optimistic``, ``ei`` or ``thompson``.
        rounds: fits and choices per level.
        directory: where ``weights/controller.*`` and ``scores_B.csv`` go; None: nowhere.
        strategy: ``progressive``, ``random`` or ``evolution`` (the last two: cells of B blocks, ``budget`` children).
        budget: children in all, for ``random`` and ``evolution``; None: as many as a progressive search would train.
        first: children of level 1; None: all.
        feasible: ``feasible(cells) -> booleans``: cells that are not are never proposed.
        objectives, costs: names of what is searched, accuracy first, and ``costs(cells) -> (n, objectives - 1)``,
            computed, lower is better; more than one objective searches the front.
        options: settings of the predictor or the strategy.
        validate: whether each fit is also cross-validated.
        batch: how cells that are trained together are chosen: ``greedy`` (each as if alone), ``believer``, ``liar``,
            ``penalised`` or ``joint``, which keep them apart.

    Raises:
        UsageError: an argument is out of range.
    """

    def __init__(
        self,
        state_space: Space,
        B: int | None = None,  # noqa: N803 - the paper's and the old systems' name
        K: int | None = 256,  # noqa: N803
        train_iterations: int | None = None,
        reg_param: float = 0.0,
        controller_cells: int = 100,
        embedding_dim: int = 100,
        input_B: int | None = None,  # noqa: N803
        restore_controller: bool = False,
        *,
        predictor: str | Predictor = "lstm",
        acquisition: str = "mean",
        rounds: int = 1,
        seed: int = 0,
        directory: str | Path | None = None,
        strategy: str = "progressive",
        budget: int | None = None,
        first: int | None = None,
        feasible: Feasible | None = None,
        objectives: Sequence[str] = ("accuracy",),
        costs: Costs | None = None,
        options: dict[str, Any] | None = None,
        validate: bool = True,
        batch: str = "greedy",
    ) -> None:
        self.space, self.K, self.seed, self.validate = state_space, K, seed, validate
        self.B = state_space.B if B is None else B
        self.directory = None if directory is None else Path(directory)
        check_options(state_space, self.B, K, rounds, acquisition, strategy, objectives, costs, budget, first, batch)
        state_io.note_ignored(input_B)
        old = old_predictor_settings(train_iterations, reg_param, controller_cells, embedding_dim)
        chosen = dict(options or {})
        self.predictor = self._make(predictor, old, chosen if strategy == "progressive" else {})
        front = costs if len(objectives) > 1 else None
        optimizer = AcquisitionOptimizer(state_space, acquisition, feasible, front, batch)
        self._strategy = build_strategy(
            strategy, optimizer, self.predictor, self.B, K, rounds, budget, first, seed, chosen
        )
        self.archive = Archive(state_space)
        self.reports: list[FitReport] = []
        self._proposal: Proposal | None = None
        self._pending: dict[bytes, int] = {}
        self._asked = 0
        self._awaiting: list[Cell] = []
        self._fitted_on = 0
        self._finished = False
        if restore_controller:
            if self.directory is None:
                raise UsageError("restore_controller=True needs the directory in which the controller was saved")
            self.restore(self.directory / "weights" / "controller")

    def _make(self, predictor: str | Predictor, old: dict[str, Any], options: dict[str, Any]) -> Predictor:
        if isinstance(predictor, Predictor):
            return predictor
        return make_predictor(predictor, self.space, **((old if predictor.startswith("lstm") else {}) | options))

    # -- the loop of the old systems

    def get_actions(self, top_k: int | None = None) -> list[Cell]:
        """The cells to train now, best first; at most ``top_k`` of them (the others are then not trained).

        The same cells come again until `train` or `tell` gave their rewards; an empty list means that the search is
        over.
        """
        proposal = self._current()
        if top_k is not None and (top_k < 1 or (top_k > len(proposal) and top_k != self.K and len(proposal))):
            raise UsageError(
                f"top_k={top_k}: this round proposes {len(proposal)} cells, so it is 1 to {len(proposal)} or None"
            )
        rows = proposal.rows[:top_k]
        self._awaiting = self._decode(rows)
        self._pending = {key: i for i, key in enumerate(key_bytes(self.space, rows))} if len(rows) else {}
        self._asked = len(proposal)
        return list(self._awaiting)

    def train(self, rewards: Sequence[float]) -> FitReport:
        """Take the rewards of the cells that `get_actions` gave, in its order, and fit the predictor to all so far.

        A reward is a validation accuracy in [0, 1]; 0 says that the child failed.

        Raises:
            UsageError: no cells are waiting, or a wrong number of rewards, or one outside [0, 1]; nothing is changed.
        """
        if not self._awaiting:
            raise UsageError("train: no cells are waiting for rewards; call get_actions first")
        values = check_rewards(rewards, len(self._awaiting))
        self.tell(self._awaiting, values)
        return self._fit()

    def update(self) -> None:
        """Go on: score every candidate of the next round or level and keep the best K as the next cells to train."""
        if self._proposal is not None and self._pending:
            raise UsageError("update: the cells of this round have no rewards yet; call train (or tell) first")
        if self._proposal is not None:
            self._advance()
            write_scores(self.directory, self.space, self._proposal)

    # -- ask and tell

    def ask(self, n: int = 1) -> list[Cell]:
        """Up to ``n`` cells to evaluate, none of which was given before.

        Fewer, or none, while the rewards of the rest of the round are awaited; none, with `finished`, at the end.
        """
        if n < 1:
            raise UsageError(f"ask: n is how many cells to propose, at least 1, not {n}")
        proposal = self._current()
        if self._asked >= len(proposal) and not self._pending:
            self._advance()
            write_scores(self.directory, self.space, self._proposal)
            proposal = self._current()
        rows = proposal.rows[self._asked : self._asked + n]
        keys = key_bytes(self.space, rows) if len(rows) else []
        self._pending.update({key: self._asked + i for i, key in enumerate(keys)})
        self._asked += len(rows)
        return self._decode(rows)

    def tell(
        self, cells: Sequence[Cell], rewards: Sequence[float], noise: Sequence[float | None] | None = None
    ) -> None:
        """Take rewards of any cells of the space, asked for or not; the predictor is fitted when it is next needed.

        Args:
            cells: of any numbers of blocks.
            rewards: (n,), validation accuracies in [0, 1]; 0: the child failed.
            noise: (n,) standard errors of the rewards, such as sqrt(a (1 - a) / images) of an accuracy a; None where
                unknown. The Gaussian process trusts a reward the less, the larger its error.

        Raises:
            UsageError: a cell is not of this space or was told before, or a reward or an error is wrong; nothing is
                changed.
        """
        cells = list(cells)
        values = check_rewards(rewards, len(cells))
        errors = check_noise(noise, len(cells))
        parts = [(self.space.encode([cell]), value) for cell, value in zip(cells, values, strict=True)]
        keys = [key_bytes(self.space, rows)[0] for rows, _ in parts]
        for i, key in enumerate(keys):
            if key in self.archive.keys or key in keys[:i]:
                raise UsageError(f"tell: this cell already has a reward: {cells[i]}")
        for (rows, value), error in zip(parts, errors, strict=True):
            self.archive.add(rows, [value], [error])
        for key in keys:
            self._pending.pop(key, None)
        if not self._pending:
            self._awaiting = []

    def take_up(
        self,
        level: int,
        round_: int,
        cells: Sequence[Cell],
        predicted: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        """Make a recorded proposal the current one, for `get_actions` to give again: a search goes on from its store.

        Everything proposed before it must have been told. What was predicted of the cells, if anything, is as
        `predictions` gave it.
        """
        rows = self.space.encode(list(cells))
        nothing = np.full(len(rows), np.nan)
        mean = nothing if predicted is None else np.asarray(predicted, dtype=np.float64)
        deviation = nothing if std is None else np.asarray(std, dtype=np.float64)
        self._proposal = Proposal(level, round_, rows, mean, deviation)
        self._asked, self._pending, self._awaiting, self._finished = 0, {}, [], False

    @property
    def predictions(self) -> tuple[Floats, Floats]:
        """Predicted mean and std of the cells that `get_actions` gave last, in its order; NaN where none."""
        proposal = self._current()
        return proposal.mean[: len(self._awaiting)], proposal.std[: len(self._awaiting)]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to propose."""
        return self._finished

    @property
    def level(self) -> int:
        """The number of blocks of the cells proposed now."""
        return self._current().level

    @property
    def round(self) -> int:
        """The round within the level, from 1."""
        return self._current().round

    def predict(self, cells: Sequence[Cell]) -> tuple[Floats, Floats]:
        """Predicted mean and std, each (n,), of the rewards of cells of any numbers of blocks."""
        mean, std = np.empty(len(cells)), np.empty(len(cells))
        for blocks in {len(cell) for cell in cells}:
            index = [i for i, cell in enumerate(cells) if len(cell) == blocks]
            mean[index], std[index] = self.predictor.predict(self.space.encode([cells[i] for i in index]))
        return mean, std

    def best(self, n: int = 1) -> list[tuple[Cell, float, float]]:
        """The n best of the evaluated cells, best first, by what they are believed to be worth: the finalists.

        The best *measured* reward of many is a lucky one. A cell is judged by the predictor's posterior over all that
        was measured, its own reward included: what resembles other good cells counts for more than a lonely peak.

        Returns:
            (cell, mean, standard deviation) of the reward that a cell would have without noise. Fewer than ten cells
            are judged by their rewards alone.

        Raises:
            UsageError: n < 1, or nothing was evaluated.
        """
        if n < 1:
            raise UsageError(f"best: n is how many cells to give, at least 1, not {n}")
        history = self.archive.history()
        if not history:
            raise UsageError("best: nothing was evaluated yet; call tell or train first")
        mean = np.concatenate([part.rewards for part in history])
        std = np.concatenate([np.zeros(len(part)) if part.noise is None else part.noise for part in history])
        failed = mean <= 0
        if len(mean) >= FEWEST_JUDGED:
            self._fit_predictor()
            mean, std = self.predictor.posterior(history)
        cells = [cell for part in history for cell in self._decode(part.rows)]
        order = np.argsort(-np.where(failed, -np.inf, mean), kind="stable")[:n]
        return [(cells[i], float(mean[i]), float(std[i])) for i in order]

    # -- state on disk

    def save(self, path: str | Path | None = None) -> None:
        """Write the whole state to ``path.safetensors`` and ``path.json`` (None: ``directory/weights/controller``)."""
        state_io.save(self._path(path), self.predictor, self._state())

    def restore(self, path: str | Path | None = None) -> None:
        """Take up the state that `save` wrote.

        Raises:
            ModelFileError: missing, damaged, or of another space; nothing is changed.
        """
        state = state_io.restore(self._path(path), self.predictor)
        self.archive, self.reports, self._proposal = state.archive, list(state.reports), state.proposal
        self._fitted_on, self._finished, self._asked = state.fitted_on, state.finished, state.asked
        waiting = state.waiting
        self._pending = dict(zip(key_bytes(self.space, waiting), state.pending, strict=True)) if len(waiting) else {}
        self._awaiting = self._decode(waiting) if state.awaiting else []

    def _state(self) -> state_io.State:
        return state_io.State(
            seed=self.seed,
            archive=self.archive,
            reports=tuple(self.reports),
            proposal=self._proposal,
            fitted_on=self._fitted_on,
            finished=self._finished,
            asked=self._asked,
            pending=tuple(sorted(self._pending.values())),
            awaiting=bool(self._awaiting),
        )

    def _path(self, path: str | Path | None) -> Path:
        if path is not None:
            return Path(path)
        if self.directory is None:
            raise UsageError("a path is needed: this controller was made without a directory")
        return self.directory / "weights" / "controller"

    # -- inside

    def _current(self) -> Proposal:
        if self._proposal is None:
            self._advance()
        assert self._proposal is not None
        return self._proposal

    def _advance(self) -> None:
        if self._finished:
            return
        if self._strategy.guided and len(self.archive) > self._fitted_on:
            self._fit()
        proposal = self._strategy.next(self.archive, self._proposal)
        self._finished = proposal is None
        if proposal is None:
            level, number = (self.B, 1) if self._proposal is None else (self._proposal.level, self._proposal.round)
            nothing = np.empty(0)
            proposal = Proposal(level, number, np.empty((0, 4 * level), np.int16), nothing, nothing)
        self._proposal, self._asked, self._pending, self._awaiting = proposal, 0, {}, []

    def _fit_predictor(self) -> float:
        """Fit the predictor to all that was told, unless it is; the seconds that it took."""
        started = time.perf_counter()
        if len(self.archive) > self._fitted_on or not self.predictor.fitted:
            self.predictor.fit(self.archive.history(), self.seed + len(self.archive))
            self._fitted_on = len(self.archive)
        return time.perf_counter() - started

    def _fit(self) -> FitReport:
        seconds = self._fit_predictor()
        history = self.archive.history()
        rewards = np.concatenate([part.rewards for part in history])
        predicted = np.concatenate([self.predictor.predict(part.rows)[0] for part in history])
        level, number = self._place()
        report = FitReport(
            level=level,
            round=number,
            predictor=self.predictor.name,
            samples=len(rewards),
            in_sample=rank_correlations(predicted, rewards),
            cross_validated=cross_validate(self.predictor, history, self.seed) if self.validate else None,
            extrapolation=extrapolation(self.space, self.archive, self._proposal),
            seconds=seconds,
        )
        self.reports.append(report)
        return report

    def _place(self) -> tuple[int, int]:
        """Level and round of the last proposal; before the first, of the cells told, round 0."""
        if self._proposal is not None:
            return self._proposal.level, self._proposal.round
        return self.space.level_of(self.archive.history()[-1].rows), 0

    def _decode(self, rows: Rows) -> list[Cell]:
        return self.space.decode(rows) if len(rows) else []
