"""A cell in training: its arrows are those of `pronas.networks.CellModule`, walked with less copying and adding.

A block's two results are concatenated only where an operator reads them; those that go straight to the cell's output
are written where they lie in it. Where several operators read a map, their gradients are summed in place; those that
begin with depthwise convolutions begin together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

from torch import Tensor

from pronas.kernels._concat_buffer import ConcatBuffer
from pronas.kernels._depthwise_group import begin, groups
from pronas.kernels._gradient_sum import shared
from pronas.kernels._layers import concatenate
from pronas.kernels._sequence import Layers, layers_of, run_layers
from pronas.networks import BlockModule, CellModule, CellPlan, InputModule, drop_path, operator_channels


class _Input(NamedTuple):
    sources: tuple[int, ...]
    reducers: list[Layers]
    adapter: Layers

    @classmethod
    def of(cls, module: InputModule) -> _Input:
        return cls(module.sources, [layers_of(one) for one in module.reducers], layers_of(module.adapter))

    def run(self, states: Sequence[Tensor]) -> Tensor:
        maps = [run_layers(layers, states[s]) for s, layers in zip(self.sources, self.reducers, strict=True)]
        return run_layers(self.adapter, concatenate(maps))


class _Block(NamedTuple):
    sources: tuple[int, int]
    operators: tuple[Layers, Layers]
    add: bool
    ending: Layers

    @classmethod
    def of(cls, module: BlockModule) -> _Block:
        operators = layers_of(module.left), layers_of(module.right)
        return cls(module.sources, operators, module.add, layers_of(module.ending))


@final
class FastCell:
    """One cell's training forward.

    Args:
        cell: its modules; what they hold is looked up now, their parameters and settings at every call.
        plan: what it was built from.
    """

    def __init__(self, cell: CellModule, plan: CellPlan) -> None:
        self.inputs = [_Input.of(one) for one in cell.inputs]  # type: ignore[arg-type]
        self.blocks = [_Block.of(one) for one in cell.blocks]  # type: ignore[arg-type]
        self.outputs = cell.outputs
        read = [source for block in self.blocks for source in block.sources]
        self.readers = tuple(read.count(node) for node in range(len(self.inputs) + len(self.blocks)))
        self.widths = self._widths(plan)
        self.groups = groups(pair for block in self.blocks for pair in zip(block.sources, block.operators, strict=True))

    def _widths(self, plan: CellPlan) -> tuple[int, ...]:
        """Channels of the operators whose results are the cell's output, in order; empty where others read them too or
        they are added."""
        first = len(plan.inputs)
        if any(self.readers[node] for node in plan.outputs) or any(block.add for block in plan.blocks):
            return ()
        blocks = [plan.blocks[node - first] for node in plan.outputs]
        return tuple(operator_channels(one) for block in blocks for one in (block.left, block.right))

    def __call__(self, states: Sequence[Tensor], drop: float) -> Tensor:
        """As `CellModule.forward`."""
        walk = _Walk(self, states, ConcatBuffer(self.widths) if self.widths and drop == 0.0 else None)
        for number, block in enumerate(self.blocks):
            left, right = walk.operator(2 * number), walk.operator(2 * number + 1)
            if drop > 0.0:
                left, right = drop_path(left, drop), drop_path(right, drop)
            walk.parts.append([run_layers(block.ending, left + right)] if block.add else [left, right])
        return walk.output()


class _Walk:
    """One pass through a cell: each of its maps is a list of parts, to be concatenated where an operator reads it."""

    def __init__(self, cell: FastCell, states: Sequence[Tensor], buffer: ConcatBuffer | None) -> None:
        self.cell, self.buffer = cell, buffer
        self.parts = [[one.run(states)] for one in cell.inputs]
        self.unread = list(cell.readers)
        self.begun: dict[int, Tensor] = {}

    def map(self, node: int) -> Tensor:
        """The map of an input or a block, for one of its readers."""
        self.parts[node] = [concatenate(self.parts[node])]
        if self.unread[node] > 1:
            self.parts[node], self.unread[node] = [shared(self.parts[node][0])], 1
        return self.parts[node][0]

    def operator(self, position: int) -> Tensor:
        """The result of the left (even) or right operator of block ``position // 2``."""
        number, side = divmod(position, 2)
        block, node = self.cell.blocks[number], len(self.cell.inputs) + number
        layers, source = block.operators[side], block.sources[side]
        out = None
        if self.buffer is not None and node in self.cell.outputs:
            out = self.buffer.part(2 * self.cell.outputs.index(node) + side)
        if position in self.cell.groups and position not in self.begun:
            self.begun |= begin(self.cell.groups[position], self.map(source))
        if position in self.begun:
            return run_layers(layers[1:], self.begun.pop(position), out)
        return run_layers(layers, self.map(source), out)

    def output(self) -> Tensor:
        """The cell's output."""
        parts = [part for node in self.cell.outputs for part in self.parts[node]]
        if self.buffer is not None and self.buffer.holds(parts):
            return self.buffer.concatenated(parts)
        return concatenate(parts)
