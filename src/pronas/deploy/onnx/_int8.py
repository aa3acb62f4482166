"""The integer network as ONNX: quantize and dequantize in pairs around float operators, for runtimes that fuse them.

Maps and weights are unsigned here, 128 higher: products of unsigned with signed bytes saturate in ONNX Runtime on
processors with AVX2 and without VNNI, and give other classes.
"""

from __future__ import annotations

import os
from dataclasses import replace
from math import prod
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
        self.network, self.scales = network, network.scales
        super().__init__(network.graph, onnx)

    def _begin(self) -> str:
        return self._dequantized("images", self.scales[0])

    def _end(self, number: int, made: str) -> str:
        scale, node = self.scales[number + 1], self.graph.nodes[number]
        match node.kind:
            case "mean":
                steps = prod(node.kernel) * scale.scale / self.scales[node.sources[0]].scale
                return self._rounded(made, _outward(scale, min(steps, 1 << 12)), scale)
            case "avgpool":  # its edges are halves of raw bytes
                return self._rounded(made, _outward(replace(scale, zero=0)), scale)
            case "rescale" if self.network.numbers[number].shift[0] < 0:
                return self._rounded(made, _outward(scale), scale)
        return self._rounded(made, scale, scale)

    def _pair(self, name: str, scale: Scale) -> list[str]:
        return [
            self._constant(f"{name}_scale", np.array(scale.scale, np.float32)),
            self._constant(f"{name}_zero", np.array(scale.zero + 128, np.uint8)),
        ]

    def _dequantized(self, name: str, scale: Scale, suffix: str = "real") -> str:
        out = f"{name}_{suffix}"
        return self._op("DequantizeLinear", [name, *self._pair(out, scale)], out)

    def _rounded(self, name: str, scale: Scale, read: Scale) -> str:
        """A float rounded to a scale's bytes, which are read as those of ``read``."""
        self._op("QuantizeLinear", [name, *self._pair(name, scale)], f"{name}_bytes")
        return self._dequantized(f"{name}_bytes", read)

    def _rectified(self, number: int, made: str) -> str:
        """Where zero is not the lowest byte, bytes are rectified: runtimes join a convolution with rounding alone."""
        scale = self.scales[number + 1]
        rounded = made if scale.zero == -128 else self._rounded(made, scale, scale)
        return super()._rectified(number, rounded)

    def _average(self, number: int, source: str, name: str, **window: Any) -> str:
        """Of raw bytes, -128 to 127: halves go away from the byte 0, not from the number 0."""
        raw = replace(self.scales[self.graph.nodes[number].sources[0]], zero=0)
        read = self._dequantized(source.removesuffix("_real"), raw, f"raw{number}")
        return super()._average(number, read, name, **window)

    def _rescaled(self, number: int, source: str, name: str) -> str:
        """Where the result has less than half the resolution, the integer network rounds to a power of two of it first;
        the pool of one tap keeps runtimes from leaving that out."""
        mantissa, shift = self.network.numbers[number].mantissa[0], self.network.numbers[number].shift[0]
        made = super()._rescaled(number, source, name)
        if shift >= 0:
            return made
        share, read = mantissa / 2**31, self.scales[self.graph.nodes[number].sources[0]]
        finer = Scale(self.scales[number + 1].scale * 2.0**shift, round((read.zero + 128) * share) - 128)
        return self._op("MaxPool", [self._rounded(made, finer, finer)], f"{name}_finer", kernel_shape=(1, 1))

    def _conv(self, number: int, source: str, name: str) -> str:
        node, own = self.graph.nodes[number], self.network.numbers[number]
        depthwise = node.kind == "depthwise"
        weight = own.weight.transpose(2, 0, 1)[:, None] if depthwise else own.weight.transpose(0, 3, 1, 2)
        weight = self._windowed(number, weight)
        raised = (weight.astype(np.int16) + 128).astype(np.uint8)
        step, scales = self.scales[node.sources[0]].scale, self._filter_scales(number)
        inputs = [source, self._channelwise(f"{name}_weight", raised, scales, 128)]
        inputs.append(self._channelwise(f"{name}_bias", own.bias, scales * np.float32(step), 0))
        return self._convolved(number, inputs, name, weight.shape[2:])

    def _filter_scales(self, number: int) -> NDArray[np.float32]:
        """The network's, further from a rounding's edge: sums of floats are not exact, and what lies on an edge is lost
        where OpenVINO adds the zero point to it. The farthest result still keeps clear of the next edge."""
        scales = self.network.numbers[number].filter_scales.astype(np.float64)
        read, made = self.scales[self.graph.nodes[number].sources[0]], self.scales[number + 1]
        steps = (made.scale / (read.scale * scales)).clip(8)
        farthest = max(made.zero + 128, 127 - made.zero)
        # beyond 1 / farthest it would reach the next edge; the network's own scales are up to 0.45 / 256 off already
        further: NDArray[np.float32] = (scales * (1 + (0.85 / farthest - 0.4 / 256) / steps)).astype(np.float32)
        return further

    def _channelwise(self, name: str, value: NDArray[Any], scales: NDArray[np.float32], zero: int) -> str:
        inputs = [self._constant(name, value), self._constant(f"{name}_scale", scales.astype(np.float32))]
        zeros = self._constant(f"{name}_zero", np.full(len(scales), zero, value.dtype))
        return self._op("DequantizeLinear", [*inputs, zeros], f"{name}_real", axis=0)


_COARSE = 1 << 6
"""Steps of a sum that are worth one of the result, at most, in an average or where a map is rescaled twice."""


def _outward(scale: Scale, steps: float = _COARSE) -> Scale:
    """Less by 1 / (256 ``steps``), so that results on a rounding's edge, which runtimes round to even, lie just outside
    of it and go away from zero, as in the integer network; no other, at least 1 / ``steps`` off, gets that far."""
    return replace(scale, scale=float(np.float32(scale.scale / (1 + 1 / (256 * steps)))))
