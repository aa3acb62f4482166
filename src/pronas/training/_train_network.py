"""One network trained to convergence, checkpointed after every epoch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pronas.data import Dataset, joined, scale_of
from pronas.errors import RunError
from pronas.machine import torch_threads
from pronas.networks import Network, Skeleton
from pronas.networks import skeleton as named_skeleton
from pronas.space import Cell
from pronas.training._checkpoint import damaged, read_checkpoint, write_checkpoint
from pronas.training._loop import DivergedError, Epoch, Training, derive_seed
from pronas.training._model import ModelSpec, fill
from pronas.training._recipe import Recipe
from pronas.training._recipes import recipe as named_recipe
from pronas.training._replicas import copies_for
from pronas.training._tensor_files import digest_of
from pronas.training._tensors import Tensors, training_split

#: Epochs that there are to be in all, after what one epoch brought.
Replan = Callable[[Epoch], int]


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with its best epoch's weights, in evaluation mode, and how it came about.

        >>> from pronas.data import load_dataset
        >>> dataset = load_dataset("digits", limit=100)
        >>> trained = train_network("0:3x3 conv + 0:3x3 maxpool", dataset, "flat", Recipe(epochs=2, batch=25))
        >>> len(trained.curves["loss"]), trained.network.training
        (2, False)

    Attributes:
        network: the network.
        spec: what to save it with (``save_model(network, path, spec)``).
        recipe: how it was trained.
        best_epoch: the epoch (from 1) whose weights it has.
        validation_accuracy: with these weights, 0 to 1; 0 if the validation images were trained on.
        curves: one number an epoch, by name.
        images: images learnt from, each as often as it was seen.
        seconds: wall time of this call (epochs done before a resume are not in it).
    """

    network: Network
    spec: ModelSpec
    recipe: Recipe
    best_epoch: int
    validation_accuracy: float
    curves: dict[str, list[float]]
    images: int
    seconds: float


def train_network(
    cell: Cell | str,
    dataset: Dataset,
    skeleton: Skeleton | str,
    recipe: Recipe | str = "full",
    *,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    resume: bool = True,
    init: Mapping[str, Tensor] | None = None,
    use_validation: bool = False,
    replan: Replan | None = None,
    threads: int | None = None,
    device: str = "cpu",
    kernels: str | None = None,
) -> TrainedNetwork:
    """Train one network on the training images and keep the weights of the epoch with the best validation accuracy.

    Killed at any moment and called again with the same arguments, it goes on after the last finished epoch and ends
    with the same weights, to the bit, as if never interrupted.

    Args:
        cell: the cell or its text.
        dataset: its test images are not touched.
        skeleton: the network around the cell, or its name.
        recipe: a recipe or the name of one.
        seed: of weights, shuffles, augmentation and dropout.
        checkpoint: file written after every epoch and removed by nobody; None: none is written.
        on_epoch: told of each epoch after its checkpoint was written.
        resume: go on from ``checkpoint`` if it is there; False starts afresh and replaces it.
        init: weights to start from, by tensor name (``network.state_dict()``), in place of fresh ones.
        replan: told of each epoch, gives how many epochs there are to be in all, for who must end in time.
        use_validation: train on the validation images too; the last epoch's weights are kept.
        threads: threads to compute with. On a processor each takes a part of every batch (`Replicas`) if nothing in the
            network draws random numbers; else they share each operator. Another number gives another result, as good,
            so a training is continued with the number it began with. None: as many as PyTorch is set to.
        device: a torch device.
        kernels: "auto" or "off" (plain PyTorch, the same to rounding); None: what ``PRONAS_KERNELS`` says, or "auto".

    Raises:
        RunError: the training diverged.
        ModelFileError: ``checkpoint`` is damaged or of another training, or ``init`` does not fit the network.
        UsageError: an unknown recipe or operator.
    """
    start, threads = time.perf_counter(), threads or torch.get_num_threads()
    cell = Cell.parse(cell) if isinstance(cell, str) else cell
    skeleton = named_skeleton(skeleton) if isinstance(skeleton, str) else skeleton
    chosen = named_recipe(recipe, binary=skeleton.binary) if isinstance(recipe, str) else recipe
    spec = _spec(cell, dataset, skeleton, chosen)
    network = _network(spec, seed, init).to(device)
    copies = copies_for(network, threads, min(chosen.batch, len(dataset.train)))
    training = _prepare(network, dataset, chosen.suited(dataset), seed, use_validation, copies, kernels)
    config = _config(spec, dataset, seed, init, use_validation) | {"threads": threads}
    with torch_threads(1 if copies > 1 else threads):
        if checkpoint is not None and resume:
            _restore(training, checkpoint, config)
        _train(training, checkpoint, config, on_epoch, replan)
    return _finish(training, spec, time.perf_counter() - start)


