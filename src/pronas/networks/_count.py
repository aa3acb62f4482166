"""Counting one part of a network: what each of its layers holds and does, without computing anything (meta device)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import nn

from pronas.networks._layers import (
    DropoutNoScale,
    FactorizedReduction,
    GlobalAveragePool,
    QuantConv2d,
    QuantLinear,
    Sign,
)
from pronas.networks._module_spec import ModuleSpec, meta_module
from pronas.networks._quantizers import quantizer_bits
from pronas.networks._registry import memoised_on_registry

_KEEPS_BINARY = (nn.MaxPool2d, nn.Flatten, nn.Identity, DropoutNoScale)
_SAME_SHAPE = (nn.BatchNorm2d, nn.BatchNorm1d, nn.ReLU, Sign, nn.Dropout, DropoutNoScale, nn.Identity)


@dataclass(frozen=True)
class LayerCount:
    """One layer of a part.

    Attributes:
        name: of the module within the part ("" where the part is that one module).
        kind: class of the layer, with its kernel where it has one.
        output: (channels, height, width) or (units,) of one image.
        binary: whether the outputs are ±1.
        parameters: trained numbers.
        weight_bits: 1 for each weight of a binary kernel, 32 for every other parameter.
        macs: multiply-accumulates for one image with a full-precision input or kernel (an image read by a binary kernel
            counts here); taps in the padding count.
        binary_macs: those with ±1 inputs and a binary kernel.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    binary: bool
    parameters: int
    weight_bits: int
    macs: int
    binary_macs: int

    @property
    def activation_bytes(self) -> int:
        """Bytes of the output of one image: one bit a ±1 value, four bytes any other."""
        return map_bytes(self.output, self.binary)


