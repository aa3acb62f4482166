"""A computation that training does again and again: captured once, then repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import final

import torch
from torch import Tensor

from pronas.kernels._capture import capture
from pronas.kernels._replay import Replay

Compute = Callable[[], Sequence[Tensor | None]]
#: Plain values that a computation depends on.
Options = tuple[object, ...]


@final
class Captured:
    """What was captured of a computation, if anything.

    Args:
        allowed: whether it may be captured at all.
        after: how many calls with equal options come before the one that is captured.
    """

    def __init__(self, allowed: bool, after: int = 0) -> None:
        self.allowed = allowed
        self._after = self._left = after
        self._options: Options | None = None
        self._replay: Replay | None = None
        self._due = True

    @property
    def repeats(self) -> bool:
        """Whether there is a capture."""
        return self._replay is not None

    def begin_epoch(self) -> None:
        """Capture anew where what was captured does not hold any more."""
        if self._replay is not None and not self._replay.valid:
            self.forget()

    def forget(self) -> None:
        """Drop what was captured, and begin again."""
        self._replay, self._options, self._left, self._due = None, None, self._after, True

    def repeat(self, inputs: Sequence[Tensor], options: Options) -> Sequence[Tensor | None] | None:
        """The results for these inputs; None where what was captured, if anything, does something else."""
        replay = self._replay
        if replay is None or options != self._options or not replay.fits(inputs) or not replay.valid:
            return None
        return replay(inputs)

    def is_due(self, options: Options) -> bool:
        """Whether the call with these options, the next one, is to be captured."""
        if not self.allowed or not self._due:
            return False
        equal = self._options == options
        self._options = options
        self._left = self._left - 1 if equal else self._after
        return self._left <= 0

    def capture(self, compute: Compute, inputs: Sequence[Tensor], fixed: Iterable[Tensor]) -> Sequence[Tensor | None]:
        """Compute, and keep what was done, where that can be repeated (`pronas.kernels._capture.capture`)."""
        self._due = False
        results, self._replay = capture(compute, inputs, fixed)
        self.allowed = self._replay is not None  # else every epoch would capture in vain
        return results


@final
class Saved:
    """Tensors and the state of PyTorch's random numbers as they are now, to be put back."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._pairs = [(one, one.detach().clone()) for one in tensors]
        self._random = torch.get_rng_state()

    @torch.no_grad()
    def restore(self) -> None:
        """Put all of it back."""
        for one, before in self._pairs:
            one.copy_(before)
        torch.set_rng_state(self._random)
