"""Fixed-point arithmetic against its definition, calibration, lowering, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from integer_graphs import random_model
from torch import nn

from pronas.deploy.integer import METHODS, Scale, calibrate, integer_values, lower, lowering, quantize
from pronas.deploy.integer.even_scales import addition_scale, mean_scale, weight_scales
from pronas.deploy.integer.fixed_point import mean_multiplier, multiplier, rescaled
from pronas.errors import UsageError
from pronas.networks import Binary, Flat, Residual, operator
from pronas.space import Cell


def away(x):
    """Rounded half away from zero."""
    return int(abs(x) + Fraction(1, 2)) * (1 if x >= 0 else -1)


@given(st.integers(-(2**27), 2**27), st.floats(1e-9, 4.0))
def test_products_are_rounded_twice(x, real):
    mantissa, shift = multiplier(real)
    left, right = max(shift, 0), max(-shift, 0)
    high = (Fraction((x << left) * mantissa, 1 << 31) + Fraction(1, 2)).__floor__()  # up at halves
    expected = away(Fraction(high, 1 << right))
    assert int(rescaled(np.array([x], np.int64), mantissa, shift)[0]) == expected
    assert abs(mantissa * 2.0 ** (shift - 31) - real) <= real * 2**-30


@given(st.integers(1, 4000), st.floats(1e-3, 1e3))
def test_the_multiplier_of_a_mean_divides_by_the_count(count, real):
    mantissa, shift = mean_multiplier(real, count)
    assert mantissa * 2.0 ** (shift - 31) == pytest.approx(real / count, rel=1e-8)


@given(
    st.one_of(st.floats(20, 2000), st.sampled_from([32.5, 33.0, 64.3, 127.9, 128.1, 257.0, 513.2, 1025.0])),
    st.floats(1e-3, 1.0), st.floats(1e-3, 1.0), st.data(),
)  # fmt: skip
def test_sums_over_even_numbers_are_rounded_once_away_from_zero(most, source, output, data):
    source, output = np.float32(source), np.float32(output)
    weight = np.full((1, 1), 127 * float(output) / float(source) / most, np.float32)
    (scale,) = weight_scales(weight, np.zeros(1, np.float32), float(source), float(output))
    real = float(source) * float(scale) / float(output)
    divisor = round(1 / real)
    assert divisor % 2 == 0
    assert 0.83 * most <= divisor <= most * 1.0001
    k, near = data.draw(st.integers(-255, 254)), data.draw(st.integers(-2, 2))
    for x in (k * divisor + divisor // 2 + near, data.draw(st.integers(-255 * divisor, 255 * divisor))):
        expected = away(Fraction(x, divisor))
        assert int(rescaled(np.array([x], np.int64), *multiplier(real))[0]) == expected
        assert np.rint(np.float32(x) * (source * scale / output)) == expected  # as runtimes do it that round to even


@given(st.integers(1, 400), st.floats(1e-3, 1.0), st.floats(0.05, 1.2), st.data())
def test_means_are_rounded_once_away_from_zero(count, source, share, data):
    source = float(np.float32(source))
    scale = mean_scale(source * share, source, count)
    divisor = round(count * scale / source)
    x = data.draw(st.integers(-128 * divisor, 127 * divisor))
    assert divisor % 2 == 0
    mantissa, shift = mean_multiplier(source / scale, count)
    assert int(rescaled(np.array([x], np.int64), mantissa, shift)[0]) == away(Fraction(x, divisor))


@given(st.floats(0.3, 3.0), st.floats(0.3, 3.0), st.integers(-200, 200), st.integers(-200, 200), st.integers(1, 60))
def test_sums_that_occur_stay_clear_of_a_roundings_edge(first, second, x, y, k):
    total = x * first + y * second
    if abs(total) < 1:
        return
    scale = abs(total) / (k + 0.5)  # this pair lies on an edge
    occur = [np.eye(511)[step + 255] for step in (x, y)]
    found = addition_scale(scale, [first, second], occur)
    assert 0.999 * scale <= found <= 1.035 * scale
    assert abs(abs(total) / found % 1 - 0.5) > 1e-5


@given(st.floats(-50, 0), st.floats(0, 50))
def test_zero_points_are_bytes(low, high):
    scale = Scale.covering(low, high)
    assert -128 <= scale.zero <= 127
    if scale.zero not in (-128, 126):
        assert scale.zero % 2  # halves beside zero go to even numbers away from it
        assert scale.scale * (-128 - scale.zero) <= low + 0.51 * scale.scale
        assert scale.scale * (127 - scale.zero) >= high - 0.51 * scale.scale


def test_every_calibration_covers_most_and_they_differ():
    network, images = random_model(2)
    graph = lower(network)
    found = {method: calibrate(graph, images, method) for method in METHODS}
    assert len(set(found.values())) > 1
    assert all(scales[-1] == found["minmax"][-1] for scales in found.values())


def test_a_sum_that_is_always_zero_has_a_scale_that_runtimes_take():
    network = Residual(filters=(4,), strides=(1,), stem=4).build(Cell.parse("0:3x3 conv + 0:identity"), (1, 12, 12), 3)
    network.eval().cells[0].blocks[0].left[1].bias.data.fill_(-1e3)  # ReLU leaves nothing
    graph = lower(network)
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 12, 12), dtype=np.uint8)
    integers = quantize(graph, calibrate(graph, images))
    added = next(n for n, node in enumerate(graph.nodes) if node.kind == "add")
    assert integers.numbers[added].shift[2] <= 0


def test_what_is_wrong_with_calibration_is_said():
    network, images = random_model(2)
    graph = lower(network)
    with pytest.raises(UsageError, match="3 calibration images are too few: give 32"):
        calibrate(graph, images[:3])
    with pytest.raises(UsageError, match="choose from mse"):
        calibrate(graph, images, "luck")
    with pytest.raises(UsageError, match="the network reads"):
        calibrate(graph, images[:, :, 1:])


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


def test_layers_of_users_are_lowered_or_refused():
    @operator("test doubled", binary=False)
    def doubled(context):
        return nn.Sequential(context.factory.convolution(context, 3), Doubled())

    network = Flat(filters=(4, 4)).build(Cell.parse("0:test doubled + 0:3x3 conv"), (1, 12, 12), 3, seed=0).eval()
    with pytest.raises(UsageError, match=r"cell 0, block 0, left: a layer Doubled has no integer form; register"):
        lower(network)

    @lowering(Doubled)
    def lower_doubled(layer, value, builder, fresh):
        channels = builder.shape(value)[0]
        return builder.norm(value, torch.full((channels,), 2.0), torch.zeros(channels), fresh)

    images = np.random.default_rng(0).integers(0, 256, (40, 1, 12, 12), dtype=np.uint8)
    graph = lower(network)
    integers = quantize(graph, calibrate(graph, images))
    assert integer_values(integers, images)[-1].shape == (40, 1, 1, 3)


def test_binary_networks_are_sent_elsewhere():
    network = Binary(filters=(8, 8)).build(Cell.parse("0:3x3 bconv + 0:3x3 bconv"), (1, 12, 12), 4)
    with pytest.raises(UsageError, match="no int8 form"):
        lower(network)
