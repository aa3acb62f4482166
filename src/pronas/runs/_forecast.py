"""``plan``: what a search would do, how long it would take and what it needs, without running it."""

from __future__ import annotations

import heapq
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from pronas.errors import UsageError
from pronas.machine import cores
from pronas.networks import Description, Skeleton, describe
from pronas.runs._choose import recipe_of, skeleton_of
from pronas.runs._config import SETTINGS
from pronas.runs._duration import spelled
from pronas.runs._halving import rungs
from pronas.runs._open import Run
from pronas.runs._pace import team_speed
from pronas.runs._parse import Path_, parse
from pronas.runs._plan import Plan
from pronas.runs._resolve import Problem, resolve
from pronas.runs._signature import document
from pronas.runs._sizing import training_cost
from pronas.runs._timed_driver import TimedDriver
from pronas.runs.store import Store
from pronas.training import images_per_second

if TYPE_CHECKING:
    from pronas.data import Dataset
    from pronas.space import Cell

_SAMPLE = 48  # cells of a level whose cost is looked at
_FASTEST = 1e18  # multiply-accumulates a second and thread that are believed of any machine
_MOST_DRAWN = 100_000  # trainings whose costs are drawn one by one
_FORWARD = 1 / 3  # of a training's step
# Measured on runs of 10 to 300 children: bytes of a child in the store, the tables for people and TensorBoard; of each
# of its epochs; of an empty run folder.
_DISK_CHILD, _DISK_EPOCH, _DISK_RUN = 1900, 180, 60_000
# Resident: the driver with torch; a worker, of which most is shared with the others.
_DRIVER, _WORKER = 560 << 20, 100 << 20
_COPIES = 3  # of every activation while it is trained: itself, its gradient, what a kernel works with


@final
@dataclass(frozen=True)
class Forecast:
    """What a search would do, as far as one can tell before it.

    Attributes:
        budget: the plan of a search within a budget; None: it goes by numbers.
        levels: children of each level.
        images: that all trainings together learn from, each as often as it is seen.
        seconds: from the first child to the tested winner.
        winner: of them, its training.
        workers: children trained at once.
        speed: multiply-accumulates of images that one thread trains a second.
        measured: whether the speed was measured here.
        disk: bytes of the run folder.
        memory: bytes resident, of this process and its workers; of the images that of one copy.
        lines: all of it, in a few lines of text.
    """

    budget: Plan | None
    levels: tuple[int, ...]
    images: int
    seconds: float
    winner: float
    workers: int
    speed: float
    measured: bool
    disk: int
    memory: int
    lines: tuple[str, ...] = ()

    @property
    def children(self) -> int:
        """Of all levels."""
        return sum(self.levels)

    def __str__(self) -> str:
        """The lines."""
        return "\n".join(self.lines)


@document(SETTINGS.values())
def plan(
    dataset: Dataset | Path_ | None = None,
    *,
    config: Path_ | None = None,
    speed: float | None = None,
    **settings: Any,
) -> Forecast:
    """Tell what ``search`` with these arguments would do: children, images, hours, disk, memory. Nothing is written.

        >>> found = plan("digits", space="flat", blocks=2, first=4, children=2, filters=[4], limit=100, speed=1e9)
        >>> found.levels, found.budget, found.measured
        ((4, 2), None, False)

    Args:
        dataset: as ``search`` takes it; it is read.
        config: a TOML file of settings.
        speed: of one thread: multiply-accumulates of images trained a second, for a machine that is not this one;
            default: measured here, for two seconds. (A training step costs about three times its forward pass; that
            is in the speed, not in the count. What waits for memory is counted by the bytes it moves.)
        {settings}

    Returns:
        Numbers, seconds of the clock and bytes; ``lines`` says them in words.

    Raises:
        UsageError: a setting that makes no sense, or a budget that is too small for one network.
        DataError: the images cannot be read.
    """
    if speed is not None and not 1 <= speed <= _FASTEST:
        raise UsageError(f"speed must be from 1 to {_FASTEST:g}, not {speed!r}")
    started = time.monotonic()
    problem = resolve(parse(dataset, settings, file=config))
    return _within_budget(problem, speed, started) if problem.config.search.budget else _by_numbers(problem, speed)


# -- within a budget


