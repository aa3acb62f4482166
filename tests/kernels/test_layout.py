"""One map in the default layout makes everything after it slow (docs/experiments.md)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pronas.kernels import accelerate, native
from pronas.networks import Binary, Flat, PnasCifar
from pronas.space import Cell

IMAGES = 5


#: Operators that go through a map value by value, slowly where two of their maps are laid out differently.
READERS = ("convolution", "batch_norm", "pool", "threshold", "hardtanh", "sign", "cat", "add")


class Layouts(TorchDispatchMode):
    """For each map that a reader reads, which reader, and whether the map's channels stand together."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, bool]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for one in tree_leaves(args) if any(name in str(func) for name in READERS) else ():
            if isinstance(one, Tensor) and one.dim() == 4 and one.shape[0] == IMAGES and one.shape[1] > 1:
                self.seen.append((str(func), one.stride(1) == 1))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize(
    "macro", [Flat(filters=(6, 18)), Binary(filters=(6, 18), dense=(7,)), PnasCifar(N=1, F=4)], ids=lambda one: one.name
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_wide_map_and_gradient_is_channels_last(
    macro: Any, channels: int, kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kernels:
        monkeypatch.setattr(native, "library", lambda: None)
    conv = "3x3 sep-bconv" if macro.binary else "3x3 dconv"
    cell = Cell.parse(f"-1:{conv} + -1:3x3 maxpool | 0:linear + -1:3x3 avgpool")
    network = macro.build(cell, (channels, 16, 16), 3)
    images = torch.zeros((IMAGES, channels, 16, 16)).random_(0, 255, generator=torch.Generator().manual_seed(0))
    forward = accelerate(network, steps=1).forward
    with Layouts() as layouts:
        loss = forward(images.contiguous(memory_format=torch.channels_last)).square().sum()
        loss.backward()
    assert layouts.seen
    assert {name for name, right in layouts.seen if not right} == set()
