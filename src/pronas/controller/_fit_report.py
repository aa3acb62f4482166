"""The report made after every fit: how well the predictor ranks what was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pronas.predictors import RankCorrelations


@dataclass(frozen=True)
class FitReport:
    """What a fit was worth.

    ``in_sample``: on the cells it was fitted on; ``cross_validated``: each cell predicted by a predictor that did not
    see it; ``extrapolation``: the predictions made for this level *before* any of its cells was evaluated (the true
    step from b to b + 1), None at level 1. ``seconds`` is the time of fitting, cross-validation not counted.

        >>> FitReport(1, 1, "gp", 12, RankCorrelations(0.9, 0.8, 12)).to_dict()["in_sample"]
        {'spearman': 0.9, 'kendall': 0.8, 'n': 12}
    """

    level: int
    round: int
    predictor: str
    samples: int
    in_sample: RankCorrelations
    cross_validated: RankCorrelations | None = None
    extrapolation: RankCorrelations | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)
