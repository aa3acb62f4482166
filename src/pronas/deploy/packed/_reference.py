"""The packed network in NumPy: slow, short, and what every kernel is compared with."""

from __future__ import annotations

from typing import TypeVar, final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pronas.deploy.packed._graph import PIXEL, Graph, Map, Op

Number = TypeVar("Number", np.uint8, np.float32)
Integers = NDArray[np.int32]
Floats = NDArray[np.float32]


@final
class Reference:
    """Runs a `Graph` on NumPy arrays of exact integers."""

    name = "numpy"

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, images: NDArray[np.uint8]) -> tuple[Integers, Floats, Integers]:
        """Integer logits (n, classes), float logits (n, classes) and classes (n,) of uint8 images (n, C, H, W)."""
        integers = np.concatenate([self._run(images[i : i + 16])[1] for i in range(0, len(images), 16)])
        logits = self.graph.ops[-1].logits
        assert logits is not None
        values = logits(integers)
        return integers, values, values.argmax(1).astype(np.int32)

    def maps(self, images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Every map, (n, C, H, W): bits as 0 and 1, images as pixels."""
        return self._run(images)[0]

    def _run(self, images: NDArray[np.uint8]) -> tuple[list[NDArray[np.uint8]], Integers]:
        maps = [np.zeros((len(images), *m.shape), np.uint8) for m in self.graph.maps]
        maps[0] = images
        for op in self.graph.ops[:-1]:
            result = self._apply(op, maps)
            maps[op.target][:, op.offset : op.offset + op.channels] = result
        last = self.graph.ops[-1]
        return maps, _dense(last, _values(maps[last.sources[0]], self.graph.maps[last.sources[0]]))

    def _apply(self, op: Op, maps: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        source = maps[op.sources[0]]
        if op.kind == "copy":
            return source
        if op.kind == "maxpool":
            largest: NDArray[np.uint8] = _windows(op, source).max((-2, -1))
            return largest
        x = _values(source, self.graph.maps[op.sources[0]])
        z = _add(op, x, _values(maps[op.sources[1]], Map(1, 1, 1))) if op.kind == "add" else _SUMS[op.kind](op, x)
        assert op.thresholds is not None
        return (
            (z >= op.thresholds.reshape(1, -1, *[1] * (z.ndim - 2)))
            .astype(np.uint8)
            .reshape(len(x), op.channels, *_hw(z))
        )


def _hw(z: Integers) -> tuple[int, ...]:
    return z.shape[2:] if z.ndim == 4 else (1, 1)


def _values(x: NDArray[np.uint8], of: Map) -> Floats:
    """±1, or odd integers for pixels; float32 holds the sums exactly and multiplies fast."""
    return 2 * x.astype(np.float32) - (PIXEL if of.image else 1)


def _signs(weights: NDArray[np.bool_] | None) -> Floats:
    assert weights is not None
    return np.where(weights, np.float32(1), np.float32(-1))


def _windows(op: Op, x: NDArray[Number]) -> NDArray[Number]:
    """(n, C, H', W', kh, kw); taps outside are zero."""
    (ph, pw), s = op.padding, op.stride
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    return sliding_window_view(padded, op.kernel, (2, 3))[:, :, ::s, ::s]


def _conv(op: Op, x: Floats) -> Integers:
    columns = np.moveaxis(_windows(op, x), 1, 3)
    n, height, width = columns.shape[:3]
    z = columns.reshape(n * height * width, -1) @ _signs(op.weights).reshape(op.channels, -1).T
    return np.moveaxis(z.reshape(n, height, width, -1), 3, 1).astype(np.int32)


def _depthwise(op: Op, x: Floats) -> Integers:
    return _integers(np.einsum("nchwij,cij->nchw", _windows(op, x), _signs(op.weights)))


def _sumpool(op: Op, x: Floats) -> Integers:
    return _integers(_windows(op, x).sum((-2, -1)) * _signs(op.weights)[:, None, None])


def _integers(z: Floats) -> Integers:
    return z.astype(np.int32)


def _dense(op: Op, x: Floats) -> Integers:
    return _integers(x.reshape(len(x), -1) @ _signs(op.weights).T)


def _add(op: Op, a: Floats, b: Floats) -> Integers:
    return _integers((a + b) * _signs(op.weights)[:, None, None])


_SUMS = {"conv": _conv, "depthwise": _depthwise, "sumpool": _sumpool, "dense": _dense}
