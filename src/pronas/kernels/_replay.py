"""A captured computation, repeated: the same operations on the same shapes, without the Python that led to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, final

import torch
from torch import Tensor

from pronas.kernels import native


class Geometry(NamedTuple):
    """How a tensor lies in its storage."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Geometry:
        """The geometry of a tensor."""
        return cls(tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset()), tensor.dtype)


#: The storages of a replay, by number; None before their operation and after their last use.
Storages = list[Tensor | None]


class Place(NamedTuple):
    """Where an argument that changes from replay to replay goes: ``container[key]`` is a view of storage ``slot``.

    ``view`` is its geometry, None for the tensor that stands for the storage. For kernels ``shift`` is the distance in
    bytes from that tensor's address.
    """

    container: Any
    key: Any
    slot: int
    view: Geometry | None = None
    shift: int = 0


class Entry(Protocol):
    """One operation of a replay."""

    def run(self, storages: Storages) -> None:
        """Do it."""


@final
@dataclass(frozen=True)
class Allocation:
    """Uninitialised memory."""

    slot: int
    geometry: Geometry

    def run(self, storages: Storages) -> None:
        """Take it."""
        size, stride, _, dtype = self.geometry
        storages[self.slot] = torch.empty_strided(size, stride, dtype=dtype)


@final
@dataclass(frozen=True)
class Operation:
    """One of PyTorch's operators; ``results`` are (position among its results, or None for the only one; slot)."""

    operator: Callable[..., Any]
    arguments: list[Any]
    options: dict[str, Any]
    places: list[Place]
    results: list[tuple[int | None, int]]

    def run(self, storages: Storages) -> None:
        """Call it, and keep no tensor alive."""
        for container, key, slot, view, _ in self.places:
            container[key] = _viewed(storages, slot, view)
        found = self.operator(*self.arguments, **self.options)
        for container, key, *_ in self.places:
            container[key] = None
        for position, slot in self.results:
            storages[slot] = found if position is None else found[position]


@final
@dataclass(frozen=True)
class KernelCall:
    """One of the compiled kernels."""

    name: str
    kernel: Callable[..., int]
    arguments: list[Any]
    places: list[Place]

    def run(self, storages: Storages) -> None:
        """Call it."""
        for container, key, slot, _, shift in self.places:
            container[key] = storages[slot].data_ptr() + shift  # type: ignore[union-attr]
        native.invoke(self.name, self.kernel, self.arguments)


def _viewed(storages: Storages, slot: int, view: Geometry | None) -> Tensor:
    base = storages[slot]
    assert base is not None
    return base if view is None else base.as_strided(view.size, view.stride, view.offset)


@final
@dataclass
class Replay:
    """Operations in order; call it with inputs of the geometry of those it was captured with.

    Attributes:
        entries: each operation and the slots that none after it uses.
        inputs: the geometry of each input, which come in the first slots.
        results: slot and view of each result; None for one that is None.
        slots: number of storages.
        fixed: tensors that the operations read and change where they lie, and their addresses.
    """

    entries: list[tuple[Entry, tuple[int, ...]]]
    inputs: list[Geometry]
    results: list[tuple[int, Geometry | None] | None]
    slots: int
    fixed: Sequence[Tensor]
    addresses: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.addresses = [one.data_ptr() for one in self.fixed]

    @property
    def valid(self) -> bool:
        """Whether the fixed tensors still lie where they lay."""
        return all(one.data_ptr() == before for one, before in zip(self.fixed, self.addresses, strict=True))

    def fits(self, inputs: Sequence[Tensor]) -> bool:
        """Whether these inputs have the right geometry."""
        return [Geometry.of(one) for one in inputs] == self.inputs

    @torch.no_grad()
    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor | None]:
        """The results for these inputs, such that `fits`; what else the operations change is changed.

        Raises:
            MemoryError: a kernel had no memory for its buffers.
        """
        storages: Storages = [*inputs, *[None] * (self.slots - len(inputs))]
        for entry, last in self.entries:
            entry.run(storages)
            for slot in last:
                storages[slot] = None
        return [None if one is None else _viewed(storages, *one) for one in self.results]
