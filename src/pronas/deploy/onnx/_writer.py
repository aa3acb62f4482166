"""What both ONNX files are written with: operators, constants, windows, the model around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.integer import FloatGraph

_OPSET = 17


class GraphWriter(ABC):
    """Writes a lowered network node by node: uint8 ``images`` (batch, C, H, W) to float ``logits`` (batch, classes).

    Args:
        graph: the network.
        onnx: the package.
    """

    def __init__(self, graph: FloatGraph, onnx: Any) -> None:
        self.graph, self.onnx = graph, onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names = [self._begin()]
        for number in range(len(graph.nodes)):
            self.names.append(self._end(number, self._node(number)))

    @abstractmethod
    def _begin(self) -> str:
        """Make floats of ``images``; the name of the result."""

    @abstractmethod
    def _conv(self, number: int, source: str, name: str) -> str:
        """Write a convolution."""

    def _end(self, number: int, made: str) -> str:
        """What follows a node's operator and ReLU: here nothing."""
        return made

    def model(self, classes: int | None) -> Any:
        """The whole model; ``classes``: None leaves the number open."""
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        self._op("Flatten", [self.names[-1]], "logits")
        inputs = [helper.make_tensor_value_info("images", kinds.UINT8, ["batch", *self.graph.input_shape])]
        outputs = [helper.make_tensor_value_info("logits", kinds.FLOAT, ["batch", classes])]
        graph = helper.make_graph(self.nodes, "pronas", inputs, outputs, self.constants)
        opset = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opset, producer_name="pronas", ir_version=8)

    def _op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def _node(self, number: int) -> str:
        node = self.graph.nodes[number]
        inputs, name = [self.names[source] for source in node.sources], f"{node.kind}{number}"
        window = {"kernel_shape": node.kernel, "strides": node.stride, "pads": (*node.padding, *node.padding)}
        match node.kind:
            case "conv" | "depthwise":
                made = self._conv(number, inputs[0], name)
            case "maxpool":
                made = self._op("MaxPool", inputs, name, **window)
            case "avgpool":
                made = self._average(number, inputs[0], name, count_include_pad=0, **window)
            case "mean":
                made = self._op("GlobalAveragePool", inputs, name)
            case "add":
                made = self._op("Add", inputs, name)
            case "concat":
                made = self._op("Concat", inputs, name, axis=1)
            case "relu":
                made = self._op("Relu", inputs, name)
            case _:
                made = self._rescaled(number, inputs[0], name)
        return self._rectified(number, made) if node.relu else made

    def _average(self, number: int, source: str, name: str, **window: Any) -> str:
        return self._op("AveragePool", [source], name, **window)

    def _rescaled(self, number: int, source: str, name: str) -> str:
        return self._op("Identity", [source], name)

    def _rectified(self, number: int, made: str) -> str:
        return self._op("Relu", [made], f"{made}_relu")

    def _windowed(self, number: int, weight: NDArray[Any]) -> NDArray[Any]:
        """A kernel (filters, channels, h, w) with taps of zero where a window begins further in."""
        before = [max(-taps, 0) for taps in self.graph.nodes[number].padding]
        return np.pad(weight, ((0, 0), (0, 0), (before[0], 0), (before[1], 0)))

    def _convolved(self, number: int, inputs: list[str], name: str, kernel: tuple[int, ...]) -> str:
        """Write the operator; ``kernel``: (h, w) of the weight as `_windowed` gave it."""
        node = self.graph.nodes[number]
        sides, pads = self.graph.shape(node.sources[0])[1:], [max(taps, 0) for taps in node.padding]
        ends = [
            (out - 1) * stride + dilation * (size - 1) + 1 - side - pad
            for out, stride, dilation, size, side, pad in zip(
                node.shape[1:], node.stride, node.dilation, kernel, sides, pads, strict=True
            )
        ]
        group = node.shape[0] if node.kind == "depthwise" else 1
        return self._op(
            "Conv", inputs, name, strides=node.stride, dilations=node.dilation, group=group,
            pads=(*pads, *(max(end, 0) for end in ends)), kernel_shape=kernel,
        )  # fmt: skip
