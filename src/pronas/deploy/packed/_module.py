"""A packed graph as a PyTorch module: integers are compared, so every runtime gives the same bits.

ONNX runtimes round batch norm in their own ways, and flip bits where a sum lands on a mean; comparing exact integers
leaves nothing to round. Binary networks are exported to ONNX in this form.
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pronas.deploy.packed._graph import PIXEL, Graph, Op


@final
class GraphModule(nn.Module):
    """Runs a `Graph` in float32 (sums are exact integers): pixels (n, C, H, W) to logits (n, classes).

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> binary = skeleton("binary", filters=(8,))
        >>> network = binary.build(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> import torch
        >>> from pronas.deploy.packed import graph_of
        >>> images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
        >>> logits = GraphModule(graph_of(network))(images)
        >>> bool(torch.allclose(logits, network.eval()(images), atol=1e-4))
        True

    Args:
        graph: from `graph_of` or `unpack`; the module has no parameters, its numbers are buffers.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        for number, op in enumerate(graph.ops):
            if op.weights is not None:
                signs = np.where(_kernels(op), np.float32(1), np.float32(-1))
                self.register_buffer(f"weights{number}", torch.from_numpy(signs))
            if op.thresholds is not None:
                shape = (-1, 1, 1) if op.kind != "dense" else (-1,)
                self.register_buffer(
                    f"thresholds{number}", torch.from_numpy(op.thresholds.astype(np.float32)).view(shape)
                )
        logits = graph.ops[-1].logits
        assert logits is not None
        self.form = logits.form
        self.register_buffer("values", torch.from_numpy(logits.values))

    def forward(self, images: Tensor) -> Tensor:
        """(n, C, H, W) pixel values to (n, classes)."""
        parts: list[list[Tensor]] = [[] for _ in self.graph.maps]
        parts[0] = [2 * images.float() - PIXEL]
        for number, op in enumerate(self.graph.ops[:-1]):
            sources = [_whole(parts[s]) for s in op.sources]
            parts[op.target].append(self._one(number, op, sources))
        last = len(self.graph.ops) - 1
        return self._logits(self._dense(last, _whole(parts[self.graph.ops[-1].sources[0]])))

    def _one(self, number: int, op: Op, sources: list[Tensor]) -> Tensor:
        x = sources[0]
        if op.kind == "copy":
            return x
        if op.kind == "maxpool":
            return _max_pool(op, x)
        if op.kind == "add":
            z = (x + sources[1]) * self.get_buffer(f"weights{number}")
        elif op.kind == "dense":
            z = self._dense(number, x)
        else:
            groups = 1 if op.kind == "conv" else op.channels
            z = F.conv2d(x, self.get_buffer(f"weights{number}"), None, op.stride, op.padding, 1, groups)
        signs = (z >= self.get_buffer(f"thresholds{number}")).to(z.dtype) * 2 - 1
        return signs[:, :, None, None] if op.kind == "dense" else signs

    def _dense(self, number: int, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.get_buffer(f"weights{number}"))

    def _logits(self, z: Tensor) -> Tensor:
        values: Tensor = self.get_buffer("values")
        if self.form == 2:
            index = ((z + (values.shape[1] - 1)) / 2).long()
            return torch.gather(values.T.expand(z.shape[0], -1, -1), 1, index[:, None, :])[:, 0]
        if self.form >= 3:
            z = z * values[:, 0]
        return z * values[:, -2] + values[:, -1]


def _whole(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _max_pool(op: Op, x: Tensor) -> Tensor:
    """PyTorch pads no more than half a window; ±1 and pixels are never below -255."""
    (ph, pw) = op.padding
    return F.max_pool2d(F.pad(x, (pw, pw, ph, ph), value=-float(PIXEL)), op.kernel, op.stride)


def _kernels(op: Op) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Weights as `torch.nn.functional` wants them."""
    assert op.weights is not None
    if op.kind == "depthwise":
        return op.weights[:, None]
    if op.kind == "sumpool":
        return np.broadcast_to(op.weights[:, None, None, None], (op.channels, 1, *op.kernel))
    return op.weights[:, None, None] if op.kind == "add" else op.weights