class _Planner(TimedDriver):
    """A driver that only plans, as the search's would."""

    def __init__(self, run: Run, speed: float | None, started: float) -> None:
        self._speed = speed
        self.told: list[str] = []
        super().__init__(run, lambda event: self.told.append(event["text"]), started)

    def _measured(self, cell: Cell, skeleton: Skeleton) -> float:
        return self._speed or super()._measured(cell, skeleton)


def _within_budget(problem: Problem, speed: float | None, started: float) -> Forecast:
    with tempfile.TemporaryDirectory(prefix="pronas-plan-") as folder:
        store = Store(Path(folder))
        try:
            planner = _Planner(Run(Path(folder), problem, store, False), speed, started)
            planner.close()
        finally:
            store.close()
    made, config = planner.plan, problem.config
    levels = (made.first, *[made.children] * (made.levels - 1))
    children, trials = sum(levels) * made.child_images, made.trainings * made.trial_images
    epochs = made.child_images / len(problem.dataset.train)
    cell, _ = planner._reference()
    size = describe(cell, planner.sizer.skeleton(cell), problem.dataset.input_shape, len(problem.dataset.classes))
    images = children + trials + made.final_images
    found = Forecast(
        made, levels, images, made.budget, made.budget - made.trials, _workers(problem), made.speed, speed is None,
        _disk(sum(levels), max(4, epochs), size), _memory(problem, size, size),
    )  # fmt: skip
    parts = f"{sum(levels)} children {children:,}, trials {trials:,}, the winner {made.final_images:,}"
    return _told(found, [*planner.told, f"images: {images:,} to learn from: {parts}"], config.search.budget or "")


# -- by numbers


