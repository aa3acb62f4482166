"""The integer network as ONNX: quantize and dequantize in pairs around float operators, for runtimes that fuse them.

Maps and weights are unsigned here, 128 higher: products of unsigned with signed bytes saturate in ONNX Runtime on
processors with AVX2 and without VNNI, and give other classes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.integer import IntegerGraph, Scale, run_integer
from pronas.deploy.onnx._export import session
from pronas.deploy.onnx._writer import GraphWriter
from pronas.errors import ModelFileError, require
from pronas.files import replacing

_SAME = 0.9
"""Share of random images that must get one class before the file is put in its place: a broken graph gets few."""


def export_onnx_int8(network: IntegerGraph, out: str | os.PathLike[str]) -> Path:
    """Write uint8 ``images`` (batch, C, H, W) to float ``logits`` (batch, classes), the batch free.

    Runtimes round in their own ways, so results may differ by a step where the reference's do not; the file is compared
    with the reference in ONNX Runtime before it is put in its place.

    Args:
        network: from `pronas.deploy.integer.quantize`.
        out: the file to write.

    Returns:
        The path of the file.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        ModelFileError: ONNX Runtime's classes differ from the reference's; nothing is written.
        OSError: it cannot be written.
    """
    onnx = require("onnx", "onnx")
    require("onnxruntime", "onnx")
    with replacing(out) as temporary:
        onnx.save(_Graph(network, onnx).model(network.classes), str(temporary))
        _check(network, temporary, str(out))
    return Path(out)


def _check(network: IntegerGraph, path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, *network.input_shape), dtype=np.uint8)
    found = session(path).run(None, {"images": images})[0].argmax(1)
    same = float((found == run_integer(network, images).argmax(1)).mean())
    if same < _SAME:
        raise ModelFileError(
            f"{name}: ONNX Runtime puts only {same:.0%} of 50 images in the reference's classes; not written"
        )


class _Graph(GraphWriter):
    def __init__(self, network: IntegerGraph, onnx: Any) -> None:
        self.network = network
        super().__init__(network.graph, onnx)

    def _begin(self) -> str:
        return self._dequantized("images", self.network.scales[0])

    def _end(self, number: int, made: str) -> str:
        return self._rounded(made, number + 1)

    def _pair(self, name: str, scale: Scale) -> list[str]:
        return [
            self._constant(f"{name}_scale", np.array(scale.scale, np.float32)),
            self._constant(f"{name}_zero", np.array(scale.zero + 128, np.uint8)),
        ]

    def _dequantized(self, name: str, scale: Scale) -> str:
        return self._op("DequantizeLinear", [name, *self._pair(name, scale)], f"{name}_real")

    def _rounded(self, name: str, value: int) -> str:
        """A float rounded to a scale's bytes and back."""
        pair = self._pair(name, self.network.scales[value])
        self._op("QuantizeLinear", [name, *pair], f"{name}_bytes")
        return self._op("DequantizeLinear", [f"{name}_bytes", *pair], f"{name}_real")

    def _conv(self, number: int, source: str, name: str) -> str:
        node, own = self.graph.nodes[number], self.network.numbers[number]
        depthwise = node.kind == "depthwise"
        weight = own.weight.transpose(2, 0, 1)[:, None] if depthwise else own.weight.transpose(0, 3, 1, 2)
        weight = self._windowed(number, weight)
        step = np.float32(self.network.scales[node.sources[0]].scale)
        raised = (weight.astype(np.int16) + 128).astype(np.uint8)
        inputs = [source, self._channelwise(f"{name}_weight", raised, own.filter_scales, 128)]
        inputs.append(self._channelwise(f"{name}_bias", own.bias, own.filter_scales * step, 0))
        return self._convolved(number, inputs, name, weight.shape[2:])

    def _channelwise(self, name: str, value: NDArray[Any], scales: NDArray[np.float32], zero: int) -> str:
        inputs = [self._constant(name, value), self._constant(f"{name}_scale", scales.astype(np.float32))]
        zeros = self._constant(f"{name}_zero", np.full(len(scales), zero, value.dtype))
        return self._op("DequantizeLinear", [*inputs, zeros], f"{name}_real", axis=0)
