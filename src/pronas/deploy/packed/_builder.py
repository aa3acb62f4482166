"""Building a `Graph` from values: concatenations cost nothing where their parts can be written into place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.packed._graph import Graph, Logits, Map, Op, output_size

Value = int
"""A number that stands for a map while a graph is built."""


@final
@dataclass(frozen=True)
class _Node:
    map: Map
    op: Op | None = None  # with values for its sources; None: the image, or a concatenation
    pieces: tuple[Value, ...] = ()


@final
class Builder:
    """Collects operations on values and makes a `Graph` of them.

    Args:
        shape: (C, H, W) of the images.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._nodes = [_Node(Map(*shape, image=True))]

    @property
    def image(self) -> Value:
        """The images' pixels."""
        return 0

    def map(self, value: Value) -> Map:
        """Shape and kind of a value."""
        return self._nodes[value].map

    def concat(self, values: list[Value]) -> Value:
        """Channels of several maps of bits of one size, one after another."""
        pieces = tuple(p for v in values for p in (self._nodes[v].pieces or (v,)))
        if len(pieces) == 1:
            return pieces[0]
        first = self.map(pieces[0])
        channels = sum(self.map(p).channels for p in pieces)
        return self._add(_Node(Map(channels, first.height, first.width), None, pieces))

    def window(
        self,
        kind: str,
        source: Value,
        kernel: tuple[int, int],
        stride: int,
        padding: tuple[int, int],
        *,
        weights: NDArray[np.bool_] | None = None,
        thresholds: NDArray[np.int32] | None = None,
    ) -> Value:
        """A ``conv``, ``depthwise``, ``sumpool`` or ``maxpool``."""
        image = kind == "maxpool" and self.map(source).image
        channels = len(weights) if kind == "conv" and weights is not None else self.map(source).channels
        op = Op(kind, (source,), 0, 0, channels, kernel, stride, padding, weights, thresholds)
        return self._apply(op, image)

    def dense(self, source: Value, weights: NDArray[np.bool_], thresholds: NDArray[np.int32]) -> Value:
        """A dense layer on the flattened map (channels, then rows, then columns)."""
        return self._apply(Op("dense", (source,), 0, 0, len(weights), weights=weights, thresholds=thresholds))

    def add(self, a: Value, b: Value, weights: NDArray[np.bool_], thresholds: NDArray[np.int32]) -> Value:
        """The sum of two maps of bits, times one weight a channel."""
        return self._apply(Op("add", (a, b), 0, 0, len(weights), weights=weights, thresholds=thresholds))

    def finish(self, source: Value, weights: NDArray[np.bool_], logits: Logits, **info: Any) -> Graph:
        """Add the layer that makes the logits, and give the graph."""
        last = Op("logits", (source,), 0, 0, len(weights), weights=weights, logits=logits)
        return _Lowering(self._nodes, last).graph(info)

    def _apply(self, op: Op, image: bool = False) -> Value:
        height, width = output_size(op, self.map(op.sources[0]))
        return self._add(_Node(Map(op.channels, height, width, image), op))

    def _add(self, node: _Node) -> Value:
        self._nodes.append(node)
        return len(self._nodes) - 1


def _sources(node: _Node) -> tuple[Value, ...]:
    return node.pieces if node.op is None else node.op.sources


class _Lowering:
    """Gives every value that is read its map, and decides which parts of concatenations are written in place."""

    def __init__(self, nodes: list[_Node], last: Op) -> None:
        self.nodes, self.last = nodes, last
        self.live = self._live()
        self.reads = Counter(last.sources)
        for value in self.live:
            self.reads.update(_sources(nodes[value]))
        self.place: dict[Value, tuple[Value, int]] = {}
        for value in self.live:
            if self._in_place(value):
                offset = 0
                for piece in nodes[value].pieces:
                    self.place[piece] = (value, offset)
                    offset += nodes[piece].map.channels

    def _live(self) -> list[Value]:
        """What the logits depend on, in order."""
        found, stack = {0}, list(self.last.sources)
        while stack:
            value = stack.pop()
            if value not in found:
                found.add(value)
                stack.extend(_sources(self.nodes[value]))
        return sorted(found)

    def _in_place(self, value: Value) -> bool:
        """Whether every part is written once, in order, and read by this concatenation alone."""
        pieces = self.nodes[value].pieces
        return bool(pieces) and list(pieces) == sorted(set(pieces)) and all(self.reads[p] == 1 for p in pieces)

    def graph(self, info: dict[str, Any]) -> Graph:
        """The graph."""
        own = [v for v in self.live if v not in self.place]
        number = {value: index for index, value in enumerate(own)}
        ops: list[Op] = []
        for value in self.live:
            ops += self._ops(value, number)
        ops.append(replace(self.last, sources=tuple(number[s] for s in self.last.sources)))
        return Graph(tuple(self.nodes[v].map for v in own), tuple(ops), info)

    def _ops(self, value: Value, number: dict[Value, int]) -> list[Op]:
        node = self.nodes[value]
        if node.op is not None:
            target, offset = self.place.get(value, (value, 0))
            sources = tuple(number[s] for s in node.op.sources)
            return [replace(node.op, sources=sources, target=number[target], offset=offset)]
        if not node.pieces or self.place.get(node.pieces[0], (None, 0))[0] == value:
            return []
        copies, offset = [], 0
        for piece in node.pieces:
            channels = self.nodes[piece].map.channels
            copies.append(Op("copy", (number[piece],), number[value], offset, channels))
            offset += channels
        return copies
