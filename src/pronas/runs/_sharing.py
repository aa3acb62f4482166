"""What a card tells of a run's winner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pronas.errors import RunError, shown
from pronas.metrics import class_figures
from pronas.sharing import Card, check_license

if TYPE_CHECKING:
    from pronas.runs._experiment import Experiment


def card_of(experiment: Experiment, license: str | None = None) -> Card:
    """Return a run's card.

    Raises:
        RunError: the winner is not trained yet, or the store does not say what is to be told.
        UsageError: the licence has no name.
    """
    check_license(license)
    try:
        return _card(experiment, license)
    except (KeyError, TypeError, ValueError, OverflowError) as error:  # of stores that somebody wrote by hand
        raise RunError(f"{experiment.path}: its store does not say what a card tells ({shown(str(error))})") from error


def _card(experiment: Experiment, license: str | None) -> Card:
    final, data = experiment.final, experiment.meta("dataset") or {}
    if final is None or final.get("test_accuracy") is None:
        raise RunError(
            f"{experiment.path}: the winner is not trained yet, so there is nothing to tell; resume the search"
        )
    classes = tuple(str(name) for name in final["classes"])
    channels, height, width = data["shape"]
    return Card(
        name=experiment.path.resolve().name,
        cell=str(final["cell"]),
        data=Path(str(data["name"])).name,  # where it lies is nobody's business
        images=(data["train"], data["validation"], data["test"]),
        input_shape=(channels, height, width),
        classes=classes,
        test_accuracy=final["test_accuracy"],
        validation_accuracy=final.get("validation_accuracy"),
        parameters=final["parameters"],
        macs=final.get("macs", 0) + final.get("binary_macs", 0),
        weight_bytes=final["weight_bits"] / 8,
        recalls=_recalls(final, len(classes)),
        search=_search(experiment, final),
        license=license,
        version=str(experiment.meta("version") or "unknown"),
    )


def _recalls(final: dict[str, Any], classes: int) -> tuple[float, ...]:
    matrix = np.asarray(final.get("confusion") or [], dtype=np.int64)
    return tuple(class_figures(matrix).recall.tolist()) if matrix.shape == (classes, classes) else ()


def _search(experiment: Experiment, final: dict[str, Any]) -> tuple[str, ...]:
    config, done = experiment.config, len(experiment.ranked())
    space = f"Space {config.space.kind} with {config.space.blocks} blocks, strategy {config.search.strategy}"
    lines = [f"{space}, {done} networks trained, seed {config.seed}."]
    budget = f", of a budget of {config.search.budget} for everything" if config.search.budget else ""
    lines.append(f"The winner was trained for {final.get('seconds', 0.0):.0f} seconds{budget}.")
    if experiment.comparison is not None:
        lines.append(f"Beside hand-made networks: {experiment.comparison.text}.")
    return tuple(lines)
