"""Strided convolutions of one geometry that read the same map, computed as one in training.

The library's backward pass of a strided convolution costs nearly as much for few filters as for twice as many
(docs/experiments.md, "Convolutions that read the same map").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pronas.networks._fused import Chain, has_hooks
from pronas.networks._layers import QuantConv2d, stride_one_channel
from pronas.networks._native import channels_last

_FEWEST_CHANNELS = 16  # of the map; below, and above this many filters in all, it does not pay
_MOST_FILTERS = 96

#: Operators and the convolutions they begin with.
Group = Mapping[nn.Module, QuantConv2d]


class _Together(torch.autograd.Function):
    """Convolutions with equal stride, padding and dilation of one map; a result for each kernel."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, how: tuple[Any, Any, Any], *kernels: Tensor) -> tuple[Tensor, ...]:
        kernel = torch.cat(kernels)
        ctx.save_for_backward(maps, kernel)
        ctx.how, ctx.filters = how, [len(one) for one in kernels]
        outputs = F.conv2d(maps, kernel, None, *how)
        return tuple(channels_last(one) for one in torch.split(outputs, ctx.filters, 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        maps, kernel = ctx.saved_tensors
        gradient = channels_last(torch.cat(gradients, 1))
        wanted = (ctx.needs_input_grad[0], True, False)
        to_maps, to_kernel, _ = torch.ops.aten.convolution_backward(
            gradient, maps, kernel, None, *ctx.how, False, (0, 0), 1, wanted
        )
        return to_maps, None, *torch.split(to_kernel, ctx.filters)


def may_group(maps: Tensor) -> bool:
    """Whether operators that read maps like these may begin together: on processors, measured there, and without
    autocast, whose casts a written backward pass does not see."""
    return maps.is_cpu and not torch.is_autocast_enabled("cpu")


def groups(readers: Iterable[tuple[int, nn.Module]]) -> dict[nn.Module, Group]:
    """Which operators have their first convolutions computed together.

    Args:
        readers: (number of the map read, operator), all of one cell.

    Returns:
        For each such operator those it shares with, itself included.
    """
    found: dict[tuple[Any, ...], dict[nn.Module, QuantConv2d]] = {}
    for source, operator in readers:
        first = _first(operator)
        if first is not None:
            geometry = (first.kernel_size, first.stride, first.padding, first.dilation)
            found.setdefault((source, *geometry), {})[operator] = first
    return {operator: group for group in found.values() if _pays(group) for operator in group}


def _first(operator: nn.Module) -> QuantConv2d | None:
    """The convolution an operator begins with, if it can be computed with others."""
    if not isinstance(operator, Chain) or len(operator) == 0 or has_hooks(operator):
        return None
    layer = operator[0]
    if type(layer) is not QuantConv2d or layer.groups > 1 or layer.input_quantizer is not None or has_hooks(layer):
        return None
    return layer if layer.stride[0] > 1 and layer.in_channels >= _FEWEST_CHANNELS else None


def _pays(group: Group) -> bool:
    return len(group) > 1 and sum(layer.out_channels for layer in group.values()) <= _MOST_FILTERS


def begin(group: Group, maps: Tensor) -> dict[nn.Module, Tensor]:
    """What the first convolution of each operator of a group makes of the map they read, (n, c, h, w)."""
    one = next(iter(group.values()))
    kernels = [layer.quantized_weight() for layer in group.values()]
    how = (one.stride, one.padding, one.dilation)
    results = _Together.apply(stride_one_channel(maps), how, *kernels)  # type: ignore[no-untyped-call]
    return {operator: group[operator].scaled(result) for operator, result in zip(group, results, strict=True)}
