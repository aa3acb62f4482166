"""Trainings that must end in time, and with a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from pronas.errors import RunError
from pronas.training import Epoch, Recipe, Replan

_T = TypeVar("_T")
_SLOWER = 0.2  # of a rate that diverged


def team_speed(threads: int) -> float:
    """How many times faster than one thread so many train one network."""
    return 1 + 0.7 * (threads - 1)


def until(left: Callable[[], float], *, least: int) -> Replan:
    """A training's number of epochs, asked after each, with which it ends in time.

    Args:
        left: gives the seconds that are left.
        least: epochs, however late it is.
    """
    seconds: list[float] = []

    def replan(epoch: Epoch) -> int:
        seconds.append(epoch.seconds)
        recent = seconds[-3:]
        return max(least, epoch.number + math.floor(left() / (sum(recent) / len(recent))))

    return replan


def slowing(
    train: Callable[[Recipe], _T],
    recipe: Recipe,
    *,
    times: int,
    tell: Callable[[RunError, float], object] | None = None,
) -> _T:
    """Train; where that diverges, again at a fraction of the rate.

    Args:
        train: with a recipe.
        recipe: of the first training.
        times: that it is tried again.
        tell: told of each training that diverged and of the next one's share of the rate.

    Raises:
        RunError: of another kind, or the last one's.
    """
    for again in range(1, times + 1):
        try:
            return train(recipe)
        except RunError as error:
            if "diverged" not in str(error):
                raise
            if tell is not None:
                tell(error, _SLOWER**again)
            recipe = recipe.replace(learning_rate=recipe.learning_rate * _SLOWER)
    return train(recipe)
