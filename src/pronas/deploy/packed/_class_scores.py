"""Comparing classes in integers: the order of float logits without floats, for processors that have none.

Float logits are a z + b, rounded. In integers, a z + b with 62 bits is in the same order but for few values, which
rounding made equal or turned around: those get scores of their own. Where logits are no such line: a table of ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.packed._graph import Graph, Logits

Integers = NDArray[np.int64]

_MOST = 200
"""Scores of their own that are looked through one after another; beyond them a table is better."""

_PLACES = 4
"""Places for scores of their own that every file has, used or not: its size is then known before it is trained."""


@final
@dataclass(frozen=True)
class Scores:
    """C source of ``score(class, z)`` and the bytes of its constants."""

    source: str
    bytes: int


def class_scores(graph: Graph) -> Scores:
    """A C function whose integers are ordered, equal ones included, as the float logits are.

    Tried in turn: a z + b in 64 bits, with exceptions; a table of ranks. Every pair that can occur is compared.
    """
    op = graph.ops[-1]
    assert op.logits is not None
    assert op.weights is not None
    inputs, classes = op.weights.shape[1], op.channels
    z = np.arange(-inputs, inputs + 1, 2, dtype=np.int64)
    values = op.logits(np.repeat(z[:, None], classes, 1)).astype(np.float64)
    if np.isfinite(values).all():
        a, b = _scaled(*_line(op.logits, z, values), inputs)
        scores = a * z[:, None] + b
        places, own = _exceptions(values, scores)
        if len(places) <= _MOST and _same_order(values, _patched(scores, places, own)):
            return _linear(a, b, _places_of(places, classes), own, inputs)
    order = np.unique(values, return_inverse=True)[1].reshape(values.shape)
    return _table(order.T, inputs)


def line_bytes(classes: int) -> int:
    """Bytes of the constants where there are no more exceptions than places for them."""
    return 16 * classes + 16 * _PLACES


def _line(logits: Logits, z: Integers, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """a and b of each class; of logits that are known as a table, from its first and last row."""
    if logits.form == 2:
        a = (values[-1] - values[0]) / max(int(z[-1] - z[0]), 1)
        return a, (values[-1] + values[0]) / 2
    known = logits.values.astype(np.float64)
    return known[:, -2] * (known[:, 0] if logits.form >= 3 else 1), known[:, -1]


def _scaled(a: NDArray[np.float64], b: NDArray[np.float64], inputs: int) -> tuple[Integers, Integers]:
    largest = max(float(np.abs(a).max()) * inputs + float(np.abs(b).max()), 1e-300)
    shift = 61 - int(np.ceil(np.log2(largest)))
    return np.ldexp(a, shift).round().astype(np.int64), np.ldexp(b, shift).round().astype(np.int64)


def _exceptions(values: NDArray[np.float64], scores: Integers) -> tuple[Integers, Integers]:
    """Flat places whose scores must be others, and those: equal logits get the score of one of them, and every score
    is above those of all smaller logits."""
    flat, own = values.reshape(-1), scores.reshape(-1).copy()
    order = np.lexsort((own, flat))
    groups = np.split(order, np.flatnonzero(np.diff(flat[order])) + 1)
    least = np.iinfo(np.int64).min
    for group in groups:
        score = max(int(own[group[0]]), least)
        own[group], least = score, score + 1
    places = np.flatnonzero(own != scores.reshape(-1))
    return places, own[places]


def _patched(scores: Integers, places: Integers, own: Integers) -> Integers:
    found = scores.copy()
    found.reshape(-1)[places] = own
    return found


def _places_of(places: Integers, classes: int) -> Integers:
    """Flat places in (z, class) as (class, number of z): what the C compares."""
    return np.stack([places % classes, places // classes], 1)


def _same_order(values: NDArray[np.float64], integers: Integers) -> bool:
    flat, whole = values.reshape(-1), integers.reshape(-1)
    order = np.lexsort((whole, flat))
    return bool(np.array_equal(np.sign(np.diff(flat[order])), np.sign(np.diff(whole[order]))))


def _linear(a: Integers, b: Integers, places: Integers, own: Integers, inputs: int) -> Scores:
    count = max(len(own), _PLACES)
    rows = ", ".join(f"{{{x}LL, {y}LL}}" for x, y in zip(a.tolist(), b.tolist(), strict=True))
    pairs = [f"{{{c}, {z}}}" for c, z in places.tolist()] + ["{-1, 0}"] * (count - len(own))
    scores = [f"{score}LL" for score in own.tolist()] + ["0"] * (count - len(own))
    source = f"""typedef int64_t score_type;
static const score_type scale[CLASSES][2] = {{{rows}}};
/* Logits that rounding made equal or turned around: class and number of the sum, and their scores. */
static const int32_t exception[{count}][2] = {{{", ".join(pairs)}}};
static const score_type own[{count}] = {{{", ".join(scores)}}};

static score_type score(int32_t c, int32_t z) {{
  for (int32_t i = 0; i < {count}; i++)
    if (exception[i][0] == c && exception[i][1] == (z + {inputs}) / 2) return own[i];
  return scale[c][0] * z + scale[c][1];
}}
"""
    return Scores(source, line_bytes(len(a)) + 16 * (count - _PLACES))


def _table(ranks: Integers, inputs: int) -> Scores:
    kind, size = ("uint16_t", 2) if ranks.max() < 65536 else ("uint32_t", 4)
    rows = ",\n".join("  {" + ", ".join(map(str, row)) + "}" for row in ranks.tolist())
    source = (
        f"typedef int32_t score_type;\nstatic const {kind} ranks[CLASSES][{inputs + 1}] = {{\n{rows}}};\n"
        f"static score_type score(int32_t c, int32_t z) {{ return (score_type)ranks[c][(z + {inputs}) / 2]; }}\n"
    )
    return Scores(source, ranks.size * size)
