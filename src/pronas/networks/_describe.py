"""What a network costs: parameters, multiply-accumulates, weight bits, memory of activations; without building it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pronas.networks._count import LayerCount, PartCount, count_part, map_bytes
from pronas.networks._module_spec import ModuleSpec
from pronas.networks._plan import CellPlan, InputPlan, NetworkPlan, State
from pronas.networks._skeleton import Skeleton
from pronas.space import Cell


@dataclass(frozen=True)
class Layer:
    """One layer of a network: ``path`` is the module's name in the network's tree; see `LayerCount` for the rest."""

    path: str
    kind: str
    output: tuple[int, ...]
    binary: bool
    parameters: int
    weight_bits: int
    macs: int
    binary_macs: int
    activation_bytes: int


@dataclass(frozen=True)
class Description:
    """What a network costs, for one image.

        >>> from pronas.networks import describe, skeleton
        >>> found = describe(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), skeleton("flat", filters=(4, 8)), (3, 16, 16))
        >>> found.parameters, found.macs, found.binary_macs, found.weight_bits // 8, len(found.layers)
        (796, 15126, 0, 3184, 10)

    Attributes:
        parameters: trained numbers; an auxiliary head, which only training has, is not counted anywhere.
        macs: multiply-accumulates with a full-precision input or kernel (a binary kernel on the image counts here).
        binary_macs: multiply-accumulates of ±1 with ±1.
        weight_bits: 1 for each weight of a binary kernel, 32 for every other parameter.
        activation_bytes: the most that is alive at once: all maps still to be read, plus the inner maps of the operator
            at work (one bit a ±1 value, four bytes any other; operators run one after another).
        total_activation_bytes: the sum of all layers' outputs.
        parts: (path of the part, its counts), in the order of execution.
    """

    parameters: int
    macs: int
    binary_macs: int
    weight_bits: int
    activation_bytes: int
    total_activation_bytes: int
    parts: tuple[tuple[str, PartCount], ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer, in the order of execution."""
        return tuple(_layer(f"{path}.{c.name}".rstrip("."), c) for path, part in self.parts for c in part.layers)

    def __str__(self) -> str:
        """A table of the layers with the sums below."""
        rows = [(y.path, y.kind, "x".join(map(str, y.output)), y.parameters, y.weight_bits, y.macs, y.binary_macs, y.activation_bytes) for y in self.layers]  # fmt: skip  # noqa: E501
        return _table([tuple(_cell(v) for v in row) for row in rows], self)


def _layer(path: str, count: LayerCount) -> Layer:
    return Layer(
        path, count.kind, count.output, count.binary, count.parameters, count.weight_bits, count.macs,
        count.binary_macs, count.activation_bytes,
    )  # fmt: skip


_HEADS = ("layer", "kind", "output", "parameters", "weight bits", "MACs", "binary MACs", "bytes")


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(rows: list[tuple[str, ...]], d: Description) -> str:
    sums = (
        "total",
        "",
        "",
        *map(_cell, (d.parameters, d.weight_bits, d.macs, d.binary_macs, d.total_activation_bytes)),
    )
    widths = [max(len(row[i]) for row in (_HEADS, sums, *rows)) for i in range(len(_HEADS))]

    def line(row: Sequence[str]) -> str:
        cells = [v.ljust(w) if i < 2 else v.rjust(w) for i, (v, w) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * w for w in widths)
    peak = f"activations alive at once: {d.activation_bytes:,} bytes; weights: {d.weight_bits / 8000:,.2f} kB"
    return "\n".join([line(_HEADS), rule, *map(line, rows), rule, line(sums), peak])


def describe(cell: Cell, skeleton: Skeleton, input_shape: Sequence[int], classes: int = 10) -> Description:
    """Count what the network of ``cell`` costs, without building it.

    Parts that were counted before are remembered for the life of the process, so the second and every later cell of a
    space takes about a millisecond.

        >>> from pronas.networks import skeleton
        >>> binary = skeleton("binary", filters=(8,))
        >>> describe(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), binary, (3, 16, 16)).weight_bits
        26456

    Args:
        cell: the structure of every cell.
        skeleton: how it is made into a network.
        input_shape: (channels, height, width) of the images.
        classes: number of classes.

    Returns:
        Parameters, multiply-accumulates an image, bits of weights and the like.

    Raises:
        UsageError: the skeleton cannot build the cell.
    """
    return describe_plan(skeleton.plan(cell, input_shape, classes))


