"""A network as plain data: which cell reads which earlier cell, at which size, with how many channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pronas.errors import UsageError
from pronas.networks._module_spec import Adapter, AfterAdd, ModuleSpec, Operator, Reducer, operator_channels
from pronas.networks._registry import LayerFactory, OperatorContext, check_operator
from pronas.space import Cell

_MOST_OF_A_CELL, _MOST_BLOCKS = 64, 4096  # more are a slip of the finger or a forged file, and take minutes


@dataclass(frozen=True)
class State:
    """A map that cells can read: state 0 is the stem's output (or the scaled image), state k + 1 cell k's output.

    Attributes:
        channels: of the map.
        stride: how many times smaller than the image it is: size = ceil(image size / stride).
        image: whether it is the image of a binary network.
    """

    channels: int
    stride: int
    image: bool = False


@dataclass(frozen=True)
class InputPlan:
    """One input of a cell.

    Attributes:
        sources: numbers of the states it reads: one, or more where anchor points join cells; they are concatenated.
        reducers: for each source what brings it to the first one's size.
        adapter: what brings the concatenation to the cell's size and channels.
        state: the result.
    """

    sources: tuple[int, ...]
    reducers: tuple[Reducer, ...]
    adapter: Adapter | None
    state: State


@dataclass(frozen=True)
class BlockPlan:
    """One block: ``sources`` are positions among the cell's inputs followed by its blocks."""

    sources: tuple[int, int]
    left: Operator
    right: Operator
    add: bool
    ending: ModuleSpec | None
    state: State


@dataclass(frozen=True)
class CellPlan:
    """One cell: its inputs, its blocks, and which positions are concatenated into its output.

        >>> from pronas.networks import skeleton
        >>> cell = Cell.parse("0:3x3 conv + 0:identity | 1:3x3 conv + 0:identity")
        >>> plan = skeleton("flat").plan(cell, (3, 16, 16), 10)
        >>> [(block.sources, block.add) for block in plan.cells[0].blocks], plan.cells[0].outputs
        ([((0, 0), False), ((1, 0), False)], (2,))

    Attributes:
        inputs: what the cell reads.
        blocks: in order.
        outputs: positions, among the inputs followed by the blocks, that are concatenated.
        state: the result.
    """

    inputs: tuple[InputPlan, ...]
    blocks: tuple[BlockPlan, ...]
    outputs: tuple[int, ...]
    state: State


