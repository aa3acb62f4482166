"""The device that is asked for is the one that trains and predicts, the winner's training included."""

from __future__ import annotations

from dataclasses import replace

import pytest

import pronas
from pronas import machine
from pronas.errors import UsageError
from pronas.machine import device_named
from pronas.runs import Config, final_training, train
from pronas.runs.final_training import train_final
from pronas.runs.steps import configuration, executor_options, final_device, recipe_of, skeleton_of


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: {"cuda": 2, "mps": 0})


def test_auto_is_a_gpu_if_there_is_one(two_gpus):
    assert [device_named(name) for name in ("auto", "cpu", "cuda", "cuda:1")] == ["cuda", "cpu", "cuda", "cuda:1"]
    with pytest.raises(UsageError, match="device 'cuda:2' is not on this machine; there are 2 CUDA devices"):
        device_named("cuda:2")


def test_auto_is_the_processor_if_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(machine, "gpus", lambda: {"cuda": 0, "mps": 0})
    assert device_named("auto") == "cpu"
    for name in ("cuda", "mps", "meta", "vulkan", "warp", ""):
        with pytest.raises(UsageError):
            device_named(name)


def test_the_winner_is_trained_where_its_children_were(two_gpus):
    config = configuration({"devices": "cuda:1,cuda:0"})
    assert executor_options(config)["devices"] == ["cuda:1", "cuda:0"]
    assert final_device(config) == "cuda:1"
    assert final_device(Config()) == "cpu"


@pytest.fixture
def trained_on(monkeypatch):
    """The device of each whole training."""
    real, seen = final_training.train_network, []

    def train_network(*arguments, device, **options):
        seen.append(device)
        return real(*arguments, device="cpu", **options)

    monkeypatch.setattr(final_training, "train_network", train_network)
    return seen


def test_devices_reach_the_training_of_the_winner(two_gpus, trained_on, tiny, tmp_path):
    config = pronas.Experiment(pronas.search("digits", out=tmp_path / "run", **tiny).path).config
    assert trained_on == ["cpu"]
    data = pronas.load_dataset("digits", limit=200)
    elsewhere = configuration({"devices": "cuda:1"}).execution
    cell = pronas.Cell.parse("0:3x3 maxpool + 0:3x3 dconv")
    skeleton, recipe = skeleton_of(config.final), recipe_of(config.final)
    train_final(tmp_path, cell, data, skeleton, recipe, replace(config, execution=elsewhere), lambda event: None)
    assert trained_on == ["cpu", "cuda:1"]


def test_train_takes_a_device(two_gpus, trained_on, tmp_path):
    cell, sizes = "0:3x3 maxpool + 0:3x3 dconv", {"filters": "4,4", "limit": 100, "epochs": 1, "threads": 1}
    train(cell, out=tmp_path / "t", device="cuda:0", **sizes)
    assert trained_on == ["cuda:0"]
    with pytest.raises(UsageError, match="'cuda:7' is not on this machine"):
        train(cell, out=tmp_path / "u", device="cuda:7", **sizes)
    assert not (tmp_path / "u").exists()
