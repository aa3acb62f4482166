"""Gradients of a map that several operators read, summed where they arise.

Left to itself the library writes every reader's gradient down and adds them two by two; an operator that can add its
own to what is there saves writing it and two readings.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pronas.kernels import native


class GradientSum:
    """The gradient to one map so far, during a backward pass."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total: Tensor | None = None

    def target(self, like: Tensor) -> tuple[Tensor, bool]:
        """Where a reader writes its gradient, and whether it must add it to what is there."""
        add = self.total is not None
        if self.total is None:
            self.total = native.empty_maps(like)
        return self.total, add


class _Shared(torch.autograd.Function):
    """The identity. Its readers' gradients are those in the sum, and those that come by the ordinary way."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, gradient: GradientSum) -> Tensor:
        ctx.gradient = gradient
        ctx.set_materialize_grads(False)
        return maps.view_as(maps)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, None]:
        total, ctx.gradient.total = ctx.gradient.total, None
        if total is None or gradients[0] is None:
            return gradients[0] if total is None else total, None
        return total.add_(gradients[0]), None


def shared(maps: Tensor) -> Tensor:
    """The same maps for several readers, whose compiled operators sum their gradients in place."""
    if not maps.requires_grad or not native.usable(maps):
        return maps
    gradient = GradientSum()
    result: Tensor = _Shared.apply(maps, gradient)  # type: ignore[no-untyped-call]
    result.gradient_sum = gradient  # type: ignore[attr-defined]
    return result


def gradient_sum(maps: Tensor) -> GradientSum | None:
    """The sum that an operator reading ``maps`` adds its gradient to, giving none itself; None: it gives its own."""
    return getattr(maps, "gradient_sum", None)


def gradient_target(gradient: GradientSum | None, like: Tensor) -> tuple[Tensor, bool, Tensor | None]:
    """Where to write a gradient, whether to add it to what is there, and what to return to autograd."""
    if gradient is None:
        result = native.empty_maps(like)
        return result, False, result
    return *gradient.target(like), None
