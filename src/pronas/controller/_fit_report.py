"""The report made after every fit: how well the predictor ranks what was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pronas.predictors import RankCorrelations


@dataclass(frozen=True)
class FitReport:
    """What a fit was worth: rank correlations of predictions with what was measured.

        >>> FitReport(1, 1, "gp", 12, RankCorrelations(0.9, 0.8, 12)).to_dict()["in_sample"]
        {'spearman': 0.9, 'kendall': 0.8, 'n': 12}

    Attributes:
        level, round: after which the predictor was fitted.
        predictor: its name.
        samples: cells it was fitted on.
        in_sample: on those cells.
        cross_validated: each cell predicted by a predictor that did not see it; None of fewer than ten, or unasked.
        extrapolation: the predictions made for this level *before* any of its cells was evaluated (the true step from b
            to b + 1); None at level 1.
        seconds: of fitting; cross-validation is not counted.
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
