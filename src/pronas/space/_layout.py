"""Where the parts of a cell's picture go: inputs on top, two operators above each combination, the output below.

The picture has layers: the inputs, the blocks by depth (longest way from an input), the output. A line that passes a
layer gets a lane of its own there, so that it never runs through a block (Sugiyama, Tagawa and Toda, 1981). The order
within the layers is improved by barycentres and neighbour exchanges until no exchange removes a crossing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

OPERATOR_WIDTH, OPERATOR_HEIGHT, OPERATOR_GAP = 108, 26, 8
NODE_HEIGHT, INPUT_WIDTH, OUTPUT_WIDTH, RADIUS = 24, 76, 84, 11
ROW, MARGIN, LANE, GAP = 112, 12, 20, 26
BLOCK_HEIGHT = OPERATOR_HEIGHT + 18 + 2 * RADIUS
BLOCK_WIDTH = 2 * OPERATOR_WIDTH + OPERATOR_GAP

#: The sizes, in pixels, that somebody else who draws a `CellLayout` needs.
SIZES = {
    "operator": OPERATOR_WIDTH, "height": OPERATOR_HEIGHT, "gap": OPERATOR_GAP, "block": BLOCK_HEIGHT, "radius": RADIUS,
    "input": INPUT_WIDTH, "output": OUTPUT_WIDTH, "node": NODE_HEIGHT,
}  # fmt: skip

Point = tuple[float, float]


@dataclass(frozen=True)
class CellLayout:
    """Positions in pixels, y downward.

        >>> layout = layout_cell([(0, 0), (1, 0)], flat=True)  # block 2 reads block 1 and the input
        >>> len(layout.blocks), layout.paths()[0]
        (2, 'M')

    Attributes:
        width, height: of the whole picture.
        inputs: for each input value of an earlier cell (or 0 of a flat cell) the middle of its box.
        blocks: for each block the middle of its two operators' upper edge.
        swapped: for each block whether its second operator stands left.
        output: middle of the output's box.
        edges: each line as points: start, lanes it follows, end; vertical at every point.
        crossings: how many pairs of lines cross.
    """

    width: float
    height: float
    inputs: dict[int, Point]
    blocks: tuple[Point, ...]
    swapped: tuple[bool, ...]
    output: Point
    edges: tuple[tuple[Point, ...], ...]
    crossings: int

    def operator_x(self, block: int, slot: int) -> float:
        """Middle of the box of operator ``slot`` (0 or 1) of ``block``."""
        left = (slot == 0) != self.swapped[block]
        return self.blocks[block][0] + (-1 if left else 1) * (OPERATOR_WIDTH + OPERATOR_GAP) / 2

    def paths(self) -> str:
        """All lines as the data of one SVG path."""
        return "".join(_path(edge) for edge in self.edges)


def layout_cell(pairs: Sequence[tuple[int, int]], flat: bool) -> CellLayout:
    """Lay out the cell whose blocks read the given pairs of values (see `Block` for what they mean).

        >>> layout_cell([(0, 0)], flat=True).blocks == layout_cell([(0, 0)], flat=True).blocks
        True

    Args:
        pairs: the two inputs of each block.
        flat: whether 0 is the cell's own input.

    Returns:
        Points in pixels, y downward.
    """
    return _layout(tuple((int(a), int(b)) for a, b in pairs), bool(flat))


@dataclass
class _Item:
    """Something that takes room in a layer: an input, a block, the output, or the lane of a passing line."""

    layer: int
    width: float
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    x: float = 0.0


class _Drawing:
    """The layered graph of one cell."""

    def __init__(self, pairs: tuple[tuple[int, int], ...], flat: bool) -> None:
        self.flat, self.pairs = flat, pairs
        lowest = 0 if flat else min([-2, *(value for pair in pairs for value in pair)])
        self.values = [0] if flat else list(range(lowest, 0))
        self.items = [_Item(0, INPUT_WIDTH + GAP) for _ in self.values]
        depth = self._depths()
        self.first_block = len(self.items)
        self.items += [_Item(d, BLOCK_WIDTH + GAP) for d in depth]
        self.output = len(self.items)
        self.items.append(_Item(max(depth, default=0) + 1, OUTPUT_WIDTH + GAP))
        self.routes = self._connect()
        self.layers: list[list[int]] = [[] for _ in range(self.items[self.output].layer + 1)]
        for index, item in enumerate(self.items):
            self.layers[item.layer].append(index)

    def source(self, value: int) -> int:
        """Item that a value stands for."""
        inputs = 1 if self.flat else 0
        return value - inputs + self.first_block if value >= inputs else self.values.index(value)

    def _depths(self) -> list[int]:
        depths: list[int] = []
        inputs = 1 if self.flat else 0
        for pair in self.pairs:
            depths.append(1 + max(depths[value - inputs] if value >= inputs else 0 for value in pair))
        return depths

    def _connect(self) -> dict[tuple[int, int, int], list[int]]:
        """Join the items; returns (source, target, slot) -> the lanes on the way."""
        wires = [
            (self.source(v), self.first_block + b, s) for b, pair in enumerate(self.pairs) for s, v in enumerate(pair)
        ]
        read = {source for source, _, _ in wires}
        wires += [(i, self.output, 0) for i in range(self.first_block, self.output) if i not in read]
        lanes: dict[tuple[int, int], int] = {}
        return {wire: self._route(wire[0], wire[1], lanes) for wire in wires}

    def _route(self, source: int, target: int, lanes: dict[tuple[int, int], int]) -> list[int]:
        route, last = [], source
        for layer in range(self.items[source].layer + 1, self.items[target].layer):
            if (source, layer) not in lanes:
                lanes[source, layer] = len(self.items)
                self.items.append(_Item(layer, LANE))
                self._join(last, lanes[source, layer])
            last = lanes[source, layer]
            route.append(last)
        self._join(last, target)
        return route

    def _join(self, upper: int, lower: int) -> None:
        if lower not in self.items[upper].below:
            self.items[upper].below.append(lower)
            self.items[lower].above.append(upper)

    def place_of(self) -> dict[int, int]:
        return {item: place for layer in self.layers for place, item in enumerate(layer)}

    def crossings(self) -> int:
        """Pairs of lines that cross between neighbouring layers."""
        place = self.place_of()
        return sum(self._crossings_below(layer, place) for layer in self.layers)

    def _crossings_below(self, layer: list[int], place: dict[int, int]) -> int:
        ends = [[place[lower] for lower in self.items[upper].below] for upper in layer]
        return sum([b < a for left, right in itertools.combinations(ends, 2) for a in left for b in right])


@lru_cache(maxsize=4096)
def _layout(pairs: tuple[tuple[int, int], ...], flat: bool) -> CellLayout:
    drawing = _Drawing(pairs, flat)
    _order(drawing)
    _space_out(drawing)
    return _finish(drawing)


def _order(drawing: _Drawing) -> None:
    """Find an order of every layer with few crossings: barycentre sweeps, then exchanges of neighbours."""
    best, fewest = [list(layer) for layer in drawing.layers], drawing.crossings()
    for sweep in range(6):
        if fewest == 0:
            return
        _sweep(drawing, downward=sweep % 2 == 0)
        _exchange(drawing)
        if (now := drawing.crossings()) < fewest:
            best, fewest = [list(layer) for layer in drawing.layers], now
    drawing.layers = best


def _sweep(drawing: _Drawing, downward: bool) -> None:
    layers = drawing.layers if downward else drawing.layers[::-1]
    for layer in layers:
        place = drawing.place_of()

        def barycentre(item: int, place: dict[int, int] = place) -> float:
            joined = drawing.items[item].above if downward else drawing.items[item].below
            return sum(place[other] for other in joined) / len(joined) if joined else place[item]

        layer.sort(key=barycentre)


def _exchange(drawing: _Drawing) -> None:
    """Swap neighbours while that removes crossings; every swap lowers their number, so it ends."""
    place, improved = drawing.place_of(), True
    while improved:
        improved = False
        for layer in drawing.layers:
            for i in range(len(layer) - 1):
                left, right = drawing.items[layer[i]], drawing.items[layer[i + 1]]
                if _inverted(right, left, place) < _inverted(left, right, place):
                    layer[i], layer[i + 1] = layer[i + 1], layer[i]
                    place[layer[i]], place[layer[i + 1]] = i, i + 1
                    improved = True


def _inverted(left: _Item, right: _Item, place: dict[int, int]) -> int:
    """Crossings among the lines of two neighbours when they stand in this order."""
    pairs = [(a, b) for a in left.above for b in right.above] + [(a, b) for a in left.below for b in right.below]
    return sum([place[b] < place[a] for a, b in pairs])


def _space_out(drawing: _Drawing) -> None:
    """Give every item an x: as near to what it is joined to as its neighbours allow."""
    joined = [item.above + item.below for item in drawing.items]
    width = [item.width for item in drawing.items]
    gaps = [[(width[a] + width[b]) / 2 for a, b in itertools.pairwise(layer)] for layer in drawing.layers]
    rows = list(zip(drawing.layers, gaps, strict=True))
    x = [0.0] * len(width)
    for sweep in range(7):
        for layer, distances in rows if sweep % 2 == 0 else reversed(rows):
            wishes = [sum([x[other] for other in joined[i]]) / len(joined[i]) if joined[i] else x[i] for i in layer]
            for index, place in zip(layer, _settle(wishes, distances), strict=True):
                x[index] = place
    for item, place in zip(drawing.items, x, strict=True):
        item.x = place


def _settle(wishes: list[float], distances: list[float]) -> list[float]:
    """Least squares to the wishes under minimum distances: pool adjacent violators after taking the distances off."""
    offsets = [0.0, *itertools.accumulate(distances)]
    pools: list[tuple[float, int]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, count = wish - offset, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, count = (other * others + mean * count) / (others + count), count + others
        pools.append((mean, count))
    places = [mean for mean, count in pools for _ in range(count)]
    return [place + offset for place, offset in zip(places, offsets, strict=True)]


def _finish(drawing: _Drawing) -> CellLayout:
    left = min(item.x - item.width / 2 for item in drawing.items) + GAP / 2 - MARGIN
    right = max(item.x + item.width / 2 for item in drawing.items) - GAP / 2 + MARGIN
    for item in drawing.items:
        item.x = round(item.x - left, 1)
    place = [_item_top(item.layer) for item in drawing.items]
    blocks = tuple((drawing.items[i].x, place[i]) for i in range(drawing.first_block, drawing.output))
    swapped = tuple(_wants_swap(drawing, b) for b in range(len(blocks)))
    bare = CellLayout(
        width=round(right - left, 1),
        height=place[drawing.output] + NODE_HEIGHT + MARGIN,
        inputs={v: (drawing.items[i].x, MARGIN + NODE_HEIGHT / 2) for i, v in enumerate(drawing.values)},
        blocks=blocks,
        swapped=swapped,
        output=(drawing.items[drawing.output].x, place[drawing.output] + NODE_HEIGHT / 2),
        edges=(),
        crossings=drawing.crossings(),
    )
    edges = tuple(_edge(drawing, bare, wire, lanes) for wire, lanes in drawing.routes.items())
    return CellLayout(**{**bare.__dict__, "edges": edges})


def _item_top(layer: int) -> float:
    return float(MARGIN if layer == 0 else MARGIN + NODE_HEIGHT + 40 + (layer - 1) * ROW)


def _wants_swap(drawing: _Drawing, block: int) -> bool:
    """Whether the first operator's line comes from the right of the second's."""
    target = drawing.first_block + block
    first, second = (
        drawing.items[(drawing.routes[drawing.source(value), target, slot] or [drawing.source(value)])[-1]].x
        for slot, value in enumerate(drawing.pairs[block])
    )
    return first > second


def _edge(drawing: _Drawing, layout: CellLayout, wire: tuple[int, int, int], lanes: list[int]) -> tuple[Point, ...]:
    source, target, slot = wire
    points = [_leave(drawing, layout, source)]
    for lane in lanes:
        top = _item_top(drawing.items[lane].layer)
        points += [(drawing.items[lane].x, top), (drawing.items[lane].x, top + BLOCK_HEIGHT)]
    if target == drawing.output:
        points.append((layout.output[0], layout.output[1] - NODE_HEIGHT / 2))
    else:
        block = target - drawing.first_block
        points.append((round(layout.operator_x(block, slot), 1), layout.blocks[block][1]))
    return tuple(points)


def _leave(drawing: _Drawing, layout: CellLayout, source: int) -> Point:
    if source < drawing.first_block:
        x, y = layout.inputs[drawing.values[source]]
        return x, y + NODE_HEIGHT / 2
    x, y = layout.blocks[source - drawing.first_block]
    return x, y + BLOCK_HEIGHT


def _path(points: tuple[Point, ...]) -> str:
    """Straight where x stays, otherwise a curve that leaves and arrives vertically."""
    text = f"M{points[0][0]:g} {points[0][1]:g}"
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        middle = (y0 + y1) / 2
        text += f"V{y1:g}" if x0 == x1 else f"C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {y1:g}"
    return text
