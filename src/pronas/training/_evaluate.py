"""How well a network classifies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pronas.data import Split
from pronas.training._tensors import Tensors

#: Images a step: large enough to fill the kernels, small enough for the activations to stay in cache.
BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """What a network did on a split.

    Attributes:
        accuracy: share of images classified right, 0 to 1.
        loss: mean cross-entropy.
        confusion: ``confusion[true][predicted]``, numbers of images.
    """

    accuracy: float
    loss: float
    confusion: list[list[int]]

    def to_dict(self) -> dict[str, Any]:
        """Give plain data."""
        return {"accuracy": self.accuracy, "loss": self.loss, "confusion": self.confusion}


def evaluate(network: nn.Module, split: Split | Tensors, *, batch: int = BATCH) -> Evaluation:
    """Classify every image of ``split``; the network is in the mode it was in before when done.

        >>> from pronas.data import load_dataset
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 10)
        >>> found = evaluate(network, load_dataset("digits", limit=100).test)
        >>> sum(sum(row) for row in found.confusion)
        359

    Args:
        network: images (n, C, H, W), pixel values 0 to 255, to logits (n, classes).
        split: images and labels.
        batch: images a step.

    Returns:
        Accuracy 0 to 1, mean loss, and how often each class (row) was taken for each (column).

    Raises:
        DataError: the split is empty.
    """
    device = next(network.parameters()).device
    logits, labels = predict(network, split if isinstance(split, Tensors) else Tensors.of(split, device), batch=batch)
    classes = logits.shape[1]
    pairs = torch.bincount(labels * classes + logits.argmax(1), minlength=classes * classes)
    return Evaluation(
        accuracy=(logits.argmax(1) == labels).float().mean(dtype=torch.float64).item(),
        loss=F.cross_entropy(logits, labels).item(),
        confusion=pairs.view(classes, classes).tolist(),
    )


def predict(network: nn.Module, data: Tensors, *, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    """Give the logits (n, classes) of all images in order, and their labels (n,)."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            return torch.cat([network(images) for images, _ in data.in_order(batch)]), data.labels
    finally:
        network.train(training)
