"""The gradients of a network for a batch, step after step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import final

from torch import Tensor, nn

from pronas.networks import Network, Replay, capture

#: Loss to minimise and logits, of a network's output and the labels.
Learn = Callable[[Network, Tensor, Tensor], tuple[Tensor, Tensor]]
_FEWEST_STEPS = 6  # of a training, below which capturing one takes longer than repeating it saves


def pays_to_capture(steps: int, tensors: Iterable[Tensor]) -> bool:
    """Whether a training of so many steps on these tensors gains by capturing them: on a processor, if not short."""
    return steps >= _FEWEST_STEPS and all(one.is_cpu for one in tensors)


def holds_only_ours(network: nn.Module) -> bool:
    """Whether every layer is PyTorch's or ours, so that we know what it does and does not do."""
    return all(type(part).__module__.startswith(("pronas.", "torch.")) for part in network.modules())


def _watched(network: nn.Module) -> bool:
    return any(
        part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
        for part in network.modules()
    ) or any(parameter._backward_hooks for parameter in network.parameters())


@final
class Step:
    """One network's steps: the first is captured and the others repeat its operations (`pronas.networks.capture`).

    On a processor only, and only where all steps do the same: drop path's rate grows with the epochs, others' operators
    may do anything, and hooks want to be called.

    Args:
        network: its parameters get the gradients, in training mode.
        compute: loss and logits.
        steps: of the whole training.
    """

    def __init__(self, network: Network, compute: Learn, steps: int) -> None:
        self._network, self._compute = network, compute
        self._fixed = [*network.parameters(), *network.buffers()]
        same = holds_only_ours(network) and network.plan.drop_path == 0
        self._pays = same and pays_to_capture(steps, self._fixed)
        self._tried = False
        self._replay: Replay | None = None
        self._trained: list[Tensor] = []  # the parameters that get gradients in a replay

    def begin_epoch(self) -> None:
        """Notice what has happened to the network since the last epoch."""
        if self._tried and (_watched(self._network) or (self._replay is not None and not self._replay.valid)):
            self._replay, self._tried = None, False

    def __call__(self, images: Tensor, labels: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Leave the gradients of ``share`` times the loss with the parameters, which have none yet.

        Returns:
            That loss, and the logits.
        """
        if self._replay is not None and self._replay.fits([images, labels]):
            loss, logits, *gradients = self._replay([images, labels])
            for parameter, gradient in zip(self._trained, gradients, strict=True):
                parameter.grad = gradient
            return loss, logits
        if not self._pays or self._tried or _watched(self._network):
            return self._learn(images, labels, share)
        self._tried = True
        return self._capture(images, labels, share)

    def _learn(self, images: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
        loss, logits = self._compute(self._network, images, labels)
        loss = loss * share if share != 1.0 else loss
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), logits.detach()

    def _capture(self, images: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
        def learn() -> list[Tensor]:
            loss, logits = self._learn(images, labels, share)
            self._trained = [one for one in self._network.parameters() if one.grad is not None]
            return [loss, logits, *(one.grad for one in self._trained if one.grad is not None)]

        (loss, logits, *_), self._replay = capture(learn, [images, labels], self._fixed)
        return loss, logits
