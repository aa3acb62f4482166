"""The paper's MLP predictor: it extrapolated best from one level to the next (arXiv 1712.00559, section 5.1)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pronas.machine import torch_threads
from pronas.predictors import _embedding as tokens_of
from pronas.predictors._embedding import Parameters, uniform
from pronas.predictors._neural import NeuralPredictor
from pronas.predictors._predictor import Floats, Rows
from pronas.predictors._tokens import compose

if TYPE_CHECKING:
    from pronas.space import Space

#: Candidates whose hidden layers are computed at once.
TILE = 4096


class MLPPredictor(NeuralPredictor):
    """Embeddings concatenated per block, averaged over the blocks, then two layers of ``cells``; five members.

    The first layer is linear in the average, so it is applied to the tables of each of a block's four places once,
    and a cell is a mean of rows.

    Args:
        space: of the cells.
        ensemble, steps: its own defaults.
        **settings: of `NeuralPredictor`.
    """

    name = "mlp"

    def __init__(self, space: Space, *, ensemble: int = 5, steps: int = 200, **settings: Any) -> None:
        super().__init__(space, ensemble=ensemble, steps=steps, **settings)
        self.kinds = space.token_kinds(1)

    def _initial(self, generator: torch.Generator | None, sizes: list[int]) -> Parameters:
        m, d, h, places = self.count, self.embedding, self.cells, len(self.kinds)
        tables = {f"table{kind}": uniform(generator, 0.1, m, size, d) for kind, size in enumerate(sizes)}
        return tables | {
            "first": uniform(generator, math.sqrt(6 / (places * d)), m, places, d, h),
            "first_bias": torch.zeros(m, h),
            "second": uniform(generator, math.sqrt(6 / h), m, h, h),
            "second_bias": torch.zeros(m, h),
            "out": uniform(generator, 1 / math.sqrt(h), m, h),
            "out_bias": torch.full((m,), 1.8),
        }

    def _indexes(self, tokens: NDArray[np.int64], kinds: tuple[int, ...], sizes: list[int]) -> Tensor:
        """Rows of the table of `_rows`: each place of a block has its own."""
        place = np.arange(tokens.shape[1]) % len(self.kinds)
        offset = np.concatenate([[0], np.cumsum([sizes[kind] for kind in self.kinds])])[place]
        return torch.from_numpy(np.ascontiguousarray((tokens + offset).T))

    def _rows(self, parameters: Parameters) -> Tensor:
        """What each token in each place of a block adds to the first layer: (members, rows, cells)."""
        tables = tokens_of.tables(parameters)
        return torch.cat([tables[kind] @ parameters["first"][:, p] for p, kind in enumerate(self.kinds)], dim=1)

    def _top(self, parameters: Parameters, first: Tensor) -> Tensor:
        hidden = torch.relu(first + parameters["first_bias"][:, None])
        hidden = torch.relu(torch.baddbmm(parameters["second_bias"][:, None], hidden, parameters["second"]))
        return torch.baddbmm(parameters["out_bias"][:, None, None], hidden, parameters["out"][:, :, None])[..., 0]

    def _own(self, parameters: Parameters, indexes: Tensor, lengths: Tensor) -> Tensor:
        rows, member = self._rows(parameters), torch.arange(len(lengths))[:, None]
        total = torch.zeros(*lengths.shape, self.cells)
        for t in range(len(indexes)):
            started = (lengths >= len(indexes) - t)[..., None]
            total = total + rows[member, indexes[t]] * started
        return self._top(parameters, total * (len(self.kinds) / lengths[..., None]))

    def _shared(self, parameters: Parameters, indexes: Tensor) -> Tensor:
        return self._top(parameters, self._sum(parameters, indexes) * (len(self.kinds) / len(indexes)))

    def _sum(self, parameters: Parameters, indexes: Tensor) -> Tensor:
        rows = self._rows(parameters)
        total = rows[:, indexes[0]]
        for index in indexes[1:]:
            total += rows[:, index]
        return total

    def extension_ensemble(self, parents: Rows, blocks: Rows) -> Iterator[tuple[int, Floats]]:
        """As `Predictor.extension_ensemble`: a candidate's average is its parent's sum plus its block's."""
        self._must_be_fitted()
        if not parents.size:
            yield from super().extension_ensemble(parents, blocks)
            return
        sizes = list(self.space.token_sizes)
        cells = compose(parents[:1], blocks)
        with torch.inference_mode(), torch_threads(1):
            parameters = self._extended()
            ends = self._read(cells, self.space.ordered_tokens(cells), sizes)[parents.shape[1] :]
            added = self._sum(parameters, ends)
        step = max(1, TILE // len(blocks))
        for start in range(0, len(parents), step):
            tile = parents[start : start + step]
            with torch.inference_mode(), torch_threads(1):
                begun = self._sum(parameters, self._read(tile, self.space.ordered_tokens(tile), sizes))
                first = (begun[:, :, None] + added[:, None]) * (len(self.kinds) / cells.shape[1])
                scores = torch.sigmoid(self._top(parameters, first.flatten(1, 2)))
            yield start, scores.view(self.count, len(tile), len(blocks)).numpy()
