"""What the neural predictors share: tokens seen, fitting, batched prediction, out-of-fold members, state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pronas.errors import UsageError
from pronas.machine import torch_threads
from pronas.predictors import _embedding as embedding
from pronas.predictors._checked import check_arrays, check_counts, check_numbers, check_size
from pronas.predictors._embedding import Parameters
from pronas.predictors._fit import Batch, FitSettings, batches, floored, fold_shares, folds, joined, minimise
from pronas.predictors._predictor import Arrays, Floats, History, Observed, Predictor, Rows, Tile, check_history
from pronas.predictors._tokens import seen_values

if TYPE_CHECKING:
    from pronas.space import Space

#: ``l1``: the paper's; ``rank``: besides, every pair in a minibatch is pushed into the right order.
Loss = Literal["l1", "rank"]
#: Rows predicted at once by plain batched scoring.
BATCH = 1024
#: Members of the ensemble that cross-validation fits.
FOLDS = 5
#: Weight of the pairwise term, and the difference of rewards at which a pair counts fully, in standard deviations.
RANK_WEIGHT, RANK_SCALE = 0.1, 0.5
_MOST = 1_000_000  # of anything that is counted


class NeuralPredictor(Predictor):
    """An ensemble of networks over a cell's tokens, all members fitted as one batched computation.

    Inputs and operators never seen in fitting are read as the mean of those seen of their kind (earlier cells, earlier
    blocks), so a predictor can score cells of more blocks than it was fitted on. The output is a sigmoid, the loss L1
    (``loss="rank"``: and the order of pairs); each member of an ensemble leaves out another fifth of the cells (arXiv
    1712.00559, section 4.2 and appendix). A fit depends on the rewards alone, not on fits before it. Unless
    ``later_rate`` is given it starts afresh from all of them, and Adam's rate falls from ``rate`` to a twentieth. With
    it, as in the paper (0.01 and 0.002), the levels are learnt one after the other: level 1 from fresh weights at
    ``rate``, then levels 1 to b, for every b, from the weights of b - 1 at ``later_rate``.

    Args:
        space: of the cells.
        ensemble: how many members.
        cells, embedding: width of the network and of its tables.
        steps, batch: minibatches of a fit, and cells of each.
        epochs: passes over the cells, in place of ``steps``.
        rate: Adam's first.
        later_rate: Adam's first where a level is added to those before it (fine-tuning); None: all levels at once.
        decay: whether the rate falls to a twentieth of its first.
        l2: weight of the sum of squares in the loss (the old systems' ``reg_param``).
        loss: ``l1`` or ``rank``.

    Raises:
        UsageError: a number below 1 or far too large, or an unknown loss.
    """

    def __init__(
        self,
        space: Space,
        *,
        ensemble: int = 1,
        cells: int = 100,
        embedding: int = 100,
        steps: int = 100,
        batch: int = 64,
        rate: float = 0.01,
        l2: float = 0.0,
        loss: Loss = "l1",
        later_rate: float | None = None,
        decay: bool = True,
        epochs: int | None = None,
    ) -> None:
        super().__init__(space)
        counts = {"ensemble": ensemble, "cells": cells, "embedding": embedding, "steps": steps, "batch": batch}
        check_counts(self.name, _MOST, **counts, epochs=1 if epochs is None else epochs)
        check_size(self.name, ensemble * 4 * cells * (cells + embedding))
        check_numbers(self.name, rate=rate, l2=l2, later_rate=0 if later_rate is None else later_rate)
        if loss not in ("l1", "rank"):
            raise UsageError(f"the {self.name} predictor's loss is 'l1' or 'rank', not {loss!r}")
        self.count, self.cells, self.embedding, self.loss = ensemble, cells, embedding, loss
        if rate <= 0 or (later_rate is not None and later_rate <= 0) or l2 < 0:
            raise UsageError(f"rates of the {self.name} predictor are above 0, and l2 is not negative")
        self.steps, self.batch, self.rate, self.l2 = steps, batch, rate, l2
        self.later_rate, self.decay, self.epochs = later_rate, decay, epochs
        self.parameters: Parameters | None = None
        self.seen: list[NDArray[np.bool_]] = []

    @abstractmethod
    def _initial(self, generator: torch.Generator | None, sizes: list[int]) -> Parameters:
        """Fresh parameters; embedding tables ``table0``, ``table1``, … have ``sizes`` rows."""

    @abstractmethod
    def _indexes(self, tokens: NDArray[np.int64], kinds: tuple[int, ...], sizes: list[int]) -> Tensor:
        """What the network reads of tokens (n, L): indexes (t, n)."""

    @abstractmethod
    def _own(self, parameters: Parameters, indexes: Tensor, lengths: Tensor) -> Tensor:
        """Pre-sigmoid scores (members, n) of cells (t, members, n) of each member's own, padded at the start."""

    @abstractmethod
    def _shared(self, parameters: Parameters, indexes: Tensor) -> Tensor:
        """Pre-sigmoid scores (members, n) of the same cells (t, n), all of one length, by every member."""

    @property
    def fitted(self) -> bool:
        """Whether there are parameters."""
        return self.parameters is not None

    def extension_scores(self, parents: Rows, blocks: Rows) -> Iterator[Tile]:
        """As `Predictor.extension_scores`, sharing what `extension_ensemble` shares."""
        for start, members in self.extension_ensemble(parents, blocks):
            yield start, mean_and_std(members)

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make this predictor again."""
        names = ("cells", "embedding", "steps", "batch", "rate", "l2", "loss", "later_rate", "decay", "epochs")
        return {"ensemble": self.count} | {name: getattr(self, name) for name in names}

    def fit(self, history: History, seed: int = 0) -> None:
        """Fit all members together, in minibatches that mix the levels."""
        parts = check_history(history)
        generator = np.random.default_rng(seed)
        self._fit(parts, folds(sum(len(part) for part in parts), self.count, generator), seed, generator)

    def _fit(self, parts: list[Observed], shares: list[Batch], seed: int, generator: np.random.Generator) -> None:
        tokens = [self.space.ordered_tokens(part.rows) for part in parts]
        self._note_seen(parts, tokens)
        sizes = [len(seen) for seen in self.seen]
        self.parameters = self._initial(torch.Generator().manual_seed(seed), sizes)
        read = [self._read(part.rows, values, sizes) for part, values in zip(parts, tokens, strict=True)]
        target = torch.from_numpy(floored(joined(parts))).float()
        deviation = float(target.std(correction=0)) or 1.0
        with torch_threads(1):
            indexes, lengths = embedding.padded(read)
            parameters = self.parameters

            def loss(index: Batch) -> Tensor:
                chosen = torch.from_numpy(index)
                scores = self._own(parameters, indexes[:, chosen], lengths[chosen])
                return self._loss(scores, target[chosen], deviation)

            for count, rate in self._stages(parts):
                # where a member would be left without any cell, it learns from all
                learnt = [share[share < count] if (share < count).any() else np.arange(count) for share in shares]
                settings = FitSettings(self._steps(learnt), self.batch, rate, self.l2, self.decay)
                minimise(parameters, loss, batches(learnt, settings, generator), settings)

    def _steps(self, shares: list[Batch]) -> int:
        count = min(len(share) for share in shares)
        return self.steps if self.epochs is None else self.epochs * -(-count // min(self.batch, count))

    def _stages(self, parts: list[Observed]) -> list[tuple[int, float]]:
        """What is learnt one after the other: (of the first so many cells, rate)."""
        ends = np.cumsum([len(part) for part in parts]).tolist()
        if self.later_rate is None:
            return [(ends[-1], self.rate)]
        return [(end, self.later_rate if level else self.rate) for level, end in enumerate(ends)]

    def _loss(self, scores: Tensor, target: Tensor, deviation: float) -> Tensor:
        value = (torch.sigmoid(scores) - target).abs().mean(1)
        return value + RANK_WEIGHT * pairwise(scores, target, deviation) if self.loss == "rank" else value

    def _note_seen(self, parts: list[Observed], tokens: list[NDArray[np.int64]]) -> None:
        self.seen = [np.zeros(size, dtype=bool) for size in self.space.token_sizes]
        for part, values in zip(parts, tokens, strict=True):
            kinds = np.array(self.space.token_kinds(self.space.level_of(part.rows)))
            for kind, size in enumerate(self.space.token_sizes):
                self.seen[kind] |= seen_values(values[:, kinds == kind], size)

    def _read(self, rows: Rows, tokens: NDArray[np.int64], sizes: list[int]) -> Tensor:
        return self._indexes(tokens, self.space.token_kinds(self.space.level_of(rows)), sizes)

    def ensemble(self, rows: Rows) -> Floats:
        """Predictions (members, n) in [0, 1]."""
        self._must_be_fitted()
        parts = [np.empty((self.count, 0))]
        if len(rows):
            tokens, parameters = self.space.ordered_tokens(rows), self._extended()
            with torch.inference_mode(), torch_threads(1):
                for start in range(0, len(rows), BATCH):
                    indexes = self._read(rows, tokens[start : start + BATCH], list(self.space.token_sizes))
                    parts.append(torch.sigmoid(self._shared(parameters, indexes)).double().numpy())
        return np.concatenate(parts, axis=1)

    def out_of_fold(self, parts: list[Observed], seed: int = 0) -> Floats:
        """Each cell predicted by a member that left it out, of an ensemble of five fitted for it."""
        shares = fold_shares(sum(len(part) for part in parts), FOLDS, seed)
        fresh = type(self)(self.space, **(self.settings() | {"ensemble": FOLDS}))
        fresh._fit(parts, shares, seed, np.random.default_rng(seed))
        members = np.concatenate([fresh.ensemble(part.rows) for part in parts], axis=1)
        left_out = np.ones(members.shape, dtype=bool)
        for m, share in enumerate(shares):
            left_out[m, share] = False
        return np.asarray((members * left_out).sum(0) / left_out.sum(0))

    def _extended(self) -> Parameters:
        """Parameters whose tables have a sensible row for every token of the space, seen in fitting or not."""
        assert self.parameters is not None
        tables = {}
        for kind, (size, first) in enumerate(zip(self.space.token_sizes, self.space.token_splits, strict=True)):
            tables[f"table{kind}"] = embedding.with_unseen(
                self.parameters[f"table{kind}"], self.seen[kind], size, first
            )
        return self.parameters | tables

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """Parameters and which tokens were seen."""
        self._must_be_fitted()
        assert self.parameters is not None
        tensors: Arrays = {name: value.numpy() for name, value in self.parameters.items()}
        return tensors, {"seen": [seen.tolist() for seen in self.seen]}

    def set_state(self, tensors: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take the state that ``state`` gave."""
        seen = [np.array(one, dtype=bool).reshape(-1) for one in values["seen"]]
        if len(seen) != len(self.space.token_sizes) or not all(one.any() for one in seen):
            raise ValueError("it does not say which tokens it has seen")
        with torch.device("meta"):
            shapes = {name: one.shape for name, one in self._initial(None, [len(one) for one in seen]).items()}
        check_arrays(tensors, shapes)
        self.parameters = {name: torch.from_numpy(np.array(tensors[name], np.float32)) for name in shapes}
        self.seen = seen


def mean_and_std(members: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation over the members (members, …); of a single one nothing is copied."""
    if len(members) == 1:
        return members[0], np.broadcast_to(np.float32(0), members.shape[1:])
    return np.asarray(members.mean(0)), np.asarray(members.std(0))


def pairwise(scores: Tensor, target: Tensor, deviation: float) -> Tensor:
    """Logistic loss (members,) of the order of every pair, weighted by how far apart the rewards are."""
    apart = (target[:, :, None] - target[:, None]) / (RANK_SCALE * deviation)
    weight = apart.abs().clamp(max=1.0)
    wrong = torch.nn.functional.softplus(-(scores[:, :, None] - scores[:, None]) * apart.sign() * 4)
    return (wrong * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1e-6)
