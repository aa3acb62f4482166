"""One C99 file from an integer network: constants, a few loops, no allocation, no library but memcpy.

Operations are rows of a constant table; only the functions that some row needs are written out. All sizes follow from
shapes alone (`constant_bytes`, `Layout.size`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pronas.deploy._ctext import facts, fill, identifier, numbers
from pronas.deploy.integer import _ckernels as kernels
from pronas.deploy.integer._cdepthwise import depthwise_parts, line_of
from pronas.deploy.integer._ctemplate import HEADER, MAIN, TOP
from pronas.deploy.integer._graph import WEIGHTED, FloatGraph, Node
from pronas.deploy.integer._layout import Layout, Step, band, column, flat, kind_of, layout, line, padded
from pronas.deploy.integer._quantize import IntegerGraph, Numbers
from pronas.errors import UsageError
from pronas.files import write_atomic

_FIELDS = (
    "kind", "kh", "kw", "sh", "sw", "dh", "dw", "zero", "second_zero", "result_zero", "middle", "low", "middle_low",
    "joined", "ph", "pw", "h", "w", "c", "step", "oh", "ow", "out", "result_step", "second_step", "band",
    "source", "second", "result", "scratch", "weights", "first", "extra",
)  # fmt: skip
_BYTE_FIELDS, _SHORT_FIELDS = ("kh", "kw", "sh", "sw", "dh", "dw"), ("h", "w", "c", "step", "oh", "ow", "out", "band")
ROW_BYTES = 64
"""Bytes of a row of the operation table, on every processor."""


@final
@dataclass(frozen=True)
class IntegerSource:
    """C of an integer network, not yet in files.

    Attributes:
        source: of the ``.c`` file.
        header: of the ``.h`` file beside it.
        buffer_bytes: of static memory, exact.
        constant_bytes: of weights, biases, multipliers and the operation table, exact.
    """

    source: str
    header: str
    buffer_bytes: int
    constant_bytes: int


def write_integer_c(network: IntegerGraph, out: str | os.PathLike[str]) -> Path:
    """Write ``out`` (ending in ``.c``) and the header beside it; identifiers begin with the file's name.

    Args:
        network: from `quantize` or `integer_model`.
        out: where to.

    Returns:
        The path of the C file.

    Raises:
        UsageError: the name does not end in ``.c``, or a window beyond 255 or a side beyond 65,535.
        OSError: it cannot be written.
    """
    path = Path(out)
    if path.suffix != ".c":
        raise UsageError(f"{path}: a C file's name must end in .c")
    made = integer_c(network, identifier(path.stem))
    write_atomic(path.with_suffix(".h"), made.header.replace("@FILE@", path.stem))
    write_atomic(path, made.source.replace("@FILE@", path.stem))
    return path


def integer_c(network: IntegerGraph, name: str) -> IntegerSource:
    """The C form of ``network``; ``name`` begins every identifier that others see.

        >>> import numpy as np
        >>> from pronas.deploy.integer import calibrate, lower, quantize, run_integer
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> images = np.random.default_rng(0).integers(0, 256, (32, 1, 8, 8), np.uint8)
        >>> integers = quantize(graph := lower(network), calibrate(graph, images))
        >>> "net_classify" in integer_c(integers, "net").header
        True

    Args:
        network: from `quantize` or `integer_model`.
        name: an identifier of C.

    Returns:
        Both files' text and their sizes.

    Raises:
        UsageError: a window beyond 255 or a side beyond 65,535 has no C form.
    """
    plan, graph = layout(network.graph), network.graph
    constants = _Constants(network, plan)
    rows = [_row(network, plan, step, constants) for step in plan.steps]
    logits, shape = network.scales[-1], graph.input_shape
    parts = {
        "NAME": name, "UPPER": name.upper(), "FACT": facts(network.info), "COUNT": str(len(rows)),
        "ROWS": ",\n".join("  {" + ", ".join(str(row[f]) for f in _FIELDS) + "}" for row in rows),
        "CLASSES": str(network.classes), "LAST": str(plan.places[-1].at),
        "WEIGHTS": str(constants.weight.size), "WEIGHT": numbers(constants.weight.tolist(), 24),
        "BIASES": str(constants.bias.size), "BIAS": numbers(constants.bias.tolist(), 12),
        "MULTIPLIERS": str(constants.mantissa.size), "MANTISSA": numbers(constants.mantissa.tolist(), 12),
        "SHIFT": numbers(constants.shift.tolist(), 24), "ARENA": str(plan.size), "WORDS": str(plan.size // 4),
        "FUNCTIONS": _functions(graph, plan),
        "CASES": _cases(graph, plan), "LEFTWARD": " text" if (constants.shift < 0).any() else "",
        "SCALE": f"{logits.scale:.9g}", "ZERO": str(logits.zero), "SHAPE": "[" + " * ".join(map(str, shape)) + "]",
        "C": str(shape[0]), "H": str(shape[1]), "W": str(shape[2]),
    }  # fmt: skip
    return IntegerSource(fill(TOP + MAIN, parts), fill(HEADER, parts), plan.size, constant_bytes(graph, plan))


def constant_bytes(graph: FloatGraph, plan: Layout) -> int:
    """Bytes of all constants: weights, 9 bytes a channel, 5 a multiplier, the operation table."""
    weighted = [node for node in graph.nodes if node.kind in WEIGHTED]
    channels = sum(map(_filters, weighted))
    return (
        sum(map(_weight_bytes, weighted))
        + 9 * channels
        + 5 * sum(map(_extras, graph.nodes))
        + ROW_BYTES * len(plan.steps)
    )


def _weight_bytes(node: Node) -> int:
    """Convolutions: rows of a multiple of four for an even number of filters."""
    assert node.weight is not None
    return column(node) * _filters(node) if node.kind == "conv" else padded(node.weight.numel())


def _filters(node: Node) -> int:
    """Channels of a result, for convolutions an even number: they are made two at a time."""
    return node.shape[0] + node.shape[0] % 2 if node.kind == "conv" else node.shape[0]


def _extras(node: Node) -> int:
    """Multipliers that are not a channel's."""
    return {"add": 3, "mean": 1, "rescale": 1}.get(node.kind, 0)


