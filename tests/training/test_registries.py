"""Losses, optimizers and schedules by name: those that users register."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

import pronas
from pronas.errors import UsageError
from pronas.networks import skeleton
from pronas.training import Recipe, make_loss, rate_at, train_network

CELL, FLAT = "0:3x3 conv + 0:3x3 maxpool", skeleton("flat", filters=(8,))


def focal(logits, labels):
    each = F.cross_entropy(logits, labels, reduction="none")
    return (1 - (-each).exp()) ** 2 * each


def rmsprop(groups, recipe):
    return torch.optim.RMSprop(groups, recipe.learning_rate, eps=recipe.epsilon)


class Counting(torch.optim.SGD):
    """Keeps a plain number, which no checkpoint would hold."""

    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["count"] = 1


class Still(torch.optim.SGD):
    def step(self, closure=None):
        pass


@pytest.fixture(autouse=True)
def _registered():
    pronas.register_loss("test focal")(focal)
    pronas.register_optimizer("test rmsprop")(rmsprop)
    pronas.register_schedule("test steps")(lambda progress, final: 1.0 if progress < 0.5 else final)


def test_a_registered_loss_is_averaged_and_weighted():
    logits, labels = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 2, 1, 0])
    weights = torch.tensor([1.0, 2.0, 3.0])
    recipe = Recipe(loss="test focal")
    torch.testing.assert_close(make_loss(recipe)(logits, labels), focal(logits, labels).mean())
    weighted = (focal(logits, labels) * weights[labels]).mean()
    torch.testing.assert_close(make_loss(recipe, weights)(logits, labels), weighted)


def test_a_registered_schedule_gives_the_rates():
    recipe = Recipe(schedule="test steps", learning_rate=0.4, final=0.25, warmup=0.25)
    assert [round(rate_at(recipe, step, 8), 6) for step in range(8)] == [0.2, 0.4, 0.4, 0.4, 0.4, 0.1, 0.1, 0.1]


def test_a_network_is_trained_with_all_of_them(digits, tmp_path):
    """And a training that is cut short goes on to the bit."""
    recipe = Recipe(
        epochs=4, batch=50, loss="test focal", optimizer="test rmsprop", schedule="test steps", learning_rate=3e-3
    )
    whole = train_network(CELL, digits, FLAT, recipe, seed=1)
    assert whole.curves["loss"][-1] < whole.curves["loss"][0]
    assert whole.curves["rate"] == pytest.approx([3e-3, 3e-3, 3e-4, 3e-4])

    class Cut(Exception):
        pass

    def cut(epoch):
        if epoch.number == 2:
            raise Cut

    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Cut):
        train_network(CELL, digits, FLAT, recipe, seed=1, checkpoint=checkpoint, on_epoch=cut)
    resumed = train_network(CELL, digits, FLAT, recipe, seed=1, checkpoint=checkpoint)
    assert resumed.curves == whole.curves
    states = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(one, two) for one, two in zip(*(state.values() for state in states), strict=True))


def test_what_others_do_is_not_captured(digits):
    """A loss that counts its calls is called at every step, not only at the one that would be recorded."""
    calls = []

    @pronas.register_loss("test counted")
    def counted(logits, labels):
        calls.append(len(labels))
        return F.cross_entropy(logits, labels, reduction="none")

    calls.clear()  # it was tried
    train_network(CELL, digits, FLAT, Recipe(epochs=2, batch=100, loss="test counted"))
    assert len(calls) == 2 * (len(digits.train) // 100 + 1)  # and a look at the validation images an epoch


@pytest.mark.parametrize(
    ("field", "name", "nearest"),
    [
        ("loss", "test focl", "test focal"),
        ("loss", "crossentropy", "cross-entropy"),
        ("optimizer", "test rmspro", "test rmsprop"),
        ("schedule", "test step", "test steps"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(field, name, nearest):
    with pytest.raises(UsageError, match=f"recipe: unknown {field} {name!r}; did you mean {nearest!r}"):
        Recipe.from_dict({field: name})


@pytest.mark.parametrize(
    ("register", "function", "why"),
    [
        ("loss", lambda logits, labels: F.cross_entropy(logits, labels), r"must give a float for each image, \(4,\)"),
        ("loss", lambda logits, labels: labels, "torch.int64"),
        ("loss", lambda logits, labels: logits.detach().sum(1), "no gradient"),
        ("loss", lambda logits, labels: logits.sum(1) / 0, "not finite"),
        ("optimizer", lambda groups, recipe: object(), r"must be a torch.optim.Optimizer, not object"),
        ("optimizer", lambda groups, recipe: torch.optim.SGD(groups[:1], 0.1), "all the groups"),
        ("optimizer", lambda groups, recipe: torch.optim.LBFGS(groups[0]["params"], 0.1), "all the groups"),
        ("optimizer", lambda groups, recipe: Still(groups, 0.1), "does not move every parameter"),
        ("optimizer", lambda groups, recipe: Counting(groups, 0.1), "keeps 'count' as int"),
        ("schedule", lambda progress, final: 0.5 - progress, "-0.5 at progress 1.0"),
        ("schedule", lambda progress, final: None, "None at progress 0.0"),
        ("schedule", lambda progress, final: math.inf, "inf at progress 0.0"),
    ],
)
def test_what_does_not_do_its_work_is_refused(register, function, why):
    with pytest.raises(UsageError, match=why):
        getattr(pronas, f"register_{register}")("test bad")(function)
    with pytest.raises(UsageError, match=f"unknown {register} 'test bad'"):
        Recipe.from_dict({register: "test bad"})
