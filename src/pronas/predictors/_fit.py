"""Minibatch fitting of neural predictors, all members of an ensemble in one batched computation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pronas.predictors._adam import Adam
from pronas.predictors._predictor import Floats, Observed

Batch = NDArray[np.int64]


@dataclass(frozen=True)
class FitSettings:
    """Adam's settings: ``steps`` minibatches of ``batch`` cells for every member, the rate going down to ``rate / 20``
    where it decays.

    ``l2`` is added to the loss as l2 · Σ p² (the old systems' ``reg_param``).
    """

    steps: int
    batch: int
    rate: float
    l2: float = 0.0
    decay: bool = True


def floored(rewards: Floats) -> Floats:
    """Raise outliers at the bottom to a floor three interquartile ranges below the lower quartile.

    Children that failed (reward 0) or never left chance level would otherwise dominate losses and length-scales; their
    order among themselves does not matter. Order is kept otherwise.
    """
    low, high = np.quantile(rewards, [0.25, 0.75])
    floor = low - 3.0 * max(high - low, 0.005)
    return np.asarray(np.maximum(rewards, floor))


def folds(count: int, members: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """The indexes each member sees: every member leaves out another fifth (another 1/members if fewer than five)."""
    order = generator.permutation(count)
    if members == 1 or count < 2 * members:
        return [order] * members
    parts = max(5, members)
    return [np.delete(order, np.arange(m, count, parts)) for m in range(members)]


def fold_shares(count: int, parts: int, seed: int) -> list[NDArray[np.int64]]:
    """For each of ``parts`` parts that together hold every one of ``count`` once, the indexes outside it."""
    part = fold_numbers(count, parts, seed)
    return [np.flatnonzero(part != number) for number in range(parts)]


def fold_numbers(count: int, parts: int, seed: int) -> NDArray[np.int64]:
    """Which part each of ``count`` belongs to (count,), parts of equal size up to one."""
    part = np.empty(count, dtype=np.int64)
    part[np.random.default_rng(seed).permutation(count)] = np.arange(count) % parts
    return part


def batches(shares: list[NDArray[np.int64]], settings: FitSettings, generator: np.random.Generator) -> Iterator[Batch]:
    """Index arrays (members, batch): each member goes through its own share in its own order, epoch after epoch."""
    size = min(settings.batch, min(len(share) for share in shares))
    need = settings.steps * size
    streams = []
    for share in shares:
        epochs = -(-need // len(share))
        streams.append(np.concatenate([generator.permutation(share) for _ in range(epochs)])[:need])
    yield from np.stack(streams).reshape(len(shares), settings.steps, size).swapaxes(0, 1)


def minimise(
    parameters: dict[str, Tensor],
    loss: Callable[[Batch], Tensor],
    order: Iterator[Batch],
    settings: FitSettings,
) -> None:
    """Adam over the batches. ``loss`` gives the mean loss of every member, (members,); members do not interact."""
    optimiser = Adam(parameters)
    for step, index in enumerate(order):
        optimiser.step(loss(index).sum(), _rate(settings, step), settings.l2)
    for name, leaf in parameters.items():
        parameters[name] = leaf.detach().clone()


def _rate(settings: FitSettings, step: int) -> float:
    if not settings.decay:
        return settings.rate
    done = step / max(1, settings.steps)
    return float(settings.rate * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * done))))


def joined(parts: list[Observed]) -> NDArray[np.float64]:
    """Rewards of all parts in order."""
    return np.concatenate([part.rewards for part in parts]).astype(np.float64)
