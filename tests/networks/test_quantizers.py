"""Quantizers and skeletons by name: those that come with pronas, and those that users register."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from pronas.deploy.packed import graph_of
from pronas.errors import UsageError
from pronas.networks import (
    Binary,
    DoReFa,
    Flat,
    NetworkPlan,
    Skeleton,
    approx_sign,
    describe,
    quantizer,
    quantizers,
    register_quantizer,
    register_skeleton,
    skeleton,
    skeleton_from_dict,
    ste_sign,
)
from pronas.space import Cell

FLOAT, BINARY = "0:3x3 conv + 0:3x3 dconv", "0:3x3 bconv + 0:3x3 sep-bconv"


def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=generator)


def test_approx_sign_is_the_sign_with_a_gradient_that_falls_off():
    x = torch.tensor([-1.5, -1.0, -0.5, -0.0, 0.0, 0.25, 1.0, 2.0], requires_grad=True)
    assert approx_sign(x).tolist() == ste_sign(x).tolist() == [-1, -1, -1, 1, 1, 1, 1, 1]
    assert torch.autograd.grad(approx_sign(x).sum(), x)[0].tolist() == [0, 0, 1, 2, 2, 1.5, 0, 0]


@pytest.mark.parametrize("bits", range(2, 9))
def test_dorefa_has_evenly_spaced_values_and_the_gradient_of_its_curve(bits):
    w = torch.linspace(-2, 2, 4001, requires_grad=True)
    found = quantizer(f"dorefa-{bits}")(w)
    steps = 2**bits - 1
    torch.testing.assert_close(found.unique(), torch.linspace(-1, 1, steps + 1), atol=1e-6, rtol=0)
    curve = w.tanh() / w.detach().tanh().abs().max()
    assert (found - curve).abs().max() <= 1 / steps + 1e-6
    inner = slice(1, -1)  # the ends, of the largest size, also carry the gradient of the scale
    found_gradient, expected = (torch.autograd.grad(y.sum(), w)[0][inner] for y in (found, curve))
    torch.testing.assert_close(found_gradient, expected, rtol=1e-4, atol=1e-5)
    assert quantizer(f"dorefa-{bits}") == DoReFa(bits)
    assert DoReFa(bits)(torch.zeros(3)).isfinite().all()


@pytest.mark.parametrize("name", ["ste_sign", "approx_sign", "dorefa-2", "dorefa-4"])
def test_full_precision_maps_with_quantized_kernels_learn(name):
    made = Flat(filters=(8, 8), kernel_quantizer=name)
    network = made.build(Cell.parse(FLOAT), (3, 16, 16), 10)
    layers, labels = network.quantized_layers(), torch.arange(12) % 10
    assert len(layers) == 6
    before = [layer.weight.detach().clone() for layer in layers]
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(2):
        loss = F.cross_entropy(network(images()), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        network.clip_latent_weights_()
    assert all(not torch.equal(layer.weight, old) for layer, old in zip(layers, before, strict=True))
    counted = describe(Cell.parse(FLOAT), made, (3, 16, 16))
    bits = int(name.partition("-")[2] or 1)
    kernels = sum(layer.weight.numel() for layer in layers)
    assert counted.weight_bits == 32 * counted.parameters - (32 - bits) * kernels
    assert counted.binary_macs == 0
    with pytest.raises(UsageError, match="full-precision"):
        graph_of(network)


def test_binary_networks_take_the_gradient_of_their_activation():
    one, two = (Binary(filters=(8,), activation=name) for name in ("ste_sign", "approx_sign"))
    networks = [made.build(Cell.parse(BINARY), (3, 16, 16), 10, seed=1) for made in (one, two)]
    outputs = [network(images()) for network in networks]
    assert torch.equal(*outputs)
    gradients = [torch.autograd.grad(y.square().sum(), next(n.parameters()))[0] for y, n in zip(outputs, networks)]  # noqa: B905
    assert not torch.equal(*gradients)
    assert graph_of(networks[1].eval()) is not None  # the same forward, so the same packed form
    with pytest.raises(UsageError, match="'dorefa-4' is not of one bit"):
        Binary(activation="dorefa-4")


def test_a_kernel_of_more_bits_is_refused_at_packing():
    network = Binary(filters=(8,)).build(Cell.parse(BINARY), (3, 16, 16), 10)
    network.quantized_layers()[0].kernel_quantizer = quantizer("dorefa-4")
    with pytest.raises(UsageError, match="not -1 and \\+1 once quantized, so it cannot be packed"):
        graph_of(network)


def test_files_of_earlier_versions_have_no_such_fields():
    assert "kernel_quantizer" not in Flat().to_dict()
    assert "activation" not in Binary().to_dict()
    for made in (Flat(kernel_quantizer="dorefa-4"), Binary(activation="approx_sign")):
        assert skeleton_from_dict(made.to_dict()) == made


def test_quantizers_can_be_registered_and_are_tried():
    @register_quantizer("test ternary", bits=2)
    def ternary(inputs):
        return inputs + (inputs.clamp(-1, 1).round() - inputs).detach()

    assert quantizer("test ternary") is ternary
    assert "test ternary" in quantizers()
    Flat(kernel_quantizer="test ternary")
    with pytest.raises(UsageError, match="did you mean 'test ternary'"):
        Flat(kernel_quantizer="test ternery")
    for function, why in [
        (lambda x: x.sum(), "shape"),
        (lambda x: x.double(), "dtype"),
        (lambda x: x.detach().sign(), "no gradient"),
    ]:
        with pytest.raises(UsageError, match=why):
            register_quantizer("test bad", bits=1)(function)
    with pytest.raises(UsageError, match="0 bits"):
        register_quantizer("test bad", bits=0)(ternary)
    assert "test bad" not in quantizers()


def test_skeletons_can_be_registered_and_are_tried():
    @register_skeleton
    @dataclass(frozen=True)
    class Wide(Skeleton):
        name: ClassVar[str] = "test-wide"
        filters: int = 16

        def plan(self, cell: Cell, input_shape: Sequence[int], classes: int) -> NetworkPlan:
            return Flat(filters=(self.filters,) * 2).plan(cell, input_shape, classes)

    assert skeleton("test-wide", filters=8) == Wide(8)
    with pytest.raises(UsageError, match="did you mean 'test-wide'"):
        skeleton("test-wid")

    @dataclass(frozen=True)
    class More(Wide):
        name: ClassVar[str] = "test-more"

        def plan(self, cell: Cell, input_shape: Sequence[int], classes: int) -> NetworkPlan:
            return super().plan(cell, input_shape, classes + 1)

    with pytest.raises(UsageError, match=r"gives \(2, 6\) for 2 images of 5 classes"):
        register_skeleton(More)
    with pytest.raises(UsageError, match="frozen dataclass of Skeleton"):
        register_skeleton(int)  # type: ignore[type-var]
    with pytest.raises(UsageError, match="no skeleton is called 'test-more'"):
        skeleton("test-more")
