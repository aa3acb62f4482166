"""Flash and RAM before training: equal to the exported C's; boards by name; what does not fit."""

import dataclasses

import numpy as np
import pytest
import torch
from integer_graphs import random_cell, random_model, random_skeleton

from pronas.deploy import check_fits, footprint, load_targets, target, target_names
from pronas.deploy.integer import calibrate, integer_c, lower, quantize
from pronas.deploy.packed import c_source, graph_of
from pronas.errors import UsageError
from pronas.networks import Binary, Flat
from pronas.space import Cell


@pytest.mark.parametrize("seed", range(30, 42))
def test_what_is_foretold_is_what_is_exported(seed):
    network, images = random_model(seed)
    graph = lower(network)
    made = integer_c(quantize(graph, calibrate(graph, images, "minmax")), "net")
    foretold = footprint(network.plan)
    assert (foretold.constants, foretold.ram) == (made.constant_bytes, made.buffer_bytes)
    assert foretold.flash == foretold.constants + foretold.code
    assert 1500 < foretold.code < 6500


@pytest.mark.parametrize("combine", ["concat", "add"])
@pytest.mark.parametrize(
    "cell", ["0:3x3 bconv + 0:5x5 bconv", "0:3x3 sep-bconv + 0:3x3 maxpool | 1:identity + 1:3x3 bconv"]
)
def test_what_is_foretold_of_binary_networks_is_what_is_exported(cell, combine):
    skeleton = Binary(filters=(8, 24), combine=combine)
    network = skeleton.build(Cell.parse(cell), (1, 20, 20), 10, seed=3).eval()
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 3, generator=generator)
            layer.running_var.uniform_(5, 60, generator=generator)
            layer.bias.data.normal_(0, 0.3, generator=generator)
    made, foretold = c_source(graph_of(network), "net"), footprint(skeleton.plan(Cell.parse(cell), (1, 20, 20), 10))
    assert (foretold.constants, foretold.ram) == (made.constant_bytes, made.buffer_bytes)
    assert 1000 < foretold.code < 2500


def test_every_skeleton_has_a_footprint():
    for seed in range(25):
        rng = np.random.default_rng(seed)
        assert footprint(random_skeleton(rng).plan(random_cell(rng), (3, 16, 16), 10), "pico").ram > 0


def plan(filters):
    return Flat(filters=filters).plan(Cell.parse("0:3x3 conv + 0:3x3 conv"), (3, 32, 32), 10)


def test_too_large_is_said_with_the_largest_layer():
    assert check_fits(plan((8, 8)), "nucleo-g071rb").ram < 36_864
    with pytest.raises(UsageError, match=r"RAM are .* more than nucleo-g071rb has .* in cell 0, .* a map of"):
        check_fits(plan((64, 8)), "nucleo-g071rb")
    with pytest.raises(UsageError, match=r"flash are .* more than nucleo-g071rb has .* in cell 1, .* weights"):
        check_fits(plan((8, 1000)), "nucleo-g071rb")


def test_too_large_is_said_of_binary_networks():
    plan = Binary(filters=(8, 256), dense=()).plan(Cell.parse("0:7x7 bconv + 0:7x7 bconv"), (1, 12, 12), 10)
    load = target("nucleo-g071rb")
    with pytest.raises(UsageError, match=r"flash are .* the largest layer is a conv of .* bits: fewer filters"):
        check_fits(plan, dataclasses.replace(load, flash=20_000))


def test_targets_by_name_and_from_a_file(tmp_path):
    assert target("pico").processor == "cortex-m0plus"
    assert target("cortex-m4").flash is None
    assert target("cortex-m4").microseconds(1000) is None
    assert target("nucleo-f446re").microseconds(1_000_000) == pytest.approx(1_000_000 * 1.21 * 1.3 / 180)
    with pytest.raises(UsageError, match="did you mean 'pico'"):
        target("picco")
    file = tmp_path / "mine.toml"
    file.write_text('[boards.mine]\nprocessor = "cortex-m4"\nflash = 1000\nram = 100\nmegahertz = 1\n')
    load_targets(file)
    assert "mine" in target_names()
    file.write_text("[boards.other]\nflash = 3\n")
    with pytest.raises(UsageError, match="the board 'other' needs a processor"):
        load_targets(file)
    file.write_text("nonsense")
    with pytest.raises(UsageError, match="not a table of targets"):
        load_targets(file)
