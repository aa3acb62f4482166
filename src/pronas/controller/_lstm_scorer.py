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
from pronas.controller._threads import one_thread
from pronas.controller._tokens import Form

#: Candidates of a tile: the last step's arrays (tile · cells floats each) should stay in the second-level cache.
TILE = 512
#: Parents whose state is computed together.
PARENTS = 256


def extension_scores(
    parameters: core.Parameters, form: Form, parents: Tensor, ends: Tensor
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Tiles ``(start, scores)``, scores (2, p, m) as in ``Predictor.extension_scores``.

    ``parents`` (t, n) and ``ends`` (4 or 2, m) are indexes into the gate table: the parents' steps, the blocks' steps.
    """
    plan = _Plan(ends.numpy())
    with one_thread(), torch.inference_mode():
        table = core.gate_table(parameters, form)
    for start in range(0, parents.shape[1], PARENTS):
        with one_thread(), torch.inference_mode():
            h, c = core.run(parameters, table, parents[:, start : start + PARENTS])
            scores = torch.sigmoid(_last_block(parameters, table, plan, h, c))
            result = torch.stack([scores.mean(0), scores.std(0, correction=0)]).double().numpy()
        yield start, result


class _Plan:
    """Which starts the blocks have, and which last tokens follow each."""

    def __init__(self, steps: NDArray[np.int64]) -> None:
        self.levels: list[tuple[Tensor, Tensor]] = []  # for each step but the last: (start it continues, token)
        place = np.zeros(steps.shape[1], dtype=np.int64)
        for token in steps[:-1]:
            joint = place * (int(token.max()) + 1) + token
            _, first, inverse = np.unique(joint, return_index=True, return_inverse=True)
            self.levels.append((torch.from_numpy(place[first]), torch.from_numpy(token[first])))
            place = inverse
        order = np.lexsort((steps[-1], place))
        self.starts = len(self.levels[-1][0])
        self.ends = [torch.from_numpy(steps[-1][order][place[order] == s]) for s in range(self.starts)]
        self.back = torch.from_numpy(np.argsort(order))


def _last_block(parameters: core.Parameters, table: Tensor, plan: _Plan, h: Tensor, c: Tensor) -> Tensor:
    """Pre-sigmoid scores (members, p, m)."""
    h, c = h[:, :, None], c[:, :, None]
    for before, token in plan.levels:
        recurrent = h @ parameters["recurrent"][:, None]
        gates = recurrent[:, :, before] + table[:, None, token]
        h, c = core.advance(gates, c[:, :, before])
    recurrent = h @ parameters["recurrent"][:, None]
    parts = []
    for s, ends in enumerate(plan.ends):
        gates = recurrent[:, :, s, None] + table[:, None, ends]
        final, _ = core.advance(gates, c[:, :, s, None])
        parts.append(final @ parameters["out"][:, None, :, None])
    logits = torch.cat(parts, dim=2)[..., 0] + parameters["out_bias"][:, None, None]
    return logits[:, :, plan.back]
