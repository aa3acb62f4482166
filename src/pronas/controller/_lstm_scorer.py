"""Scores of parents extended by every possible last block, the work of shared beginnings done once.

A candidate is its parent and one block, so (h, c) is computed once per parent; then one step per *distinct* start of
the block (few inputs and operators), and only the last step once per candidate. That one needs no exponential for its
gates: exp(-(r + x)) = exp(-r) · exp(-x), where r (the recurrent product) belongs to the start and x to the last token.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pronas.controller import _lstm_core as core
from pronas.controller import _native as native
from pronas.controller._embedding import Parameters
from pronas.controller._threads import one_thread
from pronas.controller._tokens import Form

Float32 = NDArray[np.float32]

#: Starts whose recurrent products are computed together: (starts, 4 · cells) floats should stay in the cache.
STARTS = 512
#: Parents whose state is computed together.
PARENTS = 1024
#: Exponents are kept within ± this, so that products of exponentials stay finite; beyond it gates are shut or open.
LIMIT = 40.0


def extension_scores(parameters: Parameters, form: Form, parents: Tensor, ends: Tensor) -> Iterator[Float32]:
    """Every member's predictions, (members, p, m), of tiles of parents one after the other.

    ``parents`` (t, n) and ``ends`` (4 or 2, m) are indexes into the gate table: the parents' steps, the blocks' steps.
    """
    scorer = _Scorer(parameters, form, ends)
    for start in range(0, parents.shape[1], PARENTS):
        yield from scorer.tiles(parents[:, start : start + PARENTS])


class _Scorer:
    """Parameters and blocks, prepared for any number of parents."""

    def __init__(self, parameters: Parameters, form: Form, ends: Tensor) -> None:
        with one_thread(), torch.inference_mode():
            self.parameters, self.table = parameters, core.gate_table(parameters, form)
        self._plan(ends.numpy())
        self.tile = max(1, STARTS // self.starts)
        if native.library() is not None:
            self._prepare_native(parameters["out"].shape[1])

    def _plan(self, steps: NDArray[np.int64]) -> None:
        """Find which starts the blocks have, and which last tokens follow each."""
        self.levels: list[tuple[Tensor, Tensor]] = []  # for each step but the last: the start it continues, its token
        place = np.zeros(steps.shape[1], dtype=np.int64)
        for token in steps[:-1]:
            _, first, inverse = np.unique(place * (token.max() + 1) + token, return_index=True, return_inverse=True)
            self.levels.append((torch.from_numpy(place[first]), torch.from_numpy(token[first])))
            place = inverse
        order = np.lexsort((steps[-1], place))
        self.starts = len(self.levels[-1][0])
        self.following = steps[-1][order].astype(np.int32)
        self.first = np.searchsorted(place[order], np.arange(self.starts + 1)).astype(np.int32)
        self.back = None if (order == np.arange(len(order))).all() else np.argsort(order)

    def tiles(self, parents: Tensor) -> Iterator[Float32]:
        """Predictions of these parents with every block."""
        with one_thread(), torch.inference_mode():
            h, c = core.run(self.parameters, self.table, parents)
        for start in range(0, parents.shape[1], self.tile):
            with one_thread(), torch.inference_mode():
                tile = slice(start, start + self.tile)
                logits = self._tile(h[:, tile], c[:, tile])
            if self.back is not None:
                logits = logits[..., self.back]
            yield sigmoid(logits)

    def _tile(self, h: Tensor, c: Tensor) -> Float32:
        """Pre-sigmoid scores (members, p, m), the blocks ordered by their starts."""
        h, c = h[:, :, None], c[:, :, None]
        for before, token in self.levels:
            recurrent = self._recurrent(h)
            h, c = core.advance(recurrent[:, :, before] + self.table[:, None, token], c[:, :, before])
        recurrent = self._recurrent(h)
        return self._by_torch(recurrent, c) if native.library() is None else self._by_core(recurrent, c)

    def _recurrent(self, h: Tensor) -> Tensor:
        members, count, starts, cells = h.shape
        return (h.reshape(members, count * starts, cells) @ self.parameters["recurrent"]).view(
            members, count, starts, -1
        )

    def _by_torch(self, recurrent: Tensor, c: Tensor) -> Float32:
        parts = []
        for s in range(self.starts):
            ends = torch.from_numpy(self.following[self.first[s] : self.first[s + 1]]).long()
            final, _ = core.advance(recurrent[:, :, s, None] + self.table[:, None, ends], c[:, :, s, None])
            parts.append(final @ self.parameters["out"][:, None, :, None])
        logits = torch.cat(parts, dim=2)[..., 0] + self.parameters["out_bias"][:, None, None]
        return np.asarray(logits.numpy())

    def _prepare_native(self, cells: int) -> None:
        self.width = -(-cells // native.LANES) * native.LANES
        with one_thread(), torch.inference_mode():
            self.tokens = self._exponentials(self.table).numpy()
            self.weights = _padded(self.parameters["out"], self.width).numpy()
        self.biases = self.parameters["out_bias"].tolist()

    def _exponentials(self, gates: Tensor) -> Tensor:
        """exp(-gates), the candidate's twice, as (…, 4, width) padded with ones."""
        parts = gates.view(*gates.shape[:-1], 4, -1)
        result = gates.new_zeros(*parts.shape[:-1], self.width)
        torch.neg(parts, out=result[..., : parts.shape[-1]])
        result[..., 3, :] *= 2
        return result.clamp_(-LIMIT, LIMIT).exp_()

    def _by_core(self, recurrent: Tensor, c: Tensor) -> Float32:
        members, count, starts, cells = c.shape
        exponentials = self._exponentials(recurrent.reshape(members, count * starts, -1)).numpy()
        memory = _padded(c.reshape(members, count * starts, cells), self.width).numpy()
        scores = [
            native.last_step(
                exponentials[m], memory[m], self.tokens[m], self.weights[m], self.first, self.following, self.biases[m]
            )
            for m in range(members)
        ]
        return np.stack(scores).reshape(members, count, -1)


def sigmoid(logits: Float32) -> Float32:
    """1 / (1 + exp(-x)) in single precision, in place."""
    np.negative(logits, out=logits)
    np.minimum(logits, 80.0, out=logits)
    np.exp(logits, out=logits)
    logits += 1.0
    return np.reciprocal(logits, out=logits)


def _padded(values: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, width - values.shape[-1]))
