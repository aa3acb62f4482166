"""The door: how the steps of one training are computed, as plain PyTorch does it or faster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any, final

from torch import Tensor, nn

from pronas.errors import UsageError
from pronas.kernels import native
from pronas.kernels._captured import Captured, Compute, Saved
from pronas.kernels._network import FastNetwork, is_ours
from pronas.kernels.torch_internals import hooks_of
from pronas.networks import Network

_log = logging.getLogger("pronas")
_MODES = ("auto", "off")
_FEWEST_STEPS = 6  # of a training, below which capturing one takes longer than repeating it saves


def kernels_mode(given: str | None = None) -> str:
    """How steps are to be computed: as ``given``, or as the environment's ``PRONAS_KERNELS`` says, or "auto".

        >>> kernels_mode("off")
        'off'

    Args:
        given: "auto" or "off"; None or "": what the environment says.

    Returns:
        "auto" or "off".

    Raises:
        UsageError: neither "auto" (as fast as this machine can) nor "off" (plain PyTorch), in either place.
    """
    mode = given or os.environ.get("PRONAS_KERNELS") or "auto"
    if mode not in _MODES:
        where = "kernels" if given else "PRONAS_KERNELS"
        raise UsageError(f"{where} is {mode!r}: give 'auto' (as fast as this machine can) or 'off' (plain PyTorch)")
    return mode


def holds_only_ours(network: nn.Module) -> bool:
    """Whether every layer is PyTorch's or ours, so that we know what it does and does not do.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> holds_only_ours(network)
        True

    Args:
        network: any; its modules are looked at, not its hooks.
    """
    return all(type(part).__module__.startswith(("pronas.", "torch.")) for part in network.modules())


def accelerate(
    network: Network, *, steps: int, kernels: str | None = None, others: Collection[str] = ()
) -> Accelerated:
    """Prepare to compute the training steps of ``network``.

    Results are plain PyTorch's to rounding, and equal to the bit in all processes of machines of one kind. Whatever
    fails while a faster way is tried, the training goes on in plain PyTorch. The logger "pronas" says in one line what
    runs, and why if it is not the fastest.

        >>> import torch
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> accelerated, images = accelerate(network, steps=100), torch.rand(4, 1, 8, 8)
        >>> bool(torch.allclose(accelerated.forward(images), network(images), atol=1e-4))
        True

    Args:
        network: trained in place, by the caller.
        steps: of the whole training; those of a short one are not captured.
        kernels: "auto" or "off"; see `kernels_mode`.
        others: what of a step is not pronas's own, of "loss" and "optimizer": what they do is not captured.

    Returns:
        What computes the steps: forward passes, gradients and updates.

    Raises:
        UsageError: ``kernels`` is neither.
    """
    return Accelerated(network, steps, kernels_mode(kernels), others)


@final
class Accelerated:
    """How one training's steps are computed; made by `accelerate`."""

    def __init__(
        self, network: Network, steps: int, mode: str, others: Collection[str] = (), quiet: bool = False
    ) -> None:
        self._network, self._said = network, quiet
        self._alike = steps, mode, others
        self._plain = "kernels=off" if mode == "off" else ""  # why the network's own forward runs
        self._look()
        short = "" if steps >= _FEWEST_STEPS else "few steps"
        own_loss = "a loss of others" if "loss" in others else ""
        self._uncaptured = self._plain or short or own_loss or _differs_between_steps(network)
        self._gradients = Captured(not self._uncaptured)
        self._update = Captured(not (self._plain or short or "optimizer" in others or _elsewhere(network)), after=1)

    @property
    def captures_update(self) -> bool:
        """Whether `update` may be captured, so that what changes from step to step must be in tensors."""
        return self._update.allowed

    @property
    def repeats(self) -> bool:
        """Whether a step was captured, which others repeat."""
        return self._gradients.repeats

    def alike(self, copy: Network) -> Accelerated:
        """The same for a copy of the network; nothing is said of it."""
        return Accelerated(copy, *self._alike, quiet=True)

    def begin_epoch(self) -> None:
        """Notice what has happened to the network since the last epoch."""
        network = self._network
        now = [*network.modules(), *network.parameters(), *network.buffers()]
        if [id(one) for one in now] != [id(one) for one in (*self._modules, *self._fixed)]:
            self._look()
            self._gradients.forget()
            self._gradients.allowed = self._gradients.allowed and not _differs_between_steps(network)
        self._gradients.begin_epoch()
        self._update.begin_epoch()

    def forward(self, images: Tensor) -> Any:
        """As ``network(images)`` in training mode, in the fastest way there is now."""
        fast = self._fast
        return self._network(images) if fast is None or self._watched() else fast(images)

    def gradients(self, compute: Compute, inputs: Sequence[Tensor], *options: object) -> Sequence[Tensor | None]:
        """What ``compute()`` gives; it calls `forward`, and changes the network's buffers alone.

        It is captured where all steps do the same: not with drop path, whose rate grows with the epochs, operators of
        others, which may do anything, or hooks, which want to be called.

        Args:
            compute: to be called once, or not at all.
            inputs: the tensors it reads, besides the network's.
            *options: the plain values it depends on.
        """
        watched, options = self._watched(), (*options, *(one.requires_grad for one in self._fixed))
        # What is repeated was done once; memory alone can still run out. That is an error of the training, as in plain
        # PyTorch, which would need as much: running statistics are half moved by then, and saving them before every
        # step would cost some 5 % of a small one.
        found = None if watched else self._gradients.repeat(inputs, options)
        if found is not None:
            return found
        if self._fast is None or watched:
            self._say("watched by hooks" if watched else self._plain)
            return compute()
        saved = Saved(self._network.buffers())
        try:
            due = self._gradients.is_due(options)
            results = self._gradients.capture(compute, inputs, self._fixed) if due else compute()
        except Exception as error:  # whatever it is: plain PyTorch will show whether it is the network's own
            saved.restore()
            self._fall_back(error)
            return compute()
        self._say()
        return results

    def update(
        self, compute: Compute, inputs: Sequence[Tensor], state: Callable[[], list[Tensor]], *options: object
    ) -> None:
        """Call ``compute``, which changes the tensors of ``state``, or repeat what it did; arguments as in `gradients`.

        It is captured where the call before had equal options: the first one makes the moments.
        """
        if self._update.repeat(inputs, options) is not None:
            return
        if not self._update.is_due(options):
            compute()
            return
        saved = Saved(state())
        try:
            self._update.capture(compute, inputs, state())
        except Exception as error:  # as in `gradients`
            saved.restore()
            self._update.allowed = False
            _log.warning("the optimizer's steps are not captured: %s", _reason(error))
            compute()

    def forget_update(self) -> None:
        """The tensors of the optimizer's state are other ones now."""
        self._update.forget()

    def _look(self) -> None:
        """Take up what the network is made of now."""
        network = self._network
        self._modules, self._fixed = list(network.modules()), [*network.parameters(), *network.buffers()]
        self._watched = hooks_of(self._modules, network.parameters())
        self._fast: FastNetwork | None = None
        if self._plain:
            return
        if not is_ours(network):
            self._plain = "modules of another kind"
            return
        try:
            self._fast = FastNetwork(network)
        except Exception as error:  # whatever it is, plain PyTorch can do without
            self._fall_back(error)

    def _fall_back(self, error: Exception) -> None:
        self._fast, self._plain, self._said = None, _reason(error), True
        _log.warning("training steps run in plain PyTorch: %s", self._plain)

    def _say(self, plain: str = "") -> None:
        if self._said:
            return
        self._said = True
        if plain:
            _log.info("training steps run in plain PyTorch: %s", plain)
            return
        captured = "captured" if self._gradients.repeats else f"not captured: {self._uncaptured or 'not repeatable'}"
        _log.info("training steps run in %s, %s", _kernels(self._network), captured)


def _differs_between_steps(network: Network) -> str:
    """Why a step of this network cannot be repeated by what it did once; "" where it can."""
    if network.plan.drop_path > 0:
        return "drop path"
    return _elsewhere(network) or ("" if holds_only_ours(network) else "operators of others")


def _elsewhere(network: nn.Module) -> str:
    """The device, where that is not the processor."""
    return next((one.device.type for one in network.parameters() if not one.is_cpu), "")


def _kernels(network: nn.Module) -> str:
    if _elsewhere(network):
        return f"PyTorch on {_elsewhere(network)}"
    if native.library() is None:
        return "PyTorch, as there is no compiled library"
    return f"compiled kernels with vectors of {native.lanes()} floats"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