def _spec(cell: Cell, dataset: Dataset, skeleton: Skeleton, recipe: Recipe) -> ModelSpec:
    return ModelSpec(
        cell=str(cell),
        skeleton=skeleton.to_dict(),
        input_shape=dataset.input_shape,
        classes=tuple(dataset.classes),
        scale=scale_of(dataset),
        recipe=recipe.suited(dataset).to_dict(),
    )


def _network(spec: ModelSpec, seed: int, init: Mapping[str, Tensor] | None) -> Network:
    network = spec.build(seed=derive_seed(seed, "weights"))
    if init is not None:
        fill(network, init, "init")
    return network


def _prepare(
    network: Network,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    use_validation: bool,
    copies: int,
    kernels: str | None,
) -> Training:
    device = next(network.parameters()).device
    split = training_split(dataset.train, recipe, seed)
    if use_validation:
        images = Tensors.of(joined(split, dataset.validation), device)
        return Training(network, images, None, recipe, seed=seed, copies=copies, kernels=kernels)
    images, held_out = Tensors.of(split, device), Tensors.of(dataset.validation, device)
    return Training(network, images, held_out, recipe, seed=seed, copies=copies, kernels=kernels)


def _config(
    spec: ModelSpec, dataset: Dataset, seed: int, init: Mapping[str, Tensor] | None, use_validation: bool
) -> dict[str, Any]:
    """All that the weights depend on: a checkpoint is continued only by the training that wrote it."""
    return {
        "model": {key: value for key, value in spec.to_dict().items() if key != "metrics"},
        "dataset": dataset.fingerprint,
        "seed": seed,
        "init": None if init is None else digest_of(init),
        "use_validation": use_validation,
    }


def _restore(training: Training, checkpoint: str | os.PathLike[str], config: Mapping[str, Any]) -> None:
    found = read_checkpoint(checkpoint, config)
    if found is None:
        return
    try:
        training.restore(*found)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError) as error:
        raise damaged(checkpoint, error) from error


def _train(
    training: Training,
    checkpoint: str | os.PathLike[str] | None,
    config: Mapping[str, Any],
    on_epoch: Callable[[Epoch], None] | None,
    replan: Replan | None,
) -> None:
    while not training.finished:
        try:
            epoch = training.run_epoch()
        except DivergedError as error:
            raise RunError(f"the training diverged: {error}; lower the recipe's learning_rate") from error
        if replan is not None:
            training.reschedule(replan(epoch))
        if checkpoint is not None:
            write_checkpoint(checkpoint, *training.state(), config)
        if on_epoch is not None:
            on_epoch(epoch)


def _finish(training: Training, spec: ModelSpec, seconds: float) -> TrainedNetwork:
    accuracy = training.keep_best_weights()
    training.network.spec = spec
    return TrainedNetwork(
        network=training.network.eval(),
        spec=spec,
        recipe=training.recipe,
        best_epoch=training.best_epoch,
        validation_accuracy=accuracy,
        curves=training.curves,
        images=training.images_trained,
        seconds=seconds,
    )
