"""The winner: trained to convergence, then, once, evaluated on the test set."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from pronas.data import Dataset
from pronas.errors import UsageError
from pronas.networks import Skeleton, describe
from pronas.runs._config import Config
from pronas.runs._constraints import shipped_bytes
from pronas.runs._disk import disk_errors
from pronas.runs._events import note
from pronas.runs._experiment import BEST
from pronas.runs._mistakes import write_mistakes
from pronas.runs._resolve import final_device
from pronas.runs.fallback import Fallback
from pronas.space import Cell
from pronas.training import Epoch, Recipe, Replan, TrainedNetwork, evaluate, save_model, train_network

__all__ = ["train_final"]

CHECKPOINT = Path("weights") / "best.checkpoint"


def train_final(
    folder: Path,
    cell: Cell,
    dataset: Dataset,
    skeleton: Skeleton,
    recipe: Recipe,
    config: Config,
    emit: Callable[[dict[str, Any]], object],
    *,
    init: Mapping[str, Tensor] | None = None,
    use_validation: bool = False,
    replan: Replan | None = None,
    fallback: Fallback | None = None,
) -> dict[str, Any]:
    """Train ``cell``, write ``weights/best.*`` and return what ``meta`` keeps under ``final``.

    Goes on from its checkpoint, and ends with the same weights as one never interrupted. The checkpoint is for the
    caller to remove once it has recorded the result.

    Args:
        folder: the run folder.
        cell: the best cell.
        dataset: its test images are looked at here, after the best epoch was chosen on the validation images.
        skeleton: the network around the cell.
        recipe: how it is trained.
        config: resolved.
        emit: told of every epoch.
        init: weights to start from.
        use_validation: learn from the validation images, too.
        replan: how many epochs there are to be in all, asked after each.
        fallback: what the cell had learnt before; it ships where the training did not do better.
    """
    start, checkpoint = time.monotonic(), folder / CHECKPOINT
    with disk_errors(folder):
        checkpoint.parent.mkdir(exist_ok=True)
        trained = train_network(
            cell,
            dataset,
            skeleton,
            recipe,
            seed=config.seed,
            checkpoint=checkpoint,
            on_epoch=partial(_tell, emit),
            init=init,
            use_validation=use_validation,
            replan=replan,
            threads=config.execution.threads,
            device=final_device(config),
        )
        trained, found = fallback.better(trained, dataset) if fallback else (trained, {})
        if found.get("kept") == "child":
            text = f"the winner knows {found['learnt_accuracy']:.2%} of the images that its child, untold, knew"
            emit(note(f"{text} {found['trial_accuracy']:.2%} of: the child's weights are kept"))
        final = _report(trained, cell, dataset) | _shipped(trained, config) | found
        metrics = {name: final[name] for name in ("test_accuracy", "validation_accuracy", "best_epoch")}
        save_model(trained.network, folder / BEST, replace(trained.spec, metrics=metrics))
        write_mistakes(folder, trained.network, dataset)
    return final | {"seconds": time.monotonic() - start}


def _tell(emit: Callable[[dict[str, Any]], object], epoch: Epoch) -> None:
    names = ("epochs", "loss", "accuracy", "best", "seconds")
    emit({"event": "epoch", "epoch": epoch.number, **{name: getattr(epoch, name) for name in names}})


def _report(trained: TrainedNetwork, cell: Cell, dataset: Dataset) -> dict[str, Any]:
    test = evaluate(trained.network, dataset.test)
    description = describe(cell, _skeleton(trained), dataset.input_shape, len(dataset.classes))
    counts = ("parameters", "macs", "binary_macs", "weight_bits", "activation_bytes")
    return {
        "cell": str(cell),
        "skeleton": trained.spec.skeleton,
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
        "confusion": test.confusion,
        "validation_accuracy": trained.validation_accuracy,
        "best_epoch": trained.best_epoch,
        "curves": trained.curves,
        "classes": list(dataset.classes),
        "images": trained.images,
        **{name: int(getattr(description, name)) for name in counts},
    }


def _shipped(trained: TrainedNetwork, config: Config) -> dict[str, int]:
    """Flash and RAM of the C, where a limit is set for one of them; nothing has to be exported for that."""
    if config.limits.flash is None and config.limits.ram is None:
        return {}
    try:
        return {name: int(value) for name, value in shipped_bytes(trained.network.plan, config.limits).items()}
    except UsageError:  # another skeleton than the search's, by hand: an export will say why
        return {}


def _skeleton(trained: TrainedNetwork) -> Any:
    from pronas.networks import skeleton_from_dict

    return skeleton_from_dict(trained.spec.skeleton)
