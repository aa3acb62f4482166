"""Parts: frozen descriptions of pieces of a network, each of which can build itself.

A plan (`pronas.networks._plan`) is made of parts; a network is built from a plan, and counts are taken from it, so both
always speak of the same network. Parts are hashable: what is derived from one is computed once in a process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from torch import Tensor, nn

from pronas.errors import UsageError
from pronas.networks._layers import GlobalAveragePool, QuantConv2d, reduce_map
from pronas.networks._registry import Site, Style, build_operator, memoised_on_registry


class Part(ABC):
    """A piece of a network that can be built."""

    @abstractmethod
    def build(self) -> nn.Module:
        """A fresh module, initialised from the global random generator, on the default device."""


@final
@dataclass(frozen=True)
class Operator(Part):
    """An operator of a block."""

    name: str
    site: Site

    def build(self) -> nn.Module:
        """What the registry builds for the name."""
        return build_operator(self.name, self.site)


@final
@dataclass(frozen=True)
class Adapter(Part):
    """Brings an earlier cell's output to a cell's size and channels."""

    site: Site

    def build(self) -> nn.Module:
        """`Style.adapt`."""
        return self.site.style.adapt(self.site)


@final
@dataclass(frozen=True)
class Reducer(Part):
    """Max pooling that makes a map ``stride`` times smaller; nothing where that is 1."""

    stride: int

    def build(self) -> nn.Module:
        """`reduce_map`."""
        return reduce_map(self.stride)


@final
@dataclass(frozen=True)
class AfterAdd(Part):
    """What follows the sum of two operators."""

    style: Style
    filters: int

    def build(self) -> nn.Module:
        """`Style.after_add`."""
        return self.style.after_add(self.filters)


@final
@dataclass(frozen=True)
class Stem(Part):
    """The first layers of a PNAS network: 3x3 convolution and batch norm."""

    channels: int
    filters: int
    stride: int
    epsilon: float

    def build(self) -> nn.Module:
        """Convolution, batch norm."""
        conv = QuantConv2d(self.channels, self.filters, 3, self.stride)
        return nn.Sequential(conv, nn.BatchNorm2d(self.filters, eps=self.epsilon))


@final
@dataclass(frozen=True)
class PoolHead(Part):
    """Global average pooling and a dense layer with bias."""

    channels: int
    classes: int
    dropout: float = 0.0
    relu: bool = False

    def build(self) -> nn.Module:
        """(ReLU,) pool, (dropout,) dense."""
        layers: list[nn.Module] = [nn.ReLU()] if self.relu else []
        layers += [GlobalAveragePool()]
        layers += [nn.Dropout(self.dropout)] if self.dropout else []
        return nn.Sequential(*layers, nn.Linear(self.channels, self.classes))


def shape_after(part: Part, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(channels, height, width) of what ``part`` makes of an input of ``shape``; nothing is computed (meta device).

    Raises:
        UsageError: an operator registered by the user fails on this shape, or returns something else than a map.
    """
    return _shape_after(part, shape)


@lru_cache(maxsize=65536)
def _shape_after(part: Part, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    with torch.device("meta"), torch.no_grad():
        module = part.build().eval()
        outputs = _checked(part, module, torch.empty(1, *shape))
    return (outputs.shape[1], outputs.shape[2], outputs.shape[3])


def _checked(part: Part, module: nn.Module, inputs: Tensor) -> Tensor:
    name = f"the operator {part.name!r}" if isinstance(part, Operator) else repr(part)
    try:
        outputs = module(inputs)
    except RuntimeError as error:
        raise UsageError(f"{name} cannot read a map of shape {tuple(inputs.shape)}: {error}") from error
    if not isinstance(outputs, Tensor) or outputs.dim() != 4:
        raise UsageError(f"{name} must return one tensor (n, channels, height, width)")
    return outputs


@lru_cache(maxsize=65536)
def operator_channels(part: Operator) -> int:
    """Output channels of an operator.

    Raises:
        UsageError: its output has not the size or not the channels that its `Site` asks for.
    """
    site, size = part.site, 8
    channels, height, width = shape_after(part, (site.channels, size, size))
    expected = -(-size // site.stride)
    if (height, width) != (expected, expected):
        raise UsageError(
            f"the operator {part.name!r} made {height}x{width} of 8x8 with stride {site.stride}: its output must be "
            f"{expected}x{expected} (pad with kernel // 2)"
        )
    if channels != site.filters and (site.fixed or channels > site.filters):
        raise UsageError(f"the operator {part.name!r} returned {channels} channels: it must return {site.filters}")
    return channels


memoised_on_registry(_shape_after.cache_clear)
memoised_on_registry(operator_channels.cache_clear)
