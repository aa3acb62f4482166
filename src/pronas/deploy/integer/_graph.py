"""Full-precision networks as plain data, lowered far enough to be computed in integers.

Value 0 is the image (pixel values 0…255); node k makes value k + 1. Every map is (channels, height, width).

=========  ==================================================  ===================================
kind       result                                              weights
=========  ==================================================  ===================================
conv       sum of w x over channels and taps, + bias           (out, in, kh, kw)
depthwise  sum of w x over taps, + bias                        (channels, 1, kh, kw)
maxpool    largest of the taps inside                          none
avgpool    mean of the taps inside                             none
mean       mean over the map                                   none
add        a + b                                               none
relu       max(x, 0)                                           none
rescale    x, in a scale of its own                            none
concat     the channels of several maps one after another      none
=========  ==================================================  ===================================

Batch norm is folded into the convolution before it; ``relu`` on a node means that its result is max(., 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, final

from torch import Tensor

Shape = tuple[int, int, int]

WEIGHTED = ("conv", "depthwise")
TIED = ("maxpool", "avgpool", "relu")
"""Kinds whose result has the scale of what they read, as TensorFlow Lite demands."""


@final
@dataclass(frozen=True, eq=False)
class Node:
    """One operation; see the head of this module.

    Attributes:
        kind: what it does.
        sources: the values it reads.
        shape: of its result.
        kernel, stride, dilation: of windows.
        padding: taps outside, above and left of the map; -1 where the window begins one further in.
        relu: whether negative results become 0.
        weight, bias: float tensors (on the meta device where only sizes are asked for), or None.
        where: how messages call the place.
    """

    kind: str
    sources: tuple[int, ...]
    shape: Shape
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    relu: bool = False
    weight: Tensor | None = None
    bias: Tensor | None = None
    where: str = ""

    @property
    def size(self) -> int:
        """Elements of the result."""
        return prod(self.shape)


@final
@dataclass(frozen=True, eq=False)
class FloatGraph:
    """A network in floats: node 0 scales the image, the last node makes the logits (classes, 1, 1).

    Value 0 is the image, value i + 1 the result of node i.

    Attributes:
        input_shape: (C, H, W) of an image.
        nodes: in an order in which they can be run.
        info: plain values for people and programs: ``classes`` (names), ``cell``, ``parameters``, …
    """

    input_shape: Shape
    nodes: tuple[Node, ...]
    info: dict[str, Any] = field(default_factory=dict)

    def shape(self, value: int) -> Shape:
        """(channels, height, width) of a value."""
        return self.nodes[value - 1].shape if value else self.input_shape

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.nodes[-1].shape[0]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and dense layers for one image; the image's scaling is not counted."""
        return sum(macs_of(node) for node in self.nodes[1:])

    def readers(self) -> list[int]:
        """How many nodes read each value; the logits count as read once."""
        found = [0] * (len(self.nodes) + 1)
        for node in self.nodes:
            for source in node.sources:
                found[source] += 1
        found[-1] += 1
        return found


def macs_of(node: Node) -> int:
    """Multiply-accumulates of one node."""
    return node.size * prod(node.weight.shape[1:]) if node.weight is not None else 0


def output_length(length: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Length of a windowed result, ``padding`` taps outside at both ends."""
    return (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
