"""Depthwise convolutions computed together give what they give one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pronas.networks import Network, QuantConv2d, skeleton
from pronas.networks import _native as native
from pronas.networks._chain import Chain
from pronas.networks._together import begin, groups
from pronas.space import Cell

needs_kernels = pytest.mark.skipif(native.library() is None, reason="the training kernels were not compiled")


def maps(channels: int) -> Tensor:
    made = torch.randn(5, channels, 9, 8, generator=torch.Generator().manual_seed(0))
    return made.contiguous(memory_format=torch.channels_last).requires_grad_()


def chains(channels: int, kernels: tuple[int, ...], stride: int = 2, binary: bool = False) -> list[Chain]:
    torch.manual_seed(0)
    how = "ste_sign" if binary else None
    made = (QuantConv2d(channels, channels, k, stride, groups=channels, kernel_quantizer=how) for k in kernels)
    return [Chain(one) for one in made]


@needs_kernels
@pytest.mark.parametrize("channels", [1, 3, 16, 21, 40])  # 21 and 40: the last vector overlaps the one before
@pytest.mark.parametrize(("kernels", "binary"), [((3, 5), False), ((7, 3, 5, 3), True)])
@pytest.mark.parametrize("stride", [1, 2])
def test_values_and_gradients_are_those_of_each(
    channels: int, kernels: tuple[int, ...], binary: bool, stride: int
) -> None:
    operators, inputs = chains(channels, kernels, stride, binary), maps(channels)
    together = begin(operators, inputs)
    parameters = [inputs, *(one[0].weight for one in operators)]
    found = sum((together[one].sin().sum() for one in operators), start=torch.zeros(()))
    expected = sum((one(inputs).sin().sum() for one in operators), start=torch.zeros(()))
    for one in operators:
        torch.testing.assert_close(together[one], one(inputs))
    for one, two in zip(torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_only_like_convolutions_of_one_map_begin_together() -> None:
    one, two, three = chains(20, (3, 5, 7))
    (other,) = chains(20, (3,), stride=1)
    binary = chains(20, (3, 5), binary=True)
    dense = Chain(QuantConv2d(20, 20, 3, 2))
    scaled = Chain(QuantConv2d(20, 20, 3, 2, groups=20, kernel_quantizer="ste_sign", xnor=True))
    watched = chains(20, (3,))[0]
    watched[0].register_forward_hook(lambda *_: None)
    readers = [(0, op) for op in (one, two, other, *binary, dense, scaled, watched, nn.Identity())] + [(1, three)]
    found = groups(readers)
    assert found == {one: [one, two], two: [one, two], binary[0]: binary, binary[1]: binary}
    assert groups([(0, one.eval()), (0, two.eval())]) == {}


def test_without_kernels_each_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "library", lambda: None)
    assert begin(chains(20, (3, 5)), maps(20)) == {}


@needs_kernels
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
    network(torch.zeros(4, 3, 16, 16, dtype=torch.uint8))
    assert calls == [3, 1] * 2
