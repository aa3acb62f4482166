"""The training loop: one network, an epoch at a time, from a seed and nothing else."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from pronas.data import Augmentation, class_weights
from pronas.kernels import accelerate
from pronas.metrics import confusion_matrix, metric, standard_error
from pronas.networks import Network
from pronas.training._average import WeightAverage
from pronas.training._evaluate import predict
from pronas.training._losses import LOSSES, LossFunction, make_loss, total_loss
from pronas.training._optimizers import OPTIMIZERS
from pronas.training._recipe import Recipe
from pronas.training._replicas import Replicas
from pronas.training._stepper import Stepper
from pronas.training._tensors import Tensors


class DivergedError(ArithmeticError):
    """The loss left the finite numbers; more training cannot bring it back."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch brought.

    Attributes:
        number: from 1.
        epochs: of the whole training.
        loss: mean over the steps, each as it was when it was trained.
        accuracy: 0 to 1, on the validation images: accuracy, or the recipe's metric; without any, on what was trained.
        best: whether its weights are kept, as the best so far.
        seconds: of the epoch.
    """

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
    ``restore`` takes. What `keep_best_weights` leaves in the network: the averaged weights of the last steps,
    where the recipe averages and the validation images do not speak against it; else those of the epoch with the
    highest validation accuracy, of equal ones the lowest validation loss; without validation images, the last epoch's.

    Args:
        network: trained in place.
        images: what it learns from.
        validation: what the best epoch is chosen by, or None.
        recipe: how.
        seed: of shuffles, augmentation and dropout.
        copies: of the network, which share every step (`Replicas`).
        kernels: "auto" or "off" (plain PyTorch); None: what the environment says.
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
        kernels: str | None = None,
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.epoch, self.epochs = 0, recipe.epochs
        self.best_epoch = 0
        self.curves: dict[str, list[float]] = {}
        self._images, self._validation, self._seed = images, validation, seed
        self._epoch_steps = images.steps(recipe.batch, recipe.images)
        steps = recipe.epochs * self._epoch_steps
        accelerated = accelerate(network, steps=steps, kernels=kernels, others=_others(recipe))
        self._stepper = Stepper(network, recipe, steps, accelerated)
        self._average = WeightAverage(network) if recipe.average else None
        self._judged = f"validation_{(recipe.metric or 'accuracy').replace('-', '_')}"
        weights = _class_weights(recipe, images, network.plan.classes)
        self._loss = make_loss(recipe, weights)
        constants = [] if weights is None else [weights]
        self._replicas = Replicas(network, copies, partial(_learn, self._loss, recipe), accelerated, constants)
        self._best: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        """Whether every epoch is done."""
        return self.epoch >= self.epochs

    def reschedule(self, epochs: int) -> None:
        """End after ``epochs`` epochs in all (at least those that are done): what is left of the schedule is stretched
        or squeezed to fit."""
        self.epochs = max(epochs, self.epoch)
        self._stepper.reschedule((self.epochs - self.epoch) * self._epoch_steps)

    @property
    def images_trained(self) -> int:
        """Images the network has learnt from so far, each as often as it was seen."""
        return self.epoch * self._epoch_steps * min(self.recipe.batch, len(self._images))

    @property
    def best_accuracy(self) -> float:
        """The highest validation accuracy (or the recipe's metric) so far; 0 before the first epoch."""
        return max(self.curves.get(self._judged, ()), default=0.0)

    def run_epoch(self) -> Epoch:
        """Train one more epoch and look at the validation images.

        Raises:
            DivergedError: the loss was not finite.
        """
        start = time.perf_counter()
        loss, accuracy = self._learn()
        if not math.isfinite(loss):
            raise DivergedError(f"the loss became {loss} in epoch {self.epoch + 1} of {self.epochs}")
        self.epoch += 1
        row = {"loss": loss, "accuracy": accuracy, "rate": self._stepper.rate, **self._look()}
        best = self._keep_best(row.get(self._judged), row.get("validation_loss", 0.0))
        for name, value in row.items():
            self.curves.setdefault(name, []).append(value)
        seconds = time.perf_counter() - start
        return Epoch(self.epoch, self.epochs, loss, row.get(self._judged, accuracy), best, seconds)

    def keep_best_weights(self) -> float:
        """Give the network the weights that are worth keeping, and return their validation accuracy.

        Averaged weights are kept unless their validation accuracy lies more than a standard error below the best
        epoch's: a best epoch is the luckiest of many looks at few images.
        """
        if self._average is not None and self._average.count:
            self._average.load()
            accuracy = self._look().get(self._judged)
            if accuracy is None or self._validation is None:
                return 0.0
            if accuracy >= self.best_accuracy - standard_error(accuracy, len(self._validation)):
                return accuracy
        if self._best:
            self.network.load_state_dict(self._best)
        return self.best_accuracy

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all tensors and all plain values that a continued training needs."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best.items()}
        tensors |= {f"optimizer.{name}": value for name, value in self._stepper.state().items()}
        if self._average is not None:
            tensors |= {f"average.{name}": value for name, value in self._average.state().items()}
        values = {"epoch": self.epoch, "best_epoch": self.best_epoch, "curves": self.curves}
        return tensors, values | {"epochs": self.epochs, "schedule": self._stepper.schedule}

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
        if self._average is not None:
            self._average.restore(part("average."))
        self.epochs = int(values.get("epochs", self.epochs))
        if "schedule" in values:
            self._stepper.schedule = values["schedule"]
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
        self.network.drop_path_progress = (self.epoch + 1) / self.epochs
        with _dropout_from(seed + 2, device):
            for images, labels in self._images.shuffled(self.recipe.batch, shuffle, self._epoch_steps):
                if isinstance(augmentation, Augmentation):
                    images = augmentation.apply(images, distort)
                loss, logits = self._replicas.learn(images, labels)
                self._stepper.step()
                self._replicas.follow()
                if self._average is not None and self._stepper.progress > 1 - self.recipe.average:
                    self._average.add()
                lost += loss  # summed on the device: reading it here would wait for every step
                right += (logits.argmax(1) == labels).sum()
        self._replicas.merge()
        steps = self._epoch_steps
        return lost.item() / steps, right.item() / (steps * min(self.recipe.batch, len(self._images)))

    def _look(self) -> dict[str, float]:
        """Give loss, accuracy and the recipe's metric on the validation images, if there are any."""
        if self._validation is None:
            return {}
        logits, labels = predict(self.network, self._validation)
        accuracy = (logits.argmax(1) == labels).double().mean().item()
        row = {"validation_loss": self._loss(logits, labels).item(), "validation_accuracy": accuracy}
        if self._judged not in row and self.recipe.metric:
            confusion = confusion_matrix(labels.cpu().numpy(), logits.argmax(1).cpu().numpy(), logits.shape[1])
            row[self._judged] = metric(self.recipe.metric)(confusion)
        return row

    def _keep_best(self, accuracy: float | None, loss: float) -> bool:
        best = accuracy is None or self.best_epoch == 0 or (accuracy, -loss) > self._best_look()
        if best:
            self.best_epoch = self.epoch
            self._best = {name: value.clone() for name, value in self.network.state_dict().items()}
        return best

    def _best_look(self) -> tuple[float, float]:
        """(validation accuracy or metric, minus the loss) of the best epoch."""
        at = self.best_epoch - 1
        return self.curves[self._judged][at], -self.curves["validation_loss"][at]


def _others(recipe: Recipe) -> list[str]:
    """What of a step is a user's own: it may do anything, so that it cannot be repeated by what it did once."""
    parts = {"loss": LOSSES.is_built_in(recipe.loss), "optimizer": OPTIMIZERS.is_built_in(recipe.optimizer)}
    return [name for name, ours in parts.items() if not ours]


def _class_weights(recipe: Recipe, images: Tensors, classes: int) -> Tensor | None:
    if recipe.class_weights is None:
        return None
    counts = torch.bincount(images.labels, minlength=classes)
    return torch.from_numpy(class_weights(counts.cpu().numpy())).to(images.labels.device)


def _learn(
    loss: LossFunction, recipe: Recipe, forward: Callable[[Tensor], Any], images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Give (loss to minimise, logits) of a batch."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.mixed_precision):
        output = forward(images)
    whole = output.float() if isinstance(output, Tensor) else tuple(one.float() for one in output)
    return total_loss(loss, whole, labels, recipe.auxiliary)


@contextmanager
def _dropout_from(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generator (dropout and drop path draw from it) and put it back afterwards."""
    # told of no devices, it would start every GPU there is
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