class _Constants:
    """The constant arrays, and where each node's numbers stand in them."""

    def __init__(self, network: IntegerGraph, plan: Layout) -> None:
        graph, weights, biases = network.graph, [], []
        self.weights, self.first, self.extra = [0] * len(graph.nodes), [0] * len(graph.nodes), [0] * len(graph.nodes)
        place = at = 0
        for n, (node, own) in enumerate(zip(graph.nodes, network.numbers, strict=True)):
            if node.kind in WEIGHTED:
                weights.append(arranged(node, own))
                biases.append(_even(node, folded_bias(node, own, network.scales[node.sources[0]].zero + 128)))
                self.weights[n], self.first[n] = place, at
                place, at = place + weights[-1].size, at + biases[-1].size
        for n, node in enumerate(graph.nodes):
            self.extra[n], at = at, at + _extras(node)
        self.weight, self.bias = np.concatenate(weights), np.concatenate(biases)
        order = [_turned(n, node, plan) for n, node in enumerate(graph.nodes)]
        nodes = sorted(range(len(order)), key=lambda n: network.numbers[n].bias.size == 0)  # channels, then the others
        pairs = {n: _whole(graph.nodes[n], network.numbers[n], order[n]) for n in nodes}
        self.mantissa = np.concatenate([_even(graph.nodes[n], pairs[n][0]) for n in nodes])
        self.shift = -np.concatenate([_even(graph.nodes[n], pairs[n][1]) for n in nodes])


def _even(node: Node, values: NDArray[Any]) -> NDArray[Any]:
    """A number a channel; of convolutions with an odd number of filters one more."""
    return np.pad(values, (0, _filters(node) - node.shape[0])) if node.kind == "conv" else values


