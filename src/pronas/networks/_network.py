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

Every Sequential holds layers of a closed set: QuantConv2d, QuantLinear, BatchNorm1d/2d, Sign, ReLU, MaxPool,
AveragePool, SumPool, Flatten, GlobalAveragePool, FactorizedReduction, Dropout, DropoutNoScale, Linear (users' operators
may add others). Empty ones are the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pronas.networks._inputs import warn_of
from pronas.networks._layers import ImageScale, QuantConv2d, QuantLinear
from pronas.networks._plan import BlockPlan, CellPlan, InputPlan, NetworkPlan


def drop_path(inputs: Tensor, rate: float) -> Tensor:
    """Zero whole samples with probability ``rate`` and scale the others by 1 / (1 - rate) (Zoph et al. 2018).

        >>> images = drop_path(torch.ones(1000, 1, 1, 1), rate=0.5)
        >>> sorted(set(images.flatten().tolist()))
        [0.0, 2.0]

    Args:
        inputs: (n, c, h, w), floating.
        rate: 0 to below 1.

    Returns:
        (n, c, h, w), of the same dtype and device.
    """
    keep = 1.0 - rate
    mask = torch.empty((inputs.shape[0], 1, 1, 1), dtype=inputs.dtype, device=inputs.device).bernoulli_(keep)
    return inputs * mask.div_(keep)


def concatenate(maps: Sequence[Tensor]) -> Tensor:
    """Maps (n, c, h, w) side by side in channels; a single one as it is."""
    return maps[0] if len(maps) == 1 else torch.cat(tuple(maps), 1)


class InputModule(nn.Module):
    """One input of a cell: earlier maps, brought to one size and concatenated, then adapted.

        >>> import torch
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4, 8)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 16, 16), 10)
        >>> network.cells[1].inputs[0].sources  # the second cell reads the first one's output
        (1,)

    Args:
        plan: of the input; it is called with the network's states so far, maps (n, c, h, w).
    """

    def __init__(self, plan: InputPlan) -> None:
        super().__init__()
        self.sources = plan.sources
        self.reducers = nn.ModuleList(reducer.build() for reducer in plan.reducers)
        self.adapter = nn.Sequential() if plan.adapter is None else plan.adapter.build()

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """The network's states so far to one map."""
        maps = [reduce(states[s]) for s, reduce in zip(self.sources, self.reducers, strict=True)]
        return self.adapter(concatenate(maps))  # type: ignore[no-any-return]


class BlockModule(nn.Module):
    """Two operators whose results are added or concatenated.

        >>> import torch
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4, 8)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 16, 16), 10)
        >>> block = network.cells[0].blocks[0]
        >>> block([torch.ones(1, 3, 16, 16)]).shape  # four filters and the three channels that the pool keeps
        torch.Size([1, 7, 8, 8])

    Args:
        plan: of the block; it is called with the cell's inputs and the results of blocks before it.
    """

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.sources, self.add = plan.sources, plan.add
        self.left, self.right = plan.left.build(), plan.right.build()
        self.ending = nn.Sequential() if plan.ending is None else plan.ending.build()

    def forward(self, nodes: Sequence[Tensor], drop: float = 0.0) -> Tensor:
        """The cell's inputs and blocks so far to the block's result; ``drop`` is the rate of drop path."""
        left, right = self.left(nodes[self.sources[0]]), self.right(nodes[self.sources[1]])
        if drop > 0.0:
            left, right = drop_path(left, drop), drop_path(right, drop)
        return self.ending(left + right) if self.add else concatenate((left, right))


class CellModule(nn.Module):
    """One cell.

        >>> import torch
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4, 8)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 16, 16), 10)
        >>> network.cells[0]([torch.ones(1, 3, 16, 16)]).shape
        torch.Size([1, 7, 8, 8])

    Args:
        plan: of the cell; it is called with the network's states so far, maps (n, c, h, w).
    """

    def __init__(self, plan: CellPlan) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(InputModule(i) for i in plan.inputs)
        self.blocks = nn.ModuleList(BlockModule(b) for b in plan.blocks)
        self.outputs = plan.outputs

    def forward(self, states: Sequence[Tensor], drop: float = 0.0) -> Tensor:
        """The network's states so far to the cell's output."""
        nodes = [read(states) for read in self.inputs]
        for block in self.blocks:
            nodes.append(block(nodes, drop))
        return concatenate([nodes[position] for position in self.outputs])


@dataclass(frozen=True)
class Origin:
    """What a network was built from, as plain data."""

    cell: str
    skeleton: dict[str, Any]
    scale: Any


class Network(nn.Module):
    """A network made of cells; see the head of this file for its parts.

        >>> import torch
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4, 8)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 16, 16), 10)
        >>> network(torch.randint(0, 256, (2, 3, 16, 16))).shape
        torch.Size([2, 10])
        >>> [(group["lr_multiplier"], group["decay"]) for group in network.parameter_groups()]
        [(1.0, True), (1.0, False)]

    Attributes:
        plan: what it was built from.
        drop_path_progress: how far training has come, 0 to 1; a trainer sets it and drop path grows with it.
        origin: what it was built from: the cell's text, the skeleton as plain data, the scale; None where it was built
            from a plan alone.
        spec: of a network that was trained or read, what `pronas.training` keeps of it.
    """

    def __init__(self, plan: NetworkPlan, gain: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.plan = plan
        self.drop_path_progress = 0.0
        self.origin: Origin | None = None
        self.spec: Any = None
        self._warned = False
        self.scale = ImageScale(gain, offset)
        self.stem = nn.Sequential() if plan.stem is None else plan.stem.build()
        self.cells = nn.ModuleList(CellModule(cell) for cell in plan.cells)
        self.head = plan.head.build()
        self.auxiliary = None if plan.auxiliary is None else plan.auxiliary[1].build()

    def forward(self, images: Tensor) -> Any:
        """Logits (n, classes) of images (n, c, h, w) with pixel values 0…255, uint8 or float32.

        In training mode with an auxiliary head: (logits, auxiliary logits).
        """
        if not self.training and not self._warned:
            self._warned = warn_of(images)
        states = [self.stem(self.scale(images))]
        for position, cell in enumerate(self.cells):
            states.append(cell(states, self.drop_rate(position)))
        logits = self.head(states[-1])
        if self.auxiliary is None or not self.training:
            return logits
        assert self.plan.auxiliary is not None
        return logits, self.auxiliary(states[self.plan.auxiliary[0]])

    def drop_rate(self, position: int) -> float:
        """The rate of drop path in cell ``position``: in training it grows with the depth and with the progress."""
        if not self.training:
            return 0.0
        return self.plan.drop_path * self.drop_path_progress * (position + 1) / len(self.cells)

    def quantized_layers(self) -> list[QuantConv2d | QuantLinear]:
        """The layers whose kernels are quantized, in the order of the tree."""
        found = (layer for layer in self.modules() if isinstance(layer, QuantConv2d | QuantLinear))
        return [layer for layer in found if layer.kernel_quantizer is not None]

    @torch.no_grad()
    def clip_latent_weights_(self) -> None:
        """Clip every latent weight to its layer's [-H, H], in place; call it after each optimiser step."""
        for layer in self.quantized_layers():
            layer.clip_latent_()

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
