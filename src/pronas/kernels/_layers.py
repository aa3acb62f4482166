"""Single layers in training: for each type of `pronas.networks` that has a faster way, that way; others run as they
are.

All maps are channels last, also gradients and maps of one channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pronas.kernels import native
from pronas.kernels._convolution import convolve, pays_to_convolve
from pronas.kernels._depthwise import can_be_compiled, compiled_depthwise, depthwise, pays_in_strips
from pronas.kernels._norm_pool import average_pool, can_pool, max_pool, mean_of_maps, pays_to_average
from pronas.networks import (
    AveragePool,
    FactorizedReduction,
    GlobalAveragePool,
    ImageScale,
    MaxPool,
    QuantConv2d,
    SumPool,
    ste_sign,
)


def stride_one_channel(maps: Tensor) -> Tensor:
    """The same maps (n, c, h, w); those of one channel with strides that say "channels last".

    With one channel both layouts are the same in memory; left to guess, the library takes the default one, and a
    concatenation of both layouts puts the whole rest of the network into the slower default layout.
    """
    if maps.shape[1] != 1:
        return maps
    return maps.reshape(maps.shape[0], *maps.shape[2:], 1).permute(0, 3, 1, 2)


def concatenate(maps: list[Tensor]) -> Tensor:
    """Maps side by side; a single one as it is."""
    return maps[0] if len(maps) == 1 else torch.cat([stride_one_channel(one) for one in maps], 1)


class _ChannelsLastGradient(torch.autograd.Function):
    """The identity; its gradient is laid out channels last, like everything below it.

    Without it the gradients of a mean and of a flattening come back in the default layout, and the elementwise backward
    passes below them, which then read two layouts at once, take ten times as long.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        return inputs.view_as(inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        return gradients[0].contiguous(memory_format=torch.channels_last)  # type: ignore[no-any-return]


def _channels_last_gradient(inputs: Tensor) -> Tensor:
    if not inputs.requires_grad or inputs.dim() != 4:
        return inputs
    return _ChannelsLastGradient.apply(inputs)  # type: ignore[no-any-return,no-untyped-call]


def is_depthwise(layer: QuantConv2d) -> bool:
    """Whether each output channel reads the input channel of its number alone, without gaps."""
    return layer.groups == layer.in_channels == layer.out_channels and layer.dilation == (1, 1)


def kernel_of(layer: QuantConv2d) -> tuple[Tensor, bool]:
    """A tensor, and whether the kernel is that or `ste_sign` of it, which compiled kernels take by themselves."""
    binary = layer.kernel_quantizer is ste_sign
    return (layer.weight if binary else layer.quantized_weight()), binary


def wide(maps: Tensor) -> Tensor:
    """Maps of bfloat16 as floats, where the compiled kernels are for floats alone."""
    return maps.float() if maps.dtype is torch.bfloat16 and maps.is_cpu else maps


def _convolution(layer: QuantConv2d, maps: Tensor) -> Tensor:
    if layer.input_quantizer is not None:
        maps = layer.input_quantizer(maps)
    outputs = _convolve(layer, stride_one_channel(maps))
    return outputs * layer.xnor_scale()[:, None, None] if layer.xnor else outputs


def _convolve(layer: QuantConv2d, maps: Tensor) -> Tensor:
    if is_depthwise(layer):
        maps = wide(maps)
        if layer.training and can_be_compiled(maps, layer.weight, layer.stride):
            kernel, binary = kernel_of(layer)
            return compiled_depthwise(maps, [kernel], layer.stride[0], binary)[0]
        if layer.groups > 1 and pays_in_strips(maps, layer.weight, layer.stride):
            return depthwise(maps, layer.quantized_weight(), layer.stride)
    if pays_to_convolve(layer, maps):
        return convolve(layer, maps, kernel_of(layer))
    return layer.convolve(maps)


def _window(layer: MaxPool | AveragePool | SumPool) -> tuple[int, int]:
    """Kernel and stride; such layers have square windows."""
    return layer.kernel_size, layer.stride  # type: ignore[return-value]


def _max_pool(layer: MaxPool, maps: Tensor) -> Tensor:
    window = _window(layer)
    return max_pool(maps, *window) if can_pool(layer, maps, *window) else layer(maps)


def _average_pool(layer: AveragePool | SumPool, maps: Tensor) -> Tensor:
    window = _window(layer)
    if can_pool(layer, maps, *window) and pays_to_average(maps):
        return average_pool(maps, *window, mean=type(layer) is AveragePool)
    return layer(maps)  # type: ignore[no-any-return]


def _scale(layer: ImageScale, images: Tensor) -> Tensor:
    scaled = native.scaled(images, layer.gain, layer.offset) if layer.training else None
    return stride_one_channel(layer(images) if scaled is None else scaled)


def _mean(layer: GlobalAveragePool, maps: Tensor) -> Tensor:
    if layer.training and native.usable(maps):
        return mean_of_maps(maps)
    return layer(_channels_last_gradient(maps))  # type: ignore[no-any-return]


def _flatten(layer: nn.Flatten, maps: Tensor) -> Tensor:
    return layer(_channels_last_gradient(maps))  # type: ignore[no-any-return]


def _reduce(layer: FactorizedReduction, maps: Tensor) -> Tensor:
    shifted = F.pad(maps, (0, 1, 0, 1))[:, :, 1:, 1:]
    return layer.norm(torch.cat((_convolution(layer.even, maps), _convolution(layer.odd, shifted)), 1))  # type: ignore[no-any-return]


_FASTER: dict[type[nn.Module], Callable[[Any, Tensor], Tensor]] = {
    QuantConv2d: _convolution,
    MaxPool: _max_pool,
    AveragePool: _average_pool,
    SumPool: _average_pool,
    ImageScale: _scale,
    GlobalAveragePool: _mean,
    nn.Flatten: _flatten,
    FactorizedReduction: _reduce,
}


def run_layer(layer: nn.Module, maps: Tensor) -> Tensor:
    """What ``layer`` makes of ``maps``; nobody may watch it, as it may not be called itself."""
    faster = _FASTER.get(type(layer))
    return layer(maps) if faster is None else faster(layer, maps)