@dataclass(frozen=True)
class NetworkPlan:
    """A whole network as plain data: what `Network` builds and what is counted.

        >>> from pronas.networks import skeleton
        >>> plan = skeleton("flat", filters=(4, 8)).plan(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 16, 16), 10)
        >>> [plan.shape(state) for state in plan.states]
        [(3, 16, 16), (7, 8, 8), (15, 4, 4)]

    Attributes:
        factory: makes the layers of its operators.
        input_shape: (C, H, W) of an image.
        classes: number of classes.
        stem: from the image to the first state; None: that is the image.
        states: what cells read: the first, then one a cell.
        cells: in order.
        head: from the last state to logits (n, classes).
        auxiliary: number of the state that a second head reads in training, and that head; or None.
        drop_path: rate in the last cell at the end of training, 0 to below 1 (Zoph et al. 2018).
    """

    factory: LayerFactory
    input_shape: tuple[int, int, int]
    classes: int
    stem: ModuleSpec | None
    states: tuple[State, ...]
    cells: tuple[CellPlan, ...]
    head: ModuleSpec
    auxiliary: tuple[int, ModuleSpec] | None = None
    drop_path: float = 0.0

    def shape(self, state: State) -> tuple[int, int, int]:
        """(channels, height, width) of a state of this network."""
        _, height, width = self.input_shape
        return state.channels, -(-height // state.stride), -(-width // state.stride)


@dataclass(frozen=True)
class Stage:
    """Where a cell stands in the macro network: its filters and its stride."""

    filters: int
    stride: int


def plan_cells(
    cell: Cell, factory: LayerFactory, first: State, stages: Sequence[Stage], add: bool, all_outputs: bool = False
) -> tuple[tuple[State, ...], tuple[CellPlan, ...]]:
    """Plan a stack of cells of one structure.

    Args:
        cell: the structure, flat or reading earlier cells.
        factory: how operators are built.
        first: what the first cell reads.
        stages: one a cell.
        add: whether the two operators of a block are added (else concatenated).
        all_outputs: whether a cell's output holds every block (else those that no later block reads).

    Returns:
        (all states, all cells).

    Raises:
        UsageError: an operator is unknown or of the other kind; a skip leads nowhere.
    """
    for block in cell.blocks:
        check_operator(block.operator1, factory.binary)
        check_operator(block.operator2, factory.binary)
    _check_skips(cell, len(stages))
    if len(cell.blocks) > _MOST_OF_A_CELL or len(cell.blocks) * len(stages) > _MOST_BLOCKS:
        most = f"a cell has at most {_MOST_OF_A_CELL} blocks and a network {_MOST_BLOCKS:,}"
        raise UsageError(f"{len(stages):,} cells of {len(cell.blocks):,} blocks: {most}")
    wiring, states, cells = _wire(cell, all_outputs), [first], []
    for position, stage in enumerate(stages):
        plan = _plan_cell(cell, wiring, factory, states, position, stage, add)
        cells.append(plan)
        states.append(plan.state)
    return tuple(states), tuple(cells)


def _check_skips(cell: Cell, count: int) -> None:
    for source, target in cell.skips:
        if not 0 <= source < target < count:
            raise UsageError(f"the skip {source}>{target} leads nowhere: it must go forward in cells 0 to {count - 1}")


@dataclass(frozen=True)
class _Wiring:
    """A cell's structure in positions: how far back each input looks, and which node each operator reads."""

    lookbacks: tuple[int, ...]
    sources: tuple[tuple[int, int], ...]
    unused: tuple[int, ...]


def _wire(cell: Cell, all_outputs: bool) -> _Wiring:
    flat = cell.flat

    def is_input(value: int) -> bool:
        return value < 0 or (flat and value == 0)

    pairs = [(block.input1, block.input2) for block in cell.blocks]
    # A flat cell's 0 is its own input: what other cells call -1.
    lookbacks = sorted({-1 if flat else value for pair in pairs for value in pair if is_input(value)})
    inputs = len(lookbacks)

    def position(value: int) -> int:
        return lookbacks.index(-1 if flat else value) if is_input(value) else inputs + value - flat

    sources = tuple((position(one), position(two)) for one, two in pairs)
    outputs = range(len(pairs)) if all_outputs else cell.unused
    return _Wiring(tuple(lookbacks), sources, tuple(inputs + index for index in outputs))


def _plan_cell(
    cell: Cell, wiring: _Wiring, factory: LayerFactory, states: list[State], position: int, stage: Stage, add: bool
) -> CellPlan:
    nearest = wiring.lookbacks[-1]
    inputs = tuple(_plan_input(cell, factory, states, position, stage, v, v == nearest) for v in wiring.lookbacks)
    nodes, blocks = [plan.state for plan in inputs], []
    stride = states[position].stride * stage.stride
    for block, (one, two) in zip(cell.blocks, wiring.sources, strict=True):
        steps = [stage.stride if source < len(inputs) else 1 for source in (one, two)]
        left = _operator(block.operator1, factory, nodes[one], stage.filters, steps[0], add)
        right = _operator(block.operator2, factory, nodes[two], stage.filters, steps[1], add)
        widths = operator_channels(left), operator_channels(right)
        state = State(stage.filters if add else sum(widths), stride)
        ending = AfterAdd(factory, stage.filters) if add else None
        blocks.append(BlockPlan((one, two), left, right, add, ending, state))
        nodes.append(state)
    channels = sum(nodes[o].channels for o in wiring.unused)
    return CellPlan(inputs, tuple(blocks), wiring.unused, State(channels, stride))


def _operator(name: str, factory: LayerFactory, read: State, filters: int, stride: int, add: bool) -> Operator:
    return _interned(name, factory, read.channels, filters, stride, read.image, add)


@lru_cache(maxsize=65536)
def _interned(
    name: str, factory: LayerFactory, channels: int, filters: int, stride: int, image: bool, fixed: bool
) -> Operator:
    """One object for equal operators, so that look-ups by it are quick."""
    return Operator(name, OperatorContext(factory, channels, filters, stride, image, fixed))


def _plan_input(
    cell: Cell, factory: LayerFactory, states: list[State], position: int, stage: Stage, value: int, nearest: bool
) -> InputPlan:
    """What the cell at ``position`` calls ``value``: too far back means the first map; skips join the nearest input."""
    main = max(position + 1 + value, 0)
    skips = [s + 1 for s, target in cell.skips if target == position and s + 1 != main] if nearest else []
    read = [states[s] for s in (main, *skips)]
    goal, base = states[position].stride, max(state.stride for state in read)
    reducers = tuple(Reducer(base // state.stride) for state in read)
    joined = State(sum(s.channels for s in read), base, any(s.image for s in read))
    adapts = (position > 0 or value == -1 or factory.adapts_stem) if factory.adapts else bool(skips) or base != goal
    if not adapts:
        return InputPlan((main, *skips), reducers, None, joined)
    filters = stage.filters if factory.adapts else read[0].channels
    adapter = Adapter(OperatorContext(factory, joined.channels, filters, goal // base, joined.image))
    image = joined.image and not adapter.context.projects
    return InputPlan((main, *skips), reducers, adapter, State(filters, goal, image))
