"""Depthwise convolution with compiled kernels, or, where there are none, with its kernel gradient in strips.

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

from pronas.kernels import native
from pronas.kernels._gradient_sum import GradientSum, gradient_sum, gradient_target

_STRIP = 3
_FEWEST_CHANNELS = 8
#: Convolutions that `compiled_depthwise` computes at once (csrc/depthwise.c).
MOST_TOGETHER = 16


class _Compiled(torch.autograd.Function):
    """Depthwise convolutions of one map by the compiled kernels, which read it once for all; a result for each."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, stride: int, binary: bool, gradient: GradientSum | None, *weights: Tensor
    ) -> tuple[Tensor, ...]:
        n, c, h, w = inputs.shape
        ctx.save_for_backward(inputs, *weights)
        ctx.sizes, ctx.gradient = (n, h, w, c, stride, binary), gradient
        ctx.kernels = [one.shape[2] for one in weights]
        outputs = tuple(native.empty_maps(inputs, stride) for _ in weights)
        native.call("pronas_depthwise", inputs, len(weights), ctx.kernels, weights, outputs, *ctx.sizes)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        inputs, *weights = ctx.saved_tensors
        target, add, to_inputs = None, False, None
        if ctx.needs_input_grad[0]:
            target, add, to_inputs = gradient_target(ctx.gradient, inputs)
        outputs, to_weights = [native.channels_last(one) for one in gradients], [torch.empty_like(w) for w in weights]
        given = (outputs, inputs, len(weights), ctx.kernels, weights, target, to_weights)
        native.call("pronas_depthwise_backward", *given, *ctx.sizes, add)
        return to_inputs, None, None, None, *to_weights


def compiled_depthwise(
    inputs: Tensor, weights: Sequence[Tensor], stride: int, binary: bool = False
) -> tuple[Tensor, ...]:
    """Depthwise convolutions of one map with square kernels of odd size and "same" zero padding, compiled.

    Args:
        inputs: (n, c, h, w), such that `can_be_compiled`.
        weights: at most `MOST_TOGETHER`, each (c, 1, kernel, kernel).
        stride: 1 or 2.
        binary: whether the kernels are `ste_sign` of ``weights``.
    """
    plain = [one.contiguous() for one in weights]
    return _Compiled.apply(inputs, stride, binary, gradient_sum(inputs), *plain)  # type: ignore[no-any-return,no-untyped-call]


def can_be_compiled(inputs: Tensor, weight: Tensor, stride: Sequence[int]) -> bool:
    """Whether `compiled_depthwise` can compute this depthwise convolution, in training."""
    height, width = weight.shape[2:]
    return (
        height == width
        and height in native.KERNELS
        and stride[0] == stride[1]
        and stride[0] in (1, 2)
        and weight.dtype is torch.float32
        and native.usable(inputs, height // 2)
    )


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

    Few channels do not fill the vectors, and the library has no fast kernel for strips of height 7 and stride 2, and
    none at all for strips in mixed precision.
    """
    channels, _, height, width = weight.shape
    fast = channels >= _FEWEST_CHANNELS and (stride[0] == 1 or height <= 5)
    trained = weight.requires_grad and torch.is_grad_enabled()
    return width > _STRIP and fast and trained and inputs.is_cpu and not torch.is_autocast_enabled("cpu")


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
    result[..., :low].zero_()
    result[..., high:].zero_()
    return result
