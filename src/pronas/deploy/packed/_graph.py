"""Binary networks as plain data: maps of bits, and operations between them in exact integers.

A bit stands for ±1 (0 for -1). Operations that make bits compute an integer ``z`` for every output and compare it with
the channel's threshold: the bit is set where ``z >= threshold``. With ``w`` the ±1 weights and ``x`` the ±1 inputs (or
``2 x - 255`` for the pixels of an image), over the taps inside the map:

=========  =============================================  =========================
kind       z                                              weights
=========  =============================================  =========================
conv       sum of w x over channels and taps              (out, in, kh, kw)
depthwise  sum of w x over taps                           (channels, kh, kw)
sumpool    w times the sum of x over taps                 (channels,)
dense      sum of w x over the flattened map              (out, channels * h * w)
logits     as dense; z becomes a float logit              (out, channels * h * w)
add        w (a + b) of two maps                          (channels,)
maxpool    largest x of the taps inside (image: pixels)   none
copy       x, into a part of a concatenation              none
=========  =============================================  =========================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

KINDS = ("", "conv", "depthwise", "sumpool", "maxpool", "dense", "logits", "add", "copy")
WINDOWED = ("conv", "depthwise", "sumpool", "maxpool")
THRESHOLDED = ("conv", "depthwise", "sumpool", "dense", "add")
PIXEL = 255  # the largest |2 x - 255|


@final
@dataclass(frozen=True)
class Map:
    """A map of ``channels`` x ``height`` x ``width`` bits, or of 8-bit pixels (``image``)."""

    channels: int
    height: int
    width: int
    image: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def size(self) -> int:
        """Elements."""
        return self.channels * self.height * self.width


@final
@dataclass(frozen=True, eq=False)
class Logits:
    """How integers become float logits with PyTorch's own roundings (all arithmetic in float32 unless said).

    ======== ==========================================
    form     logit of class c
    ======== ==========================================
    0        z * a[c] + b[c], rounded twice
    1        z * a[c] + b[c], in double, rounded once
    2        table[c, (z + k) / 2]
    3        form 0 of the rounded z * s[c]
    4        form 1 of the rounded z * s[c]
    ======== ==========================================

    Attributes:
        form: see above.
        values: float32, (classes, 2) of a, b; (classes, k + 1); or (classes, 3) of s, a, b.
    """

    form: int
    values: NDArray[np.float32]

    def __call__(self, z: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Float logits of integers (n, classes)."""
        if self.form == 2:
            k = self.values.shape[1] - 1
            found: NDArray[np.float32] = self.values[np.arange(self.values.shape[0]), (z + k) // 2]
            return found
        x = z.astype(np.float32)
        if self.form >= 3:
            x = x * self.values[:, 0]
        a, b = self.values[:, -2], self.values[:, -1]
        if self.form in (0, 3):
            return (x * a).astype(np.float32) + b
        return (x.astype(np.float64) * a + b).astype(np.float32)


@final
@dataclass(frozen=True, eq=False)
class Op:
    """One operation; see the head of this module.

    Attributes:
        kind: one of `KINDS`.
        sources: numbers of the maps it reads: one, two for ``add``.
        target: number of the map it writes (0 for ``logits``).
        offset: first channel it writes of its target.
        channels: how many it writes.
        kernel, stride, padding: of windowed kinds.
        weights: bool (True is +1), shaped as the table says; or None.
        thresholds: int32 (channels,), or None.
        logits: of ``logits``.
    """

    kind: str
    sources: tuple[int, ...]
    target: int
    offset: int
    channels: int
    kernel: tuple[int, int] = (0, 0)
    stride: int = 0
    padding: tuple[int, int] = (0, 0)
    weights: NDArray[np.bool_] | None = None
    thresholds: NDArray[np.int32] | None = None
    logits: Logits | None = None


@final
@dataclass(frozen=True)
class Graph:
    """A binary network: map 0 is the image, operations in order, the last one makes the logits.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> binary = skeleton("binary", filters=(8,))
        >>> network = binary.build(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> from pronas.deploy.packed import graph_of
        >>> graph_of(network).input_shape
        (1, 8, 8)

    Attributes:
        maps: all maps.
        ops: all operations; each map is written completely, part after part, before it is read.
        info: plain values for people and programs: ``classes`` (names), ``cell``, ``parameters``, …
    """

    maps: tuple[Map, ...]
    ops: tuple[Op, ...]
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.ops[-1].channels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self.maps[0].shape


def inputs_of(op: Op, source: Map) -> int:
    """Number of inputs that one output of ``op`` sums."""
    taps = op.kernel[0] * op.kernel[1]
    if op.kind == "conv":
        return taps * source.channels
    if op.kind in ("depthwise", "sumpool", "maxpool"):
        return taps
    return source.size if op.kind in ("dense", "logits") else len(op.sources)


def weight_shape(op: Op, source: Map) -> tuple[int, ...]:
    """Shape of the weights of ``op``; empty where it has none."""
    match op.kind:
        case "conv":
            return (op.channels, source.channels, *op.kernel)
        case "depthwise":
            return (op.channels, *op.kernel)
        case "sumpool" | "add":
            return (op.channels,)
        case "dense" | "logits":
            return (op.channels, source.size)
    return ()


def output_size(op: Op, source: Map) -> tuple[int, int]:
    """(height, width) of what ``op`` writes."""
    if op.kind in ("dense", "logits"):
        return 1, 1
    if op.kind not in WINDOWED:
        return source.height, source.width
    height, width = (
        (size + 2 * pad - kernel) // op.stride + 1
        for size, pad, kernel in zip((source.height, source.width), op.padding, op.kernel, strict=True)
    )
    return height, width
