"""Unbalanced classes: the metric that chooses, and weights in the loss."""

import numpy as np
import pytest
import torch

from pronas.data import Dataset, class_weights
from pronas.metrics import balanced_accuracy
from pronas.networks import skeleton
from pronas.training import NetworkManager, Recipe, evaluate, make_loss, train_network

CELL = "0:3x3 conv + 0:identity"


@pytest.fixture(scope="module")
def rare():
    """Nine of ten images are of class 0, and the classes are hard to tell apart."""
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(900) < 0.9, 0, 1)
    images = rng.integers(0, 256, (900, 8, 8))
    images[labels == 1, 2:6, 2:6] += 40
    return Dataset.from_arrays((images.clip(0, 255), labels))


@pytest.mark.parametrize("loss", ["cross-entropy", "squared-hinge"])
def test_weighted_losses_are_means_of_weighted_images(loss):
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(50, 3, generator=generator), torch.arange(50) % 3
    weights = torch.tensor([0.5, 1.0, 2.0])
    recipe = Recipe(loss=loss, label_smoothing=0.1 if loss == "cross-entropy" else 0)
    plain, weighted = make_loss(recipe), make_loss(recipe, weights)
    each = torch.stack([plain(logits[i : i + 1], labels[i : i + 1]) for i in range(50)])
    assert torch.allclose(weighted(logits, labels), (each * weights[labels]).mean())
    assert torch.allclose(make_loss(recipe, torch.ones(3))(logits, labels), plain(logits, labels))


def test_the_metric_chooses_and_is_the_reward(rare):
    recipe = Recipe(epochs=4, batch=32, metric="balanced-accuracy", learning_rate=0.01)
    result = train_network(CELL, rare, skeleton("flat", filters=[4]), recipe, seed=1)
    curve = result.curves["validation_balanced_accuracy"]
    assert len(curve) == len(result.curves["validation_accuracy"]) == 4
    assert result.validation_accuracy == max(curve)
    confusion = evaluate(result.network, rare.validation).confusion
    assert balanced_accuracy(confusion) == pytest.approx(result.validation_accuracy)
    with NetworkManager(rare, skeleton=skeleton("flat", filters=[4]), recipe=recipe) as manager:
        (child,) = manager.get_rewards([CELL])
    assert child.status == "done", child.error
    assert child.reward == max(child.metrics["validation_balanced_accuracy"])


def test_weights_make_a_network_find_the_rare_class(rare):
    counts = class_weights(rare.class_counts)
    assert counts[1] > 4 * counts[0]
    recalls = []
    for weights in (None, "balanced"):
        recipe = Recipe(epochs=6, batch=32, class_weights=weights, learning_rate=0.01)
        network = train_network(CELL, rare, skeleton("flat", filters=[4]), recipe, seed=1).network
        figures = np.array(evaluate(network, rare.test).confusion)
        recalls.append(figures[1, 1] / figures[1].sum())
    assert recalls[1] > recalls[0]
