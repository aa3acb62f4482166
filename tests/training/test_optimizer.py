"""The optimizer's steps, most of which repeat a captured one, are those of PyTorch's optimizers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pronas.kernels import accelerate
from pronas.networks import Network, skeleton
from pronas.space import Cell
from pronas.training import Recipe, Stepper, make_optimizer, rate_at

STEPS = 6
RECIPES = {
    "adam": Recipe(optimizer="adam", weight_decay=0.01),
    "amsgrad": Recipe(optimizer="adam", amsgrad=True, schedule="linear", warmup=0.5),
    "adamw": Recipe(optimizer="adamw", weight_decay=0.1, clip_norm=0.3),
    "sgd": Recipe(optimizer="sgd", learning_rate=0.1, weight_decay=0.01, clip_norm=0.5),
    "plain sgd": Recipe(optimizer="sgd", learning_rate=0.1, momentum=0.0, schedule="exponential"),
}


def network(kind: str) -> Network:
    cell = "0:3x3 dconv + 0:3x3 conv" if kind == "flat" else "0:3x3 bconv + 0:3x3 sep-bconv"
    made = skeleton(kind, filters=[16, 18], **({} if kind == "flat" else {"rate": "Glorot"}))
    return made.build(Cell.parse(cell), (3, 16, 16), 10, seed=1)


def stepper_of(found: Network, name: str) -> Stepper:
    return Stepper(found, RECIPES[name], STEPS, accelerate(found, steps=STEPS))


def give_gradients(found: Network, step: int, skip: int | None = None) -> None:
    generator = torch.Generator().manual_seed(step)
    for number, parameter in enumerate(found.parameters()):
        made = torch.randn(parameter.shape, generator=generator)
        parameter.grad = None if number == skip else torch.empty_like(parameter).copy_(made)


def by_pytorch(found: Network, recipe: Recipe, skips: list[int | None]) -> None:
    groups = found.parameter_groups()
    for group in groups:
        group["weight_decay"] = recipe.weight_decay if group["decay"] else 0.0
    optimizer, everything = make_optimizer(recipe, groups), [one for group in groups for one in group["params"]]
    for step, skip in enumerate(skips):
        give_gradients(found, step, skip)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(recipe, step, len(skips)) * group["lr_multiplier"]
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(everything, recipe.clip_norm)
        optimizer.step()
        for layer in found.quantized_layers():
            layer.clip_latent_()


NONE, SAME = [None] * STEPS, [3] * STEPS
LATER, FIRST_ONE = [3, 3, 3, None, None, 3], [2, None, 2, None, None, None]
# PyTorch's fused SGD cannot make a momentum later than others
CASES = [
    (name, skips) for name in RECIPES for skips in (NONE, SAME, LATER, FIRST_ONE) if name != "sgd" or skips is SAME
]


@pytest.mark.parametrize("kind", ["flat", "binary"])
@pytest.mark.parametrize(("name", "skips"), CASES)
def test_steps_are_pytorch_s(kind: str, name: str, skips: list[int | None], same_weights) -> None:
    """Also where parameters (by ``skips``, one a step) have no gradient, and so no moments, in some steps."""
    one, two = network(kind), network(kind)
    stepper = stepper_of(one, name)
    for step, skip in enumerate(skips):
        give_gradients(one, step, skip)
        stepper.step()
        assert all(parameter.grad is None for parameter in one.parameters())
    by_pytorch(two, RECIPES[name], skips)
    assert same_weights(one, two)


@pytest.mark.parametrize("name", RECIPES)
def test_a_restored_stepper_goes_on_to_the_bit(name: str, same_weights) -> None:
    one, two = network("flat"), network("flat")
    whole, part = (stepper_of(each, name) for each in (one, two))
    for step in range(STEPS):
        give_gradients(one, step)
        whole.step()
        if step == 3:
            state = {key: value.clone() for key, value in whole.state().items()}
    for rubbish in range(2):  # it has captured a step with moments of its own
        give_gradients(two, 50 + rubbish)
        part.step()
    two.load_state_dict(weights_after(name, 4))
    part.restore(state)
    for step in range(4, STEPS):
        give_gradients(two, step)
        part.step()
    assert same_weights(one, two)


def weights_after(name: str, steps: int) -> dict[str, Tensor]:
    found = network("flat")
    stepper = stepper_of(found, name)
    for step in range(steps):
        give_gradients(found, step)
        stepper.step()
    return found.state_dict()
