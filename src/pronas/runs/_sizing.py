"""Sizes of networks: every cell gets the widest network that fits the limits and costs as much as all the others.

Cells compared at equal cost are compared for what they are; a heavier operator has to pay for itself in filters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import final

from pronas.networks import Skeleton, describe
from pronas.runs._config import LimitConfig
from pronas.runs._constraints import Constraints
from pronas.space import Cell

#: Width multipliers, smallest first. Below a quarter a network is none; above three, wider ones learn no better here.
WIDTHS = tuple(i / 16 for i in (*range(4, 16), *range(16, 33, 2), *range(36, 49, 4)))
SMALLEST = WIDTHS[0]


@final
class Sizer:
    """Finds the width of the network that ships for each cell.

    Args:
        skeleton: at width 1.
        input_shape: (C, H, W).
        classes: number of classes.
        limits: of the network that ships.
        macs: multiply-accumulates an image that it may take, for the time there is to train it.
    """

    def __init__(
        self, skeleton: Skeleton, input_shape: tuple[int, int, int], classes: int, limits: LimitConfig, macs: float
    ) -> None:
        self._skeleton, self._shape, self._classes = skeleton, input_shape, classes
        self._limits, self._macs = limits, macs
        self.skeleton = lru_cache(maxsize=65536)(self._sized)

    def _sized(self, cell: Cell) -> Skeleton:
        """The widest skeleton for a cell; where none fits, the narrowest."""
        low, high = 0, len(WIDTHS) - 1  # costs rise with the width, so the last width that fits is found by halving
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._fits(cell, WIDTHS[middle]) else (low, middle - 1)
        return self._skeleton.scaled(WIDTHS[low])

    def _fits(self, cell: Cell, width: float) -> bool:
        skeleton = self._skeleton.scaled(width)
        cost = describe(cell, skeleton, self._shape, self._classes)
        if cost.macs + cost.binary_macs > self._macs:
            return False
        return Constraints(skeleton, self._shape, self._classes, self._limits).feasible([cell])[0]
