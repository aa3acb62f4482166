"""The registry of operators: what a name in a cell is built as, in each kind of network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from pronas import space
from pronas.errors import UsageError, nearest


class LayerFactory(ABC):
    """How a family of networks builds its operators: which layers, in which order, with which quantizers.

    Every method returns a `torch.nn.Sequential` (possibly empty: the identity). Factories are frozen dataclasses, so
    they can be compared, hashed and memoised on.

        >>> from pronas.networks import OperatorContext, skeleton
        >>> factory = skeleton("flat").plan(space.Cell.parse("0:identity + 0:identity"), (3, 16, 16), 2).factory
        >>> [type(layer).__name__ for layer in factory.convolution(OperatorContext(factory, 3, 8), 3)]
        ['QuantConv2d', 'BatchNorm2d', 'ReLU']
    """

    binary: bool
    """Whether the maps between operators are ±1."""

    adapts: bool = False
    """Whether a cell brings every earlier cell to its own channels (else only to its size)."""

    adapts_stem: bool = True
    """Whether that holds also for the first cell's look past the stem (else it reads the stem as it is)."""

    @abstractmethod
    def convolution(self, context: OperatorContext, kernel: int, dilation: int = 1) -> nn.Sequential:
        """An ordinary convolution."""

    @abstractmethod
    def separable(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """A depthwise, then a pointwise convolution."""

    @abstractmethod
    def spatial(self, context: OperatorContext, length: int) -> nn.Sequential:
        """A 1 x length, then a length x 1 convolution."""

    def activation(self) -> nn.Sequential:
        """What stands between two convolutions of one operator where `convolution` does not end in it: nothing here."""
        return nn.Sequential()

    def double(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Two convolutions, the first one strided; with the identity beside it the basic block of ResNet (He et al.
        2016, figure 5)."""
        second = replace(context, channels=context.filters, stride=1, image=False)
        return nn.Sequential(*self.convolution(context, kernel), *self.activation(), *self.convolution(second, kernel))

    @abstractmethod
    def depthwise(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """A depthwise convolution (strided) of ``context.channels``, with what follows or precedes a convolution."""

    def bottleneck(self, context: OperatorContext, kernel: int, expansion: int) -> nn.Sequential:
        """1x1 to ``expansion`` times the channels, depthwise (strided), 1x1 to the filters: the inverted bottleneck
        (Sandler et al. 2018, MobileNetV2, table 1)."""
        wide = context.channels * expansion
        first = self.convolution(replace(context, filters=wide, stride=1), 1)
        middle = self.depthwise(replace(context, channels=wide, filters=wide, image=False), kernel)
        last = self.convolution(replace(context, channels=wide, stride=1, image=False), 1)
        return nn.Sequential(*first, *self.activation(), *middle, *self.activation(), *last)

    @abstractmethod
    def max_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Max pooling, then a 1x1 projection where the channels must change."""

    @abstractmethod
    def average_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Average pooling, then a 1x1 projection where the channels must change."""

    @abstractmethod
    def identity(self, context: OperatorContext) -> nn.Sequential:
        """The input itself, or a 1x1 projection where stride, channels or a binary network's image ask for it."""

    @abstractmethod
    def adapt(self, context: OperatorContext) -> nn.Sequential:
        """Bring an earlier cell's output to a cell's size (``context.stride``) and, where it adapts, channels."""

    @abstractmethod
    def after_add(self, filters: int) -> nn.Sequential:
        """What follows the sum of two operators."""


@dataclass(frozen=True)
class OperatorContext:
    """Where an operator stands; builders get one.

        >>> from pronas.networks import skeleton
        >>> factory = skeleton("flat").plan(space.Cell.parse("0:identity + 0:identity"), (3, 16, 16), 2).factory
        >>> OperatorContext(factory, channels=3, filters=8, fixed=False).projects  # three channels may stay three
        False

    Attributes:
        factory: the network's factory, with methods that build the usual operators.
        channels: of the operator's input.
        filters: of its output. Where ``fixed`` is false the output may have fewer channels (never more).
        stride: out size is ceil(in / stride).
        image: the input is the image of a binary network (odd integers in [-255, 255]), not ±1.
        fixed: the output must have exactly ``filters`` channels, because it is added to another.
    """

    factory: LayerFactory
    channels: int
    filters: int
    stride: int = 1
    image: bool = False
    fixed: bool = True

    @property
    def style(self) -> LayerFactory:
        """The factory, by the name it had before; users' builders may still use it."""
        return self.factory

    @property
    def projects(self) -> bool:
        """Whether an operator that keeps its channels must be followed by a projection."""
        return self.channels != self.filters if self.fixed else self.channels > self.filters


Builder = Callable[[OperatorContext], nn.Module]


@dataclass(frozen=True)
class _Entry:
    builder: Builder
    binary: bool | None
    counterpart: str | None


_OPERATORS: dict[str, _Entry] = {}


def operator(name: str, binary: bool | None = None, *, counterpart: str | None = None) -> Callable[[Builder], Builder]:
    """Register the decorated builder as the operator ``name``, in networks and in search spaces.

    The builder gets an `OperatorContext` and returns a module that maps (n, context.channels, h, w) to
    (n, context.filters, ceil(h / context.stride), ceil(w / context.stride)); in binary networks its outputs must be ±1.
    Registering a name again replaces it.

        >>> @operator("3x3 conv twice", binary=False)
        ... def twice(context):
        ...     second = replace(context, channels=context.filters, stride=1)
        ...     return nn.Sequential(context.factory.convolution(context, 3), context.factory.convolution(second, 3))

    Args:
        name: as it stands in cells.
        binary: True for binary networks only, False for full precision only, None for both.
        counterpart: the name to propose when the operator is used in a network of the other kind.

    Returns:
        A decorator; it gives the builder back as it is.

    Raises:
        UsageError: (of the decorator) the name cannot stand in a cell's text. What is built is checked when a network
            is planned.
    """

    def register(builder: Builder) -> Builder:
        space.register_operator(name, binary)
        _OPERATORS[name] = _Entry(builder, binary, counterpart)
        forget_memoised()
        return builder

    return register


_FORGET: list[Callable[[], None]] = []


def memoised_on_registry(clear: Callable[[], None]) -> None:
    """Have ``clear`` called whenever an operator is registered."""
    _FORGET.append(clear)


def forget_memoised() -> None:
    """Drop everything that was derived from builders."""
    for clear in _FORGET:
        clear()


def is_built_in(name: str) -> bool:
    """Whether the operator comes with pronas: then it keeps to the rules and need not be tried."""
    return _OPERATORS[name].builder.__module__ == "pronas.networks._operators"


def check_operator(name: str, binary: bool) -> None:
    """Raise unless ``name`` can be built in a network of that kind.

    Raises:
        UsageError: nobody registered the name, or it belongs to the other kind of network.
    """
    entry = _OPERATORS.get(name)
    if entry is None:
        raise UsageError(f"no operator is called {name!r}{nearest(name, _OPERATORS)}")
    if entry.binary is not None and entry.binary != binary:
        kind, other = ("binary", "full-precision") if binary else ("full-precision", "binary")
        cure = f"use {entry.counterpart!r}" if entry.counterpart else f"choose a {kind} operator"
        raise UsageError(f"{name!r} is a {other} operator and cannot stand in a {kind} network: {cure}")


def build_operator(name: str, context: OperatorContext) -> nn.Module:
    """Build the operator ``name`` at ``context``.

        >>> import torch
        >>> from pronas.networks import skeleton
        >>> factory = skeleton("flat").plan(space.Cell.parse("0:identity + 0:identity"), (3, 16, 16), 2).factory
        >>> module = build_operator("3x3 conv", OperatorContext(factory, channels=3, filters=8, stride=2))
        >>> module(torch.ones(1, 3, 9, 9)).shape
        torch.Size([1, 8, 5, 5])

    Args:
        name: of a registered operator.
        context: where it stands: channels, filters, stride.

    Returns:
        A module: (n, channels, h, w) to (n, filters, ceil(h / stride), ceil(w / stride)), floating.

    Raises:
        UsageError: unknown name, or one that belongs to the other kind of network.
    """
    check_operator(name, context.factory.binary)
    return _OPERATORS[name].builder(context)


def operators(binary: bool | None = None) -> list[str]:
    """Registered names in order; with ``binary``, those that a network of that kind can use.

        >>> "3x3 conv" in operators(binary=False), "3x3 conv" in operators(binary=True)
        (True, False)

    Args:
        binary: True: usable in binary networks; False: in full precision; None: all.
    """
    return [n for n, e in _OPERATORS.items() if binary is None or e.binary is None or e.binary == binary]
