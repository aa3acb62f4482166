"""A network's training forward, from the same modules: as `pronas.networks.Network.forward`, with neighbours fused."""

from __future__ import annotations

from typing import Any, final

from torch import Tensor

from pronas.kernels._cell import FastCell
from pronas.kernels._layers import run_layer
from pronas.kernels._sequence import layers_of, run_layers
from pronas.networks import BlockModule, CellModule, InputModule, Network


def is_ours(network: Network) -> bool:
    """Whether the modules that `FastNetwork` walks past are ours, and nobody replaced what they do."""
    walked = [network, *network.cells]
    walked += [part for cell in network.cells for parts in (cell.inputs, cell.blocks) for part in parts]  # type: ignore[union-attr]
    types = {Network, CellModule, InputModule, BlockModule}
    return {type(one) for one in walked} <= types and not any("forward" in vars(one) for one in network.modules())


@final
class FastNetwork:
    """As the network itself, in training mode, if `is_ours` and nobody watches its modules.

    Args:
        network: what its tree holds is looked up now, parameters and settings at every call.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._stem, self._head = layers_of(network.stem), layers_of(network.head)
        self._cells = [FastCell(cell, plan) for cell, plan in zip(network.cells, network.plan.cells, strict=True)]  # type: ignore[arg-type]
        self._auxiliary = None if network.auxiliary is None else layers_of(network.auxiliary)

    def __call__(self, images: Tensor) -> Any:
        """Logits, or (logits, auxiliary logits), as `Network.forward`."""
        network = self._network
        states = [run_layers(self._stem, run_layer(network.scale, images))]
        for position, cell in enumerate(self._cells):
            states.append(cell(states, network.drop_rate(position)))
        logits = run_layers(self._head, states[-1])
        if self._auxiliary is None or network.plan.auxiliary is None:
            return logits
        return logits, run_layers(self._auxiliary, states[network.plan.auxiliary[0]])
