"""Networks as modules. The tree is explicit, so that it can be read without tracing.

    Network
        scale: ImageScale
        stem: Sequential                      state 0 (empty: the scaled image)
        cells: ModuleList of CellModule       cell k gives state k + 1
            inputs: ModuleList of InputModule
                sources: tuple of states      concatenated, each after its reducer
                reducers: ModuleList of Sequential
                adapter: Sequential
            blocks: ModuleList of BlockModule
                sources: (i, j)               positions among the cell's inputs followed by its blocks
                left, right: Sequential       the operators
                add: bool                     added, else concatenated
                ending: Sequential            after the sum
            outputs: tuple of positions       concatenated: the cell's output
        head: Sequential
        auxiliary: Sequential or None

Every Sequential (some are `Chain`s, in which a batch norm and an activation may run as one in training) holds layers of
a closed set: QuantConv2d, QuantLinear, BatchNorm1d/2d, Sign, ReLU, MaxPool,
AveragePool, SumPool, Flatten, GlobalAveragePool, FactorizedReduction, Dropout, DropoutNoScale, Linear (users' operators
may add others). Empty ones are the identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from pronas.networks._chain import Chain
from pronas.networks._layers import ImageScale, QuantConv2d, QuantLinear, stride_one_channel
from pronas.networks._module_spec import operator_channels
from pronas.networks._plan import BlockPlan, CellPlan, InputPlan, NetworkPlan
from pronas.networks._rooms import Room, Slot
from pronas.networks._sums import shared
from pronas.networks._together import Group, begin, groups


def drop_path(inputs: Tensor, rate: float) -> Tensor:
    """Zero whole samples with probability ``rate`` and scale the others by 1 / (1 - rate) (Zoph et al. 2018)."""
    keep = 1.0 - rate
    mask = torch.empty((inputs.shape[0], 1, 1, 1), dtype=inputs.dtype, device=inputs.device).bernoulli_(keep)
    return inputs * mask.div_(keep)


def _concatenate(maps: Sequence[Tensor]) -> Tensor:
    return maps[0] if len(maps) == 1 else torch.cat([stride_one_channel(one) for one in maps], 1)


class _Nodes:
    """The maps of a cell: each is a list of maps to be concatenated, which happens only where an operator reads it, so
    that a block that goes straight to the cell's output is copied once. Where several operators read a map, their
    gradients are summed in place; those that begin with depthwise convolutions begin together."""

    def __init__(self, inputs: list[Tensor], readers: Sequence[int], together: Mapping[nn.Module, Group]) -> None:
        self.parts = [[tensor] for tensor in inputs]
        self.readers = list(readers)
        self.together, self.begun = together, dict[nn.Module, Tensor]()

    def __getitem__(self, index: int) -> Tensor:
        if len(self.parts[index]) > 1:
            self.parts[index] = [_concatenate(self.parts[index])]
        if self.readers[index] > 1:
            self.parts[index], self.readers[index] = [shared(self.parts[index][0])], 1
        return self.parts[index][0]

    def read(self, index: int, operator: nn.Module, slot: Slot | None) -> Tensor:
        """What ``operator`` makes of map ``index``; ``slot`` is where that belongs."""
        if operator in self.together and operator not in self.begun:
            self.begun |= begin(self.together[operator], self[index])
        if operator in self.begun:
            return cast(Chain, operator).proceed(self.begun.pop(operator), 1, slot)  # type: ignore[no-any-return]
        return operator(self[index], slot) if isinstance(operator, Chain) else operator(self[index])  # type: ignore[no-any-return]

    def output(self, indexes: tuple[int, ...], room: Room | None) -> Tensor:
        parts = [part for index in indexes for part in self.parts[index]]
        return room.concatenated(parts) if room is not None and room.holds(parts) else _concatenate(parts)


class InputModule(nn.Module):
    """One input of a cell: earlier maps, brought to one size and concatenated, then adapted."""

    def __init__(self, plan: InputPlan) -> None:
        super().__init__()
        self.sources = plan.sources
        self.reducers = nn.ModuleList(reducer.build() for reducer in plan.reducers)
        self.adapter = nn.Sequential() if plan.adapter is None else plan.adapter.build()

    def forward(self, states: list[Tensor]) -> Tensor:
        """The network's states so far to one map."""
        maps = [reduce(states[s]) for s, reduce in zip(self.sources, self.reducers, strict=True)]
        return self.adapter(_concatenate(maps))  # type: ignore[no-any-return]


