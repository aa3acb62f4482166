"""Comparing classes in integers: the order of float logits without floats, for processors that have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.packed._graph import Graph, Logits


@final
@dataclass(frozen=True)
class Scores:
    """C source of ``score(class, z)`` and the bytes of its constants."""

    source: str
    bytes: int


def class_scores(graph: Graph) -> Scores:
    """A C function whose integers are ordered, equal ones included, as the float logits are.

    Tried in turn: a z + b in 32 and in 64 bits, checked on every pair that can occur; then a table of ranks.
    """
    op = graph.ops[-1]
    assert op.logits is not None
    assert op.weights is not None
    inputs, classes = op.weights.shape[1], op.channels
    z = np.arange(-inputs, inputs + 1, 2, dtype=np.int64)
    values = op.logits(np.repeat(z[:, None], classes, 1)).astype(np.float64)
    if op.logits.form != 2 and np.isfinite(values).all():
        for bits in (31, 62):
            a, b = _scaled(op.logits, inputs, bits)
            if _same_order(values, a * z[:, None] + b):
                return _linear(a, b, bits)
    order = np.unique(values, return_inverse=True)[1].reshape(values.shape)
    return _table(order.T, inputs)


def _scaled(logits: Logits, inputs: int, bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    values = logits.values.astype(np.float64)
    a = values[:, -2] * (values[:, 0] if logits.form >= 3 else 1)
    b = values[:, -1]
    largest = max(float(np.abs(a).max()) * inputs + float(np.abs(b).max()), 1e-300)
    shift = bits - 1 - int(np.ceil(np.log2(largest)))
    return np.ldexp(a, shift).round().astype(np.int64), np.ldexp(b, shift).round().astype(np.int64)


def _same_order(values: NDArray[np.float64], integers: NDArray[np.int64]) -> bool:
    flat, whole = values.reshape(-1), integers.reshape(-1)
    order = np.lexsort((whole, flat))
    return bool(np.array_equal(np.sign(np.diff(flat[order])), np.sign(np.diff(whole[order]))))


def _linear(a: NDArray[np.int64], b: NDArray[np.int64], bits: int) -> Scores:
    kind, end = ("int32_t", "") if bits == 31 else ("int64_t", "LL")
    rows = ", ".join(f"{{{x}{end}, {y}{end}}}" for x, y in zip(a.tolist(), b.tolist(), strict=True))
    source = (
        f"typedef {kind} score_type;\nstatic const score_type scale[CLASSES][2] = {{{rows}}};\n"
        "static score_type score(int32_t c, int32_t z) { return scale[c][0] * z + scale[c][1]; }\n"
    )
    return Scores(source, 2 * len(a) * (4 if bits == 31 else 8))


def _table(ranks: NDArray[np.int64], inputs: int) -> Scores:
    kind, size = ("uint16_t", 2) if ranks.max() < 65536 else ("uint32_t", 4)
    rows = ",\n".join("  {" + ", ".join(map(str, row)) + "}" for row in ranks.tolist())
    source = (
        f"typedef int32_t score_type;\nstatic const {kind} ranks[CLASSES][{inputs + 1}] = {{\n{rows}}};\n"
        f"static score_type score(int32_t c, int32_t z) {{ return (score_type)ranks[c][(z + {inputs}) / 2]; }}\n"
    )
    return Scores(source, ranks.size * size)
