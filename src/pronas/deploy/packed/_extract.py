"""From a binary `pronas.networks.Network` to a `Graph`: walks the tree of modules, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pronas.deploy.packed._builder import Builder, Value
from pronas.deploy.packed._graph import PIXEL, Graph
from pronas.deploy.packed._thresholds import logit_form, thresholds
from pronas.errors import UsageError
from pronas.networks import DropoutNoScale, MaxPool, Network, QuantConv2d, QuantLinear, Sign, SumPool

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_SILENT = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d, DropoutNoScale)


@final
@dataclass(frozen=True)
class _Sum:
    """An integer sum that waits for its batch norm and sign."""

    kind: str
    sources: tuple[Value, ...]
    weights: NDArray[np.bool_]
    limit: int
    window: tuple[tuple[int, int], int, tuple[int, int]] = ((1, 1), 1, (0, 0))
    scale: Tensor | None = None
    layers: tuple[nn.Module, ...] = ()


def graph_of(network: Network, **info: Any) -> Graph:
    """The packed form of a binary network in evaluation mode.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> binary = skeleton("binary", filters=(8,))
        >>> network = binary.build(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> [op.kind for op in graph_of(network).ops]
        ['conv', 'maxpool', 'sumpool', 'dense', 'logits']

    Args:
        network: as `pronas.networks` builds it, trained or not, on any device (it is read on the CPU).
        info: plain values kept with the graph.

    Returns:
        Maps and operations: weights as bits, batch norm and sign as thresholds of integer sums.

    Raises:
        UsageError: a full-precision network, or a layer that has no packed form.
    """
    if not network.plan.factory.binary:
        raise UsageError("only binary networks can be packed; export this full-precision network to onnx", "format")
    training = network.training
    network.eval()
    try:
        return _Walk(network).graph(info)
    finally:
        network.train(training)


class _Walk:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.builder = Builder(network.plan.input_shape)

    def graph(self, info: dict[str, Any]) -> Graph:
        states = [self._bits(self._chain(self.network.stem, self.builder.image, "stem"), "stem", image=True)]
        for number, cell in enumerate(self.network.cells):
            states.append(self._cell(cell, states, f"cell {number}"))
        last = self._chain(self.network.head, states[-1], "head")
        if not isinstance(last, _Sum) or last.kind != "dense":
            raise UsageError("the head does not end in a binary dense layer, so it cannot be packed")
        classes = len(last.weights)
        logits = logit_form(last.weights.shape[1], classes, last.scale, list(last.layers))
        return self.builder.finish(last.sources[0], last.weights, logits, **info)

    def _cell(self, cell: Any, states: list[Value], where: str) -> Value:
        nodes = [self._input(read, states, f"{where}, input") for read in cell.inputs]
        for number, block in enumerate(cell.blocks):
            nodes.append(self._block(block, nodes, f"{where}, block {number}"))
        return self.builder.concat([nodes[n] for n in cell.outputs])

    def _input(self, read: Any, states: list[Value], where: str) -> Value:
        values = [
            self._bits(self._chain(reducer, states[s], where), where, image=True)
            for s, reducer in zip(read.sources, read.reducers, strict=True)
        ]
        if len(values) > 1 and any(self.builder.map(v).image for v in values):
            raise UsageError(f"{where}: the image and bits are concatenated, which has no packed form; drop that skip")
        return self._bits(self._chain(read.adapter, self.builder.concat(values), where), where, image=True)

    def _block(self, block: Any, nodes: list[Value], where: str) -> Value:
        left, right = (
            self._bits(self._chain(operator, nodes[source], f"{where}, {side}"), where)
            for operator, source, side in zip((block.left, block.right), block.sources, ("left", "right"), strict=True)
        )
        if not block.add:
            return self.builder.concat([left, right])
        ones = np.ones(self.builder.map(left).channels, np.bool_)
        return self._bits(self._chain(block.ending, _Sum("add", (left, right), ones, 2), where), where)

    def _bits(self, value: Value | _Sum, where: str, image: bool = False) -> Value:
        if isinstance(value, _Sum):
            raise UsageError(f"{where}: a sum is not followed by a sign, so it cannot be packed")
        if self.builder.map(value).image and not image:
            raise UsageError(f"{where}: pixels are not followed by a sign, so it cannot be packed")
        return value

    def _chain(self, layers: nn.Module, value: Value | _Sum, where: str) -> Value | _Sum:
        for layer in _flat(layers):
            value = self._layer(layer, value, where)
        return value

    def _layer(self, layer: nn.Module, value: Value | _Sum, where: str) -> Value | _Sum:
        """One layer; batch norms and signs gather behind the sum they follow."""
        if isinstance(layer, _SILENT):
            return value
        if isinstance(layer, (*_NORMS, Sign)):
            pending = value if isinstance(value, _Sum) else self._itself(value)
            pending = replace(pending, layers=(*pending.layers, layer))
            return self._signed(pending, where) if isinstance(layer, Sign) else pending
        if not isinstance(layer, (MaxPool, SumPool, QuantConv2d, QuantLinear)):
            raise UsageError(f"{where}: a layer {type(layer).__name__} has no packed form; export to onnx", "format")
        source = self._bits(value, where, image=True)
        if isinstance(layer, MaxPool):
            return self.builder.window("maxpool", source, *_window(layer))
        if isinstance(layer, SumPool):
            ones = np.ones(self.builder.map(source).channels, np.bool_)
            window = _window(layer)
            return _Sum("sumpool", (source,), ones, self._limit(source, window[0][0] * window[0][1]), window)
        if isinstance(layer, QuantConv2d):
            return self._conv(layer, source, where)
        weights = _weights(layer, where)
        return _Sum("dense", (source,), weights, weights.shape[1], scale=_scale(layer))

    def _itself(self, value: Value) -> _Sum:
        """A map as a sum of one tap, for a batch norm that follows no sum."""
        ones = np.ones(self.builder.map(value).channels, np.bool_)
        return _Sum("sumpool", (value,), ones, self._limit(value, 1))

    def _limit(self, source: Value, inputs: int) -> int:
        return inputs * (PIXEL if self.builder.map(source).image else 1)

    def _conv(self, layer: QuantConv2d, source: Value, where: str) -> _Sum:
        weights, single = _weights(layer, where), layer.groups == layer.in_channels == layer.out_channels
        if (layer.groups > 1 and not single) or layer.dilation != (1, 1) or layer.stride[0] != layer.stride[1]:
            raise UsageError(f"{where}: a convolution with groups, dilation or two strides has no packed form")
        kind = "depthwise" if single and layer.groups > 1 else "conv"
        limit = self._limit(source, weights[0].size)
        weights = weights[:, 0] if kind == "depthwise" else weights
        return _Sum(kind, (source,), weights, limit, _window(layer), _scale(layer))

    def _signed(self, pending: _Sum, where: str) -> Value:
        limits, turned = thresholds(pending.limit, len(pending.weights), pending.scale, list(pending.layers), where)
        # where the sign falls with z, the channel's weights change sides: -z >= t
        weights = pending.weights ^ turned.reshape(-1, *[1] * (pending.weights.ndim - 1))
        if pending.kind == "add":
            return self.builder.add(pending.sources[0], pending.sources[1], weights, limits)
        if pending.kind == "dense":
            return self.builder.dense(pending.sources[0], weights, limits)
        return self.builder.window(
            pending.kind, pending.sources[0], *pending.window, weights=weights, thresholds=limits
        )


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential):
        for layer in module:
            yield from _flat(layer)
    else:
        yield module


@torch.no_grad()
def _weights(layer: QuantConv2d | QuantLinear, where: str) -> NDArray[np.bool_]:
    if layer.kernel_quantizer is None or layer.input_quantizer is not None:
        raise UsageError(f"{where}: a full-precision layer {type(layer).__name__} has no packed form")
    weights = layer.quantized_weight().detach().cpu()
    if not bool((weights.abs() == 1).all()):
        raise UsageError(f"{where}: its kernel is not -1 and +1 once quantized, so it cannot be packed")
    return np.ascontiguousarray((weights > 0).numpy())


@torch.no_grad()
def _scale(layer: QuantConv2d | QuantLinear) -> Tensor | None:
    return layer.xnor_scale().detach().cpu() if layer.xnor else None


def _window(layer: Any) -> tuple[tuple[int, int], int, tuple[int, int]]:
    def pair(value: Any) -> tuple[int, int]:
        return (value, value) if isinstance(value, int) else (value[0], value[1])

    return pair(layer.kernel_size), pair(layer.stride)[0], pair(layer.padding)
