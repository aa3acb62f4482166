"""Learning-rate schedules: the share of the highest rate that holds at each step."""

from __future__ import annotations

import math
from collections.abc import Callable

from pronas.training._recipe import Recipe, Schedule

_TINY = 1e-6


def _constant(_: float, __: float) -> float:
    return 1.0


def _cosine(progress: float, final: float) -> float:
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def _exponential(progress: float, final: float) -> float:
    return float(max(final, _TINY) ** progress)


def _linear(progress: float, final: float) -> float:
    return 1 - (1 - final) * progress


_SHAPES: dict[Schedule, Callable[[float, float], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "exponential": _exponential,
    "linear": _linear,
}


def rate_at(recipe: Recipe, step: float, steps: float) -> float:
    """Give the learning rate of step ``step`` (0-based) of ``steps``.

    The rate depends on nothing else: no counter outlives the network it was made for.
    """
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    return recipe.learning_rate * _SHAPES[recipe.schedule](min(1.0, progress), recipe.final)
