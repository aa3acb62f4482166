"""The LSTM's arithmetic, for all members of an ensemble at once: parameters are stacked along the first axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pronas.predictors._embedding import Parameters, tables, uniform
from pronas.predictors._tokens import Form


def initial_parameters(
    generator: torch.Generator | None, *, members: int, sizes: Sequence[int], embedding: int, cells: int, form: Form
) -> Parameters:
    """Fresh float32 parameters: uniform weights scaled by fan-in, forget bias 1, output bias 1.8 (paper, section 4.2).

    ``sizes``: the rows of the embedding table of each kind of token, named ``table0``, ``table1``, …
    """
    width = embedding * (len(sizes) if form == "halves" else 1)
    bias = torch.zeros(members, 4 * cells)
    bias[:, cells : 2 * cells] = 1.0
    return {f"table{kind}": uniform(generator, 0.1, members, size, embedding) for kind, size in enumerate(sizes)} | {
        "kernel": uniform(generator, 1 / math.sqrt(width), members, width, 4 * cells),
        "recurrent": uniform(generator, 1 / math.sqrt(cells), members, cells, 4 * cells),
        "bias": bias,
        "out": uniform(generator, 1 / math.sqrt(cells), members, cells),
        "out_bias": torch.full((members,), 1.8),
    }


def gate_table(parameters: Parameters, form: Form) -> Tensor:
    """What each step's token adds to the gates, bias included: (members, distinct steps, 4H).

    There are few distinct tokens, so multiplying the tables replaces the product of every step of every cell. Form
    ``tokens``: the kinds one after the other; ``halves``: every pair of an input and an operator.
    """
    kernel, bias, rows = parameters["kernel"], parameters["bias"][:, None], tables(parameters)
    if form == "tokens":
        return torch.cat(rows, dim=1) @ kernel + bias
    half = kernel.shape[1] // 2
    left, right = rows[0] @ kernel[:, :half] + bias, rows[1] @ kernel[:, half:]
    return (left[:, :, None] + right[:, None]).flatten(1, 2)


def step_indexes(tokens: NDArray[np.int64], kinds: Sequence[int], sizes: Sequence[int], form: Form) -> Tensor:
    """Index of every step (steps, n) into ``gate_table``, of tokens (n, L) of these kinds; ``sizes`` as the tables'."""
    if form == "tokens":
        offset = np.concatenate([[0], np.cumsum(sizes)])[list(kinds)]
        return torch.from_numpy(np.ascontiguousarray((tokens + offset).T))
    return torch.from_numpy(np.ascontiguousarray((tokens[:, ::2] * sizes[1] + tokens[:, 1::2]).T))


def advance(gates: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor]:
    """One step from pre-activations (…, 4H), ordered input, forget, output, candidate, and the memory (…, H)."""
    cells = gates.shape[-1] // 4
    opened = torch.sigmoid(gates[..., : 3 * cells])
    fresh = opened[..., :cells] * torch.tanh(gates[..., 3 * cells :])
    c = fresh if c is None else torch.addcmul(fresh, opened[..., cells : 2 * cells], c)
    return opened[..., 2 * cells :] * torch.tanh(c), c


def run(parameters: Parameters, table: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """State (h, c), each (members, n, H), after all ``steps`` (t, n)."""
    h: Tensor | None = None
    c: Tensor | None = None
    for t in range(len(steps)):
        gates = table[:, steps[t]]
        if h is not None:
            gates = torch.baddbmm(gates, h, parameters["recurrent"])
        h, c = advance(gates, c)
    assert h is not None  # a cell has at least one block
    assert c is not None
    return h, c


def logits(parameters: Parameters, h: Tensor) -> Tensor:
    """Pre-sigmoid scores (members, n) of final states (members, n, H)."""
    return torch.baddbmm(parameters["out_bias"][:, None, None], h, parameters["out"][:, :, None])[..., 0]
