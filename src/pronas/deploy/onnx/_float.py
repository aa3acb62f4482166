"""The float network as ONNX, written node by node: in milliseconds, where PyTorch's exporter takes seconds.

What `export_onnx` writes is optimised to the same operators by the runtime; this is for measuring many cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import pad

from pronas.deploy.integer import FloatGraph
from pronas.errors import require

_OPSET = 17


def float_onnx(graph: FloatGraph) -> bytes:
    """The ONNX file of a lowered network: uint8 ``images`` (batch, C, H, W) to float ``logits``.

    Args:
        graph: from `pronas.deploy.integer.lower`.

    Returns:
        The file's bytes, opset 17; onnxruntime's `session` takes them.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    return bytes(_Writer(graph, require("onnx", "onnx")).model().SerializeToString())


class _Writer:
    def __init__(self, graph: FloatGraph, onnx: Any) -> None:
        self.graph, self.onnx = graph, onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names = [self._op("Cast", ["images"], "pixels", to=onnx.TensorProto.FLOAT)]
        for number in range(len(graph.nodes)):
            self.names.append(self._node(number))

    def model(self) -> Any:
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        self._op("Flatten", [self.names[-1]], "logits")
        inputs = [helper.make_tensor_value_info("images", kinds.UINT8, ["batch", *self.graph.input_shape])]
        outputs = [helper.make_tensor_value_info("logits", kinds.FLOAT, ["batch", None])]
        made = helper.make_graph(self.nodes, "pronas", inputs, outputs, self.constants)
        opset = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(made, opset_imports=opset, producer_name="pronas", ir_version=8)

    def _op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: Tensor) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.array(value.detach().numpy(), order="C"), name))
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
                made = self._op("AveragePool", inputs, name, count_include_pad=0, **window)
            case "mean":
                made = self._op("GlobalAveragePool", inputs, name)
            case "add":
                made = self._op("Add", inputs, name)
            case "concat":
                made = self._op("Concat", inputs, name, axis=1)
            case "relu":
                made = self._op("Relu", inputs, name)
            case _:
                made = self._op("Identity", inputs, name)
        return self._op("Relu", [made], f"{made}_relu") if node.relu else made

    def _conv(self, number: int, source: str, name: str) -> str:
        node, sides = self.graph.nodes[number], self.graph.shape(self.graph.nodes[number].sources[0])[1:]
        weight, group = node.weight, node.shape[0] if node.kind == "depthwise" else 1
        assert weight is not None
        before = [max(-taps, 0) for taps in node.padding]  # a window that begins further in has taps of zero there
        weight = pad(weight, (before[1], 0, before[0], 0)) if any(before) else weight
        pads = [max(taps, 0) for taps in node.padding]
        ends = [
            (out - 1) * stride + dilation * (size - 1) + 1 - side - begin
            for out, stride, dilation, size, side, begin in zip(
                node.shape[1:], node.stride, node.dilation, weight.shape[2:], sides, pads, strict=True
            )
        ]
        inputs = [source, self._constant(f"{name}_weight", weight)]
        inputs += [] if node.bias is None else [self._constant(f"{name}_bias", node.bias)]
        return self._op(
            "Conv", inputs, name, strides=node.stride, dilations=node.dilation, group=group,
            pads=(*pads, *(max(end, 0) for end in ends)), kernel_shape=tuple(weight.shape[2:]),
        )  # fmt: skip
