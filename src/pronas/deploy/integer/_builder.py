"""Building a `FloatGraph` value by value, and the passes that simplify it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from pronas.deploy.integer._graph import TIED, FloatGraph, Node, Shape, output_length

Value = int
"""A number that stands for a map while a graph is built."""

_OWN_SCALE = ("conv", "depthwise", "add", "mean", "rescale", "concat")


@final
class Builder:
    """Collects nodes; what a layer's lowering works with.

    Args:
        shape: (C, H, W) of the images.
    """

    def __init__(self, shape: Shape) -> None:
        self.input_shape = shape
        self.nodes: list[Node] = []
        self.where = ""
        self._rectified: dict[Value, Value] = {}
        self._zeros: set[Value] = set()

    def shape(self, value: Value) -> Shape:
        """(channels, height, width) of a value."""
        return self.nodes[value - 1].shape if value else self.input_shape

    def node(self, value: Value) -> Node:
        """What makes a value (not the image)."""
        return self.nodes[value - 1]

    def conv(
        self,
        source: Value,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
        depthwise: bool = False,
        size: tuple[int, int] | None = None,
    ) -> Value:
        """A convolution (or ``depthwise``, weight (c, 1, kh, kw)); ``size`` is its height and width where ``padding``
        does not say it."""
        kernel = (weight.shape[2], weight.shape[3])
        _, height, width = self.shape(source)
        size = size or (
            output_length(height, kernel[0], stride[0], padding[0], dilation[0]),
            output_length(width, kernel[1], stride[1], padding[1], dilation[1]),
        )
        bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
        kind = "depthwise" if depthwise else "conv"
        shape = (weight.shape[0], *size)
        return self._add(Node(kind, (source,), shape, kernel, stride, padding, dilation, False, weight, bias))

    def pool(self, kind: str, source: Value, kernel: int, stride: int) -> Value:
        """A ``maxpool`` or ``avgpool`` of kernel // 2 taps outside on every side."""
        channels, height, width = self.shape(source)
        shape = channels, *(output_length(side, kernel, stride, kernel // 2) for side in (height, width))
        pad = (kernel // 2, kernel // 2)
        return self._add(Node(kind, (source,), (shape[0], shape[1], shape[2]), (kernel, kernel), (stride, stride), pad))

    def mean(self, source: Value) -> Value:
        """Mean over the map."""
        return self._add(Node("mean", (source,), (self.shape(source)[0], 1, 1), self.shape(source)[1:]))

    def add(self, a: Value, b: Value) -> Value:
        """The sum of two maps of one shape; one of them where the other is zero."""
        if a in self._zeros or b in self._zeros:
            return a if b in self._zeros else b
        return self._add(Node("add", (a, b), self.shape(a)))

    def zeros(self, source: Value, filters: int, stride: int) -> Value:
        """A map of zeros: additions leave it out, what else reads it reads a convolution by zero."""
        _, height, width = self.shape(source)
        size = (-(-height // stride), -(-width // stride))
        weight = torch.zeros(filters, self.shape(source)[0], 1, 1)
        self._zeros.add(self.conv(source, weight, stride=(stride, stride), size=size))
        return len(self.nodes)

    def rescale(self, source: Value) -> Value:
        """The same in a scale of its own."""
        return self._add(Node("rescale", (source,), self.shape(source)))

    def relu(self, source: Value, fresh: bool) -> Value:
        """max(x, 0): part of the node before where that is ``fresh`` (nobody else reads it), else a node, once."""
        if fresh and self.node(source).kind in ("conv", "depthwise", "add"):
            self.nodes[source - 1] = replace(self.node(source), relu=True)
            return source
        if source not in self._rectified:
            self._rectified[source] = self._add(Node("relu", (source,), self.shape(source)))
        return self._rectified[source]

    def norm(self, source: Value, gain: Tensor, offset: Tensor, fresh: bool) -> Value:
        """gain x + offset for each channel: folded into a ``fresh`` convolution, else a depthwise one of one tap."""
        node = self.node(source)
        if fresh and node.weight is not None and node.bias is not None and not node.relu:
            weight, bias = node.weight * gain[:, None, None, None], node.bias * gain + offset
            self.nodes[source - 1] = replace(node, weight=weight, bias=bias)
            return source
        return self.conv(source, gain[:, None, None, None].clone(), offset, depthwise=True)

    def concat(self, parts: list[Value], inherited: frozenset[Value] = frozenset()) -> Value:
        """Channels one after another. All parts get one scale, so what has its scale from elsewhere is rescaled: pools,
        values of ``inherited`` and those that stand in a concatenation already."""
        if len(parts) == 1:
            return parts[0]
        taken = {source for node in self.nodes if node.kind == "concat" for source in node.sources}
        own: list[Value] = []
        for part in parts:
            shared = part in inherited or part in taken or part in own
            own.append(self.rescale(part) if shared or self.node(part).kind not in _OWN_SCALE else part)
        channels = sum(self.shape(part)[0] for part in own)
        return self._add(Node("concat", tuple(own), (channels, *self.shape(own[0])[1:])))

    def finish(self, value: Value, **info: Any) -> FloatGraph:
        """The graph whose result is ``value``."""
        return _fused(_alive(self.input_shape, self.nodes, value, info))

    def _add(self, node: Node) -> Value:
        self.nodes.append(replace(node, where=self.where))
        return len(self.nodes)


def _alive(shape: Shape, nodes: list[Node], last: Value, info: dict[str, Any]) -> FloatGraph:
    """Only what ``last`` depends on."""
    found, stack = {0, last}, [last]
    while stack:
        value = stack.pop()
        for source in nodes[value - 1].sources if value else ():
            if source not in found:
                found.add(source)
                stack.append(source)
    order = {value: number for number, value in enumerate(sorted(found))}
    kept = [nodes[value - 1] for value in sorted(found) if value]
    return FloatGraph(shape, tuple(replace(n, sources=tuple(order[s] for s in n.sources)) for n in kept), info)


def _fused(graph: FloatGraph) -> FloatGraph:
    """Each ``relu`` that alone reads what it reads becomes part of the node before."""
    readers, nodes = graph.readers(), list(graph.nodes)
    moved: dict[Value, Value] = {}
    for number, node in enumerate(nodes):
        source = node.sources[0]
        if node.kind != "relu" or readers[source] != 1 or nodes[source - 1].kind not in ("conv", "depthwise", "add"):
            continue
        nodes[source - 1] = replace(nodes[source - 1], relu=True)
        moved[number + 1] = source
    renamed = [replace(n, sources=tuple(moved.get(s, s) for s in n.sources)) for n in nodes]
    last = moved.get(len(nodes), len(nodes))
    return _alive(graph.input_shape, renamed, last, graph.info)


def tied_values(graph: FloatGraph) -> list[int]:
    """For each value a number that is equal where values must have one scale: what pools read and make, and the parts
    of a concatenation with the whole."""
    group = list(range(len(graph.nodes) + 1))

    def root(value: int) -> int:
        while group[value] != value:
            value = group[value]
        return value

    for number, node in enumerate(graph.nodes, 1):
        if node.kind in TIED or node.kind == "concat":
            for source in node.sources:
                group[root(source)] = root(number)
    return [root(value) for value in range(len(group))]


def on_meta(tensor: Tensor) -> bool:
    """Whether only the tensor's shape is known."""
    return tensor.device == torch.device("meta")
