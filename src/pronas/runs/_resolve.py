"""Second: everything chosen, loaded, built and checked together, before a folder is touched.

What can be refused is refused here: an operator that its network cannot have, an unknown device, limits nothing meets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pronas.controller import ControllerManager
from pronas.data import Dataset, load_dataset
from pronas.errors import DataError, SettingError, UsageError
from pronas.execution import check_executor
from pronas.machine import device_named
from pronas.networks import Skeleton, describe
from pronas.runs._choose import PREDICTOR, choose, skeleton_of, state_space
from pronas.runs._config import Config
from pronas.runs._constraints import Constraints
from pronas.runs._differences import differing, say_differing
from pronas.runs._held_out import divided_as, held_out, with_validation_share
from pronas.runs._image_size import with_image_size
from pronas.runs._parse import SearchRequest
from pronas.runs._result_cache import result_cache
from pronas.runs._sizing import SMALLEST
from pronas.runs._warm_start import read_known
from pronas.runs.store import Child
from pronas.space import Block, Cell, StateSpace, operator_is_binary
from pronas.tracking import check_tracker


@dataclass(frozen=True)
class Problem:
    """A search that makes sense: what is searched, on which images, under which constraints.

    Attributes:
        config: resolved: nothing is open.
        dataset: the images.
        space: of the cells.
        skeleton: the network around a child's cell.
        constraints: what the network that ships may cost.
        cached: finds an identical child's result in another run, or ``None``.
        notes: what was chosen of the images, in words.
        known: cells whose rewards are known (``warm_start``), and these.
        out: the folder, where one was named.
        resumes: whether it must hold this run already.
    """

    config: Config
    dataset: Dataset
    space: StateSpace
    skeleton: Skeleton
    constraints: Constraints
    cached: Callable[[Child], Child | None]
    out: Path | None
    resumes: bool
    notes: tuple[str, ...] = ()
    known: tuple[tuple[Cell, float], ...] = ()


def resolve(request: SearchRequest) -> Problem:
    """Choose what was left open, load the images, and check that it all goes together.

        >>> from pronas.runs.steps import parse
        >>> problem = resolve(parse("digits", {"blocks": 2, "space": "flat", "limit": 200}))
        >>> problem.space.B, problem.dataset.input_shape
        (2, (1, 8, 8))

    Raises:
        UsageError: it does not.
        DataError: the images cannot be read.
        RunError: the run to take results from cannot be read.
    """
    _check_execution(request.config)
    if request.config.execution.track is not None:
        check_tracker(request.config.execution.track)
    _check_budget(request.config)
    request, sized = _sized(request)
    choose(request.config)  # what is wrong without images is told without loading them
    request, dataset = _loaded(request)
    config = choose(request.config, dataset)
    _check_same(request, config)
    space, skeleton = state_space(config), skeleton_of(config.children)
    # limits are for the network that ships, so they hold for the winner's skeleton where a winner is trained
    shipped = skeleton_of(config.final) if config.final.epochs else skeleton
    for one in (skeleton, shipped):
        _check_operators(config, one, dataset)
    if config.search.budget is not None and "filters" not in config.search.by_hand:
        shipped = shipped.scaled(SMALLEST)  # networks are sized to the limits: none is refused for being too wide
    constraints = Constraints(shipped, dataset.input_shape, len(dataset.classes), config.limits)
    cached = result_cache(config.search.reuse, config, dataset.fingerprint)
    notes = () if sized is None else (sized,)
    resumes = request.stored is not None
    file = config.search.warm_start
    known = () if file is None or resumes else tuple(read_known(file, space))
    problem = Problem(config, dataset, space, skeleton, constraints, cached, request.out, resumes, notes, known)
    _check_limits(problem)
    return problem


def _sized(request: SearchRequest) -> tuple[SearchRequest, str | None]:
    """With a size for images that are read for the first time and larger than a budget can afford."""
    if request.dataset is not None or request.stored is not None:
        return request, None
    config, text = with_image_size(request.config)
    return replace(request, config=config), text


def _loaded(request: SearchRequest) -> tuple[SearchRequest, Dataset]:
    """The images; of a small set that is read for the first time within a budget, more are held out for validation."""
    config, given = request.config, request.dataset
    dataset = given or load(config, stored=request.stored is not None and not request.says_data)
    if request.stored is None:
        config = with_validation_share(config, dataset)
    if given is not None:
        return replace(request, config=config), divided_as(config, given)
    return replace(request, config=config), dataset if config == request.config else load(config)


def load(config: Config, *, stored: bool = False) -> Dataset:
    """Load the images that a configuration names, split by its seed.

    Args:
        config: what is read is ``data`` and ``seed``.
        stored: it is that of an earlier run, whose images may have gone elsewhere.

    Raises:
        DataError: they cannot be read.
        UsageError: as ``load_dataset``.
    """
    data = config.data
    size = data.image_size
    if isinstance(size, tuple) and len(size) != 2:
        raise SettingError(
            f"data.image_size must be one number or two, height and width, not {len(size)}", "image_size"
        )
    try:
        return load_dataset(
            data.name,
            data_dir=data.directory,
            validation=held_out(config),
            seed=config.seed,
            limit=data.limit,
            image_size=(size[0], size[1]) if isinstance(size, tuple) else size,
            group_by=data.group_by,
            skip_bad=data.skip_bad,
        )
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise DataError(f"the images {data.name!r} cannot be read ({error.strerror or error})") from error
    except DataError as error:
        if not stored:
            raise
        cure = "where they have gone elsewhere, or were given in memory, give them again (data)"
        raise DataError(f"the run's images are not where they were: {error}; {cure}") from error


def make_controller(
    problem: Problem, folder: Path | None, *, levels: int | None = None, costs: Constraints | None = None
) -> ControllerManager:
    """Make the controller that proposes a run's children.

    Args:
        problem: what is searched.
        folder: where it writes its files.
        levels: of the search; None: as many as a cell has blocks.
        costs: tells what cells cost, where that is not what limits them.
    """
    config, constraints = problem.config, problem.constraints
    search, names, told = config.search, config.search.objectives, costs or constraints
    return ControllerManager(
        problem.space,
        levels,
        K=search.children or None,
        predictor=search.predictor or PREDICTOR,
        acquisition=search.acquisition or "mean",
        batch=search.diversity or "greedy",  # runs of version 0.1 say nothing
        rounds=search.rounds,
        seed=config.seed,
        directory=folder,
        strategy=search.strategy,
        first=search.first or None,
        feasible=constraints.feasible if constraints.limited else None,
        objectives=names,
        costs=(lambda cells: told.matrix(names[1:], cells)) if len(names) > 1 else None,
        options=dict(search.predictor_settings) if search.strategy == "progressive" else None,
    )


def executor_options(config: Config) -> dict[str, Any]:
    """Return what an executor is told besides its name."""
    execution = config.execution
    options = {
        "timeout": execution.timeout,
        "memory_limit": None if execution.memory is None else execution.memory << 20,
        "address": execution.address,
        "devices": None if execution.devices is None else [device_named(name) for name in execution.devices],
        "gpus": execution.gpus,
    }
    return {name: value for name, value in options.items() if value is not None}


def final_device(config: Config) -> str:
    """Return the device that trains the winner: the children's first."""
    return device_named(config.execution.devices[0]) if config.execution.devices else "cpu"