def describe_plan(plan: NetworkPlan) -> Description:
    """`describe`, of a plan."""
    walk = _Walk(plan)
    walk.run()
    counts = [part for _, part in walk.parts]
    return Description(
        parameters=sum(c.parameters for c in counts),
        macs=sum(c.macs for c in counts),
        binary_macs=sum(c.binary_macs for c in counts),
        weight_bits=sum(c.weight_bits for c in counts),
        activation_bytes=walk.peak,
        total_activation_bytes=sum(c.total_bytes for c in counts),
        parts=tuple(walk.parts),
    )


class _Walk:
    """Runs through a plan in the order of execution, counting parts and the bytes that are alive."""

    def __init__(self, plan: NetworkPlan) -> None:
        self.plan, self.binary = plan, plan.factory.binary
        self.parts: list[tuple[str, PartCount]] = []
        self.peak = 0
        last = {0: 0}
        for position, cell in enumerate(plan.cells):
            last |= {source: position for read in cell.inputs for source in read.sources}
        self.last_reader = last

    def run(self) -> None:
        """Count everything."""
        plan = self.plan
        if plan.stem is not None:
            self._part("stem", plan.stem, plan.input_shape, False, map_bytes(plan.input_shape, False))
        for position, cell in enumerate(plan.cells):
            alive = sum(self._bytes(s) for i, s in enumerate(plan.states[: position + 1]) if self._needed(i, position))
            self._cell(f"cells.{position}", cell, alive)
        last = plan.states[-1]
        self._part("head", plan.head, plan.shape(last), self.binary, self._bytes(last))

    def _needed(self, state: int, position: int) -> bool:
        return self.last_reader.get(state, -1) >= position

    def _bytes(self, state: State) -> int:
        return map_bytes(self.plan.shape(state), self.binary and not state.image)

    def _part(self, path: str, part: ModuleSpec, shape: tuple[int, ...], binary: bool, alive: int) -> int:
        """Count a part that runs while ``alive`` bytes are alive; returns the bytes of its result (0 if unchanged)."""
        count = count_part(part, shape, binary)
        self.peak = max(self.peak, alive + count.peak_bytes)
        if count.layers:
            self.parts.append((path, count))
        return count.output_bytes

    def _cell(self, path: str, cell: CellPlan, alive: int) -> None:
        nodes = []
        for number, read in enumerate(cell.inputs):
            alive += self._input(f"{path}.inputs.{number}", read, alive)
            nodes.append(self._known(read.state))
        for number, block in enumerate(cell.blocks):
            here, (one, two) = f"{path}.blocks.{number}", block.sources
            alive += self._part(f"{here}.left", block.left, *nodes[one], alive)
            alive += self._part(f"{here}.right", block.right, *nodes[two], alive)
            nodes.append(self._known(block.state))
            if block.ending is not None:
                alive += self._part(f"{here}.ending", block.ending, nodes[-1][0], False, alive)

    def _known(self, state: State) -> tuple[tuple[int, int, int], bool]:
        """Shape of a state, and whether it is ±1."""
        return self.plan.shape(state), self.binary and not state.image

    def _input(self, path: str, read: InputPlan, alive: int) -> int:
        added, states = 0, [self.plan.states[source] for source in read.sources]
        for index, (state, reducer) in enumerate(zip(states, read.reducers, strict=True)):
            if reducer.stride > 1:
                added += self._part(f"{path}.reducers.{index}", reducer, *self._known(state), alive + added)
        if read.adapter is not None:
            context = read.adapter.context
            joined = State(context.channels, max(state.stride for state in states), context.image)
            added += self._part(f"{path}.adapter", read.adapter, *self._known(joined), alive + added)
        return added
