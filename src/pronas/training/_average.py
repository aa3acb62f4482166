"""Weights averaged over the last steps of a training (Izmailov et al. 2018, stochastic weight averaging)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from pronas.kernels import lerp_all_


@final
class WeightAverage:
    """The mean of a network's floating-point weights and statistics over the steps it was told of.

    Args:
        network: whose weights; it must not be moved to another device afterwards.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self.count = 0
        self._mean: dict[str, Tensor] = {}

    @torch.no_grad()
    def add(self) -> None:
        """Count the weights as they are now."""
        current = {name: value for name, value in self._network.state_dict().items() if value.is_floating_point()}
        if not self._mean:
            self._mean = {name: value.clone() for name, value in current.items()}
        else:
            lerp_all_(list(self._mean.values()), list(current.values()), 1 / (self.count + 1))
        self.count += 1

    def load(self) -> None:
        """Give the network the mean weights."""
        self._network.load_state_dict(self._mean, strict=False)

    def state(self) -> dict[str, Tensor]:
        """Give the mean and the count, by name."""
        return {**self._mean, "count": torch.tensor(self.count)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state`` gave."""
        self.count = int(state.get("count", torch.tensor(0)))
        own = self._network.state_dict()
        self._mean = {k: torch.empty_like(own[k]).copy_(v) for k, v in state.items() if k != "count"}
