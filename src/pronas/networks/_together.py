"""Depthwise convolutions that read the same map, computed as one in training: the map is read once for all of them, and
the gradient to it written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from pronas.networks._chain import Chain, has_hooks, is_plain
from pronas.networks._depthwise import MOST_TOGETHER, can_be_compiled, compiled_depthwise
from pronas.networks._layers import QuantConv2d, stride_one_channel

#: Operators that begin together.
Group = Sequence[nn.Module]


def groups(readers: Iterable[tuple[int, nn.Module]]) -> dict[nn.Module, Group]:
    """Which operators have the depthwise convolutions they begin with computed together.

    Args:
        readers: (number of the map read, operator), all of one cell.

    Returns:
        For each such operator those it begins with, itself included.
    """
    found: dict[tuple[object, ...], list[nn.Module]] = {}
    for source, operator in readers:
        if _begins_depthwise(operator):
            first = _first(operator)
            found.setdefault((source, first.stride, first.kernel_quantizer), []).append(operator)
    return {operator: group for group in found.values() if 1 < len(group) <= MOST_TOGETHER for operator in group}


def _first(operator: nn.Module) -> QuantConv2d:
    return operator[0]  # type: ignore[index,no-any-return]


def _begins_depthwise(operator: nn.Module) -> bool:
    if not isinstance(operator, Chain) or len(operator) == 0 or has_hooks(operator):
        return False
    layer = operator[0]
    return is_plain(layer) and layer.is_depthwise and layer.training


def begin(group: Group, maps: Tensor) -> dict[nn.Module, Tensor]:
    """What the first convolution of each operator of a group makes of the map they read, (n, c, h, w); empty where the
    kernels cannot compute them."""
    layers, maps = [_first(operator) for operator in group], stride_one_channel(maps)
    if not all(can_be_compiled(maps, layer.weight, layer.stride) for layer in layers):
        return {}
    kernels = [layer.compiled_kernel() for layer in layers]
    results = compiled_depthwise(maps, [kernel for kernel, _ in kernels], layers[0].stride[0], kernels[0][1])
    return dict(zip(group, results, strict=True))
