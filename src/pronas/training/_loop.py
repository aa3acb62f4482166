"""The training loop: one network, an epoch at a time, from a seed and nothing else."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from pronas.data import Augmentation
from pronas.networks import Network
from pronas.training._evaluate import predict
from pronas.training._loss import LossFunction, make_loss, total_loss
from pronas.training._optimizer import Stepper
from pronas.training._recipe import Recipe
from pronas.training._replicas import Replicas
from pronas.training._tensors import Tensors


class DivergedError(ArithmeticError):
    """The loss left the finite numbers; more training cannot bring it back."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch brought. ``number`` counts from 1; ``accuracy`` is the validation accuracy (0 to 1), or
    without validation images that of the epoch's training batches."""

    number: int
    epochs: int
    loss: float
    accuracy: float
    best: bool
    seconds: float


def derive_seed(*parts: object) -> int:
    """Give 63 bits that depend on all ``parts`` (by their text) and on nothing else."""
    text = "\n".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") >> 1


@final
class Training:
    """A network in training. Everything random in epoch ``e`` follows from the seed and ``e`` alone.

    So the state between two epochs is the weights, the optimizer's moments and the curves: what ``state`` gives and
    ``restore`` takes. The best weights are those of the epoch with the highest validation accuracy, the earliest of
    equal ones; without validation images, the last epoch's.

    Args:
        network: trained in place.
        images: what it learns from.
        validation: what the best epoch is chosen by, or None.
        recipe: how.
        seed: of shuffles, augmentation and dropout.
        copies: of the network, which share every step (`Replicas`).
    """

    def __init__(
        self,
        network: Network,
        images: Tensors,
        validation: Tensors | None,
        recipe: Recipe,
        *,
        seed: int,
        copies: int = 1,
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.epoch = 0
        self.best_epoch = 0
        self.curves: dict[str, list[float]] = {}
        self._images, self._validation, self._seed = images, validation, seed
        steps = recipe.epochs * images.steps(recipe.batch)
        self._stepper = Stepper(network, recipe, steps)
        self._loss = make_loss(recipe)
        self._replicas = Replicas(network, copies, partial(_learn, self._loss, recipe), steps)
        self._best: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        """Whether every epoch of the recipe is done."""
        return self.epoch >= self.recipe.epochs

    @property
    def images_trained(self) -> int:
        """Images the network has learnt from so far, each as often as it was seen."""
        return self.epoch * self._images.steps(self.recipe.batch) * min(self.recipe.batch, len(self._images))

    @property
    def best_accuracy(self) -> float:
        """The highest validation accuracy so far; 0 before the first epoch."""
        return max(self.curves.get("validation_accuracy", ()), default=0.0)

    def run_epoch(self) -> Epoch:
        """Train one more epoch and look at the validation images.

        Raises:
            DivergedError: the loss was not finite.
        """
        start = time.perf_counter()
        loss, accuracy = self._learn()
        if not math.isfinite(loss):
            raise DivergedError(f"the loss became {loss} in epoch {self.epoch + 1} of {self.recipe.epochs}")
        self.epoch += 1
        row = {"loss": loss, "accuracy": accuracy, "rate": self._stepper.rate, **self._look()}
        best = self._keep_best(row.get("validation_accuracy"))
        for name, value in row.items():
            self.curves.setdefault(name, []).append(value)
        seconds = time.perf_counter() - start
        return Epoch(self.epoch, self.recipe.epochs, loss, row.get("validation_accuracy", accuracy), best, seconds)

    def load_best(self) -> None:
        """Give the network the best epoch's weights."""
        if self._best:
            self.network.load_state_dict(self._best)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all tensors and all plain values that a continued training needs."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best.items()}
        tensors |= {f"optimizer.{name}": value for name, value in self._stepper.state().items()}
        return tensors, {"epoch": self.epoch, "best_epoch": self.best_epoch, "curves": self.curves}

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from what ``state`` gave.

        Raises:
            KeyError, RuntimeError: the state is of another network.
        """

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.network.load_state_dict(part("network."))
        self._stepper.restore(part("optimizer."))
        self._best = part("best.")
        self.epoch, self.best_epoch = int(values["epoch"]), int(values["best_epoch"])
        self.curves = {name: [float(value) for value in curve] for name, curve in values["curves"].items()}

    def _learn(self) -> tuple[float, float]:
        """Train one epoch; give the mean loss and accuracy on what was trained (as it was when trained)."""
        device = self._images.labels.device
        seed = derive_seed(self._seed, self.epoch)
        shuffle, distort = torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed + 1)
        lost, right = torch.zeros((), device=device), torch.zeros((), device=device, dtype=torch.int64)
        augmentation = self.recipe.augmentation
        self._replicas.train()
        self._stepper.begin_epoch()
        self.network.drop_path_progress = (self.epoch + 1) / self.recipe.epochs
        with _dropout_from(seed + 2):
            for images, labels in self._images.shuffled(self.recipe.batch, shuffle):
                if isinstance(augmentation, Augmentation):
                    images = augmentation.apply(images, distort)
                loss, logits = self._replicas.learn(images, labels)
                self._stepper.step()
                self._replicas.follow()
                lost += loss  # summed on the device: reading it here would wait for every step
                right += (logits.argmax(1) == labels).sum()
        self._replicas.merge()
        steps = self._images.steps(self.recipe.batch)
        return lost.item() / steps, right.item() / (steps * min(self.recipe.batch, len(self._images)))

    def _look(self) -> dict[str, float]:
        """Give loss (the recipe's) and accuracy on the validation images, if there are any."""
        if self._validation is None:
            return {}
        logits, labels = predict(self.network, self._validation)
        accuracy = (logits.argmax(1) == labels).double().mean().item()
        return {"validation_loss": self._loss(logits, labels).item(), "validation_accuracy": accuracy}

    def _keep_best(self, accuracy: float | None) -> bool:
        best = accuracy is None or self.best_epoch == 0 or accuracy > self.best_accuracy
        if best:
            self.best_epoch = self.epoch
            self._best = {name: value.clone() for name, value in self.network.state_dict().items()}
        return best


def _learn(
    loss: LossFunction, recipe: Recipe, network: Network, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Give (loss to minimise, logits) of a batch."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.mixed_precision):
        output = network(images)
    whole = output.float() if isinstance(output, Tensor) else tuple(one.float() for one in output)
    return total_loss(loss, whole, labels, recipe.auxiliary)


@contextmanager
def _dropout_from(seed: int) -> Iterator[None]:
    """Seed the global generator (dropout and drop path draw from it) and put it back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