class BlockModule(nn.Module):
    """Two operators whose results are added or concatenated."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.sources, self.add = plan.sources, plan.add
        self.left, self.right = plan.left.build(), plan.right.build()
        self.ending = nn.Sequential() if plan.ending is None else plan.ending.build()

    def forward(self, nodes: _Nodes, drop: float = 0.0, slots: Sequence[Slot | None] = (None, None)) -> list[Tensor]:
        """The cell's inputs and blocks so far to the maps whose concatenation is the block's result: one where its
        operators are added, else two. ``drop`` is the rate of drop path; ``slots`` are where the two belong."""
        left = nodes.read(self.sources[0], self.left, slots[0])
        right = nodes.read(self.sources[1], self.right, slots[1])
        if drop > 0.0:
            left, right = drop_path(left, drop), drop_path(right, drop)
        return [self.ending(left + right)] if self.add else [left, right]


class CellModule(nn.Module):
    """One cell."""

    def __init__(self, plan: CellPlan) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(InputModule(i) for i in plan.inputs)
        self.blocks = nn.ModuleList(BlockModule(b) for b in plan.blocks)
        self.outputs = plan.outputs
        read = [source for block in plan.blocks for source in block.sources]
        self.readers = tuple(read.count(node) for node in range(len(plan.inputs) + len(plan.blocks)))
        self.widths = self._widths(plan)

    def _widths(self, plan: CellPlan) -> tuple[int, ...]:
        """Channels of the operators whose results are the cell's output, in order; empty where others read them too or
        they are added."""
        first = len(plan.inputs)
        if any(self.readers[node] for node in plan.outputs) or any(block.add for block in plan.blocks):
            return ()
        blocks = [plan.blocks[node - first] for node in plan.outputs]
        return tuple(operator_channels(one) for block in blocks for one in (block.left, block.right))

    def forward(self, states: list[Tensor], drop: float = 0.0) -> Tensor:
        """The network's states so far to the cell's output."""
        nodes = _Nodes(
            [read(states) for read in self.inputs], self.readers, groups(self._operators()) if self.training else {}
        )
        room = Room(self.widths) if self.widths and drop == 0.0 and self.training else None
        for position, block in enumerate(self.blocks, len(self.inputs)):
            at = 2 * self.outputs.index(position) if room and position in self.outputs else None
            slots = (None, None) if room is None or at is None else (room.slot(at), room.slot(at + 1))
            nodes.parts.append(block(nodes, drop, slots))
        return nodes.output(self.outputs, room)

    def _operators(self) -> Iterator[tuple[int, nn.Module]]:
        """Each operator and the map it reads."""
        for block in self.blocks:
            yield from zip(block.sources, (block.left, block.right), strict=True)  # type: ignore[arg-type]


class Network(nn.Module):
    """A network made of cells; see the head of this file for its parts.

    Attributes:
        plan: what it was built from.
        drop_path_progress: how far training has come, 0 to 1; a trainer sets it and drop path grows with it.
    """

    def __init__(self, plan: NetworkPlan, gain: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.plan = plan
        self.drop_path_progress = 0.0
        self._quantized: list[QuantConv2d | QuantLinear] | None = None
        self.scale = ImageScale(gain, offset)
        self.stem = nn.Sequential() if plan.stem is None else plan.stem.build()
        self.cells = nn.ModuleList(CellModule(cell) for cell in plan.cells)
        self.head = plan.head.build()
        self.auxiliary = None if plan.auxiliary is None else plan.auxiliary[1].build()

    def forward(self, images: Tensor) -> Any:
        """Logits (n, classes) of images (n, c, h, w) with pixel values 0…255, uint8 or float32.

        In training mode with an auxiliary head: (logits, auxiliary logits).
        """
        states = [self.stem(self.scale(images))]
        rate = self.plan.drop_path * self.drop_path_progress if self.training else 0.0
        for position, cell in enumerate(self.cells):
            states.append(cell(states, rate * (position + 1) / len(self.cells)))
        logits = self.head(states[-1])
        if self.auxiliary is None or not self.training:
            return logits
        assert self.plan.auxiliary is not None
        return logits, self.auxiliary(states[self.plan.auxiliary[0]])

    def quantized_layers(self) -> list[QuantConv2d | QuantLinear]:
        """The layers whose kernels are quantized, in the order of the tree."""
        if self._quantized is None:  # asked for in every step, and walking the tree takes most of a millisecond
            found = (m for m in self.modules() if isinstance(m, QuantConv2d | QuantLinear))
            self._quantized = [layer for layer in found if layer.kernel_quantizer is not None]
        return list(self._quantized)

    @torch.no_grad()
    def clip_latent_weights_(self) -> None:
        """Clip every latent weight to its layer's [-H, H], in place; call it after each optimiser step."""
        layers = self.quantized_layers()
        if layers:
            weights: list[Tensor] = [layer.weight for layer in layers]
            limits = [layer.latent_bound for layer in layers]
            torch._foreach_clamp_max_(weights, limits)
            torch._foreach_clamp_min_(weights, [-limit for limit in limits])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters by how they are to be optimised.

        Returns:
            Dicts with ``params`` (list), ``lr_multiplier`` (of the learning rate), ``latent`` (latent weights of
            quantized kernels: no weight decay) and ``decay`` (whether weight decay makes sense: kernels with more than
            one dimension in full precision). Together they hold each parameter once.
        """
        multipliers = {id(layer.weight): layer.lr_multiplier for layer in self.quantized_layers()}
        groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
        for parameter in self.parameters():
            latent = id(parameter) in multipliers
            key = (multipliers.get(id(parameter), 1.0), latent, parameter.dim() > 1 and not latent)
            groups.setdefault(key, []).append(parameter)
        return [
            {"params": params, "lr_multiplier": rate, "latent": latent, "decay": decay}
            for (rate, latent, decay), params in groups.items()
        ]
