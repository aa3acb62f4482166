"""The report made after every fit: how well the predictor ranks what was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pronas.predictors import Ranking


@dataclass(frozen=True)
class FitReport:
    """What a fit was worth.

    ``in_sample``: on the cells it was fitted on; ``cross_validated``: each cell predicted by a predictor that did not
    see it; ``extrapolation``: the predictions made for this level *before* any of its cells was evaluated (the true
    step from b to b + 1), None at level 1. ``seconds`` is the time of fitting, cross-validation not counted.
    """

    level: int
    round: int
    predictor: str
    samples: int
    in_sample: Ranking
    cross_validated: Ranking | None = None
    extrapolation: Ranking | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)
