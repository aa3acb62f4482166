"""Training one architecture to convergence, outside a search."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pronas.data import Augmentation, Dataset
from pronas.errors import RunError, UsageError
from pronas.files import write_atomic
from pronas.runs._config import Config, plain
from pronas.runs._experiment import Experiment
from pronas.runs._final_training import CHECKPOINT, train_final
from pronas.runs._lock import RunLock
from pronas.runs._resolve import recipe_of, resolve, state_space
from pronas.runs._run import CONFIG, disk_errors
from pronas.runs._settings import asked, configuration, merged
from pronas.runs._toml import dumps
from pronas.space import Cell, operator_is_binary
from pronas.training import load_model

RESULT = "result.json"
#: What only decides how the search went is of no concern here.
_DEFAULTS = {"final_epochs": 200}
_SPACE_FLAGS = ("space", "blocks", "operators", "lookback", "lookforward")


@dataclass(frozen=True)
class Plan:
    """One training: the cell, the resolved configuration, and the weights that it starts from, if any."""

    cell: Cell
    config: Config
    load_saved: Path | None

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits of everything that decides the result; the threads do not count."""
        facts = replace(self.config, execution=Config().execution).to_dict()
        saved = str(self.load_saved.resolve()) if self.load_saved else None
        text = json.dumps([str(self.cell), facts, saved], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def plan_training(
    target: str,
    settings: Mapping[str, Any],
    load_images: Callable[[Config], Dataset],
    *,
    child: int | None = None,
    expansion: bool = False,
    load_saved: str | os.PathLike[str] | None = None,
) -> tuple[Plan, Dataset]:
    """Find out what is to be trained, and on which images.

    Args:
        target: a run folder (its best cell, or ``child``), a cell's text in any form, or a representation string (which
            needs the space's settings).
        settings: as of ``search``; those of the winner (``final_…``) count, 200 epochs if nothing is said.
        load_images: loads the images of a configuration.
        child: number of a child of the run.
        expansion: add turned and shifted copies of every training image (``USE_EXPANSION``).
        load_saved: a model whose weights the training starts from.

    Raises:
        UsageError: neither a run nor a cell, or settings that make no sense.
    """
    folder = Path(target)
    given = {name: value for name, value in settings.items() if value is not None}
    if len(target) < 1000 and folder.is_dir():
        experiment = Experiment(folder)
        cell = _child_cell(experiment, child)
        base = experiment.config.to_dict()
    else:
        if child is not None:
            raise UsageError(f"a child's number needs a run folder, and {target!r} is none")
        cell, base = _parse(target, given), {}
        given = {**_kind(cell), **given}
    config = Config.from_dict(merged(_fresh(base, given), asked({**_DEFAULTS, **given})), "settings")
    images = load_images(config)
    config = resolve(config, images)
    if expansion:
        config = _expanded(config, images)
    return Plan(cell, config, Path(load_saved) if load_saved else None), images


def train_planned(
    plan: Plan, dataset: Dataset, out: str | os.PathLike[str] | None, emit: Callable[[dict[str, Any]], None]
) -> tuple[Path, dict[str, Any]]:
    """Train what was planned, or go on with it, or give its result again.

    Args:
        plan: from ``plan_training``.
        dataset: likewise.
        out: the folder; default: ``pronas-train-…``, its own for each plan.
        emit: told of every epoch.

    Returns:
        The folder, with ``weights/best.*``, and what is in its ``result.json``.

    Raises:
        UsageError: the folder holds another training.
        RunError: the folder is in use or cannot be written, or the training diverged.
    """
    folder = Path(out) if out is not None else Path(f"pronas-train-{plan.digest}")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with RunLock(folder):
        known = _result(folder)
        if known is not None and known.get("plan") == plan.digest:
            emit({"event": "note", "text": f"{folder} is finished"})
            return folder, known
        if known is not None:
            raise UsageError(f"{folder} holds another training; choose another --out")
        init = load_model(plan.load_saved).network.state_dict() if plan.load_saved else None
        with disk_errors(folder):
            write_atomic(folder / CONFIG, dumps(plan.config.to_dict()))
        emit({"event": "final", "cell": str(plan.cell), "reward": None, "epochs": plan.config.final.epochs})
        result = train_final(folder, plan.cell, dataset, plan.config, emit, init=init)
        with disk_errors(folder):
            write_atomic(folder / RESULT, json.dumps({"plan": plan.digest, **result}, indent=1) + "\n")
            (folder / CHECKPOINT).unlink(missing_ok=True)
    return folder, result


def _child_cell(experiment: Experiment, child: int | None) -> Cell:
    if child is None:
        return experiment.cell
    for entry in experiment.children():
        if entry.id == child:
            return entry.cell
    raise UsageError(f"{experiment.path} has no child {child}; see: pronas show {experiment.path}")


def _parse(text: str, given: Mapping[str, Any]) -> Cell:
    space = None
    if any(name in given for name in _SPACE_FLAGS):
        flags = {name: given[name] for name in _SPACE_FLAGS if name in given}
        space = state_space(resolve(configuration(flags)))
    try:
        return Cell.parse(text, space)
    except UsageError as error:
        if Path(text).suffix or os.sep in text:
            raise UsageError(f"{text} is no run folder, and no cell either: {error}") from error
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


def _result(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / RESULT).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / RESULT} cannot be read ({error}); delete it to train again") from error
    return dict(found)
