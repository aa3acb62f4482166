"""What has been evaluated so far, in the order in which it was told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pronas.errors import UsageError
from pronas.predictors import Observed, Rows, key_bytes
from pronas.space import Space


@dataclass
class Archive:
    """Evaluated cells; each class of equal cells is in it once, and its key is never proposed again."""

    space: Space
    rows: list[list[int]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)  # standard errors of the rewards, 0: unknown
    keys: dict[bytes, int] = field(default_factory=dict)

    def add(self, rows: Rows, rewards: Sequence[float], noise: Sequence[float] | None = None) -> None:
        """Add cells of one number of blocks; ``noise``: standard errors of their rewards, where known."""
        self.noise += [0.0] * len(rewards) if noise is None else map(float, noise)
        for row, key, reward in zip(rows.tolist(), key_bytes(self.space, rows), rewards, strict=True):
            self.keys[key] = len(self.rows)
            self.rows.append(row)
            self.rewards.append(float(reward))

    def __len__(self) -> int:
        return len(self.rows)

    def history(self) -> list[Observed]:
        """All cells, grouped by number of blocks, fewest first."""
        return [self._of_width(width) for width in sorted({len(row) for row in self.rows})]

    def level(self, blocks: int) -> Observed:
        """The evaluated cells of so many blocks."""
        parts = [part for part in self.history() if self.space.level_of(part.rows) == blocks]
        return parts[0] if parts else Observed(np.empty((0, 4 * blocks), np.int16), np.empty(0))

    def best(self) -> float:
        """The best reward; 0 when there is none."""
        return max(self.rewards, default=0.0)

    def _of_width(self, width: int) -> Observed:
        index = [i for i, row in enumerate(self.rows) if len(row) == width]
        rows = np.array([self.rows[i] for i in index], dtype=np.int16).reshape(len(index), width)
        noise = np.array([self.noise[i] for i in index], dtype=np.float64)
        rewards = np.array([self.rewards[i] for i in index], dtype=np.float64)
        return Observed(rows, rewards, noise if noise.any() else None)


def check_rewards(rewards: Sequence[float], count: int) -> list[float]:
    """Return the rewards as floats.

    Raises:
        UsageError: not ``count`` of them, or one that is not a number in [0, 1].
    """
    values = list(rewards)
    if len(values) != count:
        raise UsageError(
            f"{count} cells were proposed but {len(values)} rewards were given: one reward a cell, in order"
        )
    for i, value in enumerate(values):
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"reward {i} is {value!r}, not a number") from None
        if not (math.isfinite(number) and 0.0 <= number <= 1.0):
            raise UsageError(f"reward {i} is {number}: rewards are accuracies in [0, 1], and 0 for a child that failed")
        values[i] = number
    return values


def check_noise(noise: Sequence[float | None] | None, count: int) -> list[float]:
    """Return standard errors as floats, 0 where unknown.

    Raises:
        UsageError: not ``count`` of them, or one that is negative or no finite number.
    """
    values = [0.0] * count if noise is None else [0.0 if value is None else float(value) for value in noise]
    if len(values) != count:
        raise UsageError(f"{count} cells but {len(values)} standard errors: one each, None where unknown")
    for i, value in enumerate(values):
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"noise {i} is {value}: a standard error is finite and not negative")
    return values
