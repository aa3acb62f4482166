"""The private attributes of PyTorch that `pronas.kernels` leans on are there and mean what they meant."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_module

from pronas.kernels.torch_internals import (
    GLOBAL_HOOKS,
    MODULE_HOOKS,
    TENSOR_HOOKS,
    TorchDispatchMode,
    add_all_,
    changes_arguments,
    copy_all_,
    hooks_of,
    lerp_all_,
    operator_name,
    storage_id,
    tree_leaves,
    weak_storage,
)

REGISTER = {
    "_forward_hooks": "register_forward_hook",
    "_forward_pre_hooks": "register_forward_pre_hook",
    "_backward_hooks": "register_full_backward_hook",
    "_backward_pre_hooks": "register_full_backward_pre_hook",
}
REGISTER_GLOBALLY = {
    "_global_forward_hooks": "register_module_forward_hook",
    "_global_forward_pre_hooks": "register_module_forward_pre_hook",
    "_global_backward_hooks": "register_module_full_backward_hook",
    "_global_backward_pre_hooks": "register_module_full_backward_pre_hook",
}
REGISTER_ON_TENSORS = {
    "_backward_hooks": "register_hook",
    "_post_accumulate_grad_hooks": "register_post_accumulate_grad_hook",
}


def nothing(*_: object) -> None:
    return None


@pytest.mark.parametrize("name", MODULE_HOOKS)
def test_module_hooks(name: str) -> None:
    layer = nn.Linear(2, 2)
    watched = hooks_of([layer], layer.parameters())
    assert not watched()
    handle = getattr(layer, REGISTER[name])(nothing)
    assert getattr(layer, name)
    assert watched()
    handle.remove()
    assert not watched()


@pytest.mark.parametrize("name", GLOBAL_HOOKS)
def test_global_hooks(name: str) -> None:
    watched = hooks_of([], [])
    handle = getattr(torch_module, REGISTER_GLOBALLY[name])(nothing)
    try:
        assert getattr(torch_module, name)
        assert watched()
    finally:
        handle.remove()
    assert not watched()


@pytest.mark.parametrize("name", TENSOR_HOOKS)
def test_tensor_hooks(name: str) -> None:
    weight = nn.Parameter(torch.zeros(2))
    watched = hooks_of([], [weight])
    assert not watched()
    handle = getattr(weight, REGISTER_ON_TENSORS[name])(nothing)
    assert getattr(weight, name)
    assert watched()
    handle.remove()
    assert not watched()


def test_storage_cdata() -> None:
    one, two = torch.zeros(4), torch.zeros(4)
    assert storage_id(one) == storage_id(one[1:].view(3, 1)) != storage_id(two)


def test_storage_weak_reference() -> None:
    one = torch.zeros(4)
    kept, before = weak_storage(one), storage_id(one)
    del one
    others = [torch.zeros(4) for _ in range(100)]
    assert all(storage_id(other) != before for other in others)
    del kept


def test_operator_schema() -> None:
    assert operator_name(torch.ops.aten.add.Tensor) == "aten::add"
    assert changes_arguments(torch.ops.aten.add_.Tensor)
    assert not changes_arguments(torch.ops.aten.add.Tensor)


def test_dispatch_mode_sees_operators() -> None:
    """``torch.utils._python_dispatch.TorchDispatchMode``"""
    seen: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(operator_name(func))
            return func(*args, **(kwargs or {}))

    with Watch():
        torch.ones(2) + 1
    assert "aten::add" in seen


def test_tree_leaves() -> None:
    """``torch.utils._pytree.tree_leaves``"""
    assert tree_leaves(([1, (2,)], {"three": 3})) == [1, 2, 3]


@pytest.mark.parametrize(
    ("together", "one_by_one"),
    [
        (add_all_, lambda one, other: one.add_(other)),
        (copy_all_, lambda one, other: one.copy_(other)),
        (lambda ones, others: lerp_all_(ones, others, 0.3), lambda one, other: one.lerp_(other, 0.3)),
    ],
    ids=["_foreach_add_", "_foreach_copy_", "_foreach_lerp_"],
)
def test_many_at_once_are_one_by_one_to_the_bit(together, one_by_one) -> None:
    ones, others = ([torch.randn(3, 4), torch.randn(5)] for _ in range(2))
    expected = [one_by_one(one.clone(), other) for one, other in zip(ones, others, strict=True)]
    together(ones, others)
    assert all(torch.equal(one, other) for one, other in zip(ones, expected, strict=True))
