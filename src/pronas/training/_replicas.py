"""Copies of a network that share every step: each learns from its part of the batch, in a thread of its own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import final

import torch
from torch import Tensor, nn

from pronas.kernels import Accelerated, add_all_, copy_all_, holds_only_ours
from pronas.networks import DropoutNoScale, Network
from pronas.training._step import Learn, Step

_SMALLEST = 16  # images a copy: batch norm needs some


def copies_for(network: Network, threads: int, batch: int) -> int:
    """How many copies of ``network`` share a ``batch`` of so many images on ``threads`` threads.

    1 where the result would depend on chance.

    A network that draws random numbers (dropout, drop path) or holds operators of others, which may draw some, is not
    copied: all threads of a process share one generator, and the order in which they draw is not fixed.
    """
    drawing = any(isinstance(part, nn.Dropout | DropoutNoScale) for part in network.modules())
    drawing = drawing or network.plan.drop_path > 0 or not holds_only_ours(network)
    on_cpu = next(network.parameters()).is_cpu
    return max(1, min(threads, batch // _SMALLEST)) if on_cpu and not drawing else 1


@final
class Replicas:
    """Shares every step of a training among copies of its network.

    A thread a copy needs no other until its part of the batch is done; threads within each operator meet hundreds of
    times a step, and wait for each other wherever the machine is not quiet (docs/experiments.md, "Two cores for one
    network"). Gradients are added in the copies' order, so the result depends on their number alone. Batch norm
    normalises each part by itself ("ghost batch norm", Hoffer et al. 2017, section 4); running statistics are averaged.

    Args:
        network: holds the weights; its gradients are what a step leaves.
        count: number of copies, the network itself included; see `copies_for`.
        compute: loss and logits of a network for a batch.
        accelerated: how the network's steps are computed; the copies' are alike.
        constants: tensors that ``compute`` reads besides its arguments and the network's.
    """

    def __init__(
        self,
        network: Network,
        count: int,
        compute: Learn,
        accelerated: Accelerated,
        constants: Sequence[Tensor] = (),
    ) -> None:
        self._networks = [network, *(copy.deepcopy(network) for _ in range(count - 1))]
        self._pool = ThreadPoolExecutor(count - 1, "replica") if count > 1 else None
        ways = [accelerated, *(accelerated.alike(each) for each in self._networks[1:])]
        self._steps = [Step(each, compute, way, constants) for each, way in zip(self._networks, ways, strict=True)]
        self._parameters: list[list[Tensor]] = [list(each.parameters()) for each in self._networks]

    def train(self) -> None:
        """Put all copies in training mode, with the first one's weights and statistics."""
        for each in self._networks[1:]:
            each.load_state_dict(self._networks[0].state_dict())
        for each in self._networks:
            each.train()
        for step in self._steps:
            step.begin_epoch()

    def learn(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Leave the gradients of the mean loss over the batch with the network; return (mean loss, logits)."""
        count = len(self._networks)
        parts = list(zip(images.tensor_split(count), labels.tensor_split(count), strict=True))

        def part(number: int) -> tuple[Tensor, Tensor]:
            return self._steps[number](*parts[number], share=len(parts[number][1]) / len(labels))

        if self._pool is None:
            return part(0)
        others = [self._pool.submit(part, number) for number in range(1, count)]
        results = [part(0), *(other.result() for other in others)]
        self._gather()
        return torch.stack([loss for loss, _ in results]).sum(), torch.cat([logits for _, logits in results])

    def _gather(self) -> None:
        """Add the copies' gradients to the network's, in order."""
        for others in self._parameters[1:]:
            pairs = zip(self._parameters[0], others, strict=True)
            found = [(one.grad, other.grad) for one, other in pairs if one.grad is not None and other.grad is not None]
            add_all_([mine for mine, _ in found], [theirs for _, theirs in found])
            for parameter in others:
                parameter.grad = None

    @torch.no_grad()
    def follow(self) -> None:
        """Give the copies the weights that a step has left with the network."""
        for others in self._parameters[1:]:
            copy_all_(others, self._parameters[0])

    @torch.no_grad()
    def merge(self) -> None:
        """Average what the copies' batch norms have counted into the network's."""
        for buffers in zip(*(each.buffers() for each in self._networks), strict=True):
            if len(buffers) > 1 and buffers[0].is_floating_point():
                buffers[0].copy_(torch.stack(buffers).mean(0))
