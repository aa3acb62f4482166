"""Results written side by side are what their concatenation is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pronas.kernels.parts import ConcatBuffer, run_layers
from pronas.networks import QuantConv2d


def unit(filters: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(QuantConv2d(20, filters, 1), nn.BatchNorm2d(filters), nn.ReLU())


def maps() -> Tensor:
    made = torch.randn(3, 20, 5, 4, generator=torch.Generator().manual_seed(0))
    return made.contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.usefixtures("wide")
def test_results_lie_in_their_parts_and_gradients_find_their_way_back() -> None:
    inputs, buffer, units = maps(), ConcatBuffer((16, 24, 20)), [unit(16, 1), unit(24, 2), unit(20, 3)]
    parts = [run_layers(units[k], inputs, None if k == 1 else buffer.part(k)) for k in range(3)]
    assert buffer.holds(parts)
    whole = buffer.concatenated(parts)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    lies = [part.data_ptr() == whole[:, first:].data_ptr() for first, part in zip((0, 16, 40), parts, strict=True)]
    assert lies == [True, False, True]
    plain = torch.cat([run_layers(one, inputs) for one in units], 1)
    assert torch.equal(whole, plain)
    upstream = torch.randn(whole.shape).contiguous(memory_format=torch.channels_last)
    parameters = [inputs, *(p for one in units for p in one.parameters())]
    found, expected = (torch.autograd.grad(one, parameters, upstream) for one in (whole, plain))
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_what_does_not_fit_lies_elsewhere() -> None:
    buffer = ConcatBuffer((3, 5))
    first = buffer.memory(0, (2, 3, 4, 4))
    assert first is not None
    assert first.stride() == (8 * 16, 1, 8 * 4, 8)
    assert buffer.memory(1, (2, 4, 4, 4)) is None
    assert buffer.memory(1, (2, 5, 4, 5)) is None
    assert buffer.memory(1, (1, 5, 4, 4)) is None
    assert not buffer.holds([first, torch.zeros(2, 4, 4, 4)])
    assert not ConcatBuffer((3, 5)).holds([torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 4, 4)])
