"""The residual skeleton: the hand-made small networks (ResNet-8, DS-CNN, MobileNetV2) are points of its space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, Self, final

from torch import nn

from pronas.errors import UsageError
from pronas.networks._flat import stages_of
from pronas.networks._layers import AveragePool, GlobalAveragePool, MaxPool, QuantConv2d, reduce_map
from pronas.networks._module_spec import ModuleSpec
from pronas.networks._plan import NetworkPlan, Stage, State, plan_cells
from pronas.networks._registry import LayerFactory, OperatorContext
from pronas.networks._skeleton import (
    MOST_ENTRIES,
    MOST_FILTERS,
    Skeleton,
    check_fraction,
    check_ints,
    check_shape,
    register_skeleton,
)
from pronas.space import Cell

_STRIDES = (1, 2, 2)


@final
@dataclass(frozen=True)
class ResidualFactory(LayerFactory):
    """Full precision; operators end in batch norm, their sum in ReLU, so that an identity among them is a shortcut
    (He et al. 2016, figure 2).

    Attributes:
        linear: no ReLU after the sum: linear bottlenecks (Sandler et al. 2018, section 3.2).
    """

    linear: bool = False
    epsilon: float = 1e-5
    binary = False

    def activation(self) -> nn.Sequential:
        """ReLU."""
        return nn.Sequential(nn.ReLU(inplace=True))

    def _unit(
        self, channels: int, filters: int, kernel: int | tuple[int, int] = 1, stride: int = 1, *,
        groups: int = 1, dilation: int = 1,
    ) -> nn.Sequential:  # fmt: skip
        conv = QuantConv2d(channels, filters, kernel, stride, groups=groups, dilation=dilation)
        return nn.Sequential(conv, nn.BatchNorm2d(filters, eps=self.epsilon))

    def convolution(self, context: OperatorContext, kernel: int, dilation: int = 1) -> nn.Sequential:
        """Convolution, batch norm."""
        return self._unit(context.channels, context.filters, kernel, context.stride, dilation=dilation)

    def separable(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Depthwise (strided), batch norm, ReLU, pointwise, batch norm (Howard et al. 2017, MobileNet, figure 3)."""
        pointwise = self._unit(context.channels, context.filters)
        return nn.Sequential(*self.depthwise(context, kernel), *self.activation(), *pointwise)

    def spatial(self, context: OperatorContext, length: int) -> nn.Sequential:
        """1 x length (strided), batch norm, ReLU, length x 1, batch norm."""
        first = self._unit(context.channels, context.filters, (1, length), context.stride)
        return nn.Sequential(*first, *self.activation(), *self._unit(context.filters, context.filters, (length, 1)))

    def depthwise(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Depthwise (strided), batch norm."""
        channels = context.channels
        return self._unit(channels, channels, kernel, context.stride, groups=channels)

    def _project(self, context: OperatorContext, stride: int = 1) -> nn.Sequential:
        return self._unit(context.channels, context.filters, 1, stride)

    def max_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Max pool, then 1x1 convolution and batch norm where channels change."""
        return nn.Sequential(MaxPool(kernel, context.stride), *(self._project(context) if context.projects else ()))

    def average_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Average pool, then 1x1 convolution and batch norm where channels change."""
        return nn.Sequential(AveragePool(kernel, context.stride), *(self._project(context) if context.projects else ()))

    def identity(self, context: OperatorContext) -> nn.Sequential:
        """Nothing, or a strided 1x1 convolution and batch norm (He et al. 2016, option B)."""
        return self._project(context, context.stride) if context.projects or context.stride > 1 else nn.Sequential()

    def adapt(self, context: OperatorContext) -> nn.Sequential:
        """Max pool where the size differs; 1x1 convolution and batch norm where the channels must change."""
        return nn.Sequential(*reduce_map(context.stride), *(self._project(context) if context.projects else ()))

    def after_add(self, filters: int) -> nn.Sequential:
        """ReLU, or nothing."""
        return nn.Sequential() if self.linear else self.activation()


@final
@dataclass(frozen=True)
class ResidualStem(ModuleSpec):
    """3x3 convolution, batch norm, ReLU."""

    factory: ResidualFactory
    channels: int
    filters: int
    stride: int

    def build(self) -> nn.Module:
        """Convolution, batch norm, ReLU."""
        return nn.Sequential(
            *self.factory._unit(self.channels, self.filters, 3, self.stride), *self.factory.activation()
        )


@final
@dataclass(frozen=True)
class ResidualHead(ModuleSpec):
    """(1x1 convolution, batch norm, ReLU,) global average pooling, (dropout,) a dense layer with bias."""

    factory: ResidualFactory
    channels: int
    filters: int
    classes: int
    dropout: float = 0.0

    def build(self) -> nn.Module:
        """The layers named above."""
        wide = self.filters or self.channels
        layers: list[nn.Module] = []
        if self.filters:
            layers += [nn.Sequential(*self.factory._unit(self.channels, wide), *self.factory.activation())]
        elif self.factory.linear:
            layers += [nn.ReLU()]
        layers += [GlobalAveragePool(), *([nn.Dropout(self.dropout)] if self.dropout else [])]
        return nn.Sequential(*layers, nn.Linear(wide, self.classes))


@register_skeleton
@final
@dataclass(frozen=True)
class Residual(Skeleton):
    """A stem, stages of cells whose blocks are added, global average pooling, a dense layer.

    ResNet-8 of MLPerf Tiny (Banbury et al. 2021) is ``0:3x3-3x3 conv + 0:identity`` in this skeleton as it stands.

        >>> from pronas.networks import describe
        >>> describe(Cell.parse("0:3x3-3x3 conv + 0:identity"), Residual(), (3, 32, 32)).parameters  # ResNet-8
        78042

    Attributes:
        filters: of the cells of each stage.
        strides: of the first cell of each stage, or one for all.
        repeats: cells of each stage, or one number for all.
        stem: filters of the 3x3 convolution before the first cell.
        stem_stride: its stride.
        linear: no ReLU after a block's sum.
        head: filters of a 1x1 convolution before the pooling; 0 for none.
        dropout: rate before the dense layer.
        drop_path: rate of scheduled drop path at the last cell at the end of training.
    """

    name: ClassVar[str] = "residual"
    filters: tuple[int, ...] = (16, 32, 64)
    strides: tuple[int, ...] = _STRIDES
    repeats: tuple[int, ...] = (1,)
    stem: int = 16
    stem_stride: int = 1
    linear: bool = False
    head: int = 0
    dropout: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        for field in ("filters", "strides", "repeats"):
            most = MOST_ENTRIES if field == "repeats" else MOST_FILTERS
            object.__setattr__(self, field, check_ints(field, getattr(self, field), most=most))
        check_ints("stem", self.stem)
        check_ints("stem_stride", self.stem_stride)
        check_ints("head", self.head, 0)
        check_fraction("dropout", self.dropout)
        check_fraction("drop_path", self.drop_path)
        self._stages()

    def _stages(self) -> list[Stage]:
        """One stage a cell: the first of each group is strided, the others keep the size."""
        groups = stages_of(self.filters, self.strides)
        repeats = self.repeats * len(groups) if len(self.repeats) == 1 else self.repeats
        if len(repeats) != len(groups):
            raise UsageError(f"{len(repeats)} repeats for {len(groups)} stages: give one for each, or one for all")
        pairs = zip(groups, repeats, strict=True)
        return [Stage(one.filters, 1 if i else one.stride) for one, count in pairs for i in range(count)]

    def shapes(self, input_shape: Sequence[int]) -> dict[str, Self]:
        """``early``: the first stage, too, is strided, so that the filters are more for the same time; not where the
        strides were chosen by hand, nor where little of the image would be left."""
        strides = (2, *_STRIDES[1:])
        usual = (self.strides, self.stem_stride) == (_STRIDES, 1)
        return {"early": replace(self, strides=strides)} if usual and min(input_shape[1:]) >= 3 * prod(strides) else {}

    def plan(self, cell: Cell, input_shape: Sequence[int], classes: int) -> NetworkPlan:
        """See `Skeleton.plan`."""
        shape, factory = check_shape(input_shape, classes), ResidualFactory(self.linear)
        stem = ResidualStem(factory, shape[0], self.stem, self.stem_stride)
        states, cells = plan_cells(cell, factory, State(self.stem, self.stem_stride), self._stages(), add=True)
        head = ResidualHead(factory, states[-1].channels, self.head, classes, self.dropout)
        return NetworkPlan(factory, shape, classes, stem, states, cells, head, drop_path=self.drop_path)
