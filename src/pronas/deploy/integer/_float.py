"""A `FloatGraph` in PyTorch: what calibration looks at, and what is trained with fake quantization."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pronas.deploy.integer._graph import FloatGraph, Node

Weights = Callable[[int, Node], tuple[Tensor | None, Tensor | None]]
Change = Callable[[int, Tensor], Tensor]


def run_float(
    graph: FloatGraph, images: Tensor, weights: Weights | None = None, change: Change | None = None
) -> list[Tensor]:
    """Every value, (n, C, H, W) float32, of images (n, C, H, W) with pixel values.

    Args:
        graph: the network.
        images: uint8 or float.
        weights: gives the weight and bias of a node by its number, instead of the node's own.
        change: is given each value's number and the value, and gives what is to stand in its place.
    """
    values = [images.float()]
    for number, node in enumerate(graph.nodes):
        weight, bias = weights(number, node) if weights is not None else (node.weight, node.bias)
        value = _run(node, [values[source] for source in node.sources], weight, bias)
        value = F.relu(value) if node.relu else value
        values.append(value if change is None else change(number + 1, value))
    return values


def _run(node: Node, inputs: list[Tensor], weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = inputs[0]
    match node.kind:
        case "conv" | "depthwise":
            assert weight is not None
            groups = node.shape[0] if node.kind == "depthwise" else 1
            return F.conv2d(_padded(node, x), weight, bias, node.stride, 0, node.dilation, groups)
        case "maxpool":
            return F.max_pool2d(x, node.kernel, node.stride, node.padding)
        case "avgpool":
            return F.avg_pool2d(x, node.kernel, node.stride, node.padding, count_include_pad=False)
        case "mean":
            return x.mean((2, 3), keepdim=True)
        case "add":
            return x + inputs[1]
        case "relu":
            return F.relu(x)
        case "concat":
            return torch.cat(inputs, 1)
    return x


def _padded(node: Node, x: Tensor) -> Tensor:
    """With zeros where the window reads outside; cut where it begins further in."""
    (top, bottom), (left, right) = (
        (pad, (out - 1) * stride + dilation * (kernel - 1) + 1 - length - pad)
        for out, length, kernel, stride, pad, dilation in zip(
            node.shape[1:], x.shape[2:], node.kernel, node.stride, node.padding, node.dilation, strict=True
        )
    )
    return F.pad(x, (left, right, top, bottom)) if (top, bottom, left, right) != (0, 0, 0, 0) else x
