"""The float network as ONNX, written node by node: in milliseconds, where PyTorch's exporter takes seconds.

What `export_onnx` writes is optimised to the same operators by the runtime; this is for measuring many cells.
"""

from __future__ import annotations

from pronas.deploy.integer import FloatGraph
from pronas.deploy.onnx._writer import GraphWriter
from pronas.errors import require


def float_onnx(graph: FloatGraph) -> bytes:
    """The ONNX file of a lowered network: uint8 ``images`` (batch, C, H, W) to float ``logits``.

    Args:
        graph: from `pronas.deploy.integer.lower`.

    Returns:
        The file's bytes, opset 17; onnxruntime's `session` takes them.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    return bytes(_Writer(graph, require("onnx", "onnx")).model(None).SerializeToString())


class _Writer(GraphWriter):
    def _begin(self) -> str:
        return self._op("Cast", ["images"], "pixels", to=self.onnx.TensorProto.FLOAT)

    def _conv(self, number: int, source: str, name: str) -> str:
        node = self.graph.nodes[number]
        assert node.weight is not None
        weight = self._windowed(number, node.weight.detach().numpy())
        inputs = [source, self._constant(f"{name}_weight", weight)]
        inputs += [] if node.bias is None else [self._constant(f"{name}_bias", node.bias.detach().numpy())]
        return self._convolved(number, inputs, name, weight.shape[2:])
