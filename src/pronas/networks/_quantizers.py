"""Quantizers: functions that round a tensor to few values and say how gradients pass through the rounding.

A layer takes two of them, one for its inputs and one for its kernel; ``None`` means full precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pronas.errors import UsageError, nearest

Quantizer = Callable[[Tensor], Tensor]

# hardtanh's backward keeps a gradient strictly inside its bounds, so the bound is the next number after 1: a latent
# weight that was clipped to exactly 1 must be able to come back.
_JUST_ABOVE_ONE = 1.0 + 2.0**-23


class _SignSTE(torch.autograd.Function):
    """Sign with the straight-through estimator; see `ste_sign`."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(inputs)
        # sign(x) is -1, 0 or 1; half a step up and signed again, 0 (of either sign) has become +1. Three vectorised
        # passes, two of them in place, are six times faster than torch.where with scalars.
        return inputs.sign().add_(0.5).sign_()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        (inputs,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradients[0], inputs, -_JUST_ABOVE_ONE, _JUST_ABOVE_ONE)  # type: ignore[no-any-return]


def ste_sign(inputs: Tensor) -> Tensor:
    r"""Sign with a straight-through gradient (Courbariaux et al. 2016, BinaryNet, section 1.3).

    Forward: :math:`q(x) = +1` where :math:`x \ge 0`, else :math:`-1` (both zeros give +1). Pseudo-gradient:
    :math:`\partial q/\partial x = 1` where :math:`|x| \le 1`, else 0.

    Args:
        inputs: any shape, any floating dtype.

    Returns:
        A tensor of the same shape, dtype and layout whose values are -1 and +1.
    """
    return _SignSTE.apply(inputs)  # type: ignore[no-any-return,no-untyped-call]


_QUANTIZERS: dict[str, Quantizer] = {"ste_sign": ste_sign}


def quantizer(value: str | Quantizer | None) -> Quantizer | None:
    """Return the quantizer of that name; functions and None are returned as they are.

    Raises:
        UsageError: there is no quantizer of that name.
    """
    if not isinstance(value, str):
        return value
    if value not in _QUANTIZERS:
        raise UsageError(
            f"no quantizer is called {value!r}{nearest(value, _QUANTIZERS)} (known: {sorted(_QUANTIZERS)})"
        )
    return _QUANTIZERS[value]


def glorot_bound(fan_in: int, fan_out: int) -> float:
    """``sqrt(1.5 / (fan_in + fan_out))``: H of the latent weights, and one over their rate multiplier, for "Glorot"."""
    return math.sqrt(1.5 / (fan_in + fan_out))


def resolve_latent_bound(setting: float | str, fan_in: int, fan_out: int) -> float:
    """H, the bound of latent weights: ``setting`` itself, or `glorot_bound` for "Glorot"."""
    return glorot_bound(fan_in, fan_out) if _is_glorot(setting, "H") else float(setting)


def resolve_lr_multiplier(setting: float | str, fan_in: int, fan_out: int) -> float:
    """What a layer's learning rate is multiplied by: ``setting``, or ``1 / glorot_bound`` for "Glorot"."""
    return 1.0 / glorot_bound(fan_in, fan_out) if _is_glorot(setting, "the rate multiplier") else float(setting)


def _is_glorot(setting: float | str, what: str) -> bool:
    if isinstance(setting, str):
        if setting.lower() != "glorot":
            raise UsageError(f"{what} is {setting!r}: give a positive number or 'Glorot'")
        return True
    if not setting > 0:
        raise UsageError(f"{what} is {setting!r}: give a positive number or 'Glorot'")
    return False
