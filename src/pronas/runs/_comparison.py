"""Whether a search paid: its winner beside the best hand-made network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from pronas.metrics import standard_error


@final
@dataclass(frozen=True)
class Comparison:
    """A search's winner and the hand-made networks that were trained for as long.

    Attributes:
        baselines: all of them, best first (plain data, see ``Baseline``).
        points: the winner's test accuracy less the best hand-made one's, in points of a hundred.
        error: standard error of that difference, as if the test images had been drawn anew for each.
        text: what that means, in words.
    """

    baselines: tuple[Mapping[str, Any], ...]
    points: float
    error: float
    text: str

    @property
    def best(self) -> Mapping[str, Any]:
        """The best hand-made network."""
        return self.baselines[0]


def comparison(final: Mapping[str, Any], baselines: Sequence[Mapping[str, Any]], images: int) -> Comparison:
    """Compare.

    Args:
        final: the winner, as the store keeps it.
        baselines: one or more.
        images: of the test set.
    """
    ranked = sorted(baselines, key=lambda one: (-one["test_accuracy"], one["parameters"]))
    mine, best = final["test_accuracy"], ranked[0]
    points = 100 * (mine - best["test_accuracy"])
    error = 100 * math.hypot(standard_error(mine, images), standard_error(best["test_accuracy"], images))
    against = f"{best['name']} ({best['recipe']} augmentation), the best of {len(ranked)} hand-made trainings"
    sizes = f"{final['parameters']:,} parameters against {best['parameters']:,}"
    text = f"{_verdict(points, error)}: {points:+.2f} ± {error:.2f} points against {against}; {sizes}"
    return Comparison(tuple(ranked), points, error, text)


def _verdict(points: float, error: float) -> str:
    """Two standard errors are no chance."""
    if abs(points) <= 2 * error:
        return "no clear difference"
    return "the search paid" if points > 0 else "the search did not pay"
