"""From floats and scales to the integer network: int8 weights, int32 biases, fixed-point multipliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.integer._builder import on_meta
from pronas.deploy.integer._calibrate import Scale
from pronas.deploy.integer._graph import WEIGHTED, FloatGraph, Node, Shape
from pronas.deploy.integer.even_scales import weight_scales
from pronas.deploy.integer.fixed_point import mean_multiplier, multiplier, multipliers

_NONE = np.zeros(0, np.int32)


@final
@dataclass(frozen=True, eq=False)
class Numbers:
    """The integers of one node.

    Attributes:
        weight: int8, conv (out, kh, kw, in), depthwise (kh, kw, channels); empty for others.
        bias: int32 (out,), the input's zero point not yet in it; empty for others.
        mantissa, shift: int32 and int8, the fixed-point multipliers: one a channel (conv, depthwise), one (mean,
            rescale), three (add: of both inputs and of the sum), or none.
        filter_scales: float32 (out,), what a step of each channel's weights is worth.
        low, high: where results are clipped.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    mantissa: NDArray[np.int32]
    shift: NDArray[np.int8]
    filter_scales: NDArray[np.float32]
    low: int
    high: int


@final
@dataclass(frozen=True, eq=False)
class IntegerGraph:
    """A network in integers: the structure of ``graph``, a scale for each value, the numbers of each node.

    Attributes:
        graph: the network in floats.
        scales: one a value, the image's first.
        numbers: one a node: int8 weights, int32 biases, fixed-point multipliers.
    """

    graph: FloatGraph
    scales: tuple[Scale, ...]
    numbers: tuple[Numbers, ...]

    @property
    def input_shape(self) -> Shape:
        """(C, H, W) of an image."""
        return self.graph.input_shape

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.graph.classes

    @property
    def info(self) -> dict[str, Any]:
        """Plain values for people and programs."""
        return self.graph.info


def quantize(graph: FloatGraph, scales: tuple[Scale, ...]) -> IntegerGraph:
    """The integer network (scheme: Jacob et al. 2018, section 2; a scale a filter).

    Results of every node are defined to the bit by TensorFlow Lite's reference kernels.

        >>> import numpy as np
        >>> from pronas.deploy.integer import calibrate, lower, quantize, run_integer
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> images = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), np.uint8)
        >>> integers = quantize(graph := lower(network), calibrate(graph, images))
        >>> integers.numbers[1].weight.dtype.name, integers.numbers[1].bias.dtype.name
        ('int8', 'int32')

    Args:
        graph: the network in floats, from `lower`.
        scales: one a value, from `calibrate`.

    Returns:
        The graph with int8 weights, int32 biases and fixed-point multipliers of each node.
    """
    numbers = []
    for number, node in enumerate(graph.nodes):
        inputs, output = [scales[s] for s in node.sources], scales[number + 1]
        numbers.append(_numbers(node, inputs, output))
    return IntegerGraph(graph, scales, tuple(numbers))


def _numbers(node: Node, inputs: list[Scale], output: Scale) -> Numbers:
    low = max(-128, output.zero) if node.relu or node.kind == "relu" else -128
    if node.kind in WEIGHTED:
        return _weighted(node, inputs[0], output, low)
    pairs = _multipliers(node, inputs, output)
    mantissa, shift = np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)
    return Numbers(_NONE.astype(np.int8), _NONE, mantissa, shift, _NONE.astype(np.float32), low, 127)


def _multipliers(node: Node, inputs: list[Scale], output: Scale) -> list[tuple[int, int]]:
    first = inputs[0].scale
    match node.kind:
        case "mean":
            return [mean_multiplier(first / output.scale, node.kernel[0] * node.kernel[1])]
        case "rescale":
            return [multiplier(first / output.scale)]
        case "add":
            twice = 2.0 * max(first, inputs[1].scale)
            # both inputs are shifted left by 20 bits before they are added
            return [multiplier(s.scale / twice) for s in inputs] + [multiplier(twice / ((1 << 20) * output.scale))]
    return []


def _weighted(node: Node, source: Scale, output: Scale, low: int) -> Numbers:
    assert node.weight is not None
    assert node.bias is not None
    meta = on_meta(node.weight)
    weight = np.zeros(tuple(node.weight.shape), np.float32) if meta else node.weight.float().cpu().numpy()
    bias = np.zeros(len(weight), np.float32) if meta else node.bias.float().cpu().numpy()
    scales = weight_scales(weight, bias, source.scale, output.scale)
    q = np.clip(np.rint(weight / scales[:, None, None, None]), -127, 127).astype(np.int8)
    steps = np.float64(source.scale) * scales.astype(np.float64)
    mantissa, shift = multipliers(steps / output.scale)
    arranged = q[:, 0].transpose(1, 2, 0) if node.kind == "depthwise" else q.transpose(0, 2, 3, 1)
    whole = np.rint(bias / steps).astype(np.int32)
    return Numbers(np.ascontiguousarray(arranged), whole, mantissa, shift, scales, low, 127)
