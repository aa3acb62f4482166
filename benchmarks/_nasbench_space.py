"""NAS-Bench-201 as a space of the controller: 15,625 cells of six edges, each with one of five operators.

A second implementation of the ``Space`` protocol, with one level. Rows are the operator index of each edge, int16
(n, 6), in the order 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2. Cells that differ only where no path runs (a `none` cuts off
what is before and after it) compute the same, but the table holds them as different cells, so keys tell them apart; the
features see through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np

from pronas.space import Space

OPERATORS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP = 0, 1
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))
POWERS = 5 ** np.arange(6)
#: What may remain of a path when its skips are taken out: up to three real operators.
SEQUENCES = tuple(seq for length in range(4) for seq in product((2, 3, 4), repeat=length))


class NASBench201Space(Space):
    """The space, in the order of the official index where its table of operators (15625, 6) is given."""

    B = 1
    token_sizes = (len(OPERATORS),)

    def __init__(self, table: np.ndarray | None = None) -> None:
        everything = np.array(list(product(range(5), repeat=6))) if table is None else np.asarray(table)
        self.table = everything.astype(np.int16)
        self.place = np.empty(5**6, dtype=np.int64)
        self.place[self.table @ POWERS] = np.arange(len(self.table))
        self._features = features(self.table)

    def index(self, rows: np.ndarray) -> np.ndarray:
        """The official indexes (n,) of rows."""
        return self.place[np.asarray(rows, dtype=np.int64) @ POWERS]

    def token_kinds(self, b: int) -> tuple[int, ...]:
        return (0,) * 6

    def tokens(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(rows, dtype=np.int64)

    def level1(self) -> np.ndarray:
        return self.table

    def extend(self, parents: np.ndarray, chunk: int = 65536) -> Iterator[np.ndarray]:
        yield from ()

    def canonical(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(rows, dtype=np.int16)

    def keys(self, rows: np.ndarray) -> np.ndarray:
        data = np.ascontiguousarray(rows, dtype=np.uint8)
        return data.view(np.dtype((np.void, 6))).reshape(len(data))

    def sample(self, count: int, b: int, generator: np.random.Generator) -> np.ndarray:
        return self.table[generator.integers(len(self.table), size=count)]

    def mutate(self, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        changed = np.array(rows, dtype=np.int16)
        edge = generator.integers(6, size=len(changed))
        place = (np.arange(len(changed)), edge)
        changed[place] = (changed[place] + generator.integers(1, 5, size=len(changed))) % 5
        return changed

    def encode(self, cells: Iterable[Any]) -> np.ndarray:
        return np.array([[OPERATORS.index(op) for op in cell] for cell in cells], dtype=np.int16).reshape(-1, 6)

    def decode(self, rows: np.ndarray) -> list[tuple[str, ...]]:
        return [tuple(OPERATORS[op] for op in row) for row in np.asarray(rows).tolist()]

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "nasbench201", "operators": list(OPERATORS)}

    def features(self, rows: np.ndarray) -> np.ndarray:
        return self._features[self.index(rows)]

    def feature_names(self) -> tuple[str, ...]:
        edges = ["".join(map(str, edge)) for edge in EDGES]
        return (
            *(f"edge:{edge}:{op}" for edge in edges for op in OPERATORS),
            *(f"live:{edge}:{op}" for edge in edges for op in OPERATORS),
            *(f"count:{op}" for op in OPERATORS),
            *(f"sequence:{'-'.join(map(str, seq)) or 'skip'}" for seq in SEQUENCES),
            *(f"cell:{name}" for name in ("paths", "depth", "mean_depth", "conv_depth", "residual")),
        )


def live_edges(rows: np.ndarray) -> np.ndarray:
    """Which edges (n, 6) lie on a path from input to output without a `none`."""
    live = np.zeros(rows.shape, dtype=bool)
    for path in PATHS:
        whole = (rows[:, path] != NONE).all(1)
        live[:, path] |= whole[:, None]
    return live


def features(rows: np.ndarray) -> np.ndarray:
    """Operators of edges, as given and where alive; counts of operators; what the paths apply; depth (n, d)."""
    live = live_edges(rows)
    effective = np.where(live, rows, NONE)
    one_hot = np.eye(5, dtype=np.float32)
    counts = one_hot[effective].sum(1)
    sequences, summary = _paths(rows)
    n = len(rows)
    parts = [one_hot[rows].reshape(n, -1), one_hot[effective].reshape(n, -1), counts, sequences, summary]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _paths(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = len(rows)
    place = {seq: i for i, seq in enumerate(SEQUENCES)}
    code = np.full((4,) * 3, -1)  # base-4 code of a path's operators, skips as 0, to its place
    for ops in product((1, 2, 3, 4), repeat=3):
        code[tuple(op - 1 for op in ops)] = place[tuple(op for op in ops if op != SKIP)]
    counts = np.zeros((n, len(SEQUENCES)), dtype=np.float32)
    lengths = np.array([len(seq) for seq in SEQUENCES])
    convolutions = np.array([sum(op in (2, 3) for op in seq) for seq in SEQUENCES])
    depth, depths, conv_depth, paths = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for path in PATHS:
        ops = np.ones((n, 3), dtype=np.int64)
        ops[:, : len(path)] = rows[:, path]
        whole = (ops != NONE).all(1)
        index = code[tuple((np.maximum(ops, 1) - 1).T)]
        counts[np.flatnonzero(whole), index[whole]] += 1
        paths += whole
        depths += whole * lengths[index]
        depth = np.maximum(depth, whole * lengths[index])
        conv_depth = np.maximum(conv_depth, whole * convolutions[index])
    residual = (counts[:, 0] > 0) & (depth > 0)
    return counts, np.stack([paths, depth, depths / np.maximum(paths, 1), conv_depth, residual], axis=1)
