"""Quantizers and layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pronas.errors import UsageError
from pronas.networks import (
    AveragePool,
    Binary,
    DropoutNoScale,
    FactorizedReduction,
    MaxPool,
    QuantConv2d,
    QuantLinear,
    SumPool,
    quantizer,
    ste_sign,
)
from pronas.space import Cell


def test_sign_has_two_values_and_a_straight_through_gradient():
    above = math.nextafter(1.0, 2.0)
    x = torch.tensor(
        [-2.0, -1.0 - 2**-23, -1.0, -1e-40, -0.0, 0.0, 1e-40, 0.3, 1.0, 1 + 2**-23, above], requires_grad=True
    )
    y = ste_sign(x)
    assert y.tolist() == [-1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1]
    y.backward(torch.arange(1.0, 12.0))
    assert x.grad.tolist() == [0, 0, 3, 4, 5, 6, 7, 8, 9, 0, 11]  # the last rounds to 1 in float32


def test_quantizer_by_name():
    assert quantizer("ste_sign") is ste_sign
    assert quantizer(None) is None
    with pytest.raises(UsageError, match="did you mean 'ste_sign'"):
        quantizer("ste_sing")


def test_quantized_layers_are_the_ordinary_ones_with_quantizers():
    x = torch.randn(2, 4, 5, 7)
    plain = QuantConv2d(4, 6, 3, 2)
    torch.testing.assert_close(plain(x), nn.functional.conv2d(x, plain.weight, None, 2, 1))
    layer = QuantConv2d(4, 6, 3, 2, input_quantizer="ste_sign", kernel_quantizer="ste_sign")
    expected = nn.functional.conv2d(ste_sign(x), ste_sign(layer.weight), None, 2, 1)
    assert torch.equal(layer(x), expected)
    scaled = QuantConv2d(4, 6, 3, 2, input_quantizer="ste_sign", kernel_quantizer="ste_sign", xnor=True)
    scaled.load_state_dict(layer.state_dict())
    torch.testing.assert_close(scaled(x), expected * layer.weight.abs().mean((1, 2, 3))[:, None, None])
    dense = QuantLinear(8, 3, kernel_quantizer="ste_sign", xnor=True)
    v = torch.randn(5, 8)
    torch.testing.assert_close(dense(v), v @ ste_sign(dense.weight).T * dense.weight.abs().mean(1))


@pytest.mark.parametrize(("h", "limit"), [(1.0, 1.0), (0.25, 0.25), ("Glorot", math.sqrt(1.5 / (9 * 4 + 9 * 6)))])
def test_latent_weights_start_in_and_are_clipped_to_h(h, limit):
    layer = QuantConv2d(4, 6, 3, kernel_quantizer="ste_sign", latent_bound=h, lr_multiplier="Glorot")
    assert layer.latent_bound == pytest.approx(limit)
    assert layer.lr_multiplier == pytest.approx(1 / math.sqrt(1.5 / (9 * 4 + 9 * 6)))
    assert 0.9 * limit < layer.weight.detach().abs().max() <= limit
    with torch.no_grad():
        layer.weight.mul_(10)
    layer.clip_latent_()
    assert layer.weight.detach().abs().max() == pytest.approx(limit)


def test_the_network_clips_all_latent_weights_and_groups_its_parameters():
    network = Binary(filters=(4, 5), h="Glorot", rate="Glorot").build(
        Cell.parse("0:3x3 bconv + 0:5x5 sep-bconv"), (1, 8, 8), 3
    )
    with torch.no_grad():
        for layer in network.quantized_layers():
            layer.weight.mul_(100)
    norms = {n: p.clone() for n, p in network.named_parameters() if p.dim() == 1}
    network.clip_latent_weights_()
    for layer in network.quantized_layers():
        assert layer.weight.detach().abs().max() == pytest.approx(layer.latent_bound)
    assert all(torch.equal(norms[n], p) for n, p in network.named_parameters() if p.dim() == 1)
    groups = network.parameter_groups()
    together = [id(p) for g in groups for p in g["params"]]
    assert sorted(together) == sorted(id(p) for p in network.parameters())
    latent = {id(p): g["lr_multiplier"] for g in groups if g["latent"] for p in g["params"]}
    assert latent == {id(y.weight): y.lr_multiplier for y in network.quantized_layers()}
    assert all(g["lr_multiplier"] == 1.0 for g in groups if not g["latent"])


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_pools_ignore_what_lies_outside(size, stride):
    x = torch.randn(2, 3, size, size)
    padded = nn.functional.pad(x, (1, 1, 1, 1), value=math.nan)
    windows = padded.unfold(2, 3, stride).unfold(3, 3, stride).flatten(4)
    inside = ~windows.isnan()
    values = windows.nan_to_num(0.0)
    assert torch.equal(MaxPool(3, stride)(x), windows.nan_to_num(-math.inf).amax(-1))
    torch.testing.assert_close(SumPool(3, stride)(x), values.sum(-1))
    torch.testing.assert_close(AveragePool(3, stride)(x), values.sum(-1) / inside.sum(-1))
    assert MaxPool(3, stride)(x).shape[-1] == -(-size // stride)


def test_dropout_without_scale_keeps_the_values_it_keeps():
    layer = DropoutNoScale(0.3)
    x = torch.full((200, 50), 3.0)
    torch.manual_seed(0)
    out = layer(x)
    assert set(out.unique().tolist()) == {0.0, 3.0}
    assert 0.25 < float(out.eq(0).float().mean()) < 0.35
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("size", [7, 8])
def test_factorized_reduction_reads_odd_and_even_pixels(size):
    layer = FactorizedReduction(1, 2, 1e-3).eval()
    x = torch.zeros(1, 1, size, size, requires_grad=True)
    layer(x).sum().backward()
    read = x.grad[0, 0].ne(0)
    assert layer(x).shape == (1, 2, 4, 4)
    assert read[0, 0]
    assert read[1, 1]