def map_bytes(shape: tuple[int, ...], binary: bool) -> int:
    """Bytes of a map: one bit a ±1 value, four bytes any other."""
    return -(-prod(shape) // 8) if binary else 4 * prod(shape)


@dataclass(frozen=True)
class PartCount:
    """One part: its layers, sums over them, bytes of its result (0 where it has no layers), and the most bytes that two
    successive maps of it take (its input not counted)."""

    layers: tuple[LayerCount, ...]
    parameters: int
    weight_bits: int
    macs: int
    binary_macs: int
    total_bytes: int
    output_bytes: int
    peak_bytes: int


class _Counter:
    """Collects a `LayerCount` from every leaf module as it runs."""

    def __init__(self, binary: bool) -> None:
        self.binary = binary
        self.layers: list[LayerCount] = []

    def hook(self, name: str) -> Callable[..., None]:
        """A forward hook that counts the module called ``name``."""

        def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self.count(name, module, tuple(output.shape[1:]))

        return count

    def count(self, name: str, module: nn.Module, shape: tuple[int, ...]) -> None:
        """Add a layer whose output for one image has ``shape``."""
        macs = _macs(module, shape)
        quantized = isinstance(module, QuantConv2d | QuantLinear) and module.kernel_quantizer is not None
        bits = quantizer_bits(module.kernel_quantizer) if quantized else 32  # type: ignore[arg-type]
        both = bits == 1 and (self.binary or getattr(module, "input_quantizer", None) is not None)
        self.binary = isinstance(module, Sign) or (self.binary and isinstance(module, _KEEPS_BINARY))
        weights = sum(p.numel() for p in module.parameters())
        count = LayerCount(
            name, _kind(module), shape, self.binary, weights, bits * weights, 0 if both else macs, macs if both else 0
        )
        self.layers.append(count)


def _macs(module: nn.Module, shape: tuple[int, ...]) -> int:
    if isinstance(module, nn.Conv2d):
        return prod(shape) * prod(module.weight.shape[1:])
    return prod(shape) * module.in_features if isinstance(module, nn.Linear) else 0


def _kind(module: nn.Module) -> str:
    name = type(module).__name__
    if isinstance(module, nn.Conv2d):
        depthwise = " depthwise" if module.groups > 1 else ""
        stride = f" /{module.stride[0]}" if module.stride[0] > 1 else ""
        return f"{name} {module.kernel_size[0]}x{module.kernel_size[1]}{depthwise}{stride}"
    return name


def count_part(part: ModuleSpec, shape: tuple[int, ...], binary: bool) -> PartCount:
    """Count ``part`` reading one map of ``shape``, whose values are ±1 where ``binary`` says so."""
    return _count_part(part, shape, binary)


@lru_cache(maxsize=65536)
def _count_part(part: ModuleSpec, shape: tuple[int, ...], binary: bool) -> PartCount:
    module = meta_module(part)
    counter = _Counter(binary)
    output = _walk(module, shape, counter)
    if output is None:
        counter = _Counter(binary)
        output = _run(module, shape, counter)
    return _sum_up(tuple(counter.layers), output, counter.binary)


def _walk(module: nn.Module, shape: tuple[int, ...], counter: _Counter) -> tuple[int, ...] | None:
    """Count a sequence of ordinary layers by arithmetic, which beats running it; None if it is anything else."""
    if not isinstance(module, nn.Sequential):
        return None
    for index, layer in enumerate(module):
        if isinstance(layer, FactorizedReduction):
            shape = _walk_reduction(f"{index}.", layer, shape, counter)
            continue
        after = _output_shape(layer, shape)
        if after is None:
            return None
        counter.count(str(index), layer, after)
        shape = after
    return shape


def _walk_reduction(
    path: str, layer: FactorizedReduction, shape: tuple[int, ...], counter: _Counter
) -> tuple[int, ...]:
    channels, height, width = layer.norm.num_features, -(-shape[1] // 2), -(-shape[2] // 2)
    for name, filters in (("even", channels // 2), ("odd", channels - channels // 2), ("norm", channels)):
        counter.count(path + name, layer.get_submodule(name), (filters, height, width))
    return (channels, height, width)


def _run(module: nn.Module, shape: tuple[int, ...], counter: _Counter) -> tuple[int, ...]:
    """Count any module by running it on the meta device."""
    leaves = [(name, leaf) for name, leaf in module.named_modules() if not any(True for _ in leaf.children())]
    hooks = [leaf.register_forward_hook(counter.hook(name)) for name, leaf in leaves]
    try:
        with torch.no_grad():
            output = module(torch.empty(1, *shape, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(output.shape[1:])


def _output_shape(layer: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    if isinstance(layer, _SAME_SHAPE):
        return shape
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        channels = layer.out_channels if isinstance(layer, nn.Conv2d) else shape[0]
        return (channels, _length(layer, shape[1], 0), _length(layer, shape[2], 1))
    if isinstance(layer, nn.Flatten):
        return (prod(shape),)
    if isinstance(layer, GlobalAveragePool):
        return (shape[0],)
    return (layer.out_features,) if isinstance(layer, nn.Linear) else None


def _length(layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d, length: int, axis: int) -> int:
    size, stride, padding, dilation = (
        value if isinstance(value, int) else value[axis]
        for value in (layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1))
    )
    return (length + 2 * padding - dilation * (size - 1) - 1) // stride + 1  # type: ignore[operator]


def _sum_up(layers: tuple[LayerCount, ...], output: tuple[int, ...], binary: bool) -> PartCount:
    sizes = [layer.activation_bytes for layer in layers]
    return PartCount(
        layers=layers,
        parameters=sum(layer.parameters for layer in layers),
        weight_bits=sum(layer.weight_bits for layer in layers),
        macs=sum(layer.macs for layer in layers),
        binary_macs=sum(layer.binary_macs for layer in layers),
        total_bytes=sum(sizes),
        output_bytes=map_bytes(output, binary) if layers else 0,
        peak_bytes=max((a + b for a, b in zip([0, *sizes], sizes, strict=False)), default=0),
    )


memoised_on_registry(_count_part.cache_clear)
