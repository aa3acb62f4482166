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
from pronas.networks._layers import GlobalAveragePool, QuantConv2d, Zeros, reduce_map
from pronas.networks._registry import LayerFactory, OperatorContext, build_operator, is_built_in, memoised_on_registry


class ModuleSpec(ABC):
    """A piece of a network that can be built."""

    @abstractmethod
    def build(self) -> nn.Module:
        """A fresh module, initialised from the global random generator, on the default device."""


@final
@dataclass(frozen=True)
class Operator(ModuleSpec):
    """An operator of a block."""

    name: str
    context: OperatorContext

    def __hash__(self) -> int:
        """Computed once: parts are looked up thousands of times a second when candidates are counted."""
        known = self.__dict__.get("_hash")
        if known is None:
            known = hash((self.name, self.context))
            object.__setattr__(self, "_hash", known)
        return known

    def build(self) -> nn.Module:
        """What the registry builds for the name."""
        return build_operator(self.name, self.context)


@final
@dataclass(frozen=True)
class Adapter(ModuleSpec):
    """Brings an earlier cell's output to a cell's size and channels."""

    context: OperatorContext

    def build(self) -> nn.Module:
        """`LayerFactory.adapt`."""
        return self.context.factory.adapt(self.context)


@final
@dataclass(frozen=True)
class Reducer(ModuleSpec):
    """Max pooling that makes a map ``stride`` times smaller; nothing where that is 1."""

    stride: int

    def build(self) -> nn.Module:
        """`reduce_map`."""
        return reduce_map(self.stride)


@final
@dataclass(frozen=True)
class AfterAdd(ModuleSpec):
    """What follows the sum of two operators."""

    factory: LayerFactory
    filters: int

    def build(self) -> nn.Module:
        """`LayerFactory.after_add`."""
        return self.factory.after_add(self.filters)


@final
@dataclass(frozen=True)
class Stem(ModuleSpec):
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
class PoolHead(ModuleSpec):
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


@lru_cache(maxsize=8192)
def meta_module(part: ModuleSpec) -> nn.Module:
    """The part built on the meta device (shapes but no memory), in evaluation mode; shared, so leave it unchanged."""
    with torch.device("meta"):
        return part.build().eval()


@lru_cache(maxsize=65536)
def operator_channels(part: Operator) -> int:
    """Output channels of an operator.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> plan = skeleton("flat", filters=(4,)).plan(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (3, 16, 16), 2)
        >>> operator_channels(plan.cells[0].blocks[0].left), operator_channels(plan.cells[0].blocks[0].right)
        (4, 3)

    Raises:
        UsageError: its output has not the size or not the channels that its `OperatorContext` asks for.
    """
    context, size = part.context, 8
    module = meta_module(part)
    if is_built_in(part.name):
        wide = [layer.out_channels for layer in module.children() if isinstance(layer, nn.Conv2d | Zeros)]
        return wide[-1] if wide else context.channels
    channels, height, width = _probe(part.name, module, torch.empty(1, context.channels, size, size, device="meta"))
    expected = -(-size // context.stride)
    if (height, width) != (expected, expected):
        raise UsageError(
            f"the operator {part.name!r} made {height}x{width} of 8x8 with stride {context.stride}: its output must be "
            f"{expected}x{expected} (pad with kernel // 2)"
        )
    if channels != context.filters and (context.fixed or channels > context.filters):
        raise UsageError(f"the operator {part.name!r} returned {channels} channels: it must return {context.filters}")
    return channels


def _probe(name: str, module: nn.Module, inputs: Tensor) -> tuple[int, int, int]:
    try:
        with torch.no_grad():
            outputs = module(inputs)
    except RuntimeError as error:
        raise UsageError(f"the operator {name!r} cannot read a map of shape {tuple(inputs.shape)}: {error}") from error
    if not isinstance(outputs, Tensor) or outputs.dim() != 4:
        raise UsageError(f"the operator {name!r} must return one tensor (n, channels, height, width)")
    return outputs.shape[1], outputs.shape[2], outputs.shape[3]


memoised_on_registry(meta_module.cache_clear)
memoised_on_registry(operator_channels.cache_clear)
