"""Depthwise convolutions computed together give what they give one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pronas.kernels import accelerate, native
from pronas.kernels.parts import begin, groups, run_layer
from pronas.networks import Network, QuantConv2d, skeleton
from pronas.space import Cell


def maps(channels: int) -> Tensor:
    made = torch.randn(5, channels, 9, 8, generator=torch.Generator().manual_seed(0))
    return made.contiguous(memory_format=torch.channels_last).requires_grad_()


def layers(channels: int, kernels: tuple[int, ...], stride: int = 2, binary: bool = False) -> list[QuantConv2d]:
    torch.manual_seed(0)
    how = "ste_sign" if binary else None
    return [QuantConv2d(channels, channels, k, stride, groups=channels, kernel_quantizer=how) for k in kernels]


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("channels", [1, 3, 16, 21, 40])  # 21 and 40: the last vector overlaps the one before
@pytest.mark.parametrize(("kernels", "binary"), [((3, 5), False), ((7, 3, 5, 3), True)])
@pytest.mark.parametrize("stride", [1, 2])
def test_values_and_gradients_are_those_of_each(
    channels: int, kernels: tuple[int, ...], binary: bool, stride: int
) -> None:
    operators, inputs = layers(channels, kernels, stride, binary), maps(channels)
    together = list(begin(dict(enumerate(operators)), inputs).values())
    alone = [run_layer(one, inputs) for one in operators]
    parameters = [inputs, *(one.weight for one in operators)]
    found = sum((one.sin().sum() for one in together), start=torch.zeros(()))
    expected = sum((one.sin().sum() for one in alone), start=torch.zeros(()))
    for one, two in zip(together, alone, strict=True):
        torch.testing.assert_close(one, two)
    for one, two in zip(torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_only_like_convolutions_of_one_map_begin_together() -> None:
    one, two, three = layers(20, (3, 5, 7))
    (other,) = layers(20, (3,), stride=1)
    binary = layers(20, (3, 5), binary=True)
    dense = QuantConv2d(20, 20, 3, 2)
    scaled = QuantConv2d(20, 20, 3, 2, groups=20, kernel_quantizer="ste_sign", xnor=True)
    readers = [(0, (layer,)) for layer in (one, two, other, *binary, dense, scaled, nn.Identity())]
    found = groups([*readers, (0, ()), (1, (three,))])
    pair, binary_pair = {0: one, 1: two}, {3: binary[0], 4: binary[1]}
    assert found == {0: pair, 1: pair, 3: binary_pair, 4: binary_pair}
    assert begin({0: one.eval(), 1: two.eval()}, maps(20)) == {}


def test_without_kernels_each_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    assert begin(dict(enumerate(layers(20, (3, 5)))), maps(20)) == {}


@pytest.mark.usefixtures("compiled")
def test_a_network_begins_them_together(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = native.call

    def spy(name: str, *arguments: object) -> None:
        if name == "pronas_depthwise":
            calls.append(arguments[1])  # type: ignore[arg-type]
        original(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(native, "call", spy)
    cell = Cell.parse("0:3x3 dconv + 0:5x5 dconv | 1:3x3 dconv + 0:7x7 dconv")
    network: Network = skeleton("flat", filters=(16, 24)).build(cell, (3, 16, 16), 10)
    accelerate(network, steps=1).forward(torch.zeros(4, 3, 16, 16, dtype=torch.uint8))
    assert calls == [3, 1] * 2
