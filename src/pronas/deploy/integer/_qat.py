"""Training a little more with fake quantization, so that the weights learn what rounding does to them.

Weights and maps are rounded on the way forward to what the integer network will hold; gradients pass as if they were
not, and stop where a value was clipped (Jacob et al. 2018, section 3). Batch norms are folded and stay as they were.
What is to be learnt is what the float network says of the training images, not their labels: the recipe that it was
trained with need not be known, and there is nothing to overfit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pronas.data import Dataset
from pronas.deploy.integer._calibrate import Scale
from pronas.deploy.integer._float import run_float
from pronas.deploy.integer._graph import TIED, FloatGraph, Node
from pronas.deploy.integer.even_scales import weight_scales
from pronas.errors import UsageError

_RATE, _BATCH = 2e-5, 64


def fine_tuned(
    graph: FloatGraph, scales: tuple[Scale, ...], dataset: Dataset, epochs: int, seed: int = 0
) -> FloatGraph:
    """The graph with weights and biases trained for ``epochs`` with fake quantization; the scales stay.

    Adam at 2e-5 falling to 0 along a cosine, batches of 64; cross-entropy with the float network's probabilities.

    Raises:
        UsageError: ``epochs`` is below 1.
    """
    if epochs < 1:
        raise UsageError(f"{epochs} epochs of training with fake quantization: give 1 or more")
    tuner = _Tuner(graph, scales)
    steps = epochs * -(-len(dataset.train.labels) // _BATCH)
    optimizer = torch.optim.Adam(tuner.parameters, lr=_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 0.5 * (1 + math.cos(math.pi * n / steps)))
    for images in _batches(dataset, epochs, seed):
        loss = F.cross_entropy(tuner(images), tuner.wanted(images))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return tuner.graph()


def _batches(dataset: Dataset, epochs: int, seed: int) -> Iterator[Tensor]:
    generator, images = torch.Generator().manual_seed(seed), dataset.train.images
    for _ in range(epochs):
        for part in torch.split(torch.randperm(len(images), generator=generator), _BATCH):
            yield torch.from_numpy(images[part.numpy()])


class _Tuner:
    def __init__(self, graph: FloatGraph, scales: tuple[Scale, ...]) -> None:
        self.original, self.scales = graph, scales
        self.weights = [_trained(i, node.weight) for i, node in enumerate(graph.nodes)]
        self.biases = [_trained(i, node.bias) for i, node in enumerate(graph.nodes)]
        self.parameters = [p for p in (*self.weights, *self.biases) if p is not None and p.requires_grad]

    def __call__(self, images: Tensor) -> Tensor:
        return run_float(self.original, images, self._weights, self._map)[-1].flatten(1)

    @torch.no_grad()
    def wanted(self, images: Tensor) -> Tensor:
        """The float network's probabilities."""
        return run_float(self.original, images)[-1].flatten(1).softmax(1)

    def _weights(self, number: int, node: Node) -> tuple[Tensor | None, Tensor | None]:
        weight, bias = self.weights[number], self.biases[number]
        if weight is None or bias is None:
            return None, None
        source, output = self.scales[node.sources[0]].scale, self.scales[number + 1].scale
        scales = weight_scales(weight.detach().numpy(), bias.detach().numpy(), source, output)
        step = torch.from_numpy(scales)[:, None, None, None]
        return _passing((weight / step).round().clamp(-127, 127) * step, weight), bias

    def _map(self, value: int, x: Tensor) -> Tensor:
        """Rounded to its scale; what pools and concatenations make is rounded already."""
        if self.original.nodes[value - 1].kind in (*TIED, "concat"):
            return x
        scale, zero = self.scales[value].scale, self.scales[value].zero
        inside = x.clamp((-128 - zero) * scale, (127 - zero) * scale)
        return _passing((inside / scale).round() * scale, inside)

    def graph(self) -> FloatGraph:
        """What was learnt."""
        nodes = [
            n if w is None or b is None else replace(n, weight=w.detach(), bias=b.detach())
            for n, w, b in zip(self.original.nodes, self.weights, self.biases, strict=True)
        ]
        return replace(self.original, nodes=tuple(nodes))


def _trained(number: int, tensor: Tensor | None) -> Tensor | None:
    """A copy that is trained; that of node 0, which scales the image, is not."""
    return None if tensor is None else tensor.clone().requires_grad_(number > 0)


def _passing(rounded: Tensor, x: Tensor) -> Tensor:
    """``rounded`` forward, the gradient of ``x`` backward."""
    return x + (rounded - x).detach()
