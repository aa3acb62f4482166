"""Capture what a computation does, so that it can be repeated without its Python: CUDA graphs' idea on a processor.

A training step does the same operations on the same shapes every time, yet goes through modules, autograd and the
choice of kernels anew: 6 to 22 ms of Python, a third of a small child's step. What is captured are PyTorch's operators,
below autograd, and the compiled kernels. Memory is taken and freed in the same order as in the computation captured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

from torch import Tensor

from pronas.kernels import native
from pronas.kernels._replay import Allocation, Entry, Geometry, KernelCall, Operation, Place, Replay
from pronas.kernels.torch_internals import (
    TorchDispatchMode,
    changes_arguments,
    operator_name,
    storage_id,
    tree_leaves,
    weak_storage,
)

_ALLOCATIONS = ("aten::empty", "aten::new_empty")


def capture(
    compute: Callable[[], Sequence[Tensor | None]], inputs: Sequence[Tensor], fixed: Iterable[Tensor]
) -> tuple[Sequence[Tensor | None], Replay | None]:
    """Run ``compute`` once, and capture what it does.

    It must do the same operations whatever the values in its inputs, and nothing else that matters; random numbers it
    may draw from PyTorch's default generator.

    Args:
        compute: what to run.
        inputs: the tensors that other ones stand for in a replay.
        fixed: the tensors it reads or changes and that stay where they are: parameters and buffers.

    Returns:
        What ``compute`` returned, and the replay; None where it did what cannot be repeated.
    """
    recorder = _Recorder(inputs, fixed)
    with recorder, native.observed(recorder.call):
        results = compute()
    return results, recorder.replay(results)


class _NotRepeatableError(Exception):
    pass


@final
class _Recorder(TorchDispatchMode):
    """Tells tensors apart by the storage they lie in: a slot is a storage from the operation that makes it to the last
    that uses it."""

    def __init__(self, inputs: Sequence[Tensor], fixed: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._entries: list[Entry] = []
        self._last: dict[int, int] = {}  # slot: the last entry that uses it
        self._bases: list[Geometry] = []  # of the tensor that stands for a slot
        self._slots: dict[int, int] = {}  # storage: slot
        self._seen: list[object] = []  # so that no storage made out of our sight is taken for an earlier one
        self._inputs, self._fixed = [Geometry.of(one) for one in inputs], list(fixed)
        self._fixed_storages = {storage_id(one) for one in self._fixed}
        self._repeatable = True
        for one in inputs:
            self._new_slot(one)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator, and record it."""
        options = dict(kwargs or {})
        result = func(*args, **options)
        if func.namespace != "profiler":  # which says what runs, and does nothing
            self._record(lambda: self._operator(func, args, options, result))
        return result

    def call(self, name: str, arguments: tuple[native.Argument, ...]) -> None:
        """Record the call of a kernel."""
        self._record(lambda: self._kernel(name, arguments))

    def replay(self, results: Sequence[Tensor | None]) -> Replay | None:
        """What was recorded, if it can be repeated."""
        try:
            ends = [None if one is None else self._find(one) for one in results] if self._repeatable else None
        except _NotRepeatableError:
            ends = None
        if ends is None:
            return None
        for end in ends:
            if end is not None:
                self._last.pop(end[0], None)
        freed: list[list[int]] = [[] for _ in self._entries]
        for slot, entry in self._last.items():
            freed[entry].append(slot)
        entries = [(entry, tuple(slots)) for entry, slots in zip(self._entries, freed, strict=True)]
        return Replay(entries, self._inputs, ends, len(self._bases), self._fixed)

    def _record(self, record: Callable[[], None]) -> None:
        if not self._repeatable:
            return
        try:
            record()
        except _NotRepeatableError:
            self._repeatable = False

    def _operator(self, func: Any, args: Sequence[Any], options: dict[str, Any], result: Any) -> None:
        found = list(result) if isinstance(result, tuple | list) else [result]
        if not all(one is None or isinstance(one, Tensor) for one in found):
            raise _NotRepeatableError  # it reads a value, and what follows may depend on it
        read = {storage_id(one) for one in tree_leaves((args, options)) if isinstance(one, Tensor)}
        fresh = [
            (k, one) for k, one in enumerate(found) if one is not None and one.numel() and storage_id(one) not in read
        ]
        name = operator_name(func)
        if name == "aten::set_" or not (fresh or changes_arguments(func)):
            return  # a view
        if name.startswith(_ALLOCATIONS):
            for _, one in fresh:
                slot = self._new_slot(one)
                self._add(Allocation(slot, self._bases[slot]), [slot])
            return
        places: list[Place] = []
        template = self._template(list(args), places)
        named = self._template(options, places)
        results = [(k if isinstance(result, tuple | list) else None, self._new_slot(one)) for k, one in fresh]
        used = [place.slot for place in places] + [slot for _, slot in results]
        self._add(Operation(func, template, named, places, results), used)

    def _template(self, value: Any, places: list[Place]) -> Any:
        """The arguments with None for each tensor that changes; those go to ``places``."""
        if not isinstance(value, list | tuple | dict):
            return value
        filled: Any = dict(value) if isinstance(value, dict) else list(value)
        for key, one in list(filled.items() if isinstance(filled, dict) else enumerate(filled)):
            if not isinstance(one, Tensor):
                filled[key] = self._template(one, places)
            elif storage_id(one) in self._fixed_storages:
                filled[key] = one.detach()  # it keeps no graph alive
            else:
                filled[key] = None
                places.append(Place(filled, key, *self._find(one)))
        return filled

    def _kernel(self, name: str, arguments: tuple[native.Argument, ...]) -> None:
        places: list[Place] = []
        plain = [self._address(one, position, places) for position, one in enumerate(arguments)]
        places = [place if place.container is not None else place._replace(container=plain) for place in places]
        self._add(KernelCall(name, getattr(native.library(), name), plain, places), [place.slot for place in places])

    def _address(self, value: native.Argument, position: int, places: list[Place]) -> Any:
        """What the kernel is called with; addresses that change go to ``places``, those outside arrays in none yet."""
        if isinstance(value, Tensor):
            return self._note_address(value, None, position, places)
        if not isinstance(value, Sequence):
            return value
        array = native.array_of(value)
        for key, one in enumerate(value):
            if isinstance(one, Tensor):
                self._note_address(one, array, key, places)
        return array

    def _note_address(self, tensor: Tensor, container: Any, key: int, places: list[Place]) -> int:
        if storage_id(tensor) not in self._fixed_storages:
            slot, view = self._find(tensor)
            shift = 0 if view is None else (view.offset - self._bases[slot].offset) * tensor.element_size()
            places.append(Place(container, key, slot, None, shift))
        return tensor.data_ptr()

    def _find(self, tensor: Tensor) -> tuple[int, Geometry | None]:
        """Slot of a tensor, and its view of it."""
        slot, geometry = self._slots.get(storage_id(tensor)), Geometry.of(tensor)
        if slot is None or geometry.dtype != self._bases[slot].dtype:
            raise _NotRepeatableError  # made where we did not see it, or read as another type
        return slot, None if geometry == self._bases[slot] else geometry

    def _new_slot(self, tensor: Tensor) -> int:
        slot = len(self._bases)
        self._bases.append(Geometry.of(tensor))
        self._slots[storage_id(tensor)] = slot
        self._seen.append(weak_storage(tensor))
        return slot

    def _add(self, entry: Entry, used: Iterable[int]) -> None:
        for slot in used:
            self._last[slot] = len(self._entries)
        self._entries.append(entry)
