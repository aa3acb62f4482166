"""Compiled layers in training: batch norm with the activation after it, pooling, the mean over a map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pronas.kernels import native
from pronas.kernels._concat_buffer import BufferPart, evenly_spaced
from pronas.kernels._gradient_sum import GradientSum, gradient_sum, gradient_target

_FEWEST_CHANNELS = 16
_How = tuple[float, float, int]  # epsilon, momentum, what follows


class _Norm(torch.autograd.Function):
    """Batch norm in training mode, then nothing, ReLU or sign (with its straight-through gradient)."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, gain: Tensor, bias: Tensor, running: tuple[Tensor, Tensor], how: _How,
        out: BufferPart | None,
    ) -> Tensor:  # fmt: skip
        n, c, h, w = inputs.shape
        saved, (outputs, between) = torch.empty(2, c), evenly_spaced(out, (n, c, h, w), inputs.dtype)
        epsilon, momentum, kind = how
        sizes = (between, n * h * w, c, kind, epsilon, momentum)
        native.call(f"pronas_norm{_suffix(inputs)}", inputs, gain, bias, *running, saved, outputs, *sizes)
        ctx.save_for_backward(inputs, gain, bias, saved)
        ctx.kind = kind
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        inputs, gain, bias, saved = ctx.saved_tensors
        n, c, h, w = inputs.shape
        output, image, pixel = native.spaced(gradients[0])
        images, rows = (1, n * h * w) if image == h * w * pixel else (n, h * w)
        results = torch.empty_like(inputs), torch.empty_like(gain), torch.empty_like(bias)
        order = (output, images, image, rows, pixel)
        native.call(f"pronas_norm_backward{_suffix(inputs)}", *order, inputs, gain, bias, saved, *results, c, ctx.kind)
        return *results, None, None, None


def _suffix(maps: Tensor) -> str:
    return "_16" if maps.dtype is torch.bfloat16 else ""


def is_compiled(layer: nn.BatchNorm2d) -> bool:
    """Whether there are compiled kernels for this batch norm, in training."""
    return (
        layer.training
        and layer.affine
        and layer.track_running_stats
        and layer.momentum is not None
        and layer.num_features >= _FEWEST_CHANNELS
    )


def can_normalise(layer: nn.BatchNorm2d, maps: Tensor) -> bool:
    """Whether `normalise` can stand for this layer, in training, on these maps."""
    return (
        is_compiled(layer)
        and maps.dim() == 4
        and maps.shape[1] == layer.num_features
        and maps.shape[0] * maps.shape[2] * maps.shape[3] > 1
        and (native.usable(maps) or native.usable(maps, kind=torch.bfloat16))
    )


def normalise(layer: nn.BatchNorm2d, maps: Tensor, kind: int, out: BufferPart | None = None) -> Tensor:
    """The batch norm ``layer`` of maps (n, c, h, w) in training, and what follows: ``kind`` is NOTHING, RELU or SIGN.

    Its running statistics are updated. ``out`` is where the result belongs.
    """
    assert layer.num_batches_tracked is not None
    assert layer.momentum is not None
    layer.num_batches_tracked.add_(1)
    running, how = (layer.running_mean, layer.running_var), (layer.eps, layer.momentum, kind)
    return _Norm.apply(maps, layer.weight, layer.bias, running, how, out)  # type: ignore[no-any-return,no-untyped-call]


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, kernel: int, stride: int, gradient: GradientSum | None) -> Tensor:
        n, c, h, w = inputs.shape
        outputs = native.empty_maps(inputs, stride)
        which = torch.empty(native.units(n, c) * outputs.shape[2] * outputs.shape[3], dtype=torch.int8)
        ctx.sizes, ctx.gradient = (n, h, w, c, kernel, stride), gradient
        native.call("pronas_max_pool", inputs, outputs, which, *ctx.sizes)
        ctx.save_for_backward(inputs, which)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, None, None, None]:
        inputs, which = ctx.saved_tensors
        target, add, result = gradient_target(ctx.gradient, inputs)
        native.call("pronas_max_pool_backward", *native.spaced(gradients[0]), which, target, *ctx.sizes, add)
        return result, None, None, None


class _AveragePool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, kernel: int, stride: int, mean: bool, gradient: GradientSum | None) -> Tensor:
        n, c, h, w = inputs.shape
        outputs = native.empty_maps(inputs, stride)
        ctx.sizes, ctx.gradient = (n, h, w, c, kernel, stride, mean), gradient
        native.call("pronas_average_pool", inputs, outputs, *ctx.sizes)
        ctx.save_for_backward(inputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, None, None, None, None]:
        (inputs,) = ctx.saved_tensors
        target, add, result = gradient_target(ctx.gradient, inputs)
        native.call("pronas_average_pool_backward", *native.spaced(gradients[0]), target, *ctx.sizes, add)
        return result, None, None, None, None


def can_pool(layer: nn.Module, maps: Tensor, kernel: int, stride: int) -> bool:
    """Whether the compiled pools can stand for this layer, in training, on these maps."""
    return layer.training and kernel in native.KERNELS and stride in (1, 2) and native.usable(maps, kernel // 2)


def max_pool(maps: Tensor, kernel: int, stride: int) -> Tensor:
    """Largest tap inside the image: (n, c, h, w) to (n, c, ceil(h / stride), ceil(w / stride)).

    The gradient goes to the first of equal ones.
    """
    return _MaxPool.apply(maps, kernel, stride, gradient_sum(maps))  # type: ignore[no-any-return,no-untyped-call]


def pays_to_average(maps: Tensor) -> bool:
    """Whether `average_pool` beats PyTorch's: only where its gradient is added to others in place, or not wanted."""
    return gradient_sum(maps) is not None or not maps.requires_grad


def average_pool(maps: Tensor, kernel: int, stride: int, mean: bool) -> Tensor:
    """Mean, or sum, of the taps inside the image; shapes as in `max_pool`."""
    return _AveragePool.apply(maps, kernel, stride, mean, gradient_sum(maps))  # type: ignore[no-any-return,no-untyped-call]


class _Mean(torch.autograd.Function):
    """Mean over the image; its gradient is one value a channel, expanded but not written out."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.shape = inputs.shape
        return inputs.mean((2, 3))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        share = gradients[0] / (ctx.shape[2] * ctx.shape[3])
        return share[:, :, None, None].expand(ctx.shape)  # type: ignore[no-any-return]


def mean_of_maps(maps: Tensor) -> Tensor:
    """(n, c, h, w) to (n, c)."""
    return _Mean.apply(maps)  # type: ignore[no-any-return,no-untyped-call]
