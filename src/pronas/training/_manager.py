"""Cells in, rewards out: ``NetworkManager``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, final

import numpy as np

from pronas import execution as executors
from pronas.data import Dataset, load_dataset, scale_of
from pronas.errors import UsageError
from pronas.execution import Job, Outcome, Progress
from pronas.kernels import kernels_mode
from pronas.mapped import contiguous
from pronas.networks import Skeleton, describe
from pronas.networks import skeleton as named_skeleton
from pronas.space import Cell
from pronas.training._loop import derive_seed
from pronas.training._recipe import Recipe
from pronas.training._recipes import recipe as named_recipe
from pronas.training._result import ChildProgress, ChildResult
from pronas.training._tensors import training_split
from pronas.training._trial import Trial


@final
class NetworkManager:
    """Turns cells into rewards: builds each cell's network, trains it, and gives its validation accuracy.

    The same cell has the same reward whatever the order, the executor and the number of workers: a child's seed is a
    hash of the run's seed and the cell's canonical form, children of one canonical form being one network. A child that
    diverges, runs out of memory or raises is a failed result with reward 0; the others go on.

        >>> dataset = load_dataset("digits", limit=100)
        >>> with NetworkManager(dataset, epochs=1, batchsize=25) as networks:
        ...     result = next(networks.get_rewards(["0:3x3 conv + 0:3x3 maxpool"]))
        >>> result.status, 0 <= result.reward <= 1
        ('done', True)

    Args:
        dataset: a ``Dataset``, or the name or path of one.
        epochs: epochs a child; None: the recipe's.
        batchsize: images a step; None: the recipe's.
        skeleton: the network around the cell: a skeleton or the name of one. Default: ``flat``.
        recipe: a recipe or the name of one: ``search``, ``full``, ``old``: the binary one when the skeleton is.
        execution: ``inline``, ``local`` or ``ray``.
        workers: how many children at once; None: what the executor finds.
        seed: of everything random.
        timeout: seconds a child may take; then it has failed.
        memory_limit: bytes a child's worker may hold; then it has failed.
        threads: threads a worker computes with. Rewards may differ in the last bits between numbers of threads. None
            leaves the process as it is.
        modules: modules that workers import first: those that register a user's operators.
        kernels: "auto", as fast as each worker's machine can, or "off", plain PyTorch (the same rewards to rounding);
            None: what the environment's ``PRONAS_KERNELS`` says, or "auto".
        **options: for the executor.

    Raises:
        UsageError: an unknown name, or an option that makes no sense.
    """

    def __init__(
        self,
        dataset: Dataset | str,
        epochs: int | None = None,
        batchsize: int | None = None,
        *,
        skeleton: Skeleton | str | None = None,
        recipe: Recipe | str = "search",
        execution: str = "inline",
        workers: int | None = None,
        seed: int = 0,
        timeout: float | None = None,
        memory_limit: int | None = None,
        threads: int | None = 1,
        modules: Sequence[str] = (),
        kernels: str | None = None,
        **options: Any,
    ) -> None:
        self.dataset = load_dataset(dataset) if isinstance(dataset, str) else dataset
        self.skeleton = named_skeleton(skeleton or "flat") if isinstance(skeleton, str | None) else skeleton
        self.recipe = _resolve(recipe, self.skeleton.binary, epochs, batchsize).suited(self.dataset)
        self.seed = seed
        limits = {"workers": workers, "timeout": timeout, "memory_limit": memory_limit}
        shared = self._shared(threads, modules) | {
            "kernels": kernels_mode(kernels),
            "own_process": execution != "inline",  # which may be tuned; the caller's is left as it is
        }
        self._executor = executors.make_executor(execution, _RUN, _SETUP, shared, **limits, **options)  # type: ignore[arg-type]
        self._next = 0
        self._running: dict[int, Cell] = {}

    def get_reward(self, cell: Cell | str) -> float:
        """Train one child and give its reward (validation accuracy, 0 to 1; 0 when it failed)."""
        return next(self.get_rewards([cell])).reward

    def get_rewards(self, cells: Iterable[Cell | str]) -> Iterator[ChildResult]:
        """Train children and yield their results as they finish, which need not be the order of ``cells``."""
        return (event for event in self.events(cells) if isinstance(event, ChildResult))

    def events(
        self,
        cells: Iterable[Cell | str],
        *,
        recipes: Iterable[Mapping[str, Any]] | None = None,
        parents: Mapping[Cell, tuple[Cell, bytes]] | None = None,
        keep_weights: bool = False,
    ) -> Iterator[ChildProgress | ChildResult]:
        """Train children; yield an event an epoch (where the executor tells them apart) and each result as it comes.

        Args:
            cells: cells or their text; equal ones are trained once each time they occur.
            recipes: for each cell the fields of the recipe that differ for it, such as ``{"epochs": 3}``.
            parents: for some cells the parent whose weights they start from (weight inheritance), and these weights.
            keep_weights: give each child's weights with its result (``ChildResult.weights``).

        An iteration that is given up cancels the children that have no result yet.
        """
        return (event for _, event in self.trials(self._asked(cells, recipes, parents or {}, keep_weights)))

    def trials(self, asked: Sequence[Trial]) -> Iterator[tuple[int, ChildProgress | ChildResult]]:
        """Train networks that may differ in more than their cells; as `events`, each with its place in ``asked``."""
        return self._follow(asked)

    def _asked(
        self,
        cells: Iterable[Cell | str],
        recipes: Iterable[Mapping[str, Any]] | None,
        parents: Mapping[Cell, tuple[Cell, bytes]],
        keep_weights: bool,
    ) -> list[Trial]:
        asked = [Cell.parse(cell) if isinstance(cell, str) else cell for cell in cells]
        changes = [{} for _ in asked] if recipes is None else [dict(change) for change in recipes]
        if len(changes) != len(asked):
            raise UsageError(f"{len(changes)} recipes for {len(asked)} cells: give one each")
        return [
            Trial(cell, change, parent=parents.get(cell), keep_weights=keep_weights)
            for cell, change in zip(asked, changes, strict=True)
        ]

    def stop(self, cell: Cell) -> None:
        """Ask that a cell in training end with its present epoch; its result is what it got to by then.

        Children of the executor ``inline`` are trained to their end before anything is told of them.
        """
        for number, running in self._running.items():
            if running == cell:
                self._executor.stop(number)

    def child_seed(self, cell: Cell) -> int:
        """Give the seed that ``cell`` is trained with: of the run's seed and the cell's canonical form."""
        return derive_seed(self.seed, cell.canonical())

    @property
    def workers(self) -> int:
        """How many children train at the same time."""
        return self._executor.workers

    def close(self) -> None:
        """Stop every worker. May be called twice."""
        self._executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _shared(self, threads: int | None, modules: Sequence[str]) -> dict[str, Any]:
        train, validation = training_split(self.dataset.train, self.recipe, self.seed), self.dataset.validation
        return {
            "train_images": contiguous(train.images),
            "train_labels": np.ascontiguousarray(train.labels, np.int64),
            "validation_images": contiguous(validation.images),
            "validation_labels": np.ascontiguousarray(validation.labels, np.int64),
            "skeleton": self.skeleton.to_dict(),
            "recipe": self.recipe.to_dict(),
            "classes": len(self.dataset.classes),
            "scale": scale_of(self.dataset),
            "threads": threads,
            "modules": list(modules),
        }

    def _longest_first(self, asked: Sequence[Trial]) -> list[int]:
        """Order trials for several workers: a long one that comes last keeps all but one waiting."""
        if self.workers == 1:
            return list(range(len(asked)))
        shape, classes = self.dataset.input_shape, len(self.dataset.classes)

        def cost(index: int) -> int:
            trial = asked[index]
            try:
                size = describe(trial.cell, trial.skeleton or self.skeleton, shape, classes)
            except Exception:  # whatever is wrong with it, its worker will say so
                return 0
            return (size.macs + size.binary_macs) * int(trial.recipe.get("epochs", self.recipe.epochs))

        return sorted(range(len(asked)), key=cost, reverse=True)

    def _follow(self, asked: Sequence[Trial]) -> Iterator[tuple[int, ChildProgress | ChildResult]]:
        waiting: dict[int, int] = {}
        self._running.clear()
        for index in self._longest_first(asked):
            waiting[self._next] = index
            self._running[self._next] = asked[index].cell
            payload = {"seed": self.child_seed(asked[index].cell), **asked[index].payload()}
            self._executor.submit(Job(self._next, payload))
            self._next += 1
        try:
            for event in self._executor.events():
                if isinstance(event, Progress):
                    index = waiting[event.id]
                    yield index, _progress(asked[index].cell, event)
                else:
                    index = waiting.pop(event.id)
                    self._running.pop(event.id)
                    yield index, _result(asked[index].cell, event)
        finally:
            if waiting:
                self._executor.cancel()


_RUN, _SETUP = "pronas.training.worker:run", "pronas.training.worker:setup"


def _resolve(recipe: Recipe | str, binary: bool, epochs: int | None, batch: int | None) -> Recipe:
    if isinstance(recipe, str):
        return named_recipe(recipe, binary=binary, epochs=epochs, batch=batch)
    changes = {"epochs": epochs, "batch": batch}
    return recipe.replace(**{key: value for key, value in changes.items() if value is not None})


def _progress(cell: Cell, event: Progress) -> ChildProgress:
    value = event.value
    return ChildProgress(cell, value["epoch"], value["epochs"], value["accuracy"], value["loss"], event.worker)


def _result(cell: Cell, outcome: Outcome) -> ChildResult:
    if outcome.status == "ok" and outcome.value is not None:
        return ChildResult(cell, **outcome.value, worker=outcome.worker, attempts=outcome.attempts)
    return ChildResult(
        cell,
        "failed",
        0.0,
        error=outcome.error,
        seconds=outcome.seconds,
        worker=outcome.worker,
        attempts=outcome.attempts,
    )
