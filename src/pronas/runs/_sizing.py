"""Sizes of networks: every cell gets the widest network that fits the limits and trains as fast as all the others.

Cells compared at equal cost are compared for what they are; a heavier operator has to pay for itself in filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import final

from pronas.networks import Skeleton, describe
from pronas.runs._config import LimitConfig
from pronas.runs._constraints import Constraints
from pronas.space import Cell

#: Width multipliers, smallest first. Below a quarter a network is none; above three, wider ones learn no better here.
WIDTHS = tuple(i / 16 for i in (*range(4, 16), *range(16, 33, 2), *range(36, 49, 4)))
SMALLEST = WIDTHS[0]

# Multiply-accumulates that take as long as a byte of the activations: batch norm, ReLU and depthwise convolutions wait
# for memory. Fitted to steps of eight networks, dense and depthwise, within 20 % (docs/experiments.md).
_BYTE = 6.5
_STEP = 8  # of widths


def training_cost(cell: Cell, skeleton: Skeleton, input_shape: tuple[int, int, int], classes: int) -> float:
    """Return what training on one image costs, in multiply-accumulates that take as long.

    Args:
        cell: of the network.
        skeleton: around it.
        input_shape: (C, H, W).
        classes: number of classes.
    """
    network = describe(cell, skeleton, input_shape, classes)
    return network.macs + network.binary_macs + _BYTE * network.total_activation_bytes


@final
class Sizer:
    """Finds the width of the network that ships for each cell.

    Args:
        skeleton: at width 1.
        input_shape: (C, H, W).
        classes: number of classes.
        limits: of the network that ships.
        most: that training on one image may cost (`training_cost`), for the time there is.
        widths: multipliers to choose from, smallest first.
    """

    def __init__(
        self, skeleton: Skeleton, input_shape: tuple[int, int, int], classes: int, limits: LimitConfig, most: float,
        widths: Sequence[float] = WIDTHS,
    ) -> None:  # fmt: skip
        self._skeleton, self._shape, self._classes = skeleton, input_shape, classes
        self._limits, self._most, self._widths = limits, most, widths
        self.skeleton = lru_cache(maxsize=65536)(self._sized)

    def cost(self, cell: Cell) -> float:
        """What training a cell's network on one image costs."""
        return training_cost(cell, self.skeleton(cell), self._shape, self._classes)

    def _sized(self, cell: Cell) -> Skeleton:
        """The widest skeleton for a cell; where none fits, the narrowest."""
        low, high = (
            0,
            len(self._widths) - 1,
        )  # costs rise with the width, so the last width that fits is found by halving
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._fits(cell, self._widths[middle]) else (low, middle - 1)
        return self._scaled(self._widths[low])

    def _scaled(self, width: float) -> Skeleton:
        if len(self._widths) == 1:
            return self._skeleton
        # processors multiply eight numbers at once: 20 filters train slower than 24; but what has to fit, fits finely
        fine = self._skeleton.binary or self._limits != LimitConfig()
        return self._skeleton.scaled(width, None if fine else _STEP)

    def _fits(self, cell: Cell, width: float) -> bool:
        skeleton = self._scaled(width)
        if training_cost(cell, skeleton, self._shape, self._classes) > self._most:
            return False
        return Constraints(skeleton, self._shape, self._classes, self._limits).feasible([cell])[0]
