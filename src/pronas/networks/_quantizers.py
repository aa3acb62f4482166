"""Quantizers: functions that round a tensor to few values and say how gradients pass through the rounding.

A layer takes two of them, one for its inputs and one for its kernel; ``None`` means full precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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

        >>> x = torch.tensor([-2.0, -0.5, 0.0, 0.5], requires_grad=True)
        >>> ste_sign(x).sum().backward()
        >>> ste_sign(x).tolist(), x.grad.tolist()
        ([-1.0, -1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0])

    Args:
        inputs: any shape, any floating dtype.

    Returns:
        A tensor of the same shape, dtype and layout whose values are -1 and +1.
    """
    return _SignSTE.apply(inputs)  # type: ignore[no-any-return,no-untyped-call]


class _ApproxSign(torch.autograd.Function):
    """Sign with the gradient of a piecewise polynomial; see `approx_sign`."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(inputs)
        return inputs.sign().add_(0.5).sign_()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        (inputs,) = ctx.saved_tensors
        return gradients[0] * (2.0 - 2.0 * inputs.abs()).clamp_(min=0.0)  # type: ignore[no-any-return]


def approx_sign(inputs: Tensor) -> Tensor:
    r"""Sign with the gradient of a piecewise polynomial (Liu et al. 2018, Bi-Real Net, section 3.3).

    Forward as `ste_sign`, so it has the same packed form. Pseudo-gradient: :math:`\partial q/\partial x = 2 - 2|x|`
    where :math:`|x| < 1`, else 0: it is the nearer to the sign's own, the nearer x is to 0.

        >>> x = torch.tensor([-2.0, -0.5, 0.0, 0.5], requires_grad=True)
        >>> approx_sign(x).sum().backward()
        >>> x.grad.tolist()
        [0.0, 1.0, 2.0, 1.0]

    Args:
        inputs: any shape, any floating dtype.

    Returns:
        A tensor of the same shape and dtype whose values are -1 and +1.
    """
    return _ApproxSign.apply(inputs)  # type: ignore[no-any-return,no-untyped-call]


@dataclass(frozen=True)
class DoReFa:
    r"""Kernels of k bits (Zhou et al. 2016, DoReFa-Net, equation 9).

    Forward: :math:`q(w) = 2\, r\left(\frac{\tanh w}{2 \max |\tanh w|} + \frac12\right) - 1` with
    :math:`r(u) = \mathrm{round}((2^k - 1) u) / (2^k - 1)`: :math:`2^k` values evenly from -1 to 1, none of which is 0.
    Pseudo-gradient: that of q with :math:`\partial r/\partial u = 1`. Not of -1 and +1, so it has no packed form.

        >>> [round(value, 3) for value in DoReFa(2)(torch.tensor([-1.0, -0.2, 0.2, 1.0])).tolist()]
        [-1.0, -0.333, 0.333, 1.0]

    Attributes:
        bits: k, 2 to 8.
    """

    bits: int

    def __call__(self, weights: Tensor) -> Tensor:
        """Any shape, any floating dtype; all zeros stay as near to 0 as they can."""
        steps, bent = 2**self.bits - 1, weights.tanh()
        unit = bent / (2.0 * bent.abs().max().clamp_min(1e-12)) + 0.5
        rounded = unit + ((unit * steps).round() / steps - unit).detach()
        result: Tensor = 2.0 * rounded - 1.0
        return result


_QUANTIZERS: dict[str, Quantizer] = {}
_BITS: dict[Quantizer, int] = {}


def register_quantizer(name: str, bits: int) -> Callable[[Quantizer], Quantizer]:
    """Register the decorated function as the quantizer ``name``, for layers, skeletons and TOML.

        >>> @register_quantizer("ternary", bits=2)
        ... def ternary(inputs):
        ...     return inputs + (inputs.clamp(-1, 1).round() - inputs).detach()

    Args:
        name: registering one again replaces it.
        bits: that a quantized value takes, 1 for -1 and +1.

    Returns:
        A decorator; it tries the function once and gives it back as it is.

    Raises:
        UsageError: (of the decorator) it changes shape or dtype, lets no gradient through, or ``bits`` is not 1 to 32.
    """

    def register(function: Quantizer) -> Quantizer:
        _check_quantizer(name, bits, function)
        _QUANTIZERS[name], _BITS[function] = function, bits
        return function

    return register


def _check_quantizer(name: str, bits: int, function: Quantizer) -> None:
    if not 1 <= bits <= 32:
        raise UsageError(f"the quantizer {name!r} says {bits} bits: give 1 to 32")
    inputs = torch.linspace(-0.75, 0.75, 6).view(2, 3).requires_grad_()
    with torch.enable_grad():
        outputs = function(inputs)
        if not isinstance(outputs, Tensor) or outputs.shape != inputs.shape or outputs.dtype != inputs.dtype:
            raise UsageError(f"the quantizer {name!r} must return a tensor of its input's shape and dtype")
        found = torch.autograd.grad(outputs.sum(), inputs, allow_unused=True)[0] if outputs.requires_grad else None
    if found is None:
        raise UsageError(f"the quantizer {name!r} lets no gradient through: give it a straight-through one")


register_quantizer("ste_sign", 1)(ste_sign)
register_quantizer("approx_sign", 1)(approx_sign)
for _bits in range(2, 9):
    register_quantizer(f"dorefa-{_bits}", _bits)(DoReFa(_bits))


def quantizer_bits(function: Quantizer) -> int:
    """Bits of a quantized value; 1 for functions that nobody registered."""
    return _BITS.get(function, 1)


def quantizers() -> list[str]:
    """Registered names in order.

        >>> quantizers()[:4]
        ['ste_sign', 'approx_sign', 'dorefa-2', 'dorefa-3']

    Returns:
        The names: pronas's own, then users'.
    """
    return list(_QUANTIZERS)


def quantizer(value: str | Quantizer | None) -> Quantizer | None:
    """Return the quantizer of that name; functions and None are returned as they are.

        >>> quantizer("ste_sign") is ste_sign, quantizer(None)
        (True, None)

    Args:
        value: a name, a function of tensors, or None (full precision).

    Returns:
        A function of a tensor of any shape to one of the same shape and dtype, with a gradient; or None.

    Raises:
        UsageError: there is no quantizer of that name; the message names the nearest.
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
