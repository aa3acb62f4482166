"""The compiled training kernels against PyTorch's operators: values, gradients, whole networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pronas.kernels import accelerate, native
from pronas.kernels.parts import convolve, run_layer, run_layers, shared
from pronas.networks import AveragePool, MaxPool, QuantConv2d, Sign, SumPool, skeleton
from pronas.space import Cell

needs_kernels = pytest.mark.usefixtures("kernels")
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
KERNEL, STRIDE = st.sampled_from([3, 5, 7]), st.sampled_from([1, 2])


def maps_of(shape: tuple[int, ...], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(*shape, generator=generator).to(memory_format=torch.channels_last)
    return made.requires_grad_()


def results(compute: Callable[[Tensor], Tensor], inputs: Tensor, *more: Tensor) -> list[Tensor]:
    """Outputs and gradients to the inputs and to more, for the gradients that begin as 1, 2, 3, … scaled."""
    outputs = compute(inputs)
    upstream = torch.arange(1.0, outputs.numel() + 1).sin().view_as(outputs)
    return [outputs.detach(), *torch.autograd.grad(outputs, (inputs, *more), upstream)]


def fast(sequence: nn.Sequential) -> Callable[[Tensor], Tensor]:
    """What training makes of a sequence."""
    return lambda maps: run_layers(list(sequence), maps)


def same(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-4) -> None:
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=tolerance, atol=tolerance)


@needs_kernels
@few
@given(shape=SHAPES, kernel=KERNEL, stride=STRIDE, seed=st.integers(0, 99))
def test_depthwise_convolutions_are_the_library_s(shape: tuple[int, ...], kernel: int, stride: int, seed: int) -> None:
    inputs, layer = maps_of(shape, seed), QuantConv2d(shape[1], shape[1], kernel, stride, groups=shape[1])

    def plain(maps: Tensor) -> Tensor:
        return F.conv2d(maps, layer.weight, None, stride, kernel // 2, 1, shape[1])

    def compiled(maps: Tensor) -> Tensor:
        return run_layer(layer, maps)

    assert compiled(inputs).grad_fn.name() == "_CompiledBackward"
    same(results(compiled, inputs, layer.weight), results(plain, inputs, layer.weight))


@needs_kernels
@few
@given(shape=SHAPES, kernel=KERNEL, stride=STRIDE, which=st.integers(0, 2), seed=st.integers(0, 99))
def test_pools_are_the_library_s(shape: tuple[int, ...], kernel: int, stride: int, which: int, seed: int) -> None:
    inputs = (maps_of(shape, seed) * 2).round().detach().requires_grad_()  # with equal values, as ±1 maps have
    read = shared(inputs)
    layer = (MaxPool, AveragePool, SumPool)[which](kernel, stride)
    found = results(lambda _: run_layer(layer, read), inputs)
    same(found, results(layer, inputs))


@needs_kernels
@few
@given(shape=st.tuples(st.integers(2, 9), st.integers(16, 50), *[st.integers(1, 9)] * 2), kind=st.integers(0, 2))
def test_batch_norm_and_what_follows_are_the_library_s(shape: tuple[int, ...], kind: int) -> None:
    inputs = (maps_of(shape, 1) * 3 + 5).detach().requires_grad_()
    following = [[], [nn.ReLU()], [Sign()]][kind]
    made = []
    for run in (fast, lambda sequence: sequence):
        torch.manual_seed(0)
        chain = nn.Sequential(nn.BatchNorm2d(shape[1]), *following)
        nn.init.normal_(chain[0].weight), nn.init.normal_(chain[0].bias)
        values = results(run(chain), inputs, chain[0].weight, chain[0].bias)
        made.append([*values, *(value.clone().float() for value in chain[0].buffers())])
    if kind != native.NOTHING and at_an_edge(chain[0](inputs)):
        return
    same(made[0], made[1], 1e-3)


@needs_kernels
@few
@given(shape=st.tuples(st.integers(2, 9), st.integers(16, 50), *[st.integers(1, 9)] * 2), relu=st.booleans())
def test_batch_norm_of_bfloat16_is_that_of_floats_rounded(shape: tuple[int, ...], relu: bool) -> None:
    narrow = (maps_of(shape, 1) * 3 + 5).bfloat16().detach()
    upstream = torch.arange(1.0, narrow.numel() + 1).sin().view_as(narrow).bfloat16()
    made = []
    for run, kind in ((fast, torch.bfloat16), (lambda sequence: sequence, torch.float32)):
        torch.manual_seed(0)
        chain = nn.Sequential(nn.BatchNorm2d(shape[1]), *([nn.ReLU()] if relu else []))
        nn.init.normal_(chain[0].weight), nn.init.normal_(chain[0].bias)
        inputs = narrow.to(kind, memory_format=torch.channels_last).requires_grad_()
        outputs = run(chain)(inputs)
        assert outputs.dtype is kind
        gradients = torch.autograd.grad(outputs, (inputs, chain[0].weight, chain[0].bias), upstream.to(kind))
        made.append([outputs.detach(), *gradients, *(value.clone() for value in chain[0].buffers())])
    if relu and at_an_edge(chain[0](inputs)):
        return
    assert [one.dtype for one in made[0][2:4]] == [torch.float32] * 2
    rounded = [two.to(one.dtype) for one, two in zip(*made, strict=True)]
    same([one.float() for one in made[0]], [two.float() for two in rounded], 1e-2)


@needs_kernels
@few
@given(value=st.floats(width=32, allow_nan=False))
def test_floats_are_rounded_to_bfloat16_as_pytorch_does(value: float) -> None:
    maps = torch.full((2, 16, 1, 1), 0.0, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    chain = nn.Sequential(nn.BatchNorm2d(16))
    nn.init.constant_(chain[0].bias, value)  # what constant maps become
    assert torch.equal(fast(chain)(maps.requires_grad_()), torch.full((2, 16, 1, 1), value).bfloat16())


def at_an_edge(normalised: Tensor) -> bool:
    """Whether rounding decides the sign of some value, or whether it is beyond 1."""
    size = normalised.detach().abs()
    return bool(((size < 1e-4) | ((size - 1).abs() < 1e-4)).any())


SIDES = st.tuples(*[st.sampled_from([1, 3, 5, 7])] * 2)


@needs_kernels
@few
@given(
    shape=SHAPES, filters=st.integers(1, 70), sides=SIDES, stride=STRIDE, last=st.booleans(), seed=st.integers(0, 99)
)
def test_dense_convolutions_are_the_library_s(
    shape: tuple[int, ...], filters: int, sides: tuple[int, int], stride: int, last: bool, seed: int
) -> None:
    inputs, layer = maps_of(shape, seed), QuantConv2d(shape[1], filters, sides, stride)
    layer.to(memory_format=torch.channels_last if last else torch.contiguous_format)
    found = results(lambda maps: convolve(layer, maps, (layer.weight, False)), inputs, layer.weight)
    same(found, results(lambda maps: nn.Conv2d.forward(layer, maps), inputs, layer.weight), 1e-3)


@needs_kernels
@few
@given(
    shape=st.tuples(st.integers(2, 5), st.integers(1, 40), *[st.integers(3, 12)] * 2),
    filters=st.integers(16, 50), sides=SIDES, stride=STRIDE, kind=st.integers(0, 2),
)  # fmt: skip
def test_convolution_batch_norm_and_what_follows_are_the_library_s(
    shape: tuple[int, ...], filters: int, sides: tuple[int, int], stride: int, kind: int
) -> None:
    inputs, following = maps_of(shape, 1), [[], [nn.ReLU()], [Sign()]][kind]
    layer, norms = QuantConv2d(shape[1], filters, sides, stride), [nn.BatchNorm2d(filters) for _ in range(2)]
    for norm in norms:
        torch.manual_seed(0)
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    plain = nn.Sequential(*following)

    def library(maps: Tensor) -> Tensor:
        return plain(norms[1](nn.Conv2d.forward(layer, maps)))  # type: ignore[no-any-return]

    parameters = [[layer.weight, norm.weight, norm.bias] for norm in norms]
    found = results(lambda maps: convolve(layer, maps, (layer.weight, False), norms[0], kind), inputs, *parameters[0])
    expected = results(library, inputs, *parameters[1])
    same(*[[buffer.float() for buffer in norm.buffers()] for norm in norms], 1e-3)
    if kind == native.NOTHING or not at_an_edge(norms[1](nn.Conv2d.forward(layer, inputs))):
        same(found, expected, 2e-3)


@needs_kernels
@few
@given(shape=SHAPES, kernel=KERNEL, stride=STRIDE, grouped=st.booleans())
def test_binary_kernels_are_signs_and_their_gradients_go_straight_through(
    shape: tuple[int, ...], kernel: int, stride: int, grouped: bool
) -> None:
    inputs, groups = maps_of(shape, 0), shape[1] if grouped else 1
    layer = QuantConv2d(
        shape[1], shape[1], kernel, stride, groups=groups, kernel_quantizer="ste_sign", latent_bound=1.5
    )
    with torch.no_grad():
        layer.weight.flatten()[:3] = torch.tensor([0.0, 1.0, 1.2])

    def plain(maps: Tensor) -> Tensor:
        return F.conv2d(maps, layer.quantized_weight(), None, stride, kernel // 2, 1, groups)

    def compiled(maps: Tensor) -> Tensor:
        return run_layer(layer, maps) if grouped else convolve(layer, maps, (layer.weight, True))

    same(results(compiled, inputs, layer.weight), results(plain, inputs, layer.weight), 1e-3)


def sign_layer(channels: int, filters: int, sides: tuple[int, int], stride: int, last: bool) -> QuantConv2d:
    layer = QuantConv2d(channels, filters, sides, stride, kernel_quantizer="ste_sign", latent_bound=1.5)
    with torch.no_grad():
        layer.weight.flatten()[:3] = torch.tensor([0.0, -0.0, 1.2])[: layer.weight.numel()]
    return layer.to(memory_format=torch.channels_last if last else torch.contiguous_format)


@needs_kernels
@few
@given(
    shape=SHAPES, filters=st.integers(1, 70), sides=SIDES, stride=STRIDE, last=st.booleans(),
    others=st.sets(st.integers(0, 6), max_size=2), seed=st.integers(0, 99),
)  # fmt: skip
def test_binary_kernels_on_binary_maps_sum_whole_numbers_exactly(
    shape: tuple[int, ...], filters: int, sides: tuple[int, int], stride: int, last: bool, others: set[int], seed: int
) -> None:
    """Maps of which a few images (``others``) hold other whole numbers, and zeros."""
    maps = maps_of(shape, seed).detach().sign()
    for image in others:
        maps[image % shape[0]] *= torch.arange(shape[1]).remainder(3).view(-1, 1, 1)
    maps.requires_grad_()
    layer = sign_layer(shape[1], filters, sides, stride, last)
    found = results(lambda maps: convolve(layer, maps, (layer.weight, True)), maps, layer.weight)
    kernel = layer.quantized_weight
    expected = results(lambda maps: F.conv2d(maps, kernel(), None, stride, layer.padding), maps, layer.weight)
    assert torch.equal(found[0], expected[0])
    same(found[1:], expected[1:], 1e-3)


@needs_kernels
@pytest.mark.parametrize(("map_value", "weight_value"), [(float("nan"), 0.5), (1.0, float("nan"))])
def test_binary_convolutions_keep_what_is_not_a_number(map_value: float, weight_value: float) -> None:
    maps, layer = maps_of((3, 8, 6, 6), 0).detach().sign(), sign_layer(8, 16, (3, 3), 1, False)
    maps[1, 2, 3, 3] = map_value
    with torch.no_grad():
        layer.weight[4, 5, 1, 1] = weight_value
    found = convolve(layer, maps, (layer.weight, True)).isnan()
    if map_value != map_value:
        assert torch.equal(found.any(1)[1, 2:5, 2:5], torch.ones(3, 3, dtype=torch.bool))
        assert not found[0].any()
    else:
        assert found[:, 4].all()
        assert not found[:, :4].any()


@needs_kernels
def test_a_sequence_runs_convolution_batch_norm_and_activation_as_one() -> None:
    inputs = maps_of((4, 16, 6, 6), 5)
    if native.lanes() < 8:
        pytest.skip("with narrow vectors the library is faster")
    layers = [QuantConv2d(16, 20, 1), nn.BatchNorm2d(20), nn.ReLU()]
    assert run_layers(layers, inputs).grad_fn.name() == "_ConvolutionBackward"
    layers[0].input_quantizer = torch.tanh
    assert run_layers(layers, inputs).grad_fn.name() == "_NormBackward"


@needs_kernels
@pytest.mark.parametrize("layer", [nn.BatchNorm2d(20), MaxPool(3, 1), AveragePool(3, 1), QuantConv2d(20, 20, 1)])
def test_gradients_may_be_slices_and_expanded(layer: nn.Module) -> None:
    inputs, chain = maps_of((3, 20, 6, 5), 2), fast(nn.Sequential(layer))
    whole = maps_of((3, 50, 6, 5), 3).detach()
    for upstream in (whole[:, 11:31], torch.randn(3, 20, 1, 1).expand(3, 20, 6, 5), torch.randn(3, 20, 6, 5)):
        found = torch.autograd.grad(chain(shared(inputs)), inputs, upstream)
        expected = torch.autograd.grad(nn.Sequential(layer)(inputs), inputs, upstream.contiguous())
        same(list(found), list(expected))


@needs_kernels
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_scaled_as_in_evaluation(channels: int) -> None:
    network = skeleton("flat", filters=(16,)).build(Cell.parse("0:3x3 conv + 0:3x3 conv"), (channels, 9, 8), 10)
    images = torch.randint(0, 256, (5, channels, 9, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    torch.testing.assert_close(run_layer(network.scale, images), network.scale(images))


@needs_kernels
def test_what_is_not_a_number_stays_it() -> None:
    inputs = maps_of((4, 16, 6, 6), 4).detach()
    inputs[1, 3, 2, 2] = float("nan")
    inputs.requires_grad_()
    assert run_layers([nn.BatchNorm2d(16), nn.ReLU()], inputs)[:, 3].isnan().all()
    assert run_layer(MaxPool(3, 2), inputs)[1, 3].isnan().any()


FLOAT = "0:3x3 dconv + 0:5x5 dconv | 1:7x7 dconv + 0:1x7-7x1 conv | 0:3x3 maxpool + 1:3x3 avgpool"
BINARY = "0:3x3 bconv + 0:5x5 sep-bconv | 0:3x3 maxpool + 0:3x3 avgpool | 1:3x3 sep-bconv + 1:linear"


def gradients(name: str, text: str) -> tuple[Tensor, list[Tensor]]:
    network = skeleton(name, filters=(16, 24)).build(Cell.parse(text), (3, 16, 16), 10)
    images = torch.randint(0, 256, (8, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    logits = accelerate(network, steps=1).forward(images)
    F.cross_entropy(logits, torch.arange(8)).backward()
    return logits.detach(), [p.grad for p in network.parameters() if p.grad is not None]


@needs_kernels
def test_a_network_s_gradients_do_not_depend_on_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, found = gradients("flat", FLOAT)
    monkeypatch.setattr(native, "library", lambda: None)
    expected_logits, expected = gradients("flat", FLOAT)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-3, atol=1e-3)
    same(found, expected, 2e-3)


@pytest.mark.parametrize(("name", "text"), [("flat", FLOAT), ("binary", BINARY)])
def test_the_same_to_the_bit_whatever_the_threads(name: str, text: str) -> None:
    threads = torch.get_num_threads()
    try:
        made = []
        for count in (1, 1, 2):
            torch.set_num_threads(count)
            made.append(gradients(name, text)[1])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, two) for one, two in zip(made[0], made[1], strict=True))
    same(made[0], made[2])


def test_networks_in_evaluation_run_without_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, *arguments: object) -> None:
        raise AssertionError(name)

    monkeypatch.setattr(native, "call", fail)
    network = skeleton("flat", filters=(16, 24)).build(Cell.parse(FLOAT), (3, 16, 16), 10).eval()
    assert network(torch.zeros(2, 3, 16, 16, dtype=torch.uint8)).shape == (2, 10)
