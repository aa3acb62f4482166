"""Checks of what a controller is asked to do, and how its strategy is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pronas.controller._acquisition import ACQUISITIONS
from pronas.controller._acquisition_optimizer import AcquisitionOptimizer, Costs
from pronas.controller._batch import BATCHES
from pronas.controller._strategies import STRATEGIES, Evolution, Progressive, Random, Strategy
from pronas.errors import UsageError, nearest, wrong_arguments
from pronas.predictors import Predictor
from pronas.space import Space

#: What can be searched: accuracy is maximised, the costs are computed and minimised.
OBJECTIVES = ("accuracy", "parameters", "macs", "binary_macs", "weight_bits", "activation_bytes", "latency_us")


def check_options(
    space: Space,
    blocks: int,
    k: int | None,
    rounds: int,
    acquisition: str,
    strategy: str,
    objectives: Sequence[str],
    costs: Costs | None,
    budget: int | None,
    first: int | None,
    batch: str,
) -> None:
    """Raise a UsageError for the first argument that is out of range."""
    if not 1 <= blocks <= space.B:
        raise UsageError(f"B={blocks}: this space has cells of 1 to {space.B} blocks")
    for what, name, names in (
        ("acquisition", acquisition, ACQUISITIONS),
        ("strategy", strategy, STRATEGIES),
        ("batch", batch, BATCHES),
    ):
        if name not in names:
            raise UsageError(f"unknown {what} {name!r}{nearest(name, names)}; there are {', '.join(names)}")
    for name, value in (("K", k), ("rounds", rounds), ("budget", budget), ("first", first)):
        if value is not None and value < 1:
            raise UsageError(
                f"{name}={value}: it is at least 1" + (", or None for every cell" if name in ("K", "first") else "")
            )
    if k is not None:
        _check_k(space, blocks, k)
    check_objectives(objectives, costs)


def check_objectives(objectives: Sequence[str], costs: Costs | None) -> None:
    """Check that the objectives are known and different, accuracy first, and that costs are given.

        >>> check_objectives(["accuracy", "macs"], costs=lambda cells: [[1.0] for _ in cells])
        >>> check_objectives(["accuracy", "mac"], costs=None)
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: unknown objective 'mac'; did you mean 'macs'?; there are accuracy, ...

    Args:
        objectives: ``accuracy`` and any of the costs, by name.
        costs: a function from cells to (n, objectives - 1) numbers, lower is better; None where accuracy is alone.

    Raises:
        UsageError: they are not; the message names the nearest objective.
    """
    for name in objectives:
        if name not in OBJECTIVES:
            raise UsageError(
                f"unknown objective {name!r}{nearest(name, OBJECTIVES)}; there are {', '.join(OBJECTIVES)}"
            )
    if not objectives or objectives[0] != "accuracy" or len(set(objectives)) < len(objectives):
        raise UsageError(
            f"objectives are accuracy and, after it, different costs, not {', '.join(objectives) or 'none'}"
        )
    if len(objectives) > 1 and costs is None:
        raise UsageError("a search for a front needs costs: a function from cells to (n, objectives - 1) numbers")


def _check_k(space: Space, blocks: int, k: int) -> None:
    bounds = [space.level_bound(b) for b in range(1, blocks + 1)]
    known = [bound for bound in bounds if bound is not None]
    if known and len(known) == len(bounds) and k > max(known):
        raise UsageError(
            f"K={k}: the largest level of this space has at most {max(known)} cells; take fewer, or None for all"
        )


def old_predictor_settings(iterations: int | None, reg_param: float, cells: int, embedding: int) -> dict[str, Any]:
    """The LSTM's settings from the old systems' arguments."""
    if reg_param < 0:
        raise UsageError(f"reg_param={reg_param}: the weight of the L2 term is not negative")
    settings: dict[str, Any] = {"l2": reg_param, "cells": cells, "embedding": embedding}
    return settings if iterations is None else settings | {"steps": iterations}


def build_strategy(
    name: str,
    optimizer: AcquisitionOptimizer,
    predictor: Predictor,
    blocks: int,
    k: int | None,
    rounds: int,
    budget: int | None,
    first: int | None,
    seed: int,
    options: dict[str, Any],
) -> Strategy:
    """The strategy of that name."""
    space = optimizer.space
    if name == "progressive":
        return Progressive(space, blocks, k, rounds, optimizer, predictor, seed, first)
    total = budget if budget is not None else same_budget(space, blocks, k, first)
    try:
        kind = Random if name == "random" else Evolution
        return kind(space, blocks, total, optimizer.feasible, seed, **options)
    except TypeError as error:
        raise UsageError(f"strategy {name!r}: {wrong_arguments(error)}") from None


def same_budget(space: Space, blocks: int, k: int | None, first: int | None) -> int:
    """How many children a progressive search trains at most: level 1, then K at each level."""
    if k is None and blocks > 1:
        raise UsageError("K=None trains every cell: give random and evolution a budget")
    return (len(space.level1()) if first is None else first) + (blocks - 1) * (k or 0)
