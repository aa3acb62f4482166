"""A winner that ends worse than its child is not shipped."""

from dataclasses import replace

import pytest
import torch

import pronas
from pronas.runs.fallback import FALLBACK, Fallback, keep_fallback
from pronas.training import evaluate, train_network


@pytest.fixture(scope="module")
def digits():
    return pronas.load_dataset("digits", limit=600)


def trained(digits, epochs):
    recipe = pronas.training.recipe("timed", epochs=epochs)
    cell, skeleton = "0:3x3-3x3 conv + 0:identity", pronas.skeleton("residual").scaled(0.25)
    return train_network(cell, digits, skeleton, recipe, use_validation=True, threads=1)


def weights(network):
    from safetensors.torch import save

    return save({name: value.contiguous() for name, value in network.state_dict().items()})


def test_the_child_ships_where_the_winner_knows_less(digits, tmp_path):
    good, bad = trained(digits, 12), trained(digits, 1)
    accuracy = evaluate(good.network, digits.validation).accuracy
    assert accuracy > evaluate(bad.network, digits.validation).accuracy + 0.2
    keep_fallback(tmp_path, weights(good.network))
    fallback = Fallback.read(tmp_path, accuracy)
    assert fallback is not None
    kept, told = fallback.better(bad, digits)
    assert told["kept"] == "child"
    assert told["learnt_accuracy"] < told["trial_accuracy"] == accuracy
    assert evaluate(kept.network, digits.validation).accuracy == accuracy
    kept, told = replace(fallback, accuracy=0.1).better(bad, digits)
    assert told["kept"] == "winner"
    assert kept is bad


def test_what_cannot_be_read_or_does_not_fit_is_no_fallback(digits, tmp_path):
    assert Fallback.read(tmp_path, 0.9) is None
    keep_fallback(tmp_path, b"not a safetensors file")
    assert Fallback.read(tmp_path, 0.9) is None
    bad = trained(digits, 1)
    other = Fallback(1.0, {"stem.0.weight": torch.zeros(3)})
    assert other.better(bad, digits)[0] is bad
    assert (tmp_path / FALLBACK).exists()
