"""Embedding tables of the neural predictors: one a kind of token, with sensible rows for tokens never seen."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Parameters = dict[str, Tensor]


def tables(parameters: Parameters) -> list[Tensor]:
    """The embedding tables in order of their kinds."""
    return [parameters[f"table{kind}"] for kind in range(sum(name.startswith("table") for name in parameters))]


def uniform(generator: torch.Generator | None, bound: float, *shape: int) -> Tensor:
    """Float32 numbers in [-bound, bound]."""
    return (torch.rand(*shape, generator=generator) * 2 - 1) * bound


def padded(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Indexes (t, n) of cells of any lengths, padded at the start, and the length of each (n,)."""
    longest = max(len(part) for part in parts)
    same = [torch.nn.functional.pad(part, (0, 0, longest - len(part), 0)) for part in parts]
    lengths = torch.cat([torch.full((part.shape[1],), len(part)) for part in parts])
    return torch.cat(same, dim=1), lengths


def with_unseen(table: Tensor, seen: NDArray[np.bool_], size: int, first: int) -> Tensor:
    """Table (members, size, D) whose unseen rows are the mean of the seen ones of the same kind.

    Rows before ``first`` are one kind, those from ``first`` on another; where no row of a kind was seen, all seen
    serve. Rows beyond ``size``, of a table for more blocks, are left out.
    """
    table, seen = table[:, :size], seen[:size]
    known = np.zeros(size, dtype=bool)
    known[: len(seen)] = seen
    if known.all():
        return table
    before = np.arange(size) < first
    result = torch.cat([table, table.new_zeros(len(table), size - table.shape[1], table.shape[2])], dim=1)
    for kind in (False, True):
        same = known & (before == kind)
        source = torch.from_numpy(same if same.any() else known)
        result[:, torch.from_numpy(~known & (before == kind))] = result[:, source].mean(1, keepdim=True)
    return result
