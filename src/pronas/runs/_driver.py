"""Fourth: the progressive loop: propose, train, learn, expand; then the winner. All it decides is in the store first.

What ends a search early, such as a budget's deadline, belongs between two rounds, in `Driver._goes_on`; how far a child
is trained, in `pronas.runs._fidelity`; what is chosen before the search begins, in `pronas.runs._choose`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pronas.controller import POPULATION, ControllerManager
from pronas.data import is_named
from pronas.errors import RunError
from pronas.runs import final_training
from pronas.runs._children import Children
from pronas.runs._choose import recipe_of, skeleton_of
from pronas.runs._disk import disk_errors
from pronas.runs._events import SearchStoppedError, done_event, note
from pronas.runs._experiment import BEST, Experiment
from pronas.runs._fidelity import Fidelity
from pronas.runs._mistakes import bring_back_mistakes, keep_mistakes
from pronas.runs._open import Run
from pronas.runs._preset import departures
from pronas.runs._promotion import train_promoted
from pronas.runs._resolve import Problem, executor_options, make_controller
from pronas.runs._rounds import Evaluator, refuse_hopeless, train_round
from pronas.runs._skips import skip_patterns
from pronas.runs._voice import Emit, EnoughError, Voice
from pronas.runs._warm_start import ROUND, keep_known
from pronas.runs.final_training import CHECKPOINT
from pronas.runs.store import Child
from pronas.space import Cell
from pronas.training import NetworkManager, Recipe


def drive(run: Run, emit: Emit, started: float | None = None) -> Experiment:
    """Take a run from where it stands to its end.

    A resumed search takes proposals and rewards from the store and goes on: the controller is a function of them, so it
    makes the same proposals as one never interrupted.

    Args:
        run: open.
        emit: told of everything, see ``docs/cli.md``.
        started: ``time.monotonic()`` when the work on it began, for its budget; None: now.

    Raises:
        RunError: every child of the first level failed, the disk is full, or the training of the winner diverged.
    """
    driver = make_driver(run, emit, time.monotonic() if started is None else started)
    with contextlib.suppress(SearchStoppedError):
        try:
            driver.drive()
        finally:
            driver.close()
    return Experiment(run.folder)


def make_driver(run: Run, emit: Emit, started: float) -> Driver:
    """Make the driver that a run's settings ask for: by numbers of children and epochs, or by a budget of time."""
    _reopen(run, emit)
    if run.config.search.budget is None:
        return Driver(run, emit)
    from pronas.runs._timed_driver import TimedDriver  # which is a driver, so it cannot be there before this class

    return TimedDriver(run, emit, started)


def _reopen(run: Run, emit: Emit) -> None:
    """Where the winner's file was deleted from a finished run, it is trained again, in the time that it had."""
    store, final, file = run.store, run.store.meta("final"), run.folder / BEST.with_suffix(".safetensors")
    if store.meta("state") == "done" and final is not None and not file.is_file():
        emit(note(f"{file} is gone: the winner is trained again"))
        store.set_meta(state="training", spent=max(0.0, (store.meta("spent") or 0.0) - final["seconds"]))


