"""One C99 file from a packed network: constants, a few loops, no allocation, no library but memcpy.

Maps are [row][column][bytes of 8 channels]; all of them share one static buffer, each at a place that is free while it
lives. Operations are rows of a constant table; only the functions that some row needs are written out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from pronas.deploy._arena import Need, plan_arena
from pronas.deploy._ctext import facts, fill, identifier, numbers
from pronas.deploy.packed._class_scores import class_scores
from pronas.deploy.packed._ctemplate import FUNCTIONS, HEADER, HELPERS, MAIN, TOP
from pronas.deploy.packed._graph import PIXEL, WINDOWED, Graph, Map, Op, inputs_of
from pronas.errors import UsageError
from pronas.files import write_atomic

_BYTE_FIELDS = ("kind", "kh", "kw", "stride", "ph", "pw", "outer")
_SIDES = ("h", "w", "oh", "ow")
_FIELDS = ("c", "out", "first", "source", "second", "target", "step", "weights", "limits")


@final
@dataclass(frozen=True)
class CSource:
    """C of a binary network, not yet in files.

    Attributes:
        source: of the ``.c`` file.
        header: of the ``.h`` file beside it.
        buffer_bytes: of static memory, exact.
        constant_bytes: of weights, thresholds and the operation table, exact.
        functions: names of those that are in it; what is not needed is left out.
    """

    source: str
    header: str
    buffer_bytes: int
    constant_bytes: int
    functions: frozenset[str]


def write_c(graph: Graph, out: str | os.PathLike[str]) -> Path:
    """Write ``out`` (ending in ``.c``) and the header beside it; identifiers begin with the file's name.

    Args:
        graph: from `graph_of`.
        out: where to.

    Returns:
        The path of the C file.

    Raises:
        UsageError: the name does not end in ``.c``.
        OSError: it cannot be written.
    """
    path = Path(out)
    if path.suffix != ".c":
        raise UsageError(f"{path}: a C file's name must end in .c")
    made = c_source(graph, identifier(path.stem))
    write_atomic(path.with_suffix(".h"), made.header.replace("@FILE@", path.stem))
    write_atomic(path, made.source.replace("@FILE@", path.stem))
    return path


def c_source(graph: Graph, name: str) -> CSource:
    """The C form of ``graph``; ``name`` begins every identifier that others see.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> binary = skeleton("binary", filters=(8,))
        >>> network = binary.build(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> from pronas.deploy.packed import graph_of
        >>> "net_classify" in c_source(graph_of(network), "net").header
        True

    Args:
        graph: from `graph_of`.
        name: an identifier of C.

    Returns:
        Both files' text and their sizes.
    """
    places, size = _places(graph)
    constants = _Constants()
    rows = [_row(graph, op, places, constants) for op in graph.ops]
    used = {_function(graph, op) for op in graph.ops}
    scores = class_scores(graph)
    parts = {
        "NAME": name,
        "UPPER": name.upper(),
        "CLASSES": str(graph.classes),
        "BUFFER": str(max(1, size)),
        "BYTES": numbers(constants.weights, 24),
        "SMALL": numbers(constants.small or [0], 24),
        "LARGE": numbers(constants.large or [0], 16),
        "LIMIT": "int32_t" if constants.wide else "int16_t",
        "FIELDS": _declare(rows),
        "ROWS": ",\n".join("  {" + ", ".join(map(str, row.values())) + "}" for row in rows),
        "COUNT": str(len(rows)),
        "FUNCTIONS": _functions(used),
        "CASES": "\n".join(_case(name) for name in FUNCTIONS if name in used),
        "SCORES": scores.source,
        "FACT": facts(graph.info),
        "SHAPE": "[" + " * ".join(map(str, graph.input_shape)) + "]",
        "C": str(graph.input_shape[0]), "H": str(graph.input_shape[1]), "W": str(graph.input_shape[2]),
    }  # fmt: skip
    whole = constants.bytes + scores.bytes + len(rows) * _row_bytes(rows)
    return CSource(fill(TOP + MAIN, parts), fill(HEADER, parts), max(1, size), whole, frozenset(used))


class _Constants:
    """The constant arrays, filled operation by operation. Which array thresholds stand in follows from what sums can
    reach, not from what a training made of them, so that sizes are known before it."""

    def __init__(self) -> None:
        self.weights: list[int] = []
        self.small: list[int] = []  # thresholds of operations whose sums all fit in 8 bits
        self.large: list[int] = []
        self.reach = 0

    @property
    def wide(self) -> bool:
        """Whether large thresholds need 32 bits."""
        return self.reach > 32766

    @property
    def bytes(self) -> int:
        return len(self.weights) + max(1, len(self.small)) + max(1, len(self.large)) * (4 if self.wide else 2)

    def add_weights(self, data: NDArray[np.uint8]) -> int:
        self.weights += data.reshape(-1).tolist()
        return len(self.weights) - data.size

    def add_limits(self, op: Op, reach: int) -> int:
        """Place of the thresholds: even numbers for the small ones, odd for the large."""
        assert op.thresholds is not None
        values = op.thresholds.clip(-reach - 1, reach + 1).tolist()
        target = self.small if reach < 127 else self.large
        self.reach = max(self.reach, reach)
        target += values
        return 2 * (len(target) - len(values)) + (target is self.large)


def _bytes(channels: int) -> int:
    return -(-channels // 8)


def _map_bytes(m: Map) -> int:
    return m.height * m.width * (m.channels if m.image else _bytes(m.channels))


def _places(graph: Graph) -> tuple[list[int], int]:
    """Where each map stands in the buffer (the image is the caller's), and the buffer's size."""
    life: dict[int, list[int]] = {}
    for time, op in enumerate(graph.ops):
        for number in (*op.sources, op.target) if op.kind != "logits" else op.sources:
            life.setdefault(number, [time, time])[1] = time
    kept = [n for n in life if n]
    found, size = plan_arena([Need(_map_bytes(graph.maps[n]), *life[n]) for n in kept])
    at = dict(zip(kept, found, strict=True))
    return [at.get(number, 0) for number in range(len(graph.maps))], size


def _row(graph: Graph, op: Op, places: list[int], constants: _Constants) -> dict[str, int]:
    """One row of the operation table."""
    source = graph.maps[op.sources[0]]
    target = graph.maps[op.target] if op.kind != "logits" else Map(op.channels, 1, 1)
    row = dict.fromkeys((*_BYTE_FIELDS, *_SIDES, *_FIELDS), 0)
    if op.kind in WINDOWED:
        row |= {"kh": op.kernel[0], "kw": op.kernel[1], "stride": op.stride, "ph": op.padding[0], "pw": op.padding[1]}
    row |= {"h": source.height, "w": source.width, "c": source.channels, "oh": target.height, "ow": target.width}
    row |= {"out": op.channels, "first": op.offset, "source": places[op.sources[0]], "second": places[op.sources[-1]]}
    row |= {"target": places[op.target], "step": _bytes(target.channels), "outer": int(op.sources[0] == 0)}
    row["kind"] = list(FUNCTIONS).index(_function(graph, op))
    if op.weights is not None:
        row["weights"] = constants.add_weights(_arranged(op, source))
    if op.thresholds is not None and op.kind != "add":
        row["limits"] = constants.add_limits(op, inputs_of(op, source) * (PIXEL if source.image else 1))
    return row


def _function(graph: Graph, op: Op) -> str:
    """The C function that runs ``op``."""
    kind = "depthwise" if op.kind == "sumpool" else op.kind
    return f"image_{kind}" if graph.maps[op.sources[0]].image else kind


def _functions(used: set[str]) -> str:
    helpers = [text for text, callers in HELPERS.values() if callers & used]
    return "\n".join(helpers + [text for name, text in FUNCTIONS.items() if name in used])


def _case(name: str) -> str:
    arguments = "p, integers" if name == "logits" else "p, image" if name.startswith("image_") else "p"
    return f"      case {list(FUNCTIONS).index(name)}: {name}({arguments}); break;"


_GROUPS = ((_BYTE_FIELDS, 1), (_SIDES, 1), (_FIELDS, 2))
_TYPES = {1: "uint8_t", 2: "uint16_t", 4: "int32_t"}


def _widths(rows: list[dict[str, int]]) -> list[int]:
    """Bytes of the fields of each group: the smallest types that hold them."""
    largest = [max(row[f] for row in rows for f in fields) for fields, _ in _GROUPS]
    return [max(least, 1 if m < 256 else 2 if m < 65536 else 4) for m, (_, least) in zip(largest, _GROUPS, strict=True)]


def _declare(rows: list[dict[str, int]]) -> str:
    """The operation's fields."""
    groups = zip(_widths(rows), _GROUPS, strict=True)
    return "\n".join(f"  {_TYPES[width]} {', '.join(fields)};" for width, (fields, _) in groups)


def _row_bytes(rows: list[dict[str, int]]) -> int:
    """Bytes of a row of the operation table, on every processor: fields stand at multiples of their size."""
    size, widths = 0, _widths(rows)
    for width, (fields, _) in zip(widths, _GROUPS, strict=True):
        size = -(-size // width) * width + width * len(fields)
    return -(-size // max(widths)) * max(widths)


def _arranged(op: Op, source: Map) -> NDArray[np.uint8]:
    """Weights in the order the C functions read them, as bytes."""
    assert op.weights is not None
    weights = op.weights
    if source.image:
        taps = op.kernel[0] * op.kernel[1]
        flat = np.repeat(weights, taps) if op.kind == "sumpool" else weights.reshape(-1)
        return np.packbits(flat, bitorder="little")
    if op.kind == "add":
        z = np.array([-2, 0, 2])[:, None] * np.where(weights, 1, -1)
        return np.packbits(z >= op.thresholds, axis=1, bitorder="little")
    if op.kind in ("dense", "logits"):
        return _channels_last(weights.reshape(len(weights), *source.shape))
    if op.kind == "conv":
        return _channels_last(weights)
    spread = weights[:, None, None].repeat(op.kernel[0], 1).repeat(op.kernel[1], 2) if op.kind == "sumpool" else weights
    return _channels_last(spread[None])


def _channels_last(weights: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(out, channels, h, w) to (out, h, w, bytes of 8 channels)."""
    return np.packbits(np.moveaxis(weights, 1, 3), axis=3, bitorder="little")
