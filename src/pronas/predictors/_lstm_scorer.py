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

from pronas.machine import torch_threads
from pronas.predictors import _lstm_core as core
from pronas.predictors import native
from pronas.predictors._embedding import Parameters
from pronas.predictors._tokens import Form

Float32 = NDArray[np.float32]

#: Starts whose recurrent products are computed together: (starts, 4 · cells) floats should stay in the cache.
STARTS = 240
#: Parents whose state is computed together.
PARENTS = 120


def extension_scores(parameters: Parameters, form: Form, parents: Tensor, ends: Tensor) -> Iterator[Float32]:
    """Every member's predictions, (members, p, m), of tiles of parents one after the other.

    ``parents`` (t, n) and ``ends`` (4 or 2, m) are indexes into the gate table: the parents' steps, the blocks' steps.
    """
    with torch_threads(1), torch.inference_mode():
        table = core.gate_table(parameters, form)
        tree = TokenTree(ends.numpy())
        tail = _TorchTail(parameters, table, tree) if native.library() is None else _NativeTail(parameters, table, tree)
    for start in range(0, parents.shape[1], PARENTS):
        with torch_threads(1), torch.inference_mode():
            h, c = core.run(parameters, table, parents[:, start : start + PARENTS])
            logits = tail.logits(h, c)
        yield sigmoid(logits if tree.back is None else logits[..., tree.back])


class TokenTree:
    """Which starts the blocks (steps, m) have, and which last tokens follow each."""

    def __init__(self, steps: NDArray[np.int64]) -> None:
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


class _TorchTail:
    """The steps of the last block in PyTorch."""

    def __init__(self, parameters: Parameters, table: Tensor, tree: TokenTree) -> None:
        self.parameters, self.table, self.tree = parameters, table, tree

    def logits(self, h: Tensor, c: Tensor) -> Float32:
        """Pre-sigmoid scores (members, p, m) of parents' states (members, p, H), the blocks ordered by their starts."""
        size = max(1, STARTS // self.tree.starts)
        tiles = [self._tile(h[:, i : i + size], c[:, i : i + size]) for i in range(0, h.shape[1], size)]
        return np.asarray(torch.cat(tiles, dim=1).numpy())

    def _tile(self, h: Tensor, c: Tensor) -> Tensor:
        h, c = h[:, :, None], c[:, :, None]
        for before, token in self.tree.levels:
            gates = self._recurrent(h)[:, :, before] + self.table[:, None, token]
            h, c = core.advance(gates, c[:, :, before])
        recurrent, parts = self._recurrent(h), []
        for s in range(self.tree.starts):
            ends = torch.from_numpy(self.tree.following[self.tree.first[s] : self.tree.first[s + 1]]).long()
            final, _ = core.advance(recurrent[:, :, s, None] + self.table[:, None, ends], c[:, :, s, None])
            parts.append(final @ self.parameters["out"][:, None, :, None])
        return torch.cat(parts, dim=2)[..., 0] + self.parameters["out_bias"][:, None, None]

    def _recurrent(self, h: Tensor) -> Tensor:
        members, count, starts, cells = h.shape
        product = h.reshape(members, count * starts, cells) @ self.parameters["recurrent"]
        return product.view(members, count, starts, -1)


class _NativeTail:
    """The same with the compiled steps; cells are padded to whole vectors, with weights of zero."""

    def __init__(self, parameters: Parameters, table: Tensor, tree: TokenTree) -> None:
        self.tree, self.cells = tree, parameters["out"].shape[1]
        self.width = -(-self.cells // native.LANES) * native.LANES
        self.levels = [(before.int().numpy(), token.int().numpy()) for before, token in tree.levels]
        self.tokens = self._wide(table).numpy()
        for tokens in self.tokens:
            native.exponentials(tokens)
        self.recurrent = self._wide(parameters["recurrent"])
        self.weights = self._pad(parameters["out"]).numpy()
        self.biases = parameters["out_bias"].tolist()

    def _pad(self, values: Tensor) -> Tensor:
        return torch.nn.functional.pad(values, (0, self.width - self.cells)).contiguous()

    def _wide(self, gates: Tensor) -> Tensor:
        """(…, 4H) to (…, 4 · width)."""
        return self._pad(gates.reshape(*gates.shape[:-1], 4, self.cells)).flatten(-2)

    def logits(self, h: Tensor, c: Tensor) -> Float32:
        """As `_TorchTail.logits`."""
        c = self._pad(c)
        scores = np.empty((*h.shape[:2], len(self.tree.following)), np.float32)
        size = max(1, STARTS // self.tree.starts)
        for m in range(len(h)):
            for start in range(0, h.shape[1], size):
                tile = slice(start, start + size)
                self._tile(m, h[m, tile], c[m, tile].numpy(), scores[m, tile])
        return scores

    def _tile(self, m: int, h: Tensor, c: Float32, scores: Float32) -> None:
        parents = len(h)
        for before, token in self.levels:
            state, memory = np.empty((2, parents * len(before), self.width), np.float32)
            native.step(
                (h[:, : self.cells] @ self.recurrent[m]).numpy(), c, self.tokens[m], before, token, state, memory
            )
            h, c = torch.from_numpy(state), memory
        first, following = self.tree.first, self.tree.following
        starts: Float32 = (h[:, : self.cells] @ self.recurrent[m]).numpy()
        native.last_step(starts, c, self.tokens[m], self.weights[m], first, following, self.biases[m], scores)


def sigmoid(logits: Float32) -> Float32:
    """1 / (1 + exp(-x)) in single precision, in place."""
    np.negative(logits, out=logits)
    np.minimum(logits, 80.0, out=logits)
    np.exp(logits, out=logits)
    logits += 1.0
    return np.reciprocal(logits, out=logits)