class Driver:
    """Searches by the numbers of children and epochs that the settings say."""

    def __init__(self, run: Run, emit: Emit) -> None:
        problem = run.problem
        self.run, self.emit, self.config, self.problem = run, Voice(emit), run.config, problem
        self.space, self.constraints, self.dataset = problem.space, problem.constraints, problem.dataset
        self.children = Children(run.folder, run.store, self.config, self.space)
        self.fidelity = Fidelity(run.folder, self.config, self.children, run.store)
        self._start = time.monotonic()

    def drive(self) -> None:
        """Search, if that is not done, and train the winner."""
        store = self.run.store
        try:
            if store.meta("state") in ("searching", "failed"):
                store.set_meta(state="searching")
                self._search()
                store.set_meta(state="training")
            if store.meta("state") == "done":
                self._tell_again()
            else:
                self._train_final()
        except SearchStoppedError:
            raise
        except Exception:
            with contextlib.suppress(RunError):  # where the disk is full, the state stays as it was
                store.set_meta(state="failed")
            raise

    def close(self) -> None:
        """Bring the files for people up to date; what fails here follows from the store and comes back."""
        with contextlib.suppress(RunError):
            self.children.flush()
        self.children.observers.close()

    def _search(self) -> None:
        with self._manager() as manager:
            self._announce(manager.workers)
            evaluator = self._evaluator(manager)
            controller = self._controller()
            self._begin(controller)
            try:
                with self.emit.searching(lambda: self.children.best() is not None):
                    self._explore(controller, evaluator)
                    self._end_search(manager, controller)
            except EnoughError:
                self.emit(note(f"the search ends early, with {self.children.settled} children"))
                self._end_early()

    def _explore(self, controller: ControllerManager, evaluator: Evaluator) -> None:
        while self._goes_on() and (cells := controller.get_actions()):
            rewards = self._round(controller, cells, evaluator)
            self._learn(controller, cells, rewards)
            if self._goes_on():
                controller.update()
        if self.config.search.skips:
            self._try_skips(evaluator)
        if self.fidelity.stops:
            train_promoted(evaluator)

    # -- what a search by other means does otherwise

    def _manager(self) -> NetworkManager:
        return make_manager(self.problem, recipe_of(self.config.children))

    def _controller(self) -> ControllerManager:
        return make_controller(self.problem, self.run.folder)

    def _evaluator(self, manager: NetworkManager) -> Evaluator:
        cached = self.problem.cached
        return Evaluator(self.children, self.run.store, manager, self.emit, cached, self.fidelity, self._reward)

    def _begin(self, controller: ControllerManager) -> None:
        name = Path(self.config.search.warm_start or "").name
        if keep_known(self.children, self.run.store, self.problem.known, name):
            self.emit(note(f"{sum(child.round == ROUND for child in self.children)} cells are known from {name}"))
        self._take_up(controller)

    @property
    def _begun(self) -> bool:
        """Whether anything was proposed yet."""
        return any(child.round != ROUND for child in self.children)

    def _skips(self) -> int | None:
        """How many patterns of skips are tried; None: all."""
        return self.config.search.children or None

    def _goes_on(self) -> bool:
        return True

    def _reward(self, child: Child) -> float:
        """What the predictor learns of a settled child."""
        return self.fidelity.reward(child)

    def _end_search(self, manager: NetworkManager, controller: ControllerManager) -> None:
        """Nothing more is asked of the finalists."""

    def _end_early(self) -> None:
        """The best so far is the winner."""

    # -- rounds

    def _take_up(self, controller: ControllerManager) -> None:
        """Give the controller what the store holds: rewards of every round but the last, and the last proposal."""
        rounds = [part for part in self.children.rounds() if part[0].level <= self.space.B]
        known = [part for part in rounds if part[0].round == ROUND]
        rounds = [part for part in rounds if part[0].round != ROUND]
        for part in (*known, *rounds[:-1]):
            controller.tell([child.cell for child in part], [self._reward(child) for child in part])
        for last in rounds[-1:]:
            predicted = None if last[0].predicted is None else [child.predicted or 0.0 for child in last]
            spread = None if last[0].spread is None else [child.spread or 0.0 for child in last]
            controller.take_up(last[0].level, last[0].round, [child.cell for child in last], predicted, spread)

    def _round(self, controller: ControllerManager, cells: Sequence[Cell], evaluator: Evaluator) -> list[float]:
        level, round_ = controller.level, controller.round
        proposed = self._recorded(level, round_)
        if not proposed:
            predicted, spread = controller.predictions
            more = [
                {"predicted": _number(mean), "spread": _number(deviation), **self.constraints.columns(cell)}
                for cell, mean, deviation in zip(cells, predicted, spread, strict=True)
            ]
            proposed = self.children.propose(level, round_, cells, more)
        self._announce_level(level, round_, proposed)
        rewards = self._train(proposed, evaluator)
        if round_ == 1 and proposed[0].id == 1:
            refuse_hopeless(self._recorded(level, round_))
        return rewards

    def _learn(self, controller: ControllerManager, cells: Sequence[Cell], rewards: Sequence[float]) -> None:
        level, round_ = controller.level, controller.round
        if self.config.search.strategy != "progressive":
            controller.tell(cells, rewards)  # nothing is predicted, so nothing need be fitted
            return
        report = controller.train(rewards).to_dict()
        self.run.store.add_fit(level, round_, report)
        with disk_errors(self.run.folder):
            self.children.observers.fit(level, report)
            controller.save()
        self.emit({"event": "fit", "level": level, "round": round_, "report": report})

    def _try_skips(self, evaluator: Evaluator) -> None:
        level = self.space.B + 1
        proposed = self._recorded(level, 1)
        best = self.children.best()
        if not proposed and best is not None:
            count = self._skips()
            shape, classes = self.dataset.input_shape, len(self.dataset.classes)
            cells = skip_patterns(best.cell, self.problem.skeleton, shape, classes, count, self.config.seed)
            cells = [cell for cell, fits in zip(cells, self.constraints.feasible(cells), strict=True) if fits]
            if not cells:
                self.emit(note("no skips to try: the network has too few cells, or limits forbid them"))
                return
            proposed = self.children.propose(level, 1, cells, [self.constraints.columns(cell) for cell in cells])
        self._announce_level(level, 1, proposed)
        self._train(proposed, evaluator)

    def _train(self, proposed: Sequence[Child], evaluator: Evaluator) -> list[float]:
        self.fidelity.forget(proposed[0].level)
        return train_round(proposed, evaluator, self._expected())

    def _tell_again(self) -> None:
        final = self.run.store.meta("final")
        with disk_errors(self.run.folder):
            bring_back_mistakes(self.run.folder, self.run.store)
        self.emit(note(f"{self.run.folder} is finished"))
        child = self._child(Cell.parse(final["cell"])) if final else self._best()
        self.emit(done_event(self.run.folder, child, final, (final or {}).get("seconds", 0.0)))

    def _best(self) -> Child:
        best = self.children.best()
        if best is None:
            raise RunError(f"{self.run.folder}: no child was trained, so there is no winner")
        return best

    def _child(self, cell: Cell) -> Child:
        """The trained child with a cell; the best one where none has it."""
        wanted = str(cell.canonical())
        same = (child for child in self.children if child.canonical == wanted and child.status == "done")
        return next(same, None) or self._best()

    def _train_final(self) -> None:
        best = self._best()
        final = None
        if self.config.final.epochs:
            epochs = self.config.final.epochs
            self.emit({"event": "final", "cell": str(best.cell), "reward": best.reward, "epochs": epochs})
            skeleton, recipe = skeleton_of(self.config.final), recipe_of(self.config.final)
            final = final_training.train_final(
                self.run.folder, best.cell, self.dataset, skeleton, recipe, self.config, self.emit
            )
        self._finish(best, final)

    def _finish(self, best: Child, final: dict[str, Any] | None) -> None:
        if final is not None:
            self.children.observers.final(final, len(self.children))
        keep_mistakes(self.run.folder, self.run.store)
        self.run.store.set_meta(final=final, state="done")
        (self.run.folder / CHECKPOINT).unlink(missing_ok=True)
        self.emit(done_event(self.run.folder, best, final, time.monotonic() - self._start))

    def _recorded(self, level: int, round_: int) -> list[Child]:
        return [child for child in self.children if (child.level, child.round) == (level, round_)]

    def _expected(self) -> int:
        """Children of the whole search, as far as one can tell."""
        search, space = self.config.search, self.space
        first, later = search.first or len(space.level1()), search.children or 0
        return max(first + later * (space.B - 1 + search.skips), len(self.children))

    def _announce(self, workers: int) -> None:
        data, config = self.dataset, self.config
        self.emit(
            {
                "event": "start",
                "path": str(self.run.folder),
                "resumed": self.run.resumed,
                "settled": self.children.settled,
                "data": data.name,
                "train": len(data.train),
                "validation": len(data.validation),
                "test": len(data.test),
                "shape": list(data.input_shape),
                "classes": list(data.classes),
                "space": config.space.kind,
                "strategy": config.search.strategy,
                "workers": workers,
                "budget": config.search.budget,
            }
        )
        departed = departures(config)
        if departed is not None:
            self.emit(note(departed))
        if not is_named(config.data.name):  # published sets are known well enough
            for text in data.notes:
                self.emit(note(text))
        if config.search.strategy == "evolution" and self._expected() <= POPULATION:
            self.emit(
                note(
                    f"evolution of {self._expected()} children is random search: its first {POPULATION} are drawn at "
                    "random; give more children"
                )
            )

    def _announce_level(self, level: int, round_: int, proposed: Sequence[Child]) -> None:
        parents = sum(child.level == level - 1 for child in self.children)
        skips = level > self.space.B
        progressive = self.config.search.strategy == "progressive" and not skips
        candidates = len(self.space.extensions(level)) * (parents or 1) if progressive else None
        self.emit(
            {
                "event": "level",
                "level": level,
                "levels": self.space.B,
                "round": round_,
                "skips": skips,
                "children": len(proposed),
                "candidates": candidates,
            }
        )


def make_manager(problem: Problem, recipe: Recipe) -> NetworkManager:
    """Make the manager that trains a run's children."""
    config = problem.config
    return NetworkManager(
        problem.dataset,
        skeleton=problem.skeleton,
        recipe=recipe,
        execution=config.execution.kind,
        workers=config.execution.workers,
        seed=config.seed,
        modules=config.space.modules,
        **executor_options(config),
    )


def _number(value: float) -> float | None:
    return None if value != value else float(value)
