"""Losses: mean over the batch, from logits and class numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from pronas.training._recipe import Recipe

LossFunction = Callable[[Tensor, Tensor], Tensor]


def squared_hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over images and classes of max(0, 1 - t y)^2 with t = +1 for the image's class, else -1.

    Args:
        logits: float (n, classes).
        labels: int64 (n,).
    """
    return _hinges(logits, labels).mean()


def _hinges(logits: Tensor, labels: Tensor) -> Tensor:
    targets = torch.full_like(logits, -1.0).scatter_(1, labels.unsqueeze(1), 1.0)
    return (1 - targets * logits).clamp_min(0).square()


def make_loss(recipe: Recipe, weights: Tensor | None = None) -> LossFunction:
    """Give the recipe's loss of logits (n, classes) and class numbers (n,).

    Args:
        recipe: says which.
        weights: float (classes,), what an image of each class weighs in the mean; None: 1.
    """
    smoothing = recipe.label_smoothing
    if weights is not None:
        return _weighted(recipe.loss, smoothing, weights)
    if recipe.loss == "squared-hinge":
        return squared_hinge

    def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)

    return cross_entropy


def _weighted(loss: str, smoothing: float, weights: Tensor) -> LossFunction:
    # divided by the number of images, not by their weights: a batch's mean is then that of its parts' means
    def hinge(logits: Tensor, labels: Tensor) -> Tensor:
        return (_hinges(logits, labels).mean(1) * weights[labels]).mean()

    def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
        each = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
        return (each * weights[labels]).mean()

    return hinge if loss == "squared-hinge" else cross_entropy


def total_loss(
    loss: LossFunction, output: Tensor | tuple[Tensor, Tensor], labels: Tensor, auxiliary: float
) -> tuple[Tensor, Tensor]:
    """Give (loss to minimise, logits) for what a network returned, with ``auxiliary`` as the second head's weight."""
    if isinstance(output, torch.Tensor):
        return loss(output, labels), output
    logits, second = output
    return loss(logits, labels) + auxiliary * loss(second, labels), logits
