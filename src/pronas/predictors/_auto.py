"""``predictor="auto"``: whichever ranks best, cross-validated on what has been evaluated so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pronas.errors import UsageError
from pronas.predictors._cross_validation import FEWEST, out_of_fold
from pronas.predictors._metrics import rank_correlations
from pronas.predictors._predictor import Arrays, Floats, History, Observed, Predictor, Rows, Tile, check_history

if TYPE_CHECKING:
    from pronas.space import Space

#: Who competes, the one that wins ties (and where too few cells are known to tell) first.
CANDIDATES = ("gp", "mlp-ensemble", "forest")


class AutoPredictor(Predictor):
    """Fits every candidate, keeps the one whose out-of-fold predictions have the best Spearman correlation.

    ``correlations`` says what each reached in the last fit.
    """

    name = "auto"

    def __init__(self, space: Space, make: Callable[..., Predictor], *, candidates: Sequence[str] = CANDIDATES) -> None:
        super().__init__(space)
        if not candidates or "auto" in candidates or len(set(candidates)) < len(candidates):
            raise UsageError("auto needs other predictors' names to choose among, each once")
        self.make, self.candidates = make, tuple(candidates)
        for name in self.candidates:
            make(name, space)
        self.chosen: Predictor | None = None
        self.chosen_name = ""
        self.correlations: dict[str, float | None] = {}

    @property
    def fitted(self) -> bool:
        """Whether one was chosen."""
        return self.chosen is not None

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make this predictor again."""
        return {"candidates": list(self.candidates)}

    def fit(self, history: History, seed: int = 0) -> None:
        """Cross-validate the candidates, fit the best on everything."""
        parts = check_history(history)
        rewards = np.concatenate([part.rewards for part in parts])
        contest = self.candidates if len(rewards) >= FEWEST else self.candidates[:1]
        fitted: dict[str, Predictor] = {}
        self.correlations, self._predicted = {}, {}
        for name in contest:
            fitted[name] = self.make(name, self.space)
            if len(contest) > 1:
                self._predicted[name] = out_of_fold(fitted[name], parts, seed)
                self.correlations[name] = rank_correlations(self._predicted[name], rewards).spearman
        self.chosen_name = max(contest, key=lambda name: self.correlations.get(name) or -1.0)
        self.chosen = fitted[self.chosen_name]
        self.chosen.fit(parts, seed)

    def _get(self) -> Predictor:
        self._must_be_fitted()
        assert self.chosen is not None
        return self.chosen

    def ensemble(self, rows: Rows) -> Floats:
        """As the chosen one."""
        return self._get().ensemble(rows)

    def predict(self, rows: Rows) -> tuple[Floats, Floats]:
        """As the chosen one."""
        return self._get().predict(rows)

    def scores(self, rows: Rows) -> tuple[Floats, Floats]:
        """As the chosen one."""
        return self._get().scores(rows)

    def utility(self, rewards: ArrayLike) -> Floats:
        """As the chosen one."""
        return self._get().utility(rewards)

    def rewards(self, scores: Floats) -> Floats:
        """As the chosen one."""
        return self._get().rewards(scores)

    def extension_scores(self, parents: Rows, blocks: Rows) -> Iterator[Tile]:
        """As the chosen one."""
        return self._get().extension_scores(parents, blocks)

    def extension_ensemble(self, parents: Rows, blocks: Rows) -> Iterator[tuple[int, Floats]]:
        """As the chosen one."""
        return self._get().extension_ensemble(parents, blocks)

    def out_of_fold(self, parts: list[Observed], seed: int = 0) -> Floats | None:
        """The chosen one's, as found in choosing it."""
        predicted = getattr(self, "_predicted", {}).get(self.chosen_name)
        return predicted if predicted is not None and len(predicted) == sum(len(part) for part in parts) else None

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """The chosen one's, and its name."""
        tensors, values = self._get().state()
        return tensors, {"chosen": self.chosen_name, "correlations": self.correlations, "values": values}

    def set_state(self, tensors: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take the state that ``state`` gave."""
        if values["chosen"] not in self.candidates:
            raise ValueError(f"it chose {values['chosen']!r}, which it did not know")
        self.chosen_name, self.correlations = values["chosen"], dict(values["correlations"])
        self.chosen = self.make(self.chosen_name, self.space)
        self.chosen.set_state(tensors, values["values"])
