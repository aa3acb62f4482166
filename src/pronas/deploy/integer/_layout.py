"""How exported C runs a network: the steps in order, and where each map stands. It follows from shapes alone, so that
memory is known before a network is trained.

A part of a concatenation is written where the whole holds it; an addition right after a convolution is part of it;
results of additions, of ``relu`` and of ``rescale`` take the place of what they read last.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

from pronas.deploy._arena import Need, plan_arena
from pronas.deploy.integer._graph import FloatGraph, Node

ALIGN = 4
"""Bytes that every place is a multiple of: words are loaded and stored."""

_ROWS = 1024
"""Bytes of a depthwise channel's rows, or of a line that windows slide along, where that many are enough; or a part of
the maps that are read and made, where that is more."""

_SHARE = 32

_SCRATCH = ("conv", "slide", "depthwise")


@final
@dataclass(frozen=True)
class Place:
    """Where a value stands: ``at`` is its first byte, ``step`` the bytes from pixel to pixel."""

    at: int
    step: int


@final
@dataclass(frozen=True)
class Step:
    """One run of a function.

    Attributes:
        node: number of the node.
        add: number of the addition that is part of it, or -1.
        other: the addition's second value where ``add`` is given, else of a plain addition; else -1.
        scratch: where the columns of a convolution stand.
    """

    node: int
    add: int = -1
    other: int = -1
    scratch: int = 0

    @property
    def result(self) -> int:
        """The value that it makes."""
        return (self.add if self.add >= 0 else self.node) + 1


@final
@dataclass(frozen=True)
class Layout:
    """The steps, the place of each value (the image is the caller's), and the bytes of the arena."""

    steps: tuple[Step, ...]
    places: tuple[Place, ...]
    size: int


def padded(count: int) -> int:
    """The next multiple of 4."""
    return -(-count // 4) * 4


def column(node: Node) -> int:
    """Inputs of one output of a convolution, filled up to a multiple of 4."""
    assert node.weight is not None
    return padded(prod(node.weight.shape[1:]))


def row_length(node: Node) -> int:
    """Numbers of 16 bits from row to row of a depthwise convolution's channel: four results at once, an even number."""
    wide = -(-node.shape[2] // 4) * 4 * node.stride[1] + node.dilation[1] * (node.kernel[1] - 1) + 1
    return wide // 2 * 2


def _window_rows(node: Node, results: int) -> int:
    return (results - 1) * node.stride[0] + node.dilation[0] * (node.kernel[0] - 1) + 1


def band(graph: FloatGraph, step: Step) -> int:
    """How much of a result is made at once, all or as much as there is room for: rows of a depthwise convolution's,
    pixels of the lines that windows slide along."""
    node = graph.nodes[step.node]
    room = max(_ROWS, (prod(graph.shape(node.sources[0])) + node.size) // _SHARE)
    if node.kind == "depthwise":
        rows = room // (2 * row_length(node))
        return max(1, min(node.shape[1], (rows - _window_rows(node, 1)) // node.stride[0] + 1))
    taps, stride, length = line(node)
    assert node.weight is not None
    pixel, result = 4 * node.weight.shape[1], 2 * node.shape[0] * (step.add >= 0)
    return max(1, min(length, (room - taps * pixel - result) // (stride * pixel + result) + 1))


def line(node: Node) -> tuple[int, int, int]:
    """(taps, pixels from window to window, windows) of the lines that windows slide along."""
    if flat(node):
        return 1, 1, node.shape[1] * node.shape[2] // 2
    along = 1 if node.kernel[0] == 1 else 0
    taps = node.kernel[along]
    return taps, node.stride[along] if taps > 1 else 1, node.shape[1 + along]


def flat(node: Node) -> bool:
    """Whether each pixel makes one: the map is then two lines, its halves."""
    return (node.kernel, node.stride, node.padding) == ((1, 1), (1, 1), (0, 0))


def _slides(node: Node) -> bool:
    """Whether a convolution has windows of one row or column, in whole words, and results in pairs of pairs."""
    if node.kind != "conv" or node.weight is None or min(node.kernel) > 1:
        return False
    if node.weight.shape[1] % 4 or node.shape[0] % 2:
        return False
    along = 1 if node.kernel[0] == 1 else 0
    if node.kernel[along] == 1 and max(node.padding) > 0:
        return False
    lines = node.shape[1] * node.shape[2] if flat(node) else node.shape[2 - along]
    return lines % 2 == 0 and (node.kernel[along] == 1 or node.dilation[along] == 1)


def _scratch(graph: FloatGraph, step: Step) -> int:
    """Convolutions: two columns of 16-bit numbers, then the window as bytes where channels are no multiple of 4, and
    two pixels of results that are yet to be added to; where windows slide, a part of two lines and of their results.
    Depthwise ones: a channel's rows, and its weights as pairs."""
    node, kind, joined = graph.nodes[step.node], kind_of(graph, step), step.add >= 0
    if kind not in _SCRATCH:
        return 0
    assert node.weight is not None
    if kind == "conv":
        whole = node.weight.shape[1] % 4 == 0
        return 4 * column(node) + max(0 if whole else column(node), 2 * padded(node.shape[0]) * joined)
    if kind == "slide":
        count, (taps, stride, _) = band(graph, step), line(node)
        pixels = (count - 1) * stride + taps
        return 4 * pixels * node.weight.shape[1] + padded(2 * count * node.shape[0]) * joined
    rows = 2 * row_length(node) * _window_rows(node, band(graph, step))
    return rows + 8 * node.kernel[0] * (node.kernel[1] // 2 + 1)


def layout(graph: FloatGraph) -> Layout:
    """Order and places of everything."""
    steps = _steps(graph)
    homes = _homes(graph)
    life = _life(graph, steps, homes)
    owner = _shared(graph, steps, homes, life)
    roots = sorted(life)
    needs = [Need(padded(graph.nodes[r - 1].size), *life[r]) for r in roots]
    sizes = [_scratch(graph, step) for step in steps]
    scratch = [(n, size) for n, size in enumerate(sizes) if size]
    found, size = plan_arena([*needs, *(Need(bytes_, n, n) for n, bytes_ in scratch)], ALIGN)
    at = dict(zip(roots, found, strict=False))
    places = [Place(0, graph.input_shape[0])]
    for value in range(1, len(graph.nodes) + 1):
        home, offset = homes[value]
        places.append(Place(at.get(owner.get(home, home), 0) + offset, graph.nodes[home - 1].shape[0]))
    columns = dict(zip((n for n, _ in scratch), found[len(roots) :], strict=True))
    placed = [Step(s.node, s.add, s.other, columns.get(n, 0)) for n, s in enumerate(steps)]
    return Layout(tuple(placed), tuple(places), padded(size))


def kind_of(graph: FloatGraph, step: Step) -> str:
    """The kind of C function that runs a step: its node's, but for the image's scaling, other depthwise
    convolutions that only scale, and convolutions over one pixel, or one row or column, of the map."""
    node = graph.nodes[step.node]
    if step.node == 0:
        return "image"
    if node.kind == "depthwise" and flat(node):
        return "scale"
    if node.kind == "conv" and step.add < 0 and graph.shape(node.sources[0])[1:] == (1, 1) and flat(node):
        return "dense"
    return "slide" if _slides(node) else node.kind


def _steps(graph: FloatGraph) -> list[Step]:
    readers, steps = graph.readers(), list[Step]()
    held = {source for node in graph.nodes if node.kind == "concat" for source in node.sources}
    for number, node in enumerate(graph.nodes):
        if node.kind == "concat":
            continue
        if node.kind != "add":
            steps.append(Step(number))
            continue
        alone = readers[number] == 1 and number not in held and node.sources[0] != node.sources[1]
        if number in node.sources and graph.nodes[number - 1].kind == "conv" and alone:
            other = node.sources[0] if node.sources[1] == number else node.sources[1]
            steps[-1] = Step(number - 1, number, other)
        else:
            steps.append(Step(number, -1, node.sources[1]))
    return steps


def _homes(graph: FloatGraph) -> list[tuple[int, int]]:
    """For each value the value whose memory it stands in, and its first byte there."""
    homes = [(value, 0) for value in range(len(graph.nodes) + 1)]
    for number in reversed(range(len(graph.nodes))):
        if graph.nodes[number].kind == "concat":
            home, offset = homes[number + 1]
            for source in graph.nodes[number].sources:
                homes[source] = (home, offset)
                offset += graph.shape(source)[0]
    return homes


def _life(graph: FloatGraph, steps: list[Step], homes: list[tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """First and last step of each memory."""
    life: dict[int, tuple[int, int]] = {}
    for time, step in enumerate(steps):
        reads = [*graph.nodes[step.node].sources, *([step.other] if step.other >= 0 else [])]
        for home in (homes[value][0] for value in (step.result, *reads) if value):
            life[home] = (min(life.get(home, (time, time))[0], time), time)
    return life


def _shared(
    graph: FloatGraph, steps: list[Step], homes: list[tuple[int, int]], life: dict[int, tuple[int, int]]
) -> dict[int, int]:
    """Memories that take over another's place; ``life`` is changed so that it speaks of the others alone."""
    owner: dict[int, int] = {}
    for time, step in enumerate(steps):
        kind, home = graph.nodes[step.node].kind, homes[step.result][0]
        if home != step.result or (kind not in ("add", "relu", "rescale") and step.add < 0):
            continue
        reads = list(graph.nodes[step.node].sources)
        candidates = [step.other] if step.add >= 0 else [*reads, *([step.other] if step.other >= 0 else [])]
        for value in candidates:
            root = owner.get(value, value)
            windowed = {owner.get(homes[v][0], homes[v][0]) for v in reads} if step.add >= 0 else set()
            whole = value and homes[value][0] == value and root not in windowed
            if (
                whole
                and life[root][1] == time
                and padded(graph.nodes[value - 1].size) == padded(graph.nodes[home - 1].size)
            ):
                life[root] = (life[root][0], life.pop(home)[1])
                owner[home] = root
                break
    return owner
