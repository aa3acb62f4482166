"""The integer network in NumPy: slow, short, and what the C, LiteRT and TFLM are compared with, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.integer._graph import Node
from pronas.deploy.integer._quantize import IntegerGraph, Numbers
from pronas.deploy.integer.fixed_point import Integers, rescaled

Bytes = NDArray[np.int8]


def run_integer(network: IntegerGraph, images: NDArray[np.uint8]) -> Bytes:
    """Classify with the integer network in NumPy: what the C and TensorFlow Lite's runtimes are compared with.

        >>> import numpy as np
        >>> from pronas.deploy.integer import calibrate, lower, quantize, run_integer
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> images = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), np.uint8)
        >>> integers = quantize(graph := lower(network), calibrate(graph, images))
        >>> logits = run_integer(integers, images)
        >>> logits.shape, logits.dtype.name
        ((32, 2), 'int8')

    Args:
        network: from `quantize` or `integer_model`.
        images: uint8 (n, C, H, W), n of one or more.

    Returns:
        int8 logits (n, classes); the last of ``network.scales`` makes them real ones.
    """
    parts = [integer_values(network, images[at : at + 32])[-1] for at in range(0, len(images), 32)]
    return np.concatenate([part.reshape(len(part), -1) for part in parts])


def integer_values(network: IntegerGraph, images: NDArray[np.uint8]) -> list[Bytes]:
    """Every value, int8 (n, H, W, C); the image as pixel - 128.

        >>> import numpy as np
        >>> from pronas.deploy.integer import calibrate, lower, quantize, run_integer
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> images = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), np.uint8)
        >>> integers = quantize(graph := lower(network), calibrate(graph, images))
        >>> values = integer_values(integers, images)
        >>> values[0].shape, len(values) == len(graph.nodes) + 1
        ((32, 8, 8, 1), True)

    Args:
        network: from `quantize`.
        images: uint8 (n, C, H, W).

    Returns:
        One array a value: the image, then each node's result; logits are (n, 1, 1, classes).
    """
    pixels = images.transpose(0, 2, 3, 1).astype(np.int16) - 128
    values = [pixels.astype(np.int8)]
    for number, node in enumerate(network.graph.nodes):
        zeros = [network.scales[source].zero for source in node.sources]
        inputs = [values[source] for source in node.sources]
        values.append(_run(node, network.numbers[number], inputs, zeros, network.scales[number + 1].zero))
    return values


def _run(node: Node, numbers: Numbers, inputs: list[Bytes], zeros: list[int], zero: int) -> Bytes:
    x = inputs[0]
    match node.kind:
        case "conv" | "depthwise":
            z = _conv(node, numbers, x, zeros[0])
            q = rescaled(z, numbers.mantissa, numbers.shift) + zero
        case "maxpool":
            q = np.maximum.reduce([tap for *_, tap in _taps(node, x, -128)]).astype(np.int64)
        case "avgpool":
            q = _average(node, x)
        case "mean":
            z = (x.astype(np.int64) - zeros[0]).sum((1, 2), keepdims=True)
            q = rescaled(z, numbers.mantissa[0], numbers.shift[0]) + zero
        case "rescale":
            q = rescaled(x.astype(np.int64) - zeros[0], numbers.mantissa[0], numbers.shift[0]) + zero
        case "add":
            q = _add(numbers, inputs, zeros) + zero
        case "concat":
            return np.concatenate(inputs, 3)
        case _:
            q = x.astype(np.int64)
    return q.clip(numbers.low, numbers.high).astype(np.int8)


def _taps(node: Node, x: NDArray[Any], fill: int) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """(row, column, (n, oh, ow, C)) for each tap of the window, ``fill`` where it lies outside."""
    (oh, ow), (sh, sw), (dh, dw) = node.shape[1:], node.stride, node.dilation
    (top, left), (kh, kw) = node.padding, node.kernel
    rows, columns = (oh - 1) * sh + dh * (kh - 1) + 1, (ow - 1) * sw + dw * (kw - 1) + 1
    padded = np.full((len(x), max(rows, x.shape[1] + top), max(columns, x.shape[2] + left), x.shape[3]), fill, x.dtype)
    skip, cut = max(-top, 0), max(-left, 0)
    inner = x[:, skip:, cut:]
    padded[:, max(top, 0) : max(top, 0) + inner.shape[1], max(left, 0) : max(left, 0) + inner.shape[2]] = inner
    for i in range(kh):
        for j in range(kw):
            yield i, j, padded[:, i * dh : i * dh + (oh - 1) * sh + 1 : sh, j * dw : j * dw + (ow - 1) * sw + 1 : sw]


def _conv(node: Node, numbers: Numbers, x: Bytes, zero: int) -> Integers:
    """Sums of products, exact in floats: in those of 32 bits where no sum can reach 2^24."""
    axes = (0, 1) if node.kind == "depthwise" else (1, 2, 3)
    largest = int(np.abs(numbers.weight.astype(np.int64)).sum(axes).max()) * 255
    kind: type[np.float32 | np.float64] = np.float32 if largest < 1 << 24 else np.float64
    z = np.zeros((len(x), *node.shape[1:], node.shape[0]), kind)
    for i, j, tap in _taps(node, (x.astype(np.int16) - zero).astype(kind), 0):
        if node.kind == "depthwise":
            z += tap * numbers.weight[i, j]
        else:
            z += tap @ numbers.weight[:, i, j].T.astype(kind)
    return z.astype(np.int64) + numbers.bias


def _average(node: Node, x: Bytes) -> Integers:
    """The mean of the raw taps inside, rounded half away from zero."""
    total = sum(tap for *_, tap in _taps(node, x.astype(np.int64), 0))
    count = sum(tap for *_, tap in _taps(node, np.ones_like(x, np.int64), 0))
    away = np.abs(total) + count // 2
    mean: Integers = np.sign(total) * (away // count)
    return mean


def _add(numbers: Numbers, inputs: list[Bytes], zeros: list[int]) -> Integers:
    """Both inputs with 20 more bits, brought to one scale, added, and brought to the result's."""
    sides = [
        rescaled((x.astype(np.int64) - zero) << 20, numbers.mantissa[i], numbers.shift[i])
        for i, (x, zero) in enumerate(zip(inputs, zeros, strict=True))
    ]
    return rescaled(sides[0] + sides[1], numbers.mantissa[2], numbers.shift[2])
