"""Learning-rate schedules: the share of the highest rate that holds at each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from pronas.errors import UsageError
from pronas.training._registry import Registry

if TYPE_CHECKING:
    from pronas.training._recipe import Recipe

#: From progress after the warm-up (0 to 1) and the recipe's ``final`` to a share of the highest rate.
ScheduleShape = Callable[[float, float], float]
_TINY = 1e-6


def _check(name: str, shape: ScheduleShape) -> None:
    for progress in (0.0, 0.25, 0.5, 1.0):
        share = shape(progress, 0.1)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < math.inf:
            raise UsageError(
                f"the schedule {name!r} gives {share!r} at progress {progress}: "
                "it must give a share of the highest rate, a number of 0 or more"
            )


SCHEDULES: Registry[ScheduleShape] = Registry("schedule", _check)


def register_schedule(name: str) -> Callable[[ScheduleShape], ScheduleShape]:
    """Register the decorated function as the learning-rate schedule ``name``, for recipes and TOML.

    It gets the progress after the warm-up, 0 at its first step and 1 at the last, and the recipe's ``final``; it gives
    what the highest rate is multiplied by, a number of 0 or more. Nothing else may decide it: then a training that is
    resumed goes on as it would have. Registering a name again replaces it. For workers, register in a module that
    ``modules`` names.

        >>> @register_schedule("square-root")
        ... def square_root(progress, final):
        ...     return final + (1 - final) * (1 - progress) ** 0.5
        >>> from pronas.training import Recipe, rate_at
        >>> recipe = Recipe(schedule="square-root", learning_rate=0.1, final=0.0)
        >>> [round(rate_at(recipe, step, 5), 3) for step in range(5)]
        [0.1, 0.087, 0.071, 0.05, 0.0]

    Args:
        name: as recipes and TOML files name it.

    Returns:
        A decorator; it tries the function once and gives it back as it is.

    Raises:
        UsageError: (of the decorator) it gives something else, or something below 0.
    """
    return SCHEDULES.register(name)


@register_schedule("constant")
def _constant(_: float, __: float) -> float:
    return 1.0


@register_schedule("cosine")
def _cosine(progress: float, final: float) -> float:
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


@register_schedule("exponential")
def _exponential(progress: float, final: float) -> float:
    return float(max(final, _TINY) ** progress)


@register_schedule("linear")
def _linear(progress: float, final: float) -> float:
    return 1 - (1 - final) * progress


def rate_at(recipe: Recipe, step: float, steps: float) -> float:
    """Give the learning rate of a step, before a layer's multiplier.

    It depends on nothing else: no counter outlives the network it was made for.

        >>> from pronas.training import Recipe
        >>> recipe = Recipe(learning_rate=1.0, schedule="linear", warmup=0.5, final=0.0)
        >>> [rate_at(recipe, step, 8) for step in range(8)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 0.6666666666666667, 0.33333333333333337, 0.0]

    Args:
        recipe: its learning rate, schedule, warm-up and final share count.
        step: which, from 0.
        steps: of the whole training.

    Returns:
        The rate, in the units of ``recipe.learning_rate``.
    """
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    return recipe.learning_rate * SCHEDULES[recipe.schedule](min(1.0, progress), recipe.final)
