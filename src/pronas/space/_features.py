"""Numbers that describe a cell to predictors that are no networks: counts of operators, paths, depth and use.

The columns do not depend on the number of blocks, so what is learned at level b can be asked at level b + 1, and none
changes when halves are swapped or blocks renumbered. Names begin with their group, ``group:what``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pronas.space._canonical import Ints, Rows, Shape
from pronas.space._names import canonical_operator

Floats = npt.NDArray[np.float32]
_CHUNK = 1024
_DEPTHS = 4  # operators are counted at depth 1, 2, 3 and 4 or more


def feature_names(operators: tuple[str, ...], shape: Shape) -> tuple[str, ...]:
    """Return the columns' names; an operator of two names is called by one."""
    ops = [canonical_operator(name) for name in operators]
    inputs = [str(v) for v in range(-shape.shift, 0)] or ["0"]
    pairs = [f"{ops[i]}+{ops[j]}" for i in range(len(ops)) for j in range(i, len(ops))]
    return (
        *(f"cell:{name}" for name in ("blocks", "depth", "mean_depth", "unused", "operators", "equal_halves")),
        *("cell:same_source", "cell:block_reads", "cell:most_read", "cell:log_paths"),
        *(f"input:{v}" for v in inputs),
        *(f"used:{v}" for v in inputs),
        *(f"count:{op}" for op in ops),
        *(f"share:{op}" for op in ops),
        *(f"output:{op}" for op in ops),
        *(f"on_block:{op}" for op in ops),
        *(f"depth{d + 1}{'+' if d + 1 == _DEPTHS else ''}:{op}" for d in range(_DEPTHS) for op in ops),
        *(f"pair:{pair}" for pair in pairs),
        *(f"path1:{v}>{op}" for v in inputs for op in ops),
        *(f"path2:{v}>{a}>{b}" for v in inputs for a in ops for b in ops),
        *(f"path3+:{v}>{op}>…" for v in inputs for op in ops),
    )


def features(shape: Shape, rows: Rows) -> Floats:
    """Return (n, d) float32, columns as in `feature_names`; n >= 1."""
    parts = [_Graph(shape, rows[i : i + _CHUNK]).features() for i in range(0, len(rows), _CHUNK)]
    return np.concatenate(parts)


class _Graph:
    """Rows of one level as arrays (n, b, 2): what each half reads and with which operator."""

    def __init__(self, shape: Shape, rows: Rows) -> None:
        halves = shape.half_codes(rows)
        self.n, self.b, _ = halves.shape
        self.inputs, self.ops = shape.inputs, shape.operators
        self.op: Ints = halves % self.ops
        self.source: Ints = halves // self.ops
        self.block: Ints = self.source - self.inputs  # negative where an input of the cell is read
        self.on_block = self.block >= 0
        self.row = np.arange(self.n)
        self.reads = self._count(self.block, self.b, self.on_block)
        self.unused = self.reads == 0
        self.depth = self._depth()

    def features(self) -> Floats:
        """Return the columns in the order of `feature_names`."""
        count, input_reads = self._count(self.op, self.ops), self._count(self.source, self.inputs, ~self.on_block)
        level = np.minimum(self.depth, _DEPTHS) - 1
        paths = self._paths()
        columns = [
            self._summary(count, paths),
            input_reads,
            (input_reads > 0).astype(np.float32),
            count,
            count / (2 * self.b),
            self._count(self.op, self.ops, np.broadcast_to(self.unused[:, :, None], self.op.shape)),
            self._count(self.op, self.ops, self.on_block),
            self._count(level[:, :, None] * self.ops + self.op, _DEPTHS * self.ops),
            self._pairs(),
            *paths,
        ]
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def _count(self, index: Ints, size: int, where: npt.NDArray[np.bool_] | None = None) -> Floats:
        """Return (n, size): how often each row of ``index`` (n, …) holds 0 … size - 1, at the places marked."""
        place = index + (self.row * size).reshape(self.n, *[1] * (index.ndim - 1))
        held = place.ravel() if where is None else place[where]
        return np.bincount(held, minlength=self.n * size).reshape(self.n, size).astype(np.float32)

    def _depth(self) -> Ints:
        depth = np.zeros((self.n, self.b), dtype=np.int64)
        for j in range(self.b):
            below = np.where(self.on_block[:, j], depth[self.row[:, None], np.maximum(self.block[:, j], 0)], 0)
            depth[:, j] = 1 + below.max(axis=1)
        return depth

    def _summary(self, count: Floats, paths: list[Floats]) -> Floats:
        same_source = self.source[..., 0] == self.source[..., 1]
        columns = [
            np.full(self.n, self.b),
            self.depth.max(axis=1),
            self.depth.mean(axis=1),
            self.unused.sum(axis=1),
            (count > 0).sum(axis=1),
            (same_source & (self.op[..., 0] == self.op[..., 1])).sum(axis=1),
            same_source.sum(axis=1),
            self.on_block.sum(axis=(1, 2)),
            self.reads.max(axis=1),
            np.log(sum(part.sum(axis=1) for part in paths)),
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def _pairs(self) -> Floats:
        """Count the blocks with each unordered pair of operators."""
        low, high = self.op.min(axis=2), self.op.max(axis=2)
        index = low * self.ops - low * (low - 1) // 2 + high - low
        return self._count(index, self.ops * (self.ops + 1) // 2)

    def _paths(self) -> list[Floats]:
        """Count paths from an input to the cell's output: by (input, operator), (input, two operators), longer ones.

        ``short[:, j]`` counts the halves of block j by their input and operator; ``long[:, j]`` the paths of
        two or more operators that end in block j, by their input and first operator.
        """
        shape = (self.n, self.b, self.inputs * self.ops)
        short, long = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
        two = np.zeros((self.n, shape[2], self.ops), dtype=np.float32)
        more = np.zeros((self.n, shape[2]), dtype=np.float32)
        for j in range(self.b):
            for half in range(2):
                direct = self.row[~self.on_block[:, j, half]]
                short[direct, j, self.source[direct, j, half] * self.ops + self.op[direct, j, half]] += 1
                n = self.row[self.on_block[:, j, half]]
                k = self.block[n, j, half]
                long[n, j] += short[n, k] + long[n, k]
                end = self.unused[n, j]
                n, k = n[end], k[end]
                two[n, :, self.op[n, j, half]] += short[n, k]
                more[n] += long[n, k]
        one = (short * self.unused[:, :, None]).sum(axis=1)
        return [one, two.reshape(self.n, -1), more]
