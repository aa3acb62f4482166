"""Depthwise convolution whose kernel gradient is computed in strips.

On a CPU the library's gradient of a depthwise kernel is vectorised up to a width of 3; a 5x5 kernel's takes ten times
as long as a 5x3 one's (14 against 1.2 ms for 128 maps of 16x16x32 on one core), and was most of the backward pass. The
gradient of a column of the kernel depends on no other column, so wider kernels are taken in strips of three, each
against the columns of the input that it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_STRIP = 3
_FEWEST_CHANNELS = 8


class _Depthwise(torch.autograd.Function):
    """`F.conv2d` with as many groups as channels; see the head of this file for its backward."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(inputs, weight, None, stride, padding, 1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
        inputs, weight = ctx.saved_tensors
        output = gradients[0]
        to_inputs = to_weight = None
        if ctx.needs_input_grad[0]:
            to_inputs = _gradient(output, inputs, weight, ctx.stride, ctx.padding, 0)
        if ctx.needs_input_grad[1]:
            to_weight = _by_strips(output, inputs, weight, ctx.stride, ctx.padding)
        return to_inputs, to_weight, None, None


def depthwise(inputs: Tensor, weight: Tensor, stride: Sequence[int]) -> Tensor:
    """Depthwise convolution with a kernel of odd size and "same" zero padding.

    Args:
        inputs: (n, c, h, w).
        weight: (c, 1, kernel height, kernel width).
        stride: as in `torch.nn.functional.conv2d`.
    """
    padding = [weight.shape[2] // 2, weight.shape[3] // 2]
    return _Depthwise.apply(inputs, weight, list(stride), padding)  # type: ignore[no-any-return,no-untyped-call]


def pays_in_strips(inputs: Tensor, weight: Tensor, stride: Sequence[int]) -> bool:
    """Whether `depthwise` is faster for this depthwise convolution: wide, on a CPU, with its kernel to be trained.

    Few channels do not fill the vectors, and the library has no fast kernel for strips of height 7 and stride 2.
    """
    channels, _, height, width = weight.shape
    fast = channels >= _FEWEST_CHANNELS and (stride[0] == 1 or height <= 5)
    return width > _STRIP and fast and weight.requires_grad and torch.is_grad_enabled() and inputs.is_cpu


def _gradient(
    output: Tensor, inputs: Tensor, weight: Tensor, stride: list[int], padding: list[int], which: int
) -> Tensor:
    """The gradient to the inputs (``which`` 0) or to the weight (1), by the library."""
    mask = [which == 0, which == 1, False]
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        output, inputs, weight, None, stride, padding, [1, 1], False, [0, 0], weight.shape[0], mask
    )[which]


def _by_strips(output: Tensor, inputs: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> Tensor:
    width = weight.shape[3]
    read = (output.shape[3] - 1) * stride[1] + _STRIP  # columns of the input that a strip reads
    gradient = torch.empty_like(weight)
    for start in range(0, width - 1, _STRIP - 1):
        columns = slice(start, start + _STRIP)
        strip = weight.detach()[..., columns].contiguous()
        under = _columns(inputs, start - padding[1], read)
        gradient[..., columns] = _gradient(output, under, strip, stride, [padding[0], 0], 1)
    return gradient


def _columns(inputs: Tensor, first: int, count: int) -> Tensor:
    """Columns ``first`` to ``first + count`` of the maps, zero where there are none (cheaper than `F.pad`)."""
    n, channels, height, width = inputs.shape
    result = torch.empty(
        (n, channels, height, count), dtype=inputs.dtype, device=inputs.device, memory_format=torch.channels_last
    )
    low, high = max(0, -first), min(count, width - first)
    result[..., low:high] = inputs[..., first + low : first + high]
    result[..., :low] = 0.0
    result[..., high:] = 0.0
    return result