def _by_numbers(problem: Problem, speed: float | None) -> Forecast:
    config, data = problem.config, problem.dataset
    levels = _levels(problem)
    samples = [_sample(problem, b) for b in range(1, problem.space.B + 1)]
    costs = [sorted(_cost(problem, cell, problem.skeleton) for cell in cells) for cells in samples]
    middle = sorted(samples[-1], key=lambda cell: _cost(problem, cell, problem.skeleton))[_SAMPLE // 2]
    rate = speed or _speed_here(problem, middle)
    workers, final = _workers(problem), skeleton_of(config.final)
    usual, heavy = (
        sum(_trainings(problem, levels, known, workers)) * _seen(problem) / rate
        for known in (costs, [costs[0], *(some[-_SAMPLE // 4 :] for some in costs[1:])])
    )
    searched = round(sum(epochs * count for epochs, count in _lengths(problem, levels)) * len(data.train))
    threads, epochs = config.execution.threads or 1, config.final.epochs or 0
    last = epochs * _seen(problem) * _cost(problem, middle, final) / (rate * team_speed(threads))
    child, winner = (describe(middle, one, data.input_shape, len(data.classes)) for one in (problem.skeleton, final))
    each = config.children.epochs or 1
    found = Forecast(
        None, levels, searched + epochs * len(data.train), usual + last, last, workers, rate, speed is None,
        _disk(sum(levels), each, winner), _memory(problem, child, winner),
    )  # fmt: skip
    parts = ", ".join(f"{count:,} at {_level_name(b, problem)}" for b, count in enumerate(levels, start=1) if count)
    lines = [
        f"plan: {sum(levels):,} children ({parts}), each for {each} epochs of {len(data.train):,} images; the winner "
        f"for {epochs} epochs",
        f"images: {found.images:,} to learn from: children {searched:,}, the winner {found.images - searched:,}",
    ]
    return _told(found, lines, f"{spelled(usual + last)} ({spelled(heavy + last)} where heavy cells do best)")


def _trainings(
    problem: Problem, levels: Sequence[int], costs: Sequence[Sequence[float]], workers: int
) -> Iterator[float]:
    """Of what is trained at a time, how long the workers take: epochs times cost."""
    config, draw = problem.config, np.random.default_rng(problem.config.seed)
    lengths = _lengths(problem, levels)
    for b, (epochs, count) in enumerate(lengths):
        known = costs[min(b, len(costs) - 1)]
        for part in _parts(count, config.search.rounds if b else 1):
            if part <= _MOST_DRAWN:
                yield makespan((draw.choice(known, part) * epochs).tolist(), workers)
            else:  # so many that their order matters to nobody
                yield epochs * max(max(known), part * sum(known) / len(known) / workers)


def _lengths(problem: Problem, levels: Sequence[int]) -> list[tuple[float, int]]:
    """(epochs, trainings): of each level, then of each further rung of early stopping."""
    search = problem.config.search
    first, *longer = rungs(problem.config.children.epochs or 1, search.early_stop)
    found: list[tuple[float, int]] = [
        (first if search.inherit is None or b == 0 else search.inherit, count) for b, count in enumerate(levels)
    ]
    left = sum(levels)
    for epochs in longer:
        left = math.ceil(left / (search.early_stop or 1))
        found.append((epochs, left))
    return found


def _levels(problem: Problem) -> tuple[int, ...]:
    search, space = problem.config.search, problem.space
    sizes = [int(space.size(b).unique) for b in range(1, space.B + 1)]
    first = min(search.first or sizes[0], sizes[0])
    later = [min(search.children or size, size) for size in sizes[1:]]
    skips = [search.children or 0] if search.skips else []
    if search.strategy == "progressive":
        return (first, *later, *skips)
    return (*[0] * len(later), first + sum(later), *skips)  # as many, all of the largest cells


def _level_name(b: int, problem: Problem) -> str:
    return f"level {b}" if b <= problem.space.B else "the skips"


def _sample(problem: Problem, b: int) -> list[Cell]:
    rows = problem.space.sample(_SAMPLE, b, np.random.default_rng(problem.config.seed))
    cells: list[Cell] = problem.space.decode(rows)
    return cells


def _cost(problem: Problem, cell: Cell, skeleton: Skeleton) -> float:
    return training_cost(cell, skeleton, problem.dataset.input_shape, len(problem.dataset.classes))


def _seen(problem: Problem) -> float:
    """Images an epoch of which each costs a step's part: those for validation are only looked at."""
    return len(problem.dataset.train) + _FORWARD * len(problem.dataset.validation)


def _speed_here(problem: Problem, cell: Cell) -> float:
    data, recipe = problem.dataset, recipe_of(problem.config.children).suited(problem.dataset)
    network = problem.skeleton.build(cell, data.input_shape, len(data.classes))
    return images_per_second(network, data, recipe, seconds=2.0) * _cost(problem, cell, problem.skeleton)


def _parts(count: int, rounds: int) -> Iterator[int]:
    """As many children in each round as come out even, as the controller does it."""
    for number in range(rounds):
        part = (number + 1) * count // rounds - number * count // rounds
        if part:
            yield part


def makespan(lengths: Sequence[float], workers: int) -> float:
    """Seconds from the first of the trainings to the last one's end, longest first, each on the worker that is free."""
    free = [0.0] * min(workers, max(1, len(lengths)))
    for length in sorted(lengths, reverse=True):
        heapq.heapreplace(free, free[0] + length)
    return max(free)


# -- both


def _workers(problem: Problem) -> int:
    execution = problem.config.execution
    return 1 if execution.kind == "inline" else execution.workers or len(execution.devices or ()) or cores()


def _disk(children: int, epochs: float, winner: Description) -> int:
    weights = 4 * winner.parameters
    return int(_DISK_RUN + children * (_DISK_CHILD + _DISK_EPOCH * epochs) + 4 * weights)  # weights, and a checkpoint


def _memory(problem: Problem, child: Description, winner: Description) -> int:
    """Of this machine: workers on a cluster have theirs elsewhere."""
    data, config = problem.dataset, problem.config
    images = sum(split.images.nbytes for _, split in data.splits())

    def training(size: Description, batch: int | None) -> int:
        return _COPIES * (batch or 64) * size.total_activation_bytes + 16 * size.parameters

    here = 0 if config.execution.kind == "ray" else _workers(problem)
    children = here * (_WORKER + training(child, config.children.batch))
    return int(_DRIVER + images + max(children, training(winner, config.final.batch)))


def _told(found: Forecast, lines: Sequence[str], length: str) -> Forecast:
    workers = f"{found.workers:,} workers" if found.workers > 1 else "one worker"
    where = "measured here" if found.measured else "as given"
    more = [
        f"time: about {length} with {workers}, {spelled(found.winner)} of it for the winner",
        f"speed: {found.speed:.3g} multiply-accumulates of images trained a second and thread ({where})",
        f"disk: about {_bytes(found.disk)} in the run folder",
        f"memory: about {_bytes(found.memory)} on this machine",
    ]
    return replace(found, lines=(*lines, *more))


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
