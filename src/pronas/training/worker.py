"""What a worker does: a child's description in, its result out, all of it plain data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pronas.kernels import variant
from pronas.machine import processor
from pronas.networks import Skeleton, describe, skeleton_from_dict
from pronas.space import Cell
from pronas.training._inherit import inherit, weights_of
from pronas.training._loop import DivergedError, Training, derive_seed
from pronas.training._malloc_tuning import keep_freed_memory
from pronas.training._recipe import Recipe
from pronas.training._tensors import Tensors

__all__ = ["run", "setup"]

Report = Callable[[Mapping[str, Any]], bool]

Cell.parse("0:identity + 0:identity")  # loads the parser before workers are forked, not in each of them


@dataclass(frozen=True)
class Context:
    """What all children of a process share: images on the device, and how networks are built."""

    train: Tensors
    validation: Tensors
    skeleton: Skeleton
    recipe: Recipe
    classes: int
    scale: Any
    device: str
    kernels: str


def setup(shared: Mapping[str, Any]) -> Context:
    """Put the images on the device, once a process; see ``NetworkManager`` for what ``shared`` holds."""
    if shared["own_process"]:
        keep_freed_memory()
    if shared["threads"]:
        torch.set_num_threads(shared["threads"])
    for module in shared["modules"]:
        __import__(module)
    device = shared.get("device") or "cpu"
    return Context(
        train=Tensors.of_arrays(shared["train_images"], shared["train_labels"], device),
        validation=Tensors.of_arrays(shared["validation_images"], shared["validation_labels"], device),
        skeleton=skeleton_from_dict(shared["skeleton"]),
        recipe=Recipe.from_dict(shared["recipe"]),
        classes=shared["classes"],
        scale=shared["scale"],
        device=device,
        kernels=shared["kernels"],
    )


def run(context: Context, payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Train one child.

    Args:
        context: from ``setup``.
        payload: ``cell`` (canonical text), ``seed``, and optionally ``recipe`` (fields that differ from the shared),
            ``skeleton`` (another than the shared),
            ``start`` (``cell`` and ``weights`` of the parent to inherit from) and ``keep`` (give the weights back).
        report: told ``epoch``, ``epochs``, ``accuracy`` and ``loss`` after each epoch; gives whether to stop there.

    Returns:
        The fields of ``ChildResult`` but for ``cell`` and what the executor knows. A child that diverges, runs out of
        memory or raises has failed: its result holds the reason, and what it got to before.
    """
    result: dict[str, Any] = {"status": "failed", "reward": 0.0, "error": None, "machine": _machine(context)}
    start = time.perf_counter()
    try:
        _train(context, payload, report, result)
    except Exception as error:  # whatever a child raises is its own result, never the end of the search
        result["error"] = _reason(error)
    return result | {"seconds": time.perf_counter() - start}


def _train(context: Context, payload: Mapping[str, Any], report: Report, result: dict[str, Any]) -> None:
    """Train the child and write into ``result`` how far it got, as it gets there."""
    cell = Cell.parse(payload["cell"])
    recipe = context.recipe.replace(**payload.get("recipe", {}))
    shape = tuple(context.train.images.shape[1:])
    skeleton = skeleton_from_dict(payload["skeleton"]) if "skeleton" in payload else context.skeleton
    result.update(_counts(describe(cell, skeleton, shape, context.classes)))
    network = skeleton.build(
        cell, shape, context.classes, seed=derive_seed(payload["seed"], "weights"), scale=context.scale
    ).to(context.device)
    if start := payload.get("start"):
        inherit(network, cell, Cell.parse(start["cell"]), start["weights"])
    training = Training(
        network, context.train, context.validation, recipe, seed=payload["seed"], kernels=context.kernels
    )
    start = time.perf_counter()
    while not training.finished:
        epoch = training.run_epoch()
        if limit := payload.get("seconds"):
            training.reschedule(_affordable(training, recipe.epochs, limit, time.perf_counter() - start))
        result.update(epochs=training.epoch, images=training.images_trained, metrics=training.curves)
        news = {"epoch": epoch.number, "epochs": epoch.epochs, "accuracy": epoch.accuracy, "loss": epoch.loss}
        if report(news):  # it was asked to stop: it counts as it stands
            break
    result.update(status="done", reward=training.keep_best_weights())
    if payload.get("keep"):
        result["weights"] = weights_of(network)


def _machine(context: Context) -> str:
    """What the last bits of a result depend on: the device, and on a processor the kernels."""
    device = torch.device(context.device)
    if device.type != "cpu":
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return f"{processor()}, {'PyTorch' if context.kernels == 'off' else variant()}"


def _affordable(training: Training, most: int, limit: float, elapsed: float) -> int:
    """Epochs in all that a child has time for, at the speed of those that are done."""
    return min(most, training.epoch + max(0, int((limit - elapsed) * training.epoch / elapsed)))


def _counts(description: Any) -> dict[str, int]:
    names = ("parameters", "macs", "binary_macs", "weight_bits", "activation_bytes")
    return {name: int(getattr(description, name)) for name in names}


def _reason(error: BaseException) -> str:
    """Give the reason in one line; an allocator's error, however it is spelt, is named for what it is."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text:
        return f"out of memory: {text or 'MemoryError'}"
    if isinstance(error, DivergedError):
        return f"diverged: {text}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
