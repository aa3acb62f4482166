"""Depthwise convolutions that read the same map, computed as one in training: the map is read once for all of them, and
the gradient to it written once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from pronas.kernels._depthwise import MOST_TOGETHER, can_be_compiled, compiled_depthwise
from pronas.kernels._layers import is_depthwise, kernel_of, stride_one_channel, wide
from pronas.kernels._sequence import Layers, is_plain
from pronas.networks import QuantConv2d

#: Operators that begin together, each with the convolution it begins with.
Group = Mapping[int, QuantConv2d]


def groups(readers: Iterable[tuple[int, Layers]]) -> dict[int, Group]:
    """Which operators have the depthwise convolutions they begin with computed together.

    Args:
        readers: (number of the map read, layers) of each operator of a cell.

    Returns:
        By the operator's position among them: those it begins with, itself included.
    """
    found: dict[tuple[object, ...], dict[int, QuantConv2d]] = {}
    for position, (source, layers) in enumerate(readers):
        first = layers[0] if layers else None
        if first is not None and is_plain(first) and is_depthwise(first):
            found.setdefault((source, first.stride, first.kernel_quantizer), {})[position] = first
    return {position: group for group in found.values() if 1 < len(group) <= MOST_TOGETHER for position in group}


def begin(group: Group, maps: Tensor) -> dict[int, Tensor]:
    """What the first convolution of each operator of a group makes of the map they read, (n, c, h, w); empty where the
    kernels cannot compute them."""
    layers, maps = list(group.values()), stride_one_channel(wide(maps))
    if not all(one.training and can_be_compiled(maps, one.weight, one.stride) for one in layers):
        return {}
    return dict(zip(group, _together(layers, maps), strict=True))


def _together(layers: Sequence[QuantConv2d], maps: Tensor) -> tuple[Tensor, ...]:
    kernels = [kernel_of(layer) for layer in layers]
    return compiled_depthwise(maps, [kernel for kernel, _ in kernels], layers[0].stride[0], kernels[0][1])
