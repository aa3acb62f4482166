"""Dense convolutions in training, compiled, alone or with the batch norm and the activation that follow.

With them, the convolution's results meet the norm's statistics while they are still in a near cache, and the gradient
to these results, which only the convolution's own gradients read, is never written to memory as a whole.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pronas.kernels import native
from pronas.kernels._concat_buffer import BufferPart, evenly_spaced
from pronas.kernels._gradient_sum import GradientSum, gradient_sum, gradient_target
from pronas.networks._quantizers import ste_sign

_LARGEST_KERNEL = 7
_MANY_CHANNELS = 16
_FEWEST_LANES, _LANES_FOR_SIGNS = 8, 16
_NEAREST_CACHE = 8192  # floats
_FEW_TERMS = 12  # in a result of a 1x1 convolution: up to here computing it again costs less than keeping it
_Norm = tuple[Tensor, Tensor, float, float, int]  # running mean and variance, epsilon, momentum, what follows


class _Convolution(torch.autograd.Function):
    """The convolution and, where ``norm`` is given, batch norm in training mode and nothing, ReLU or sign."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, gain: Tensor | None, bias: Tensor | None, norm: _Norm | None,
        stride: int, binary: bool, gradient: GradientSum | None, out: BufferPart | None,
    ) -> Tensor:  # fmt: skip
        n, c, h, w = inputs.shape
        filters, height, width = weight.shape[0], *weight.shape[2:]
        last = not weight.is_contiguous()
        ctx.sizes, ctx.gradient = (n, h, w, c, filters, height, width, stride, binary, last), gradient
        shape = (n, filters, -(-h // stride), -(-w // stride))
        if norm is None:
            results = torch.empty(shape, memory_format=torch.channels_last)
            native.call("pronas_convolution", inputs, weight, *[None] * 5, results, None, 0, *ctx.sizes, 0, 0.0, 0.0)
            ctx.save_for_backward(inputs, weight)
            return results
        mean, variance, epsilon, momentum, ctx.kind = norm
        afresh = height * width == 1 and c <= _FEW_TERMS
        kept = None if afresh else torch.empty(shape, memory_format=torch.channels_last)
        saved, (outputs, between) = torch.empty(2, filters), evenly_spaced(out, shape)
        tensors = (inputs, weight, gain, bias, mean, variance, saved, kept, outputs)
        native.call("pronas_convolution", *tensors, between, *ctx.sizes, ctx.kind, epsilon, momentum)
        ctx.save_for_backward(inputs, weight, kept, gain, bias, saved)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        inputs, weight, *normed = ctx.saved_tensors
        target, add, to_inputs = None, False, None
        if ctx.needs_input_grad[0]:
            target, add, to_inputs = gradient_target(ctx.gradient, inputs)
        to_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        to_norm = [torch.empty_like(normed[1]), torch.empty_like(normed[2])] if normed else [None, None]
        given = (*native.spaced(gradients[0]), inputs, weight, *(normed or [None] * 4))
        kind = ctx.kind if normed else native.NOTHING
        native.call("pronas_convolution_backward", *given, target, to_weight, *to_norm, *ctx.sizes, kind, add)
        return to_inputs, to_weight, *to_norm, *[None] * 5


def can_convolve(layer: nn.Conv2d, maps: Tensor) -> bool:
    """Whether `convolve` can compute this convolution of these maps, in training."""
    height, width = layer.kernel_size
    padding = (height // 2, width // 2)
    return (
        layer.training
        and layer.groups == 1
        and layer.bias is None
        and layer.dilation == (1, 1)
        and layer.stride in ((1, 1), (2, 2))
        and layer.padding == padding
        and height % 2 == width % 2 == 1
        and max(height, width) <= _LARGEST_KERNEL
        and layer.weight.dtype is torch.float32
        and native.usable(maps, max(padding))
    )


def pays_to_convolve(layer: nn.Conv2d, maps: Tensor) -> bool:
    """Whether `convolve` can compute this convolution and is faster than the library.

    The library's dense kernels are hard to beat where they skip no pixel and read many channels, but for those of one
    column, and 3x3 on images that fit the nearest cache, and by ours for -1 and +1, which need the widest vectors; ours
    are slow without wide vectors (docs/experiments.md).
    """
    if not can_convolve(layer, maps) or torch.is_autocast_enabled("cpu"):  # ours multiply floats alone
        return False
    height, width = layer.kernel_size
    signs = getattr(layer, "kernel_quantizer", None) is ste_sign and native.lanes() >= _LANES_FOR_SIGNS
    pays = (
        signs
        or layer.stride[0] > 1
        or width == 1
        or layer.in_channels < _MANY_CHANNELS
        or (height == width == 3 and maps.shape[1:].numel() <= _NEAREST_CACHE)
    )
    return pays and native.lanes() >= _FEWEST_LANES


def convolve(
    layer: nn.Conv2d,
    maps: Tensor,
    kernel: tuple[Tensor, bool],
    norm: nn.BatchNorm2d | None = None,
    kind: int = native.NOTHING,
    out: BufferPart | None = None,
) -> Tensor:
    """Convolution of maps (n, c, h, w), such that `can_convolve`, and the batch norm and what follows, if there is one.

    Args:
        layer: the convolution.
        maps: what it reads.
        kernel: a tensor (filters, c, height, width), and whether the kernel is that or `ste_sign` of it.
        norm: such that `pronas.kernels._norm_pool.can_normalise`; its running statistics are updated.
        kind: what follows ``norm``, NOTHING, RELU or SIGN.
        out: where the result belongs.
    """
    how = None
    if norm is not None:
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        how = (norm.running_mean, norm.running_var, norm.eps, norm.momentum, kind)
    gain, bias = (None, None) if norm is None else (norm.weight, norm.bias)
    weight = kernel[0]
    if not weight.is_contiguous(memory_format=torch.channels_last):
        weight = weight.contiguous()
    result = _Convolution.apply(  # type: ignore[no-untyped-call]
        maps, weight, gain, bias, how, layer.stride[0], kernel[1], gradient_sum(maps), out
    )
    return result  # type: ignore[no-any-return]
