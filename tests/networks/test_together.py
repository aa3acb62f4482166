"""Convolutions computed together give what they give one by one."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pronas.networks import Network, QuantConv2d, skeleton
from pronas.space import Cell

STEM = {"stem": 16}
CASES = {
    "1x7 twice": ("flat", "0:1x7-7x1 conv + 0:3x3 maxpool | 0:1x7-7x1 conv + 1:identity", STEM),
    "three of one block and the next": ("flat", "0:3x3 conv + 0:3x3 conv | 0:3x3 conv + 1:3x3 conv", STEM),
    "strided projections": ("flat", "0:identity + 0:identity", STEM),
    "binary": ("binary", "0:3x3 bconv + 0:3x3 bconv", {}),
    "binary, scaled": ("binary", "0:1x7-7x1 bconv + 0:1x7-7x1 bconv", {"xnor": True}),
}


class Convolutions(TorchDispatchMode):
    """Counts convolutions."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += "aten.convolution.default" in str(function)
        return function(*args, **(kwargs or {}))


def trained(network: Network, images: Tensor) -> tuple[Tensor, dict[str, Tensor], int]:
    """Logits in training, gradients by name, and the number of convolutions of the forward pass."""
    network.train()
    with Convolutions() as counted:
        logits = network(images)
    logits.square().mean().backward()
    found = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
    return logits.detach(), found, counted.count


@pytest.mark.parametrize("case", CASES)
def test_like_convolutions_of_one_map_are_computed_as_one_with_equal_results(case: str) -> None:
    kind, cell, options = CASES[case]
    torch.manual_seed(0)
    made = skeleton(kind, filters=(16, 24), **({"strides": (2, 2)} if kind == "flat" else {}), **options)
    network = made.build(Cell.parse(cell), (3, 16, 16), 4)
    images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)
    watched = copy.deepcopy(network)  # whoever watches a layer sees it run
    for layer in watched.modules():
        if isinstance(layer, QuantConv2d):
            layer.register_forward_hook(lambda *_: None)
    logits, gradients, count = trained(network, images)
    wanted, separate, most = trained(watched, images)
    assert count < most
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == separate.keys() == dict(network.named_parameters()).keys()
    for name, gradient in gradients.items():
        scale = float(separate[name].abs().max())
        torch.testing.assert_close(gradient, separate[name], rtol=1e-3, atol=1e-4 * scale + 1e-7, msg=name)


def test_mixed_precision_is_left_to_the_library() -> None:
    made = skeleton("flat", filters=(16,), strides=(2,), stem=16)
    network = made.build(Cell.parse("0:3x3 conv + 0:3x3 conv"), (3, 16, 16), 4).train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.zeros(4, 3, 16, 16))
    logits.float().square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_watched_operator_runs_as_written() -> None:
    made = skeleton("flat", filters=(16,), strides=(2,), stem=16)
    network = made.build(Cell.parse("0:3x3 conv + 0:3x3 conv"), (3, 16, 16), 4).train()
    seen: list[nn.Module] = []
    operator = network.cells[0].blocks[0].left
    operator.register_forward_hook(lambda layer, *_: seen.append(layer))
    network(torch.zeros(4, 3, 16, 16))
    assert seen == [operator]
