"""Every private attribute of PyTorch that this package leans on, so that a release that moves one breaks one file.

`tests/kernels/test_torch_internals.py` has a test for each, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules import module as _module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = [  # what other files take from here
    "TorchDispatchMode",
    "add_all_",
    "changes_arguments",
    "copy_all_",
    "hooks_of",
    "lerp_all_",
    "operator_name",
    "storage_id",
    "tree_leaves",
    "weak_storage",
]

#: Of a module: who is told of what goes in and out, forwards and backwards.
MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
#: Of `torch.nn.modules.module`: the same for all modules of the process.
GLOBAL_HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)
#: Of a parameter: who is told of its gradient, before and after it is added.
TENSOR_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")


def storage_id(tensor: Tensor) -> int:
    """What stays the same as long as a storage or a weak reference to it is there, and is then used again."""
    return int(tensor.untyped_storage()._cdata)


def weak_storage(tensor: Tensor) -> object:
    """A reference that keeps the `storage_id` of a tensor from being used again, but not its memory."""
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def operator_name(operator: Any) -> str:
    """Name of one of PyTorch's operators, such as ``aten::add``."""
    return str(operator._schema.name)


def changes_arguments(operator: Any) -> bool:
    """Whether one of PyTorch's operators changes what it is given."""
    return bool(operator._schema.is_mutable)


def hooks_of(modules: Iterable[nn.Module], parameters: Iterable[Tensor]) -> Callable[[], bool]:
    """A quick question: whether anybody watches these modules and parameters, now.

    Hooks on nodes of a graph and on what is saved for the backward pass are not seen.
    """
    watchers = [getattr(module, name) for module in modules for name in MODULE_HOOKS]
    watchers += [getattr(_module, name) for name in GLOBAL_HOOKS]
    watched = list(parameters)

    def any_hooks() -> bool:
        return any(watchers) or any(one._backward_hooks or one._post_accumulate_grad_hooks for one in watched)

    return any_hooks


@torch.no_grad()
def add_all_(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Add to each tensor another of its shape, in place: one call for all, a third of the time of one each.

    >>> one = torch.ones(2)
    >>> add_all_([one], [torch.ones(2)])
    >>> one.tolist()
    [2.0, 2.0]
    """
    torch._foreach_add_(list(tensors), list(others))


@torch.no_grad()
def copy_all_(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Copy into each tensor another of its shape, in one call.

    >>> one = torch.ones(2)
    >>> copy_all_([one], [torch.zeros(2)])
    >>> one.tolist()
    [0.0, 0.0]
    """
    torch._foreach_copy_(list(tensors), list(others))


@torch.no_grad()
def lerp_all_(tensors: Sequence[Tensor], others: Sequence[Tensor], weight: float) -> None:
    """Move each tensor by ``weight`` of the way to another of its shape, in place, in one call.

    >>> one = torch.zeros(2)
    >>> lerp_all_([one], [torch.ones(2)], 0.25)
    >>> one.tolist()
    [0.25, 0.25]
    """
    torch._foreach_lerp_(list(tensors), list(others), weight)
