"""Sequences of layers that, in training, run neighbours as one where there are compiled kernels for that."""

from __future__ import annotations

from typing import Any, TypeGuard

from torch import Tensor, nn

from pronas.networks import _native as native
from pronas.networks._convolution import convolve, pays_to_convolve
from pronas.networks._fused import can_normalise, is_compiled, normalise
from pronas.networks._layers import QuantConv2d, stride_one_channel
from pronas.networks._rooms import Slot


class Chain(nn.Sequential):
    """A `torch.nn.Sequential` that, in training, runs a batch norm and the activation after it as one where it can, and
    with them the convolution before.

    Layers with hooks run one by one.
    """

    def forward(self, inputs: Any, slot: Slot | None = None) -> Any:
        """As `torch.nn.Sequential`; ``slot`` is where the result belongs, and it may come to lie there."""
        if not self.training or native.library() is None:
            return super().forward(inputs)  # type: ignore[no-untyped-call]
        return self.proceed(inputs, 0, slot)

    def proceed(self, maps: Any, position: int, slot: Slot | None = None) -> Any:
        """What the layers from ``position`` on make of ``maps``, the output of the one before."""
        layers = list(self)[position:]
        while layers:
            maps, count = _run(maps, layers, slot)
            del layers[:count]
        return maps


def _run(maps: Any, layers: list[nn.Module], slot: Slot | None) -> tuple[Any, int]:
    """Run the first of ``layers`` on ``maps``, and as many after it as run as one; the result, and how many ran."""
    first, rest = layers[0], layers[1:]
    if _is_norm(first) and can_normalise(first, maps):  # type: ignore[arg-type]
        kind = _kind(rest)
        count = 1 + (kind != native.NOTHING)
        place = slot if count == len(layers) else None
        return normalise(first, maps, kind, place), count  # type: ignore[arg-type]
    if rest and _is_norm(rest[0]) and _begins(first, rest[0], maps):  # type: ignore[arg-type]
        kind = _kind(rest[1:])
        count = 2 + (kind != native.NOTHING)
        inputs, kernel = stride_one_channel(maps), first.compiled_kernel()  # type: ignore[operator]
        place = slot if count == len(layers) else None
        return convolve(first, inputs, kernel, rest[0], kind, place), count  # type: ignore[arg-type]
    return first(maps), 1


def _is_norm(layer: nn.Module) -> bool:
    return type(layer) is nn.BatchNorm2d and not has_hooks(layer)


def is_plain(layer: nn.Module) -> TypeGuard[QuantConv2d]:
    """Whether a layer is a convolution that does nothing before it or after it, and that nobody watches."""
    return type(layer) is QuantConv2d and layer.input_quantizer is None and not layer.xnor and not has_hooks(layer)


def _begins(layer: nn.Module, norm: nn.BatchNorm2d, maps: Tensor) -> bool:
    """Whether a layer is a convolution that can be computed with the batch norm after it."""
    return (
        is_plain(layer)
        and is_compiled(norm)
        and layer.out_channels == norm.num_features
        and pays_to_convolve(layer, stride_one_channel(maps))
        and maps.shape[0] * maps.shape[2] * maps.shape[3] > layer.stride[0] ** 2
    )


def _kind(layers: list[nn.Module]) -> int:
    """What the first of these is to a batch norm before it; `_native.NOTHING` for any other layer, or none."""
    if not layers or has_hooks(layers[0]):
        return native.NOTHING
    return native.RELU if type(layers[0]) is nn.ReLU else getattr(layers[0], "after_norm", native.NOTHING)


def has_hooks(layer: nn.Module) -> bool:
    """Whether somebody watches what goes into or out of this layer."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)
