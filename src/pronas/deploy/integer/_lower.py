"""From a full-precision `pronas.networks.Network` to a `FloatGraph`: walks the tree of modules, layer by layer.

`lowering` registers how one type of layer is lowered; users register their own layers the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from pronas.deploy.integer._builder import Builder, Value
from pronas.deploy.integer._graph import FloatGraph
from pronas.errors import UsageError
from pronas.networks import DropoutNoScale, FactorizedReduction, GlobalAveragePool, Network, Zeros

Lowering = Callable[[Any, Value, Builder, bool], Value]
"""(layer, value it reads, builder, fresh: whether only this layer reads the value) to the value of its result."""

_LOWERINGS: dict[type[nn.Module], Lowering] = {}
_F = TypeVar("_F", bound=Lowering)


def lowering(*layers: type[nn.Module]) -> Callable[[_F], _F]:
    """Register how layers of these types (and of types derived from them) become nodes of the integer network.

        >>> class MyNorm(nn.Module):  # gain x + offset for each channel
        ...     gain: torch.Tensor
        ...     offset: torch.Tensor
        >>> @lowering(MyNorm)
        ... def my_norm(layer, value, builder, fresh):
        ...     return builder.norm(value, layer.gain, layer.offset, fresh)

    Args:
        layers: types of layers; the nearest type that a layer derives from counts.

    Returns:
        A decorator of functions (layer, value it reads, builder, fresh) that add nodes with the `Builder` and return
        the value of their result; ``fresh``: nothing else reads the value, so that it may be folded into its node.
    """

    def register(function: _F) -> _F:
        for layer in layers:
            _LOWERINGS[layer] = function
        return function

    return register


def lower(network: Network, **info: Any) -> FloatGraph:
    """The graph of a full-precision network in evaluation mode, batch norms folded.

        >>> import numpy as np
        >>> from pronas.deploy.integer import calibrate, lower, quantize, run_integer
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> images = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), np.uint8)
        >>> integers = quantize(graph := lower(network), calibrate(graph, images))
        >>> [node.kind for node in graph.nodes]
        ['depthwise', 'conv', 'maxpool', 'rescale', 'concat', 'mean', 'conv']

    Args:
        network: as `pronas.networks` builds it, trained or not; on the meta device the graph has shapes alone.
        info: plain values kept with the graph.

    Returns:
        Nodes in order; weights and biases are float tensors on the network's device.

    Raises:
        UsageError: a binary network, or a layer that has no integer form; the message names it.
    """
    if network.plan.factory.binary:
        raise UsageError("a binary network has no int8 form; export it as c or packed (bits)", "format")
    with torch.no_grad():
        return _Walk(network).graph(info)


class _Walk:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.builder = Builder(network.plan.input_shape)

    def graph(self, info: dict[str, Any]) -> FloatGraph:
        scale = self.network.scale
        gain, offset = scale.gain.reshape(-1), scale.offset.reshape(-1)
        image = self.builder.conv(0, gain[:, None, None, None].clone(), offset.clone(), depthwise=True)
        states = [self._chain(self.network.stem, image, "stem")]
        for number, cell in enumerate(self.network.cells):
            states.append(self._cell(cell, states, f"cell {number}"))
        return self.builder.finish(self._chain(self.network.head, states[-1], "head"), **info)

    def _cell(self, cell: Any, states: list[Value], where: str) -> Value:
        nodes = [self._input(read, states, f"{where}, input") for read in cell.inputs]
        for number, block in enumerate(cell.blocks):
            nodes.append(self._block(block, nodes, f"{where}, block {number}"))
        return self.builder.concat([nodes[n] for n in cell.outputs], frozenset(nodes[: len(cell.inputs)]))

    def _input(self, read: Any, states: list[Value], where: str) -> Value:
        pairs = zip(read.sources, read.reducers, strict=True)
        values = [self._chain(reducer, states[source], where) for source, reducer in pairs]
        joined = self.builder.concat(values, frozenset(states))
        return self._chain(read.adapter, joined, where, fresh=len(values) > 1)

    def _block(self, block: Any, nodes: list[Value], where: str) -> Value:
        sides = zip((block.left, block.right), block.sources, ("left", "right"), strict=True)
        left, right = (self._chain(operator, nodes[source], f"{where}, {side}") for operator, source, side in sides)
        if not block.add:
            return self.builder.concat([left, right], frozenset(nodes))
        total = self.builder.add(left, right)
        return self._chain(block.ending, total, where, fresh=total not in (left, right))

    def _chain(self, layers: nn.Module, value: Value, where: str, fresh: bool = False) -> Value:
        """Layers one after another; what one of them makes is read by the next alone."""
        for layer in _flat(layers):
            self.builder.where = where
            before, value = value, self._layer(layer, value, fresh, where)
            fresh = fresh or value != before
        return value

    def _layer(self, layer: nn.Module, value: Value, fresh: bool, where: str) -> Value:
        for kind in type(layer).__mro__:
            if kind in _LOWERINGS:
                return _LOWERINGS[kind](layer, value, self.builder, fresh)
        raise UsageError(
            f"{where}: a layer {type(layer).__name__} has no integer form; register one with "
            "pronas.deploy.integer.lowering, or export to onnx",
            "format",
        )


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential):
        for layer in module:
            yield from _flat(layer)
    else:
        yield module


@lowering(nn.Identity, nn.Dropout, nn.Dropout2d, DropoutNoScale, nn.Flatten)
def _silent(layer: nn.Module, value: Value, builder: Builder, fresh: bool) -> Value:
    """Nothing to do in evaluation; a dense layer flattens what it reads."""
    return value


@lowering(nn.Conv2d)
def _conv(layer: nn.Conv2d, value: Value, builder: Builder, fresh: bool) -> Value:
    single = layer.groups == layer.in_channels == layer.out_channels
    pads = cast(tuple[int, int], layer.padding)
    if (layer.groups > 1 and not single) or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise UsageError(f"{builder.where}: a convolution in groups, or not padded with zeros, has no integer form")
    if getattr(layer, "kernel_quantizer", None) or getattr(layer, "input_quantizer", None):
        raise UsageError(f"{builder.where}: a layer with quantizers has no integer form; drop them in full precision")
    stride, dilation = cast(tuple[int, int], layer.stride), cast(tuple[int, int], layer.dilation)
    depthwise = single and layer.groups > 1
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    return builder.conv(value, weight, bias, stride=stride, padding=pads, dilation=dilation, depthwise=depthwise)


@lowering(nn.BatchNorm2d)
def _norm(layer: nn.BatchNorm2d, value: Value, builder: Builder, fresh: bool) -> Value:
    gain, offset = _affine(layer)
    return builder.norm(value, gain, offset, fresh)


def _affine(layer: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Batch norm as gain x + offset, worked out in double precision."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    if layer.running_mean.is_meta:
        return layer.running_mean, layer.running_mean  # for shapes alone, arithmetic would take most of the time
    gain = 1 / torch.sqrt(layer.running_var.double() + layer.eps)
    offset = -layer.running_mean.double() * gain
    if layer.affine:
        gain, offset = gain * layer.weight.detach(), offset * layer.weight.detach() + layer.bias.detach()
    return gain.float(), offset.float()


@lowering(nn.ReLU)
def _relu(layer: nn.ReLU, value: Value, builder: Builder, fresh: bool) -> Value:
    return builder.relu(value, fresh)


@lowering(nn.MaxPool2d)
def _max_pool(layer: nn.MaxPool2d, value: Value, builder: Builder, fresh: bool) -> Value:
    return _pool("maxpool", layer, value, builder)


@lowering(nn.AvgPool2d)
def _average_pool(layer: nn.AvgPool2d, value: Value, builder: Builder, fresh: bool) -> Value:
    if layer.count_include_pad and layer.padding not in (0, (0, 0)):
        raise UsageError(f"{builder.where}: an average that counts taps outside has no integer form")
    return _pool("avgpool", layer, value, builder)


def _pool(kind: str, layer: nn.MaxPool2d | nn.AvgPool2d, value: Value, builder: Builder) -> Value:
    kernel, stride = layer.kernel_size, layer.stride
    square = isinstance(kernel, int) and isinstance(stride, int) and layer.padding == kernel // 2
    plain = not layer.ceil_mode and getattr(layer, "dilation", 1) == 1 and not getattr(layer, "divisor_override", None)
    if not square or not plain:
        raise UsageError(f"{builder.where}: {layer} has no integer form: square windows, kernel // 2 taps outside")
    return builder.pool(kind, value, cast(int, kernel), cast(int, stride))


@lowering(GlobalAveragePool)
def _mean(layer: GlobalAveragePool, value: Value, builder: Builder, fresh: bool) -> Value:
    return builder.mean(value)


@lowering(Zeros)
def _zeros(layer: Zeros, value: Value, builder: Builder, fresh: bool) -> Value:
    return builder.zeros(value, layer.out_channels, layer.stride)


@lowering(nn.Linear)
def _linear(layer: nn.Linear, value: Value, builder: Builder, fresh: bool) -> Value:
    """A convolution whose window is the whole map."""
    weight = layer.weight.detach().reshape(layer.out_features, *builder.shape(value))
    return builder.conv(value, weight, None if layer.bias is None else layer.bias.detach())


@lowering(FactorizedReduction)
def _reduction(layer: FactorizedReduction, value: Value, builder: Builder, fresh: bool) -> Value:
    """Two strided 1x1 convolutions, the second one pixel further in, each with its part of the norm."""
    gain, offset = _affine(layer.norm)
    _, height, width = builder.shape(value)
    size, split, parts = (-(-height // 2), -(-width // 2)), layer.even.out_channels, []
    for conv, pad, part in ((layer.even, 0, slice(0, split)), (layer.odd, -1, slice(split, None))):
        weight = conv.weight.detach()
        made = builder.conv(value, weight, stride=(2, 2), padding=(pad, pad), size=size)
        parts.append(builder.norm(made, gain[part], offset[part], True))
    return builder.concat(parts)
