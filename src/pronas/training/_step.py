"""The gradients of a network for a batch, step after step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from torch import Tensor

from pronas.kernels import Accelerated
from pronas.networks import Network

#: Loss to minimise and logits, of a network's forward, images and labels.
Learn = Callable[[Callable[[Tensor], Any], Tensor, Tensor], tuple[Tensor, Tensor]]


@final
class Step:
    """One network's steps.

    Args:
        network: its parameters get the gradients, in training mode.
        compute: loss and logits.
        accelerated: how they are computed.
        constants: tensors that ``compute`` reads besides its arguments and the network's.
    """

    def __init__(
        self, network: Network, compute: Learn, accelerated: Accelerated, constants: Sequence[Tensor] = ()
    ) -> None:
        self._compute, self._accelerated, self._constants = compute, accelerated, constants
        self._network = network

    def begin_epoch(self) -> None:
        """Notice what has happened to the network since the last epoch."""
        self._accelerated.begin_epoch()

    def __call__(self, images: Tensor, labels: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Leave the gradients of ``share`` times the loss with the parameters, in place of those they have.

        Returns:
            That loss, and the logits.
        """
        parameters = list(self._network.parameters())

        def compute() -> list[Tensor | None]:
            for parameter in parameters:
                parameter.grad = None
            loss, logits = self._compute(self._accelerated.forward, images, labels)
            loss = loss * share if share != 1.0 else loss
            loss.backward()  # type: ignore[no-untyped-call]
            return [loss.detach(), logits.detach(), *(parameter.grad for parameter in parameters)]

        loss, logits, *gradients = self._accelerated.gradients(compute, [images, labels, *self._constants], share)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        assert loss is not None
        assert logits is not None
        return loss, logits
