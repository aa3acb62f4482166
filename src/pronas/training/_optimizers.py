"""Optimizers: made of a recipe and groups of parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pronas.errors import UsageError
from pronas.training._registry import Registry

if TYPE_CHECKING:
    from pronas.training._recipe import Recipe

#: Groups of parameters, as PyTorch's optimizers take them.
Groups = list[dict[str, Any]]
OptimizerMaker = Callable[[Groups, "Recipe"], torch.optim.Optimizer]


def _check(name: str, make: OptimizerMaker) -> None:
    from pronas.training._recipe import Recipe

    one, two = torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(3))
    made = make([{"params": [one], "weight_decay": 0.1}, {"params": [two], "weight_decay": 0.0}], Recipe())
    if not isinstance(made, torch.optim.Optimizer):
        raise UsageError(f"the optimizer {name!r} must be a torch.optim.Optimizer, not {type(made).__name__}")
    if [id(one) for group in made.param_groups for one in group["params"]] != [id(one), id(two)]:
        raise UsageError(f"the optimizer {name!r} must take all the groups of parameters that it is given")
    _try(name, made, [one, two])


def _try(name: str, made: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> None:
    """Take a step, and look at what became of the parameters and at what the optimizer keeps."""
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    for group in made.param_groups:
        group["lr"] = 0.01
    try:
        made.step()
    except Exception as error:  # whatever another's optimizer raises
        raise UsageError(f"the optimizer {name!r} cannot take a step by itself: {error}") from error
    if any((one == 1).all() or not one.isfinite().all() for one in parameters):
        raise UsageError(f"the optimizer {name!r} does not move every parameter that has a gradient to a finite place")
    for state in made.state.values():
        for key, value in state.items():
            if not isinstance(value, Tensor | None):
                raise UsageError(
                    f"the optimizer {name!r} keeps {key!r} as {type(value).__name__}: keep it as a tensor, "
                    "so that a training can be resumed"
                )


OPTIMIZERS: Registry[OptimizerMaker] = Registry("optimizer", _check)


def register_optimizer(name: str) -> Callable[[OptimizerMaker], OptimizerMaker]:
    """Register the decorated function as the optimizer ``name``, for recipes and TOML.

    It gets groups of parameters (dictionaries with ``params`` and ``weight_decay``) and the `Recipe`, and makes a
    ``torch.optim.Optimizer`` of all of them. Before every step each group's ``lr`` is set to the schedule's rate times
    the layer's multiplier. What it keeps for each parameter must be tensors, so that a training can be resumed.
    Registering a name again replaces it. For workers, register in a module that ``modules`` names.

        >>> import torch
        >>> @register_optimizer("adagrad")
        ... def adagrad(groups, recipe):
        ...     return torch.optim.Adagrad(groups, recipe.learning_rate, eps=recipe.epsilon)
        >>> from pronas.training import Recipe
        >>> Recipe(optimizer="adagrad", learning_rate=0.01).optimizer
        'adagrad'

    Args:
        name: as recipes and TOML files name it.

    Returns:
        A decorator; it tries the function once and gives it back as it is.

    Raises:
        UsageError: (of the decorator) it makes something else, leaves parameters out or where they are, needs a
            closure, or keeps something else than tensors.
    """
    return OPTIMIZERS.register(name)


# fused steps are one call for all tensors, 3 to 7 times faster than one by one


@register_optimizer("sgd")
def _sgd(groups: Groups, recipe: Recipe) -> torch.optim.Optimizer:
    momentum = recipe.momentum
    return torch.optim.SGD(groups, recipe.learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)


@register_optimizer("adam")
def _adam(groups: Groups, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, recipe.learning_rate, **_moments(recipe))


@register_optimizer("adamw")
def _adamw(groups: Groups, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, recipe.learning_rate, **_moments(recipe))


@register_optimizer("rmsprop")
def _rmsprop(groups: Groups, recipe: Recipe) -> torch.optim.Optimizer:
    alpha, momentum = recipe.beta2, recipe.momentum
    return torch.optim.RMSprop(groups, recipe.learning_rate, alpha=alpha, eps=recipe.epsilon, momentum=momentum)


def _moments(recipe: Recipe) -> dict[str, Any]:
    betas = (recipe.momentum, recipe.beta2)
    return {"betas": betas, "eps": recipe.epsilon, "amsgrad": recipe.amsgrad, "weight_decay": 0.0, "fused": True}


def make_optimizer(recipe: Recipe, groups: Groups) -> torch.optim.Optimizer:
    """Make the recipe's optimizer.

        >>> from pronas.training import Recipe
        >>> weights = torch.nn.Parameter(torch.ones(3))
        >>> type(make_optimizer(Recipe(optimizer="sgd"), [{"params": [weights]}])).__name__
        'SGD'

    Args:
        recipe: says which; ``learning_rate``, ``momentum``, ``beta2``, ``epsilon`` and ``amsgrad`` count.
        groups: of parameters, as PyTorch's optimizers take them, each perhaps with its own ``weight_decay``.

    Returns:
        A ``torch.optim.Optimizer`` of all the parameters.
    """
    return OPTIMIZERS[recipe.optimizer](groups, recipe)
