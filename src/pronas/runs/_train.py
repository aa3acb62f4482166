"""Training one architecture to convergence, outside a search: parse, resolve, open, drive, as a search does."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pronas.data import Augmentation, Dataset
from pronas.errors import FolderTakenError, RunError, UsageError
from pronas.files import write_atomic
from pronas.networks import describe, reference
from pronas.runs import final_training
from pronas.runs._api import OnEvent
from pronas.runs._choose import choose, recipe_of, skeleton_of, state_space
from pronas.runs._config import SETTINGS, Config, plain
from pronas.runs._disk import disk_errors
from pronas.runs._events import note
from pronas.runs._experiment import Experiment
from pronas.runs._held_out import divided_as
from pronas.runs._lock import RunLock
from pronas.runs._open import CONFIG, dataset_facts
from pronas.runs._parse import Path_, as_settings, asked, configuration
from pronas.runs._reading import merged
from pronas.runs._resolve import final_device, load
from pronas.runs._signature import document
from pronas.runs._tracking import TrainingObserver
from pronas.runs.final_training import CHECKPOINT
from pronas.runs.toml import dumps
from pronas.space import Cell, operator_is_binary
from pronas.tracking import check_tracker
from pronas.training import load_model, load_published

RESULT = "result.json"
#: The settings that ``train`` takes, all of them the winner's, by the names that they have there.
TRAIN_SETTINGS = {one.train_name: one for one in SETTINGS.values() if one.declared.train}
_EPOCHS = 200
_OWN = ("plan", "dataset")  # of the file: what the result belongs to
_SPACE = ("space", "blocks", "operators", "lookback", "lookforward", "modules")


@document(TRAIN_SETTINGS.values(), lambda one: one.train_name)
def train(
    target: Path_,
    dataset: Dataset | Path_ | None = None,
    *,
    out: Path_ | None = None,
    child: int | None = None,
    expansion: bool = False,
    load_saved: Path_ | None = None,
    on_event: OnEvent | None = None,
    **settings: Any,
) -> tuple[Path, dict[str, Any]]:
    """Train one architecture to convergence, or go on with it, or give its result again.

    Args:
        target: a run folder (its winner, or ``child``), a cell's text in any form, a representation string (which
            needs the space's settings), or the name of a network (``resnet8``, ``pnasnet5``, …; see
            ``pronas.networks.reference``).
        dataset: the images; default: the run's, or ``digits``.
        out: the folder; default: ``pronas-train-…``, its own for each architecture, images and settings.
        child: number of a child of the run.
        expansion: add turned and shifted copies of every training image (``USE_EXPANSION``).
        load_saved: a model whose weights the training starts from; or PNASNet-5's as they were published (``.pth``).
        on_event: called with every event.
        {settings}

    Returns:
        The folder, with ``weights/best.*``, and what is in its ``result.json``.

    Raises:
        UsageError: neither a run nor a cell, settings that make no sense, or the folder holds another training.
        DataError: the images cannot be read.
        RunError: the folder is in use or cannot be written, or the training diverged.
    """
    emit = on_event or (lambda event: None)
    request = _parse(os.fspath(target), dataset, settings, child)
    request = replace(request, expansion=expansion, load_saved=None if load_saved is None else Path(load_saved))
    task = _resolve(request, None if out is None else Path(out))
    with _opened(task) as known:
        return task.folder, _drive(task, known, emit)


@dataclass(frozen=True)
class _TrainRequest:
    """What is to be trained, as it was asked for."""

    cell: Cell
    config: Config
    dataset: Dataset | None
    stored: bool
    expansion: bool = False
    load_saved: Path | None = None


@dataclass(frozen=True)
class _TrainTask:
    """One training that makes sense, and its folder."""

    cell: Cell
    config: Config
    dataset: Dataset
    init: Mapping[str, Any] | None
    folder: Path
    digest: str


def _parse(
    target: str, dataset: Dataset | Path_ | None, settings: Mapping[str, Any], child: int | None
) -> _TrainRequest:
    unknown = [name for name in settings if name not in TRAIN_SETTINGS]
    if unknown:
        raise UsageError(f"unknown setting {unknown[0]!r} of a training (there are {', '.join(TRAIN_SETTINGS)})")
    given = {TRAIN_SETTINGS[name].name: value for name, value in settings.items() if value is not None}
    given = {name: value for name, value in as_settings(given).items() if value is not None}
    images = None
    if isinstance(dataset, str | os.PathLike):
        given["data"] = os.fspath(dataset)
    elif dataset is not None:
        images, given["data"] = dataset, dataset.name
    given.setdefault("final_epochs", _EPOCHS)
    folder = Path(target)
    from_run = len(target) < 1000 and folder.is_dir()
    base: dict[str, Any] = {}
    if from_run:
        experiment = Experiment(folder)
        cell, base = _child_cell(experiment, child), experiment.config.to_dict()
        base["search"].pop("budget", None)  # a training is as long as its epochs
        base["execution"].pop("track", None)  # told of the search; of this one where it is asked for
        sized = (experiment.final or {}).get("skeleton")
        if sized is not None:  # a search with a budget has found the winner's size
            base["final"]["skeleton"] = base["children"]["skeleton"] = sized
    elif child is not None:
        raise UsageError(f"a child's number needs a run folder, and {target!r} is none")
    else:
        named, base = _named(target)
        cell = named or _read_cell(target, given)
        given = {**_kind(cell), **given}
    values = merged(_fresh(base, given), asked(given, located=images is None))
    return _TrainRequest(cell, Config.from_dict(values, "settings"), images, from_run and "data" not in given)


def _resolve(request: _TrainRequest, out: Path | None) -> _TrainTask:
    final_device(request.config)  # an unknown one is refused here
    if request.config.execution.track is not None:
        check_tracker(request.config.execution.track)
    choose(request.config)
    given = request.dataset
    dataset = divided_as(request.config, given) if given else load(request.config, stored=request.stored)
    config = choose(request.config, dataset)
    if not config.final.epochs:
        raise UsageError("final.epochs must be at least 1 where one network is trained, not 0")
    describe(request.cell, skeleton_of(config.final), dataset.input_shape, len(dataset.classes))
    if request.expansion:
        config = _expanded(config, dataset)
    init = _saved(request.load_saved) if request.load_saved else None
    digest = _digest(request, config, dataset)
    return _TrainTask(request.cell, config, dataset, init, out or Path(f"pronas-train-{digest}"), digest)


def _saved(path: Path) -> dict[str, Any]:
    """Weights of a model file, or of the published file of PNASNet-5."""
    model = load_published(path) if path.suffix in (".pth", ".pt") else load_model(path)
    return model.network.state_dict()


@contextmanager
def _opened(task: _TrainTask) -> Iterator[dict[str, Any] | None]:
    """Lock the folder; give the result that is in it already.

    Raises:
        FolderTakenError: it holds something else.
    """
    folder = task.folder
    if folder.exists() and not folder.is_dir():
        raise FolderTakenError(f"{folder} is a file; choose another folder", str(folder))
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with RunLock(folder):
        known = stored_result(folder)
        if known is not None and known.get("plan") != task.digest:
            raise FolderTakenError(f"{folder} holds another training; choose another folder", str(folder))
        yield None if known is None else {name: value for name, value in known.items() if name not in _OWN}


def _drive(task: _TrainTask, known: dict[str, Any] | None, emit: OnEvent) -> dict[str, Any]:
    folder, config = task.folder, task.config
    if known is not None:
        emit(note(f"{folder} is finished"))
        return known
    with disk_errors(folder):
        write_atomic(folder / CONFIG, dumps(config.to_dict()))
    emit({"event": "final", "cell": str(task.cell), "reward": None, "epochs": config.final.epochs})
    skeleton, recipe = skeleton_of(config.final), recipe_of(config.final)
    observer = TrainingObserver(folder, config, task.cell)
    try:
        tell = observer.listening(emit)
        result = final_training.train_final(
            folder, task.cell, task.dataset, skeleton, recipe, config, tell, init=task.init
        )
        observer.final(result)
    finally:
        observer.close()
    with disk_errors(folder):
        own = {"plan": task.digest, "dataset": dataset_facts(task.dataset)}
        write_atomic(folder / RESULT, json.dumps({**own, **result}, indent=1) + "\n")
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def _digest(request: _TrainRequest, config: Config, dataset: Dataset) -> str:
    """Eight hexadecimal digits of all that decides the result: the images by their fingerprint; no threads."""
    facts = replace(config, execution=Config().execution, data=Config().data).flat()
    saved = str(request.load_saved.resolve()) if request.load_saved else None
    text = json.dumps([str(request.cell), facts, saved, dataset.fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _child_cell(experiment: Experiment, child: int | None) -> Cell:
    if child is None:  # the winner need not be the luckiest child
        winner = (experiment.final or {}).get("cell")
        return Cell.parse(winner) if winner else experiment.cell
    for entry in experiment.children():
        if entry.id == child:
            return entry.cell
    raise UsageError(f"{experiment.path} has no child {child}; see: pronas show {experiment.path}")


def _named(name: str) -> tuple[Cell | None, dict[str, Any]]:
    """Return the cell of a hand-made or published network of that name, and settings of the network around it."""
    try:
        found = reference(name)
    except UsageError:
        return None, {}
    skeleton = plain(found.skeleton.to_dict())
    return found.cell, {"children": {"skeleton": skeleton}, "final": {"skeleton": skeleton}}


def _read_cell(text: str, given: Mapping[str, Any]) -> Cell:
    space = None
    if any(name in given for name in _SPACE):
        space = state_space(choose(configuration({name: given[name] for name in _SPACE if name in given})))
    try:
        return Cell.parse(text, space)
    except UsageError as error:
        if Path(text).suffix or os.sep in text:
            raise UsageError(f"{text} is no run folder, and no cell either: {error}", error.setting) from error
        raise


def _kind(cell: Cell) -> dict[str, Any]:
    """Choose the named space that a cell written down belongs to, for its kind of network."""
    binary = any(operator_is_binary(name) for name in cell.operators)
    return {"space": "binary" if binary else "flat" if cell.flat else "pnas", "blocks": len(cell.blocks)}


def _fresh(base: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Drop from a run's values what is chosen anew when a skeleton or a recipe is named."""
    values = {name: dict(table) if isinstance(table, dict) else table for name, table in base.items()}
    if "skeleton" in given:
        for name in ("children", "final"):
            values.setdefault(name, {}).pop("skeleton", None)
    if "final_recipe" in given:
        values.setdefault("final", {}).pop("recipe", None)
    return values


def _expanded(config: Config, dataset: Dataset) -> Config:
    recipe = recipe_of(config.final).suited(dataset)
    augmentation = recipe.augmentation if isinstance(recipe.augmentation, Augmentation) else Augmentation()
    recipe = replace(recipe, augmentation=replace(augmentation, expansion=True))
    return replace(config, final=replace(config.final, recipe=plain(recipe.to_dict())))


def stored_result(folder: Path) -> dict[str, Any] | None:
    """Return what a training's folder says of it; None: there is no result.

    Raises:
        RunError: it cannot be read.
    """
    try:
        found = json.loads((folder / RESULT).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / RESULT} cannot be read ({error}); delete it to train again") from error
    if not isinstance(found, dict):
        raise RunError(f"{folder / RESULT} holds no result; delete it to train again")
    return found
