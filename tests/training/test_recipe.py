from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pronas.data import Augmentation
from pronas.errors import UsageError
from pronas.networks import skeleton
from pronas.training import RECIPES, Recipe, make_loss, recipe, train_network


@given(
    st.builds(
        Recipe,
        epochs=st.integers(1, 500),
        batch=st.integers(1, 4096),
        optimizer=st.sampled_from(["adam", "adamw", "sgd"]),
        learning_rate=st.floats(0, 10),
        schedule=st.sampled_from(["constant", "cosine", "exponential", "linear"]),
        loss=st.sampled_from(["cross-entropy", "squared-hinge"]),
        clip_norm=st.none() | st.floats(0.1, 10),
        augmentation=st.none()
        | st.sampled_from(["standard", "strong"])
        | st.builds(Augmentation, crop=st.integers(0, 4), flip=st.booleans()),
    )
)
def test_a_recipe_survives_being_written_and_read(made: Recipe) -> None:
    assert Recipe.from_dict(made.to_dict()) == made


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"optimiser": "adam"}, "no field 'optimiser'; did you mean 'optimizer'?"),
        ({"optimizer": "adamm"}, "did you mean 'adam'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"loss": 3}, "unknown loss 3"),
        ({"epochs": 0}, "epochs must lie in [1"),
        ({"epochs": 2.5}, "epochs must be int"),
        ({"amsgrad": 1}, "amsgrad must be bool"),
        ({"learning_rate": "fast"}, "learning_rate must be float"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"augmentation": {"crops": 2}}, "augmentation takes crop"),
        ({"augmentation": "strongest"}, "did you mean 'strong'"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_cure(fields: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match="recipe") as caught:
        Recipe.from_dict(fields)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whole_numbers_stand_for_fractions() -> None:
    assert Recipe.from_dict({"learning_rate": 1}).learning_rate == 1.0


def test_names_and_overrides() -> None:
    assert recipe("search", epochs=2, batch=32).epochs == 2
    assert recipe("search", epochs=2, batch=32).batch == 32
    assert recipe("search", binary=True) == recipe("search-binary")
    assert recipe("search-binary", binary=True) == recipe("search-binary")
    assert set(RECIPES) >= {"search", "full", "old", "search-binary", "full-binary", "old-binary"}
    with pytest.raises(UsageError, match="did you mean 'search'"):
        recipe("serach")


def test_the_old_systems_settings_are_kept() -> None:
    old, binary = recipe("old"), recipe("old", binary=True)
    assert (old.optimizer, old.learning_rate, old.schedule, old.final, old.batch, old.epochs) == (
        "adam", 1e-3, "cosine", 0.1, 128, 5,
    )  # fmt: skip
    assert (binary.loss, binary.amsgrad, binary.schedule, binary.learning_rate, binary.final) == (
        "squared-hinge", True, "exponential", 1e-3, 0.1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0]),
        ("cosine", [1.0, 0.775, 0.325, 0.1]),
        ("exponential", [1.0, 10 ** (-1 / 3), 10 ** (-2 / 3), 0.1]),
        ("linear", [1.0, 0.7, 0.4, 0.1]),
    ],
)
def test_rates_of_one_step_epochs_follow_the_schedule(digits, schedule, expected) -> None:
    made = Recipe(epochs=4, batch=1000, learning_rate=0.01, schedule=schedule, final=0.1)
    for _ in range(2):  # a second network's schedule starts afresh
        trained = train_network("0:linear + 0:linear", digits, skeleton("flat", filters=[4]), made)
        assert trained.curves["rate"] == pytest.approx([0.01 * share for share in expected])


def test_warm_up_rises_to_the_rate_and_then_falls(digits) -> None:
    made = Recipe(epochs=10, batch=1000, learning_rate=1.0, warmup=0.4, schedule="linear", final=0.0, optimizer="sgd")
    rates = train_network("0:linear + 0:linear", digits, skeleton("flat", filters=[4]), made).curves["rate"]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4:] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.0])


def test_squared_hinge_is_its_formula() -> None:
    logits, labels = torch.randn(7, 5), torch.tensor([0, 1, 2, 3, 4, 0, 1])
    signs = torch.nn.functional.one_hot(labels, 5) * 2 - 1
    expected = torch.mean(torch.maximum(torch.tensor(0.0), 1 - signs * logits) ** 2)
    torch.testing.assert_close(make_loss(Recipe(loss="squared-hinge"))(logits, labels), expected)


def test_weight_decay_spares_batch_norm_and_biases(digits) -> None:
    # with a rate of 0 nothing learns; decoupled decay is multiplied by the rate too, so a tiny rate and a huge decay
    made = Recipe(epochs=1, batch=1000, optimizer="adamw", learning_rate=1e-12, weight_decay=1e6, schedule="constant")
    one = train_network("0:3x3 conv + 0:3x3 conv", digits, skeleton("flat", filters=[4]), made, seed=1)
    decayed = dataclasses.replace(made, weight_decay=0.0)
    two = train_network("0:3x3 conv + 0:3x3 conv", digits, skeleton("flat", filters=[4]), decayed, seed=1)
    before = dict(two.network.named_parameters())
    for name, after in one.network.named_parameters():
        changed = not torch.allclose(after, before[name], rtol=1e-7, atol=0)
        assert changed == (after.dim() > 1), name


def test_metric_and_class_weights():
    from pronas.errors import UsageError
    from pronas.training import Recipe

    plain = Recipe().to_dict()
    assert "metric" not in plain
    assert "class_weights" not in plain  # older runs compare equal
    recipe = Recipe(metric="macro-f1", class_weights="balanced")
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    with pytest.raises(UsageError, match="did you mean 'macro-f1'"):
        Recipe(metric="macro-f")
    with pytest.raises(UsageError, match="class_weights 'balance'"):
        Recipe(class_weights="balance")
