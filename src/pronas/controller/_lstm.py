"""The paper's LSTM predictor, alone or as an ensemble (arXiv 1712.00559, section 4.2 and appendix)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pronas.controller import _lstm_core as core
from pronas.controller import _lstm_scorer as scorer
from pronas.controller._base import Floats, History, Observed, Predictor, Rows, Tensors, check_history
from pronas.controller._fit import Batch, Schedule, batches, floored, folds, joined, minimise
from pronas.controller._threads import one_thread
from pronas.controller._tokens import Form, compose, first_blocks, level_of, ordered_tokens, seen_values
from pronas.errors import UsageError
from pronas.space import StateSpace

#: Rows predicted at once by plain batched scoring.
BATCH = 1024
#: Members of the ensemble that cross-validation fits.
FOLDS = 5


class LSTMPredictor(Predictor):
    """Tokens of a cell through an LSTM; the last state through a sigmoid is the predicted reward.

    One embedding table serves both inputs and one both operators. ``form="tokens"`` is the paper's, four steps a block;
    ``form="halves"`` reads input and operator together, two steps a block, as the old systems do. ``members=1`` is the
    plain predictor, five is the paper's ensemble, each member fitted on four fifths of the cells. The loss is L1,
    Adam's rate 0.01 while only level 1 is known and ``rate`` afterwards.

    Inputs and operators never seen in fitting are read as the mean of those seen of their kind (earlier cells, earlier
    blocks), so a predictor can score cells of more blocks than it was fitted on.
    """

    name = "lstm"

    def __init__(
        self,
        space: Any,
        *,
        members: int = 1,
        cells: int = 100,
        embedding: int = 100,
        form: Form = "tokens",
        steps: int = 100,
        batch: int = 64,
        rate: float = 0.002,
        first_rate: float = 0.01,
        l2: float = 0.0,
    ) -> None:
        super().__init__(space)
        if min(members, cells, embedding, steps, batch) < 1:
            raise UsageError("members, cells, embedding, steps and batch of the lstm predictor must be at least 1")
        if form not in ("tokens", "halves"):
            raise UsageError(f"the lstm predictor's form is 'tokens' or 'halves', not {form!r}")
        self.count, self.cells, self.embedding, self.form = members, cells, embedding, form
        self.steps, self.batch, self.rate, self.first_rate, self.l2 = steps, batch, rate, first_rate, l2
        self.parameters: core.Parameters | None = None
        self.seen: list[NDArray[np.bool_]] = []

    @property
    def fitted(self) -> bool:
        """Whether there are parameters."""
        return self.parameters is not None

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make this predictor again."""
        names = ("cells", "embedding", "form", "steps", "batch", "rate", "first_rate", "l2")
        return {"members": self.count} | {name: getattr(self, name) for name in names}

    def fit(self, history: History, seed: int = 0) -> None:
        """Fit all members together, in minibatches that mix the levels."""
        self._fit(check_history(history), seed)

    def _fit(self, parts: list[Observed], seed: int) -> list[NDArray[np.int64]]:
        """Fit and return the cells that each member saw, as indexes into all parts one after the other."""
        tokens = [ordered_tokens(self.space, part.rows) for part in parts]
        self._note_seen(parts, tokens)
        self.parameters = core.initial_parameters(
            torch.Generator().manual_seed(seed),
            members=self.count,
            sizes=[len(seen) for seen in self.seen],
            embedding=self.embedding,
            cells=self.cells,
            form=self.form,
        )
        generator = np.random.default_rng(seed)
        rewards = joined(parts)
        shares = folds(len(rewards), self.count, generator)
        single = len({part.rows.shape[1] for part in parts}) == 1
        schedule = Schedule(self.steps, self.batch, self.first_rate if single else self.rate, self.l2)
        steps = [
            self._steps(part.rows, part_tokens, self.parameters)
            for part, part_tokens in zip(parts, tokens, strict=True)
        ]
        with one_thread():
            self._descend(steps, rewards, batches(shares, schedule, generator), schedule)
        return shares

    def _note_seen(self, parts: list[Observed], tokens: list[NDArray[np.int64]]) -> None:
        self.seen = [np.zeros(size, dtype=bool) for size in self.space.token_sizes]
        for part, values in zip(parts, tokens, strict=True):
            kinds = np.array(self.space.token_kinds(level_of(self.space, part.rows)))
            for kind, size in enumerate(self.space.token_sizes):
                self.seen[kind] |= seen_values(values[:, kinds == kind], size)

    def _steps(self, rows: Rows, tokens: NDArray[np.int64], parameters: core.Parameters) -> Tensor:
        sizes = [table.shape[1] for table in core.embedding_tables(parameters)]
        return core.step_indexes(tokens, self.space.token_kinds(level_of(self.space, rows)), sizes, self.form)

    def _descend(self, parts: list[Tensor], rewards: Floats, order: Iterator[Batch], schedule: Schedule) -> None:
        assert self.parameters is not None
        parameters = self.parameters
        steps, lengths = _padded(parts)
        target = torch.from_numpy(floored(rewards)).float()

        def loss(index: Batch) -> Tensor:
            table = core.gate_table(parameters, self.form)
            chosen = torch.from_numpy(index)
            h = core.run_members(parameters, table, steps[:, chosen], lengths[chosen])
            return (torch.sigmoid(core.logits(parameters, h)) - target[chosen]).abs().mean(1)

        minimise(parameters, loss, order, schedule)

    def members(self, rows: Rows) -> Floats:
        """Predictions (members, n) in [0, 1]."""
        self._must_be_fitted()
        tokens, parameters = ordered_tokens(self.space, rows), self._extended()
        parts = [np.empty((self.count, 0))]
        with torch.inference_mode(), one_thread():
            table = core.gate_table(parameters, self.form)
            for start in range(0, len(rows), BATCH):
                steps = self._steps(rows, tokens[start : start + BATCH], parameters)
                h, _ = core.run(parameters, table, steps)
                parts.append(torch.sigmoid(core.logits(parameters, h)).double().numpy())
        return np.concatenate(parts, axis=1)

    def extension_scores(self, parents: Rows, blocks: Rows) -> Iterator[tuple[int, Floats]]:
        """Score parents with every block: the LSTM runs once per parent, and once per distinct start of the block."""
        if not parents.shape[1] or not isinstance(self.space, StateSpace):
            yield from super().extension_scores(parents, blocks)
            return
        for start, members in self.extension_members(parents, blocks):
            spread = members.std(0) if self.count > 1 else np.zeros_like(members[0])
            yield start, np.stack([members.mean(0), spread])

    def extension_members(self, parents: Rows, blocks: Rows) -> Iterator[tuple[int, Floats]]:
        """As `extension_scores`, every member by itself."""
        self._must_be_fitted()
        if not parents.shape[1] or not isinstance(self.space, StateSpace):
            yield from super().extension_members(parents, blocks)
            return
        parameters = self._extended()
        cells = compose(parents[:1], blocks)
        ends = self._steps(cells, ordered_tokens(self.space, cells), parameters)
        starts = self._steps(parents, ordered_tokens(self.space, parents), parameters)
        place = 0
        for scores in scorer.extension_scores(parameters, self.form, starts, ends[len(starts) :]):
            yield place, scores
            place += scores.shape[1]

    def out_of_fold(self, parts: list[Observed], seed: int = 0) -> Floats:
        """Each cell predicted by a member that left it out, of an ensemble fitted for it."""
        fresh = LSTMPredictor(self.space, **(self.settings() | {"members": FOLDS}))
        shares = fresh._fit(parts, seed)
        members = np.concatenate([fresh.members(part.rows) for part in parts], axis=1)
        weights = np.ones_like(members)
        for m, share in enumerate(shares):
            weights[m, share] = 0
        weights += 1e-9  # where so few cells are known that every member saw all
        return np.asarray((members * weights).sum(0) / weights.sum(0))

    def _extended(self) -> core.Parameters:
        """Parameters whose tables have a sensible row for every token of the space, seen in fitting or not."""
        assert self.parameters is not None
        tables = {}
        for kind, (size, first) in enumerate(zip(self.space.token_sizes, first_blocks(self.space), strict=True)):
            tables[f"table{kind}"] = _with_unseen(self.parameters[f"table{kind}"], self.seen[kind], size, first)
        return self.parameters | tables

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Parameters and which tokens were seen."""
        self._must_be_fitted()
        assert self.parameters is not None
        tensors: Tensors = {name: value.numpy() for name, value in self.parameters.items()}
        return tensors, {"seen": [seen.tolist() for seen in self.seen]}

    def set_state(self, tensors: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Take the state that ``state`` gave."""
        self.parameters = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
        self.seen = [np.array(seen, dtype=bool) for seen in values["seen"]]


def _padded(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Step indexes (t, n) of cells of any lengths, padded at the start, and the number of steps of each (n,)."""
    longest = max(len(part) for part in parts)
    padded = [torch.nn.functional.pad(part, (0, 0, longest - len(part), 0)) for part in parts]
    lengths = torch.cat([torch.full((part.shape[1],), len(part)) for part in parts])
    return torch.cat(padded, dim=1), lengths


def _with_unseen(table: Tensor, seen: NDArray[np.bool_], size: int, first: int) -> Tensor:
    """Table (members, size, D) whose unseen rows are the mean of the seen ones of the same kind.

    Rows before ``first`` are one kind, those from ``first`` on another; where no row of a kind was seen, all seen
    serve.
    """
    size = max(size, table.shape[1])
    known = np.zeros(size, dtype=bool)
    known[: len(seen)] = seen
    if known.all():
        return table
    kinds = np.arange(size) < first
    result = torch.cat([table, table.new_zeros(len(table), size - table.shape[1], table.shape[2])], dim=1)
    for kind in (False, True):
        same = known & (kinds == kind)
        source = torch.from_numpy(same if same.any() else known)
        result[:, torch.from_numpy(~known & (kinds == kind))] = result[:, source].mean(1, keepdim=True)
    return result
