"""Losses: mean over the batch, from logits and class numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from pronas.errors import UsageError
from pronas.training._registry import Registry

if TYPE_CHECKING:
    from pronas.training._recipe import Recipe

#: From logits (n, classes) and class numbers (n,) to a number: the batch's mean.
LossFunction = Callable[[Tensor, Tensor], Tensor]
#: The same for each image: (n,).
ImageLoss = Callable[[Tensor, Tensor], Tensor]


def _check(name: str, function: ImageLoss) -> None:
    logits = torch.linspace(-1.0, 1.0, 12).view(4, 3).requires_grad_()
    with torch.enable_grad():
        each = function(logits, torch.tensor([0, 1, 2, 0]))
        if not isinstance(each, Tensor) or each.shape != (4,) or not each.is_floating_point():
            found = f"{tuple(each.shape)}, {each.dtype}" if isinstance(each, Tensor) else repr(each)
            raise UsageError(
                f"the loss {name!r} gives {found} for 4 images of 3 classes: it must give a float for each image, (4,)"
            )
        gradient = torch.autograd.grad(each.sum(), logits, allow_unused=True)[0] if each.requires_grad else None
    if gradient is None:
        raise UsageError(f"the loss {name!r} lets no gradient through to the logits")
    if not (each.isfinite().all() and gradient.isfinite().all()):
        raise UsageError(f"the loss {name!r}, or its gradient, is not finite for logits from -1 to 1")


LOSSES: Registry[ImageLoss] = Registry("loss", _check)


def register_loss(name: str) -> Callable[[ImageLoss], ImageLoss]:
    """Register the decorated function as the loss ``name``, for recipes and TOML.

    It gets logits, float32 (n, classes), and class numbers, int64 (n,), on the network's device; it gives the loss of
    each image, float (n,), which is weighted (``class_weights``) and averaged over the batch. Registering a name again
    replaces it. For workers, register in a module that ``modules`` names.

        >>> import torch
        >>> from torch.nn import functional
        >>> from pronas.training import Recipe, make_loss
        >>> @register_loss("focal")  # Lin et al. 2017, equation 4, with gamma = 2
        ... def focal(logits, labels):
        ...     each = functional.cross_entropy(logits, labels, reduction="none")
        ...     return (1 - (-each).exp()) ** 2 * each
        >>> round(make_loss(Recipe(loss="focal"))(torch.zeros(5, 2), torch.tensor([0, 1, 1, 0, 1])).item(), 4)
        0.1733

    Args:
        name: as recipes and TOML files name it.

    Returns:
        A decorator; it tries the function once and gives it back as it is.

    Raises:
        UsageError: (of the decorator) it gives something of another shape or type, nothing finite, or lets no gradient
            through.
    """
    return LOSSES.register(name)


@register_loss("cross-entropy")
def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


@register_loss("squared-hinge")
def _squared_hinge(logits: Tensor, labels: Tensor) -> Tensor:
    return _hinges(logits, labels).mean(1)


def _hinges(logits: Tensor, labels: Tensor) -> Tensor:
    targets = torch.full_like(logits, -1.0).scatter_(1, labels.unsqueeze(1), 1.0)
    return (1 - targets * logits).clamp_min(0).square()


def make_loss(recipe: Recipe, weights: Tensor | None = None) -> LossFunction:
    """Give the recipe's loss.

        >>> from pronas.training import Recipe
        >>> hinge = make_loss(Recipe(loss="squared-hinge"))  # max(0, 1 - t y)^2, t = +1 for the image's class, else -1
        >>> hinge(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).item()
        0.5

    Args:
        recipe: says which, and how much labels are smoothed.
        weights: float (classes,), what an image of each class weighs in the mean; None: 1.

    Returns:
        A function of logits, float (n, classes), and class numbers, int64 (n,), to a scalar: the mean over images.
    """
    each, smoothing = LOSSES[recipe.loss], recipe.label_smoothing

    def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)

    def smoothed(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")

    def squared_hinge(logits: Tensor, labels: Tensor) -> Tensor:
        return _hinges(logits, labels).mean()

    if weights is not None:
        return _weighted(smoothed if each is _cross_entropy else each, weights)
    # ours in one operation: other roundings would be other results than those of earlier versions
    whole = {_cross_entropy: cross_entropy, _squared_hinge: squared_hinge}
    return whole.get(each) or (lambda logits, labels: each(logits, labels).mean())


def _weighted(each: ImageLoss, weights: Tensor) -> LossFunction:
    # divided by the number of images, not by their weights: a batch's mean is then that of its parts' means
    return lambda logits, labels: (each(logits, labels) * weights[labels]).mean()


def total_loss(
    loss: LossFunction, output: Tensor | tuple[Tensor, Tensor], labels: Tensor, auxiliary: float
) -> tuple[Tensor, Tensor]:
    """Give (loss to minimise, logits) for what a network returned, with ``auxiliary`` as the second head's weight.

        >>> import math
        >>> from pronas.training import Recipe
        >>> heads = torch.zeros(3, 2), torch.zeros(3, 2)  # a network with an auxiliary head, in training mode
        >>> loss, logits = total_loss(make_loss(Recipe()), heads, torch.tensor([0, 1, 1]), auxiliary=0.4)
        >>> round(loss.item() / math.log(2), 3), tuple(logits.shape)
        (1.4, (3, 2))

    Args:
        loss: from `make_loss`.
        output: float (n, classes), or two of them.
        labels: int64 (n,).
        auxiliary: weight of the second head's loss (``Recipe.auxiliary``).

    Returns:
        A scalar to minimise, and the first head's logits (n, classes).
    """
    if isinstance(output, torch.Tensor):
        return loss(output, labels), output
    logits, second = output
    return loss(logits, labels) + auxiliary * loss(second, labels), logits
