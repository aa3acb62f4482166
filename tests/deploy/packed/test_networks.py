"""Packed networks against the PyTorch networks they come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from deploy_graphs import adversarial, random_network
from torch import nn

from pronas.deploy import PackedNetwork, pack
from pronas.deploy.packed import GraphModule, graph_of
from pronas.errors import UsageError
from pronas.networks import Binary, Flat, QuantConv2d, Sign, operator, operators
from pronas.space import Cell


def both(network, images):
    """(PyTorch's logits, the packed network's)."""
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    return expected, PackedNetwork(pack(graph_of(network)), "net").logits(images)


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_with_adversarial_batch_norms(seed):
    network, images = random_network(seed)
    expected, found = both(network, images)
    assert np.array_equal(expected, found)


@pytest.mark.parametrize("combine", ["concat", "add"])
@pytest.mark.parametrize("name", operators(True))
def test_every_operator_bit_for_bit(name, combine):
    """Every ±1 activation that PyTorch computes is a bit of the packed network's maps, in order."""
    rng = np.random.default_rng(len(name))
    skeleton = Binary(filters=(16, 12), strides=(1, 2), combine=combine, dense=(24,))
    network = skeleton.build(Cell.parse(f"0:{name} + 0:3x3 bconv | 1:{name} + 0:{name}"), (3, 13, 11), 10, seed=1)
    adversarial(network, rng)
    images = rng.integers(0, 256, (3, 3, 13, 11), dtype=np.uint8)
    seen: list[bytes] = []
    for layer in network.modules():
        if isinstance(layer, Sign):
            layer.register_forward_hook(
                lambda _m, _i, out: seen.append((out.reshape(len(out), -1) > 0).numpy().tobytes())
            )
    graph = graph_of(network)
    seen.clear()  # the thresholds were found by running the same layers
    with torch.no_grad():
        network(torch.from_numpy(images))
    maps = PackedNetwork(pack(graph), "net").maps(images)
    made = [
        maps[op.target][:, op.offset : op.offset + op.channels].reshape(len(images), -1).astype(bool).tobytes()
        for op in graph.ops
        if op.thresholds is not None
    ]
    assert len(seen) >= 6
    for activations in seen:
        assert activations in made


def test_the_order_of_batch_norm_s_roundings_does_not_depend_on_the_map():
    """Thresholds are found on (n, C, 1, 1): PyTorch must round there as it does on maps, in both layouts."""
    norm = nn.BatchNorm2d(24, eps=1e-6)
    adversarial(norm, np.random.default_rng(0))
    z = torch.randint(-200, 200, (3, 24, 13, 11)).float()
    with torch.no_grad():
        rows = norm(z.permute(0, 2, 3, 1).reshape(-1, 24)[:, :, None, None])[:, :, 0, 0].reshape(3, 13, 11, 24)
        for layout in (torch.contiguous_format, torch.channels_last):
            found = norm(z.contiguous(memory_format=layout)).permute(0, 2, 3, 1)
            assert torch.equal(rows, found)


@pytest.mark.parametrize("seed", range(8))
def test_the_form_exported_to_onnx_has_the_same_classes_and_logits(seed):
    network, images = random_network(seed)
    module = GraphModule(graph_of(network))
    with torch.no_grad():
        expected, found = network(torch.from_numpy(images)), module(torch.from_numpy(images))
    assert torch.allclose(expected, found, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    assert torch.equal(expected.argmax(1), found.argmax(1))


def test_skips_between_cells():
    cell = replace(Cell.parse("-1:3x3 bconv + -1:identity"), skips=((0, 2), (1, 3)))
    network = Binary(filters=(8, 8, 12, 16), strides=(1, 2, 2, 2)).build(cell, (1, 16, 16), 10, seed=3)
    adversarial(network, np.random.default_rng(3))
    expected, found = both(network, np.random.default_rng(4).integers(0, 256, (4, 1, 16, 16), dtype=np.uint8))
    assert np.array_equal(expected, found)


def test_training_mode_is_left_as_it_was():
    network = Binary().build(Cell.parse("0:3x3 bconv + 0:linear"), (1, 28, 28), 10)
    network.train()
    graph_of(network)
    assert network.training


def test_full_precision_networks_say_what_to_do():
    network = Flat().build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 28, 28), 10)
    with pytest.raises(UsageError, match="network to onnx"):
        graph_of(network)


class Absolute(nn.Module):
    """A sign that is not monotone."""

    def forward(self, x):
        return torch.where(x.abs() > 2, 1.0, -1.0)


def test_users_operators_are_packed_or_refused():
    @operator("test two signs", binary=True)
    def two(context):
        return nn.Sequential(context.factory.convolution(context, 3), nn.BatchNorm2d(context.filters), Sign())

    @operator("test relu", binary=True)
    def relu(context):
        conv = QuantConv2d(context.channels, context.filters, 3, context.stride, kernel_quantizer="ste_sign")
        return nn.Sequential(conv, nn.ReLU(), nn.BatchNorm2d(context.filters), Sign())

    network = Binary(filters=(8, 8)).build(Cell.parse("0:test two signs + 0:3x3 bconv"), (1, 12, 12), 4)
    adversarial(network, np.random.default_rng(0))
    expected, found = both(network, np.random.default_rng(4).integers(0, 256, (4, 1, 12, 12), dtype=np.uint8))
    assert np.array_equal(expected, found)
    refused = Binary(filters=(8, 8)).build(Cell.parse("0:test relu + 0:3x3 bconv"), (1, 12, 12), 4)
    with pytest.raises(UsageError, match=r"cell 0, block 0, left: .*ReLU"):
        graph_of(refused)


def test_a_head_without_hidden_layers_and_xnor_scales():
    for seed, dense in enumerate([(), (7,), (40, 33)]):
        network = Binary(filters=(12, 16), dense=dense, xnor=True).build(
            Cell.parse("0:3x3 bconv + 0:linear"), (1, 15, 9), 3
        )
        adversarial(network, np.random.default_rng(seed))
        expected, found = both(network, np.random.default_rng(9).integers(0, 256, (4, 1, 15, 9), dtype=np.uint8))
        assert np.array_equal(expected, found)
