"""Limits and costs of cells: computed from a description of the network, or measured, never predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.deploy import footprint, shipped_latency, target
from pronas.errors import SettingError
from pronas.networks import NetworkPlan, Skeleton, describe
from pronas.runs._config import LimitConfig
from pronas.space import Cell

#: cost -> its limit's key; latency last: it is measured, the others are counted
_COSTS = (
    *(("parameters", "parameters"), ("macs", "macs"), ("weight_bits", "bits")),
    *(("flash", "flash"), ("ram", "ram"), ("latency_us", "latency_us")),
)
_FLAGS = {"parameters": "params"}
_PROCESSOR = "cortex-m4"  # whose code is counted where no target is named


def shipped_bytes(plan: NetworkPlan, limits: LimitConfig) -> dict[str, float]:
    """Flash and RAM of the C of a network with this plan, on the limits' target; known before it is trained.

    Raises:
        UsageError: a layer has no form in C.
    """
    found = footprint(plan, limits.target or _PROCESSOR)
    return {"flash": float(found.flash), "ram": float(found.ram)}


class Constraints:
    """What cells cost with one skeleton and one shape of images. Remembers what it has seen.

    Args:
        skeleton: that of the network that ships, or a function that gives it for a cell.
        input_shape: (C, H, W).
        classes: number of classes.
        limits: what ``feasible`` holds cells against.
    """

    def __init__(
        self, skeleton: Skeleton | Callable[[Cell], Skeleton], input_shape: tuple[int, int, int], classes: int,
        limits: LimitConfig | None = None,
    ) -> None:  # fmt: skip
        self._build = (skeleton, input_shape, classes)
        self._limits = limits or LimitConfig()
        self._seen: dict[Cell, dict[str, float]] = {}

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self._given())

    def columns(self, cell: Cell) -> Mapping[str, Any]:
        """Return what is known of a cell by now, as columns of ``children``."""
        return {"latency_us": self._known(cell).get("latency_us")}

    def feasible(self, cells: Sequence[Cell]) -> list[bool]:
        """Return which cells are within every limit."""
        return [self._within(cell) for cell in cells]

    def matrix(self, names: Sequence[str], cells: Sequence[Cell]) -> NDArray[np.float64]:
        """Return the named costs, (n, len(names)), lower being better."""
        return np.array([[self._cost(cell, name) for name in names] for cell in cells], dtype=np.float64)

    def refusal(self, cells: Sequence[Cell]) -> SettingError:
        """Return the error for limits that none of ``cells`` meets: it names the limit and the least there is."""
        least = {cost: min(cells, key=lambda cell: self._cost(cell, cost)) for cost, _, _ in self._given()}
        figures = {cost: self._cost(cell, cost) for cost, cell in least.items()}
        for cost, key, most in self._given():
            if figures[cost] > most:
                what = f"the smallest network has {figures[cost]:,.0f} ({least[cost]})"
                return SettingError(
                    f"limits.{key}: no network is within {most:,.0f}; {what}", f"max_{_FLAGS.get(key, key)}"
                )
        shown = ", ".join(f"{figures[cost]:,.0f} {cost} under {most:,.0f}" for cost, _, most in self._given())
        return SettingError(f"limits: no network is within all of them; each by itself is met ({shown})", "max_params")

    def _given(self) -> list[tuple[str, str, float]]:
        """The limits there are: cost, key in ``[limits]``, most."""
        return [(cost, key, most) for cost, key in _COSTS if (most := getattr(self._limits, key)) is not None]

    def _within(self, cell: Cell) -> bool:
        return all(self._cost(cell, cost) <= most for cost, _, most in self._given())

    def _cost(self, cell: Cell, name: str) -> float:
        known = self._known(cell)
        if name not in known and name == "latency_us":
            known[name] = self._latency(cell)
        elif name not in known and name in ("flash", "ram"):
            known.update(self._footprint(cell))
        elif name not in known:
            known.update(self._counts(cell))
        return known[name]

    def _network(self, cell: Cell) -> tuple[Skeleton, tuple[int, int, int], int]:
        skeleton, shape, classes = self._build
        return skeleton if isinstance(skeleton, Skeleton) else skeleton(cell), shape, classes

    def _footprint(self, cell: Cell) -> dict[str, float]:
        skeleton, shape, classes = self._network(cell)
        return shipped_bytes(skeleton.plan(cell, shape, classes), self._limits)

    def _latency(self, cell: Cell) -> float:
        board = target(self._limits.target) if self._limits.target else None
        if board is None or board.megahertz is None:
            skeleton, shape, classes = self._network(cell)
            return shipped_latency(skeleton.build(cell, shape, classes))
        return board.microseconds(int(self._cost(cell, "macs"))) or 0.0

    def _counts(self, cell: Cell) -> dict[str, float]:
        description = describe(cell, *self._network(cell))
        names = ("parameters", "macs", "binary_macs", "weight_bits", "activation_bytes")
        counts = {name: float(getattr(description, name)) for name in names}
        # a limit on multiply-accumulates means all of them: binary ones are done too
        return counts | {"macs": counts["macs"] + counts["binary_macs"]}

    def _known(self, cell: Cell) -> dict[str, float]:
        return self._seen.setdefault(cell.canonical(), {})
