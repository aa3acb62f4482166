"""Counts: against hooks on the real module, by hand, for users' operators."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pronas.networks import (
    Binary,
    Flat,
    OperatorContext,
    PnasCifar,
    PnasImagenet,
    QuantConv2d,
    QuantLinear,
    describe,
    operator,
)
from pronas.space import Cell

FLOAT_CELLS = [
    "0:3x3 dconv + 0:5x5 dconv | 1:identity + 0:3x3 maxpool | 0:1x7-7x1 conv + 2:3x3 dilated conv",
    "-2:3x3 avgpool + -1:linear | 0:7x7 dconv + -2:identity | -1:5x5 conv + 1:3x3 maxpool",
]
BINARY_CELLS = [
    "0:3x3 bconv + 0:5x5 sep-bconv | 1:identity + 0:3x3 maxpool | 0:1x7-7x1 bconv + 2:3x3 avgpool",
    "-2:3x3 avgpool + -1:linear | 0:7x7 bconv + -2:identity | -1:3x3 maxpool + 1:3x3 sep-bconv",
]
CASES = [(m, c) for m in (Flat(), Flat(filters=(8, 9, 10), combine="add", stem=7), PnasCifar(N=1, F=8), PnasImagenet(N=1, F=8, stem=6, auxiliary=True)) for c in FLOAT_CELLS]  # fmt: skip  # noqa: E501
CASES += [(m, c) for m in (Binary(), Binary(filters=(8, 9), combine="add", dense=())) for c in BINARY_CELLS]


def measured(network, shape):
    """(parameters, macs, binary macs, weight bits, bytes) counted by hooks as the network runs on real images."""
    totals = {"parameters": 0, "macs": 0, "binary": 0, "bits": 0}

    def hook(module, inputs, output):
        weights = sum(p.numel() for p in module.parameters(recurse=False))
        quantized = getattr(module, "kernel_quantizer", None) is not None
        totals["parameters"] += weights
        totals["bits"] += weights * (1 if quantized else 32)
        if isinstance(module, nn.Conv2d | nn.Linear):
            taps = module.weight[0].numel()
            exact = quantized and bool(inputs[0].abs().eq(1).all())
            totals["binary" if exact else "macs"] += taps * output[0].numel()

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(hook)
    network.eval()(torch.randint(0, 255, (2, *shape)))  # 255 would be +1 for a binary network
    return tuple(totals.values())


@pytest.mark.parametrize(("macro", "text"), CASES)
@pytest.mark.parametrize("shape", [(3, 17, 12), (1, 28, 28)])
def test_counts_agree_with_hooks_on_the_real_module(macro, text, shape):
    cell = Cell.parse(text)
    network = macro.build(cell, shape, 7)
    d = describe(cell, macro, shape, 7)
    assert (d.parameters, d.macs, d.binary_macs, d.weight_bits) == measured(network, shape)
    layers = d.layers
    for name in ("parameters", "macs", "binary_macs", "weight_bits"):
        assert sum(getattr(layer, name) for layer in layers) == getattr(d, name)
    assert sum(layer.activation_bytes for layer in layers) == d.total_activation_bytes
    modules = dict(network.named_modules())
    for layer in layers:
        assert type(modules[layer.path]).__name__ == layer.kind.split()[0]
        assert sum(p.numel() for p in modules[layer.path].parameters()) == layer.parameters or "Reduction" in layer.path


def test_counts_of_a_small_network_by_hand():
    macro = Flat(filters=(4,), strides=2)
    d = describe(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), macro, (2, 8, 8), 3)
    conv, norm, dense = 9 * 2 * 4, 2 * 4, (4 + 2) * 3 + 3
    assert d.parameters == conv + norm + dense
    assert d.weight_bits == 32 * d.parameters
    assert d.macs == 16 * 9 * 2 * 4 + (4 + 2) * 3
    assert d.binary_macs == 0
    image, maps = 4 * 2 * 64, 4 * 4 * 16
    assert d.activation_bytes == image + 2 * maps  # convolution and batch norm beside the image


def test_activations_of_binary_networks_are_bits():
    d = describe(Cell.parse("0:3x3 bconv + 0:3x3 bconv"), Binary(filters=(8,), dense=()), (1, 16, 16), 10)
    sign = next(layer for layer in d.layers if layer.kind == "Sign")
    assert sign.activation_bytes == 8 * 8 * 8 // 8
    assert sign.binary
    assert d.weight_bits == 2 * 9 * 8 + 16 * 64 * 10 + 32 * (2 * 8 * 2 + 2 * 10)


def test_the_table_names_every_layer_and_the_sums():
    d = describe(Cell.parse("0:3x3 bconv + 0:linear"), Binary(), (1, 28, 28))
    table = str(d)
    assert all(layer.path in table for layer in d.layers)
    assert f"{d.parameters:,}" in table
    assert f"{d.binary_macs:,}" in table
    assert len({len(row) for row in table.splitlines()[:-1]} - {0}) <= 3


def test_users_operators_are_counted_by_running_them():
    class Twice(nn.Module):
        def __init__(self, context: OperatorContext) -> None:
            super().__init__()
            self.one = QuantConv2d(context.channels, context.filters, 3, context.stride)
            self.two = QuantConv2d(context.filters, context.filters, 3)

        def forward(self, x):
            return self.two(self.one(x)) + 1

    operator("test twice", binary=False)(Twice)
    cell = Cell.parse("0:test twice + 0:test twice")
    d = describe(cell, Flat(filters=(4,)), (2, 8, 8), 3)
    network = Flat(filters=(4,)).build(cell, (2, 8, 8), 3)
    assert (d.parameters, d.macs, d.binary_macs, d.weight_bits) == measured(network, (2, 8, 8))
    assert isinstance(network.cells[0].blocks[0].left, Twice)
    assert QuantLinear(3, 2).weight.shape == (2, 3)


def test_deeper_and_wider_cells_cost_more():
    one = describe(Cell.parse("0:3x3 conv + 0:3x3 conv"), Flat(), (3, 32, 32))
    two = describe(Cell.parse("0:3x3 conv + 0:3x3 conv | 1:3x3 conv + 0:3x3 conv"), Flat(), (3, 32, 32))
    assert two.parameters > one.parameters
    assert two.activation_bytes > one.activation_bytes
