"""The paper's LSTM predictor, alone or as an ensemble (arXiv 1712.00559, section 4.2 and appendix)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pronas.errors import UsageError
from pronas.predictors import _lstm_core as core
from pronas.predictors import _lstm_scorer as scorer
from pronas.predictors._embedding import Parameters
from pronas.predictors._lstm_fit import run_members
from pronas.predictors._neural import NeuralPredictor
from pronas.predictors._predictor import Floats, Rows
from pronas.predictors._tokens import Form, compose

if TYPE_CHECKING:
    from pronas.space import Space


class LSTMPredictor(NeuralPredictor):
    """Tokens of a cell through an LSTM; the last state through a sigmoid is the predicted reward.

    One embedding table serves both inputs and one both operators. ``form="tokens"`` is the paper's, four steps a block;
    ``form="halves"`` reads input and operator together, two steps a block, as the old systems do. ``ensemble=1`` is the
    plain predictor, five is the paper's ensemble.

    Args:
        space: of the cells.
        form: what a step reads.
        **settings: of `NeuralPredictor`.
    """

    name = "lstm"

    def __init__(self, space: Space, *, form: Form = "tokens", **settings: Any) -> None:
        super().__init__(space, **settings)
        if form not in ("tokens", "halves"):
            raise UsageError(f"the lstm predictor's form is 'tokens' or 'halves', not {form!r}")
        if form == "halves" and space.token_kinds(1)[:2] * 2 != space.token_kinds(1):
            raise UsageError("form='halves' is for cells of blocks: this space's architectures have none; use 'tokens'")
        self.form = form

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make this predictor again."""
        return super().settings() | {"form": self.form}

    def _initial(self, generator: torch.Generator | None, sizes: list[int]) -> Parameters:
        return core.initial_parameters(
            generator, members=self.count, sizes=sizes, embedding=self.embedding, cells=self.cells, form=self.form
        )

    def _indexes(self, tokens: NDArray[np.int64], kinds: tuple[int, ...], sizes: list[int]) -> Tensor:
        return core.step_indexes(tokens, kinds, sizes, self.form)

    def _own(self, parameters: Parameters, indexes: Tensor, lengths: Tensor) -> Tensor:
        h = run_members(parameters["recurrent"], core.gate_table(parameters, self.form), indexes, lengths)
        return core.logits(parameters, h)

    def _shared(self, parameters: Parameters, indexes: Tensor) -> Tensor:
        h, _ = core.run(parameters, core.gate_table(parameters, self.form), indexes)
        return core.logits(parameters, h)

    def extension_ensemble(self, parents: Rows, blocks: Rows) -> Iterator[tuple[int, Floats]]:
        """As `Predictor.extension_ensemble`: the LSTM runs once a parent, and once for each start of a block."""
        self._must_be_fitted()
        if not parents.size:
            yield from super().extension_ensemble(parents, blocks)
            return
        parameters, sizes = self._extended(), list(self.space.token_sizes)
        cells = compose(parents[:1], blocks)
        ends = self._read(cells, self.space.ordered_tokens(cells), sizes)
        starts = self._read(parents, self.space.ordered_tokens(parents), sizes)
        place = 0
        for scores in scorer.extension_scores(parameters, self.form, starts, ends[len(starts) :]):
            yield place, scores
            place += scores.shape[1]
