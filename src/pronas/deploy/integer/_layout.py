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


def _scratch(node: Node, joined: bool) -> int:
    """Two columns of 16-bit numbers, and two pixels of results that are yet to be added to."""
    return 4 * column(node) + 2 * padded(node.shape[0]) * joined if node.kind == "conv" else 0


def layout(graph: FloatGraph) -> Layout:
    """Order and places of everything."""
    steps = _steps(graph)
    homes = _homes(graph)
    life = _life(graph, steps, homes)
    owner = _shared(graph, steps, homes, life)
    roots = sorted(life)
    needs = [Need(padded(graph.nodes[r - 1].size), *life[r]) for r in roots]
    sizes = [_scratch(graph.nodes[step.node], step.add >= 0) for step in steps]
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