def _check_execution(config: Config) -> None:
    check_executor(config.execution.kind, **executor_options(config))


def _check_budget(config: Config) -> None:
    """What goes by numbers of epochs alone does not go with a clock."""
    for name in ("early_stop", "inherit"):
        if config.search.budget is not None and getattr(config.search, name) is not None:
            text = f"search.{name} goes by numbers of epochs, a budget by the clock: give one of them"
            raise SettingError(text, name)


def _check_same(request: SearchRequest, config: Config) -> None:
    """A run that is resumed goes on as it began."""
    if request.stored is None:
        return
    keys = differing(request.stored, config)
    if keys:
        raise say_differing(request.out or Path(), request.stored, config, keys)


def _check_operators(config: Config, skeleton: Skeleton, dataset: Dataset) -> None:
    """Every operator must be one that the network can have, by itself and in the named space."""
    read = 0 if config.space.lookback == 0 else -1
    for name in config.space.operators or ():
        if config.space.kind == "binary" and operator_is_binary(name) is False:
            raise UsageError(f"the space 'binary' has no {name!r}: it is a full-precision operator; use another space")
        cell = Cell((Block(read, name, read, name),))
        describe(cell, skeleton, dataset.input_shape, len(dataset.classes))


def _check_footprints(problem: Problem, cell: Cell) -> None:
    """Whether flash, RAM and latency can be told of this kind of network."""
    limits = problem.config.limits
    if limits.latency_us is not None and limits.target and problem.skeleton.binary:
        text = (
            f"limits.latency_us: how long a binary network takes on {limits.target} is not known; leave out one of them"
        )
        raise SettingError(text, "max_latency_us")
    if limits.flash is None and limits.ram is None:
        return
    try:
        problem.constraints.matrix(["flash", "ram"], [cell])
    except UsageError as error:
        text = f"limits of flash and RAM cannot be told before training: {error}"
        raise SettingError(text, "target" if limits.target else "max_flash" if limits.flash else "max_ram") from error


def _check_limits(problem: Problem) -> None:
    """Whether there is a first child within all limits. Making the controller checks what it is told."""
    controller, constraints = make_controller(problem, None), problem.constraints
    if not constraints.limited:
        return
    cells = problem.space.decode(problem.space.level1())
    _check_footprints(problem, cells[0])
    if problem.config.search.strategy == "progressive":
        some = any(constraints.feasible([cell])[0] for cell in cells)
    else:
        some = bool(controller.get_actions())
    if not some:
        raise constraints.refusal(cells)
