"""Memory for a concatenation: operators write their results where they belong, so that nothing is copied afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor


class ConcatBuffer:
    """A map (n, sum of the widths, h, w), channels last, in which several results lie side by side.

    Args:
        widths: channels of each result, in order.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        self.widths = tuple(widths)
        self._firsts = (0, *accumulate(self.widths))
        self._map: Tensor | None = None

    def part(self, index: int) -> BufferPart:
        """Where result ``index`` belongs."""
        return BufferPart(self, index)

    def memory(self, index: int, shape: tuple[int, int, int, int]) -> Tensor | None:
        """The memory of result ``index``, evenly spaced rows of channels; None where it does not fit."""
        n, channels, h, w = shape
        if channels != self.widths[index]:
            return None
        if self._map is None:
            self._map = torch.empty((n, self._firsts[-1], h, w), memory_format=torch.channels_last)
        if self._map.shape[0] != n or self._map.shape[2:] != (h, w):
            return None
        # a tensor of its own rather than a view, which autograd would follow back to the whole map
        return torch.empty(0).set_(self._map.untyped_storage(), self._firsts[index], shape, self._map.stride())

    def holds(self, results: Sequence[Tensor]) -> bool:
        """Whether some of the results may lie in their parts, and the others fit."""
        return self._map is not None and self.widths == tuple(one.shape[1] for one in results)

    def concatenated(self, results: Sequence[Tensor]) -> Tensor:
        """The results, such that it `holds` them, side by side; those that do not lie in their parts are copied."""
        return _Concatenated.apply(self, *results)  # type: ignore[no-any-return,no-untyped-call]


class BufferPart:
    """One result's place in a `ConcatBuffer`."""

    def __init__(self, buffer: ConcatBuffer, index: int) -> None:
        self._buffer, self._index = buffer, index

    def memory(self, shape: tuple[int, int, int, int]) -> Tensor | None:
        """`ConcatBuffer.memory`."""
        return self._buffer.memory(self._index, shape)


class _Concatenated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, buffer: ConcatBuffer, *results: Tensor) -> Tensor:
        whole = buffer._map
        assert whole is not None
        ctx.widths = buffer.widths
        for result, part in zip(results, torch.split(whole, list(buffer.widths), 1), strict=True):
            if result.data_ptr() != part.data_ptr():
                part.copy_(result)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        return None, *torch.split(gradients[0], list(ctx.widths), 1)


def evenly_spaced(
    out: BufferPart | None, shape: tuple[int, int, int, int], kind: torch.dtype = torch.float32
) -> tuple[Tensor, int]:
    """Memory for a result of numbers of a kind, where it belongs if there is room (for floats alone), and the numbers
    from one of its pixels to the next."""
    part = None if out is None or kind is not torch.float32 else out.memory(shape)
    if part is None:
        return torch.empty(shape, dtype=kind, memory_format=torch.channels_last), shape[1]
    return part, part.stride(3) if shape[3] > 1 else part.stride(2)
