"""The four children as a plain PyTorch prototype, what one writes first: the peer in `benchmarks/children.py`.

Either memory layout, eager modules, the default Adam, a loop over index batches.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs):
        ctx.save_for_backward(inputs)
        return torch.where(inputs >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, gradient):
        (inputs,) = ctx.saved_tensors
        return gradient * (inputs.abs() <= 1)


class Activation(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return Sign.apply(inputs)


class BinaryConv(nn.Conv2d):
    def forward(self, inputs: Tensor) -> Tensor:
        return self._conv_forward(inputs, Sign.apply(self.weight), None)


class BinaryLinear(nn.Linear):
    def forward(self, inputs: Tensor) -> Tensor:
        return F.linear(inputs, Sign.apply(self.weight))


def _conv(a: int, b: int, kernel: tuple[int, int], stride: int, groups: int = 1, binary: bool = False) -> nn.Module:
    kind = BinaryConv if binary else nn.Conv2d
    padding = (kernel[0] // 2, kernel[1] // 2)
    return kind(a, b, kernel, stride, padding, groups=groups, bias=False)


def _norm(channels: int, binary: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), Activation() if binary else nn.ReLU()]


def _operator(name: str, a: int, b: int, stride: int, first: bool) -> tuple[nn.Module, int]:
    binary = "bconv" in name or name == "linear"
    if name == "3x3 maxpool":
        layers = [nn.MaxPool2d(3, stride, 1)]
        return nn.Sequential(*layers, *(_norm(a, True) if first else [])), a
    if name == "3x3 avgpool":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False), a
    if name == "linear":
        return nn.Sequential(_conv(a, b, (1, 1), stride, binary=True), *_norm(b, True)), b
    if name.startswith("1x7-7x1"):
        one, two = _conv(a, b, (1, 7), stride), _conv(b, b, (7, 1), 1)
        return nn.Sequential(one, *_norm(b, False), two, *_norm(b, False)), b
    k = int(name[0])
    if name.endswith(" bconv"):
        return nn.Sequential(_conv(a, b, (k, k), stride, binary=True), *_norm(b, True)), b
    depthwise = _conv(a, a, (k, k), stride, groups=a, binary=binary)
    between = _norm(a, True) if binary else []
    return nn.Sequential(depthwise, *between, _conv(a, b, (1, 1), 1, binary=binary), *_norm(b, binary)), b


class Cell(nn.Module):
    """All operators read the cell's input, and all results are concatenated."""

    def __init__(self, names: list[str], channels: int, filters: int, first: bool, binary: bool) -> None:
        super().__init__()
        made = [_operator(name, channels, filters, 2, first and binary) for name in names]
        self.operators = nn.ModuleList(module for module, _ in made)
        self.channels = sum(count for _, count in made)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([operator(inputs) for operator in self.operators], 1)


def plain_network(names: list[str], shape: tuple[int, int, int], filters: list[int], binary: bool) -> nn.Sequential:
    """The prototype of a child whose blocks all read the cell's input."""
    cells, channels, side = [], shape[0], shape[1]
    for number, count in enumerate(filters):
        cells.append(Cell(names, channels, count, number == 0, binary))
        channels, side = cells[-1].channels, -(-side // 2)
    if not binary:
        return nn.Sequential(*cells, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
    dense = [BinaryLinear(channels * side * side, 32, bias=False), nn.BatchNorm1d(32), Activation()]
    return nn.Sequential(*cells, nn.Flatten(), *dense, BinaryLinear(32, 10, bias=False), nn.BatchNorm1d(10))


def plain_epoch(
    network: nn.Module, images: Tensor, labels: Tensor, binary: bool, layout: torch.memory_format
) -> Callable[[], None]:
    """A function that trains one epoch of batches of 128, network and batches in the given memory layout."""
    network = network.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    latent = [layer.weight for layer in network.modules() if isinstance(layer, BinaryConv | BinaryLinear)]
    images = (images.float() - 127.5) / 127.5

    def epoch() -> None:
        order = torch.randperm(len(images))
        for start in range(0, len(images) - 127, 128):
            index = order[start : start + 128]
            loss = F.cross_entropy(network(images[index].contiguous(memory_format=layout)), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if binary:
                with torch.no_grad():
                    for weight in latent:
                        weight.clamp_(-1, 1)

    return epoch