def _whole(node: Node, own: Numbers, order: slice | list[int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Multipliers and shifts. One of zero, which is too small to count, becomes 2^-32: functions in assembly double
    mantissas and take them to be at least 2^30."""
    mantissa, shift = own.mantissa[order], own.shift[order]
    small = (mantissa == 0) & (node.kind in (*WEIGHTED, "add"))
    return np.where(small, 1 << 30, mantissa), np.where(small, -31, shift)


def _turned(number: int, node: Node, plan: Layout) -> slice | list[int]:
    """The order of a node's multipliers: a convolution that an addition is part of comes first."""
    joined = any(step.add == number and node.sources[1] == step.node + 1 for step in plan.steps)
    return [1, 0, 2] if joined else slice(None)


def arranged(node: Node, own: Numbers) -> NDArray[np.int8]:
    """Weights in the order the C functions read them."""
    if node.kind == "depthwise":
        return np.pad(own.weight.transpose(2, 0, 1).reshape(-1), (0, padded(own.weight.size) - own.weight.size))
    rows = own.weight.reshape(len(own.weight), -1)
    whole = np.zeros((len(rows) + len(rows) % 2, column(node)), np.int8)
    whole[: len(rows), : rows.shape[1]] = rows
    return whole.reshape(len(whole) // 2, 2, -1, 4).transpose(0, 2, 1, 3).reshape(-1)


def folded_bias(node: Node, own: Numbers, zero: int) -> NDArray[np.int32]:
    """Biases for sums over unsigned values: less the zero point times the sum of the weights."""
    axes = (0, 1) if node.kind == "depthwise" else (1, 2, 3)
    folded: NDArray[np.int64] = own.bias - zero * own.weight.astype(np.int64).sum(axes)
    return folded.astype(np.int32)


def _row(network: IntegerGraph, plan: Layout, step: Step, constants: _Constants) -> dict[str, int]:
    """One row of the operation table."""
    graph, number = network.graph, step.node
    node, own, value = graph.nodes[number], network.numbers[number], step.result
    source, target = plan.places[node.sources[0]], plan.places[value]
    channels, height, width = graph.shape(node.sources[0])
    row = dict.fromkeys(_FIELDS, 0)
    row |= dict(
        zip(
            ("kh", "kw", "sh", "sw", "dh", "dw", "ph", "pw"),
            (*node.kernel, *node.stride, *node.dilation, *node.padding),
            strict=True,
        )
    )
    if node.kind == "mean":
        row |= {"kh": 0, "kw": 0}
    row |= {
        "kind": kernels.KINDS.index(kind_of(graph, step)),
        "h": height,
        "w": width,
        "c": channels,
        "step": source.step,
    }
    row |= {"oh": node.shape[1], "ow": node.shape[2], "out": node.shape[0], "result_step": target.step}
    row |= {"source": source.at, "result": target.at, "scratch": step.scratch, "weights": constants.weights[number]}
    row |= {"first": constants.first[number], "extra": constants.extra[max(step.add, number)]}
    row |= {"zero": network.scales[node.sources[0]].zero + 128, "result_zero": network.scales[value].zero + 128}
    if kind_of(graph, step) in ("depthwise", "slide"):
        row["band"] = band(graph, step)
    if kind_of(graph, step) == "slide":
        row |= _lines_of(node, height, width)
    row |= {"middle": network.scales[number + 1].zero + 128, "middle_low": own.low + 128}
    row |= {"low": network.numbers[value - 1].low + 128, "joined": int(step.add >= 0)}
    if step.other >= 0:
        second = plan.places[step.other]
        zero = network.scales[step.other].zero + 128
        row |= {"second": second.at, "second_step": second.step, "second_zero": zero}
    _check(row, node)
    return row


def _lines_of(node: Node, height: int, width: int) -> dict[str, int]:
    """What the row of a convolution whose windows slide along lines says of them."""
    taps, stride, length = line(node)
    across, along = (0, 1) if node.kernel[0] == 1 else (1, 0)
    size = (2, height * width // 2) if flat(node) else (height, width)
    gap = node.stride[along] if taps == 1 else 1
    return {
        "kh": 1, "kw": taps, "sh": node.stride[across], "sw": stride, "dh": along, "dw": gap,
        "ph": node.padding[across], "pw": node.padding[along], "h": size[across], "w": size[along],
        "oh": node.shape[1] * node.shape[2] // length, "ow": length,
    }  # fmt: skip


def _check(row: dict[str, int], node: Node) -> None:
    if any(row[f] > 255 for f in _BYTE_FIELDS) or any(row[f] > 65535 for f in _SHORT_FIELDS):
        raise UsageError(f"{node.where}: a window beyond 255 or a side beyond 65,535 has no C form")


def kinds_used(graph: FloatGraph, plan: Layout) -> frozenset[str]:
    """What the program has rows of, "joined" where an addition is part of a convolution, and the functions for rows of
    depthwise convolutions."""
    joined = ["joined"] if any(step.add >= 0 for step in plan.steps) else []
    lines = [f"line_{taps}_{stride}" for taps, stride in _lines(graph, plan)]
    return frozenset([*(kind_of(graph, step) for step in plan.steps), *joined, *lines])


def _lines(graph: FloatGraph, plan: Layout) -> set[tuple[int, int]]:
    steps = (graph.nodes[step.node] for step in plan.steps if kind_of(graph, step) == "depthwise")
    return {found for node in steps if (found := line_of(node)) is not None}


def _functions(graph: FloatGraph, plan: Layout) -> str:
    used = kinds_used(graph, plan)
    texts = [kernels.FILL] if used & {"conv", "slide"} else []
    texts += [kernels.COLUMNS] if used & {"conv", "slide", "dense"} else []
    texts += [kernels.ADDED] if used & {"joined", "add"} else []
    texts += [kernels.TEXTS[kind] for kind in kernels.KINDS if kind in used]
    joins = kernels.JOINS if "joined" in used else dict.fromkeys(kernels.JOINS, "")
    return fill("".join(dict.fromkeys(texts)), joins | depthwise_parts(_lines(graph, plan)))


def _cases(graph: FloatGraph, plan: Layout) -> str:
    used = kinds_used(graph, plan)
    lines = [f"      case {n}: {kernels.CALLS[kind]}; break;" for n, kind in enumerate(kernels.KINDS) if kind in used]
    return "\n".join(lines)
