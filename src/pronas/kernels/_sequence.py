"""Sequences of layers in training: a batch norm, the activation after it and the convolution before run as one where
there are compiled kernels for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from torch import Tensor, nn

from pronas.kernels import native
from pronas.kernels._concat_buffer import BufferPart
from pronas.kernels._convolution import convolve, pays_to_convolve
from pronas.kernels._layers import kernel_of, run_layer, stride_one_channel
from pronas.kernels._norm_pool import can_normalise, is_compiled, normalise
from pronas.networks import QuantConv2d, Sign, ste_sign

#: Layers in order; none of them is a `torch.nn.Sequential`.
Layers = tuple[nn.Module, ...]


def layers_of(module: nn.Module) -> Layers:
    """The layers of a sequence, also of sequences in it; any other module is one layer."""
    if type(module) is not nn.Sequential:
        return (module,)
    return tuple(layer for part in module for layer in layers_of(part))


def run_layers(layers: Sequence[nn.Module], maps: Tensor, out: BufferPart | None = None) -> Tensor:
    """What ``layers`` make of ``maps``; ``out`` is where the result belongs, and it may come to lie there."""
    position = 0
    while position < len(layers):
        maps, count = _run_first(layers[position:], maps, out)
        position += count
    return maps


def _run_first(layers: Sequence[nn.Module], maps: Tensor, out: BufferPart | None) -> tuple[Tensor, int]:
    """Run the first of ``layers`` on ``maps``, and as many after it as run as one; the result, and how many ran."""
    first, rest = layers[0], layers[1:]
    if _is_norm(first) and can_normalise(first, maps):
        kind = _kind(rest)
        count = 1 + (kind != native.NOTHING)
        return normalise(first, maps, kind, out if count == len(layers) else None), count
    if rest and _is_norm(norm := rest[0]) and _begins(first, norm, maps):
        kind = _kind(rest[1:])
        count = 2 + (kind != native.NOTHING)
        inputs, place = stride_one_channel(maps), out if count == len(layers) else None
        return convolve(first, inputs, kernel_of(first), norm, kind, place), count
    return run_layer(first, maps), 1


def _is_norm(layer: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    return type(layer) is nn.BatchNorm2d


def is_plain(layer: nn.Module) -> TypeGuard[QuantConv2d]:
    """Whether a layer is a convolution that does nothing before it or after it."""
    return type(layer) is QuantConv2d and layer.input_quantizer is None and not layer.xnor


def _begins(layer: nn.Module, norm: nn.BatchNorm2d, maps: Tensor) -> TypeGuard[QuantConv2d]:
    """Whether a layer is a convolution that can be computed with the batch norm after it."""
    return (
        is_plain(layer)
        and is_compiled(norm)
        and layer.out_channels == norm.num_features
        and pays_to_convolve(layer, stride_one_channel(maps))
        and maps.shape[0] * maps.shape[2] * maps.shape[3] > layer.stride[0] ** 2
    )


def _kind(layers: Sequence[nn.Module]) -> int:
    """What the first of these is to a batch norm before it; `native.NOTHING` for any other layer, or none."""
    if not layers:
        return native.NOTHING
    if isinstance(layers[0], Sign):
        return native.SIGN if layers[0].quantizer is ste_sign else native.NOTHING
    return native.RELU if type(layers[0]) is nn.ReLU else native.NOTHING
