"""What a worker is asked to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pronas.networks import Skeleton
from pronas.space import Cell


@dataclass(frozen=True)
class Trial:
    """A network to train, where it differs from what its manager trains.

        >>> Trial(Cell.parse("0:identity + 0:3x3 conv"), {"epochs": 3}).payload()
        {'cell': '0:3x3 conv + 0:identity', 'recipe': {'epochs': 3}}

    Attributes:
        cell: its cell.
        recipe: the fields of the recipe that differ.
        skeleton: the network around the cell; None: the manager's.
        parent: a cell and its weights (content of a safetensors file) to start from.
        keep_weights: give the weights back with the result.
        seconds: that it may take: a slow one gets fewer epochs, its schedule squeezed, as many as it has time for.
    """

    cell: Cell
    recipe: Mapping[str, Any] = field(default_factory=dict)
    skeleton: Skeleton | None = None
    parent: tuple[Cell, bytes] | None = None
    keep_weights: bool = False
    seconds: float | None = None

    def payload(self) -> dict[str, Any]:
        """Give it as plain data."""
        payload: dict[str, Any] = {"cell": str(self.cell.canonical()), "recipe": dict(self.recipe)}
        if self.skeleton is not None:
            payload["skeleton"] = self.skeleton.to_dict()
        if self.parent is not None:
            payload["start"] = {"cell": str(self.parent[0].canonical()), "weights": self.parent[1]}
        if self.keep_weights:
            payload["keep"] = True
        if self.seconds is not None:
            payload["seconds"] = self.seconds
        return payload
