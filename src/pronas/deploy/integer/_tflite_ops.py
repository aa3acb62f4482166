"""The integer network as TensorFlow Lite's tensors and operators, before they become bytes.

Padding here is kernel // 2 on every side; TensorFlow's SAME puts the odd tap at the end. Where the two differ a
convolution gets an explicit PAD, and a strided pool becomes one of stride 1 followed by taking every second pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.integer._calibrate import Scale
from pronas.deploy.integer._graph import Node
from pronas.deploy.integer._quantize import IntegerGraph, Numbers

SAME, VALID = 0, 1
_RELU = 1


@final
@dataclass(frozen=True, eq=False)
class LiteTensor:
    """A tensor: int8 or int32, NHWC; ``scales`` with one entry a channel of dimension ``axis``, or one."""

    name: str
    shape: tuple[int, ...]
    kind: str
    data: NDArray[Any] | None = None
    scales: NDArray[np.float32] | None = None
    zero: int = 0
    axis: int = 0


@final
@dataclass(frozen=True)
class LiteOp:
    """An operator: its builtin name, tensors, the table of its options and their values."""

    name: str
    inputs: tuple[int, ...]
    output: int
    table: str = ""
    options: dict[str, Any] = field(default_factory=dict)


class LiteGraph:
    """Tensors and operators of an integer network; tensor 0 is the image, the last operator makes the logits."""

    def __init__(self, network: IntegerGraph) -> None:
        self.network = network
        self.tensors: list[LiteTensor] = []
        self.ops: list[LiteOp] = []
        channels, height, width = network.input_shape
        self._values = [self._map("images", (1, height, width, channels), network.scales[0])]
        for number, node in enumerate(network.graph.nodes):
            self._values.append(self._node(number, node))
        logits = self._map("logits", (1, network.classes), network.scales[-1])
        shape = self._constant("shape", np.array([1, network.classes], np.int32))
        self._op("RESHAPE", (self._values[-1], shape), logits, "ReshapeOptions", NewShape=[1, network.classes])

    def _tensor(self, tensor: LiteTensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _map(self, name: str, shape: tuple[int, ...], scale: Scale) -> int:
        return self._tensor(LiteTensor(name, shape, "INT8", None, np.array([scale.scale], np.float32), scale.zero))

    def _constant(self, name: str, data: NDArray[np.int32]) -> int:
        return self._tensor(LiteTensor(name, data.shape, "INT32", data))

    def _op(self, name: str, inputs: tuple[int, ...], output: int, table: str = "", **options: Any) -> int:
        self.ops.append(LiteOp(name, inputs, output, table, options))
        return output

    def _node(self, number: int, node: Node) -> int:
        inputs = tuple(self._values[s] for s in node.sources)
        numbers, scale, name = self.network.numbers[number], self.network.scales[number + 1], f"{node.kind}{number}"
        channels, height, width = node.shape
        if node.kind in ("conv", "depthwise"):
            return self._conv(node, numbers, inputs[0], name, scale)
        if node.kind in ("maxpool", "avgpool"):
            return self._pool(node, inputs[0], name, scale)
        output = self._map(name, (1, height, width, channels), scale)
        match node.kind:
            case "mean":
                axes = self._constant(f"{name}_axes", np.array([1, 2], np.int32))
                return self._op("MEAN", (*inputs, axes), output, "ReducerOptions", KeepDims=True)
            case "add":
                return self._op("ADD", inputs, output, "AddOptions", FusedActivationFunction=_RELU * node.relu)
            case "concat":
                return self._op("CONCATENATION", inputs, output, "ConcatenationOptions", Axis=3)
            case "relu":
                return self._op("RELU", inputs, output)
        return self._op("QUANTIZE", inputs, output, "QuantizeOptions")

    def _conv(self, node: Node, numbers: Numbers, source: int, name: str, scale: Scale) -> int:
        depthwise = node.kind == "depthwise"
        weight = numbers.weight[None] if depthwise else numbers.weight
        before = [max(-pad, 0) for pad in node.padding]  # a window that begins further in has taps of zero there
        weight = np.pad(weight, ((0, 0), (before[0], 0), (before[1], 0), (0, 0)))
        source, padding = self._padded(node, weight.shape[1:3], source, name)
        filters = LiteTensor(f"{name}_weights", weight.shape, "INT8", weight, numbers.filter_scales, 0, 3 * depthwise)
        steps = (np.float64(self.tensors[source].scales[0]) * numbers.filter_scales).astype(np.float32)  # type: ignore[index]
        bias = LiteTensor(f"{name}_bias", numbers.bias.shape, "INT32", numbers.bias, steps)
        inputs = (source, self._tensor(filters), self._tensor(bias))
        channels, height, width = node.shape
        options = {
            "Padding": padding, "StrideH": node.stride[0], "StrideW": node.stride[1],
            "DilationHFactor": node.dilation[0], "DilationWFactor": node.dilation[1],
            "FusedActivationFunction": _RELU * node.relu, **({"DepthMultiplier": 1} if depthwise else {}),
        }  # fmt: skip
        output = self._map(name, (1, height, width, channels), scale)
        table, kind = ("DepthwiseConv2DOptions", "DEPTHWISE_CONV_2D") if depthwise else ("Conv2DOptions", "CONV_2D")
        return self._op(kind, inputs, output, table, **options)

    def _padded(self, node: Node, kernel: tuple[int, ...], source: int, name: str) -> tuple[int, int]:
        """What the convolution reads and its padding: SAME or VALID where that is the same, else a PAD before VALID."""
        sides = self.tensors[source].shape[1:3]
        pads = [max(pad, 0) for pad in node.padding]
        ends = [
            max((out - 1) * stride + dilation * (size - 1) + 1 - length - pad, 0)
            for out, length, size, stride, dilation, pad in zip(
                node.shape[1:], sides, kernel, node.stride, node.dilation, pads, strict=True
            )
        ]
        if not any(pads) and not any(ends):
            return source, VALID
        whole = all(out == -(-length // s) for out, length, s in zip(node.shape[1:], sides, node.stride, strict=True))
        if whole and all(pad == (pad + end) // 2 for pad, end in zip(pads, ends, strict=True)):
            return source, SAME
        tensor = self.tensors[source]
        shape = (1, sides[0] + pads[0] + ends[0], sides[1] + pads[1] + ends[1], tensor.shape[3])
        widths = np.array([[0, 0], [pads[0], ends[0]], [pads[1], ends[1]], [0, 0]], np.int32)
        output = self._tensor(LiteTensor(f"{name}_padded", shape, "INT8", None, tensor.scales, tensor.zero))
        return self._op("PAD", (source, self._constant(f"{name}_pads", widths)), output, "PadOptions"), VALID

    def _pool(self, node: Node, source: int, name: str, scale: Scale) -> int:
        kind = "MAX_POOL_2D" if node.kind == "maxpool" else "AVERAGE_POOL_2D"
        channels, height, width = node.shape
        stride, kernel = node.stride[0], node.kernel[0]
        sides = self.tensors[source].shape[1:3]
        steps = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in sides]
        if node.padding == (0, 0):
            output = self._map(name, (1, height, width, channels), scale)
            return self._window(kind, source, output, kernel, stride, VALID)
        if all(step // 2 == kernel // 2 for step in steps) or stride == 1:
            output = self._map(name, (1, height, width, channels), scale)
            return self._window(kind, source, output, kernel, stride, SAME)
        every = self._map(f"{name}_every", (1, *sides, channels), scale)
        self._window(kind, source, every, kernel, 1, SAME)
        output = self._map(name, (1, height, width, channels), scale)
        return self._window("MAX_POOL_2D", every, output, 1, stride, VALID)

    def _window(self, kind: str, source: int, output: int, kernel: int, stride: int, padding: int) -> int:
        return self._op(
            kind, (source,), output, "Pool2DOptions",
            Padding=padding, StrideH=stride, StrideW=stride, FilterHeight=kernel, FilterWidth=kernel,
        )  # fmt: skip
