"""The paper's skeletons for CIFAR and ImageNet (Liu et al. 2018, section 3.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from pronas.errors import UsageError
from pronas.networks._layer_factory import PnasFactory
from pronas.networks._module_spec import ModuleSpec, PoolHead, Stem
from pronas.networks._plan import NetworkPlan, Stage, State, plan_cells
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

_AUXILIARY_FILTERS, _AUXILIARY_UNITS = 128, 768


@final
@dataclass(frozen=True)
class AuxiliaryHead(ModuleSpec):
    """A second classifier in the middle of the network, used in training only (Szegedy et al. 2015, section 5)."""

    channels: int
    height: int
    width: int
    classes: int
    epsilon: float

    def build(self) -> nn.Module:
        """ReLU, 5x5 average pool of stride 3, 1x1 convolution, norm, ReLU, convolution over all, norm, ReLU, dense."""
        window = min(5, self.height), min(5, self.width)
        left = (self.height - window[0]) // 3 + 1, (self.width - window[1]) // 3 + 1
        return nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(window, 3),
            nn.Conv2d(self.channels, _AUXILIARY_FILTERS, 1, bias=False),
            nn.BatchNorm2d(_AUXILIARY_FILTERS, eps=self.epsilon),
            nn.ReLU(inplace=True),
            nn.Conv2d(_AUXILIARY_FILTERS, _AUXILIARY_UNITS, left, bias=False),
            nn.BatchNorm2d(_AUXILIARY_UNITS, eps=self.epsilon),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(_AUXILIARY_UNITS, self.classes),
        )


def _groups(n: int, f: int) -> list[Stage]:
    """Three groups of n cells of f, 2f, 4f filters; the first cell of the second and of the third has stride 2."""
    return [Stage(f << group, 2 if group and not i else 1) for group in range(3) for i in range(n)]


class _Pnas(Skeleton):
    """What both skeletons share. ReLU before convolutions, separable ones twice, block results added."""

    N: int
    F: int
    dropout: float
    drop_path: float
    auxiliary: bool
    outputs: str

    def __post_init__(self) -> None:
        for field in ("N", "F"):
            most = MOST_ENTRIES if field == "N" else MOST_FILTERS
            value = getattr(self, field)
            if len(check_ints(field, value, most=most)) != 1 or isinstance(value, tuple | list):
                raise UsageError(f"{field} is {getattr(self, field)!r}: give one positive integer")
        check_fraction("dropout", self.dropout)
        check_fraction("drop_path", self.drop_path)
        if self.outputs not in ("unused", "all"):
            raise UsageError(f"outputs is {self.outputs!r}: give 'unused' or 'all'")

    def _plan(
        self, cell: Cell, shape: tuple[int, int, int], classes: int, stem: Stem, first: list[Stage]
    ) -> NetworkPlan:
        factory, stages = PnasFactory(adapts_stem=not first), [*first, *_groups(self.N, self.F)]
        states, cells = plan_cells(cell, factory, State(stem.filters, stem.stride), stages, True, self.outputs == "all")
        head = PoolHead(states[-1].channels, classes, self.dropout, relu=True)
        plan = NetworkPlan(factory, shape, classes, stem, states, cells, head, drop_path=self.drop_path)
        if not self.auxiliary:
            return plan
        middle = len(first) + 2 * self.N  # the output of the last cell before the last reduction
        size = plan.shape(states[middle])
        return dataclasses.replace(plan, auxiliary=(middle, AuxiliaryHead(*size, classes, factory.epsilon)))


@register_skeleton
@final
@dataclass(frozen=True)
class PnasCifar(_Pnas):
    """3x3 stem of 3F filters; 3N cells, of which those numbered N + 1 and 2N + 1 have stride 2 and twice the filters;
    ReLU, global average pooling, a dense layer. Search: F = 24, N = 2; final: F = 48, N = 3.

        >>> from pronas.networks import describe
        >>> describe(Cell.parse("-1:3x3 dconv + -2:identity"), PnasCifar(N=1, F=8), (3, 32, 32)).parameters
        8210

    Attributes:
        N, F: as in the paper.
        dropout: rate before the dense layer.
        drop_path: rate of scheduled drop path at the last cell at the end of training.
        auxiliary: whether training has an auxiliary head after cell 2N.
        outputs: blocks in a cell's output: "unused" (those no later block reads, the paper's rule) or "all" (what the
            published PNASNet-5 does, although its fourth block reads its third).
    """

    name: ClassVar[str] = "pnas-cifar"
    widths: ClassVar[tuple[str, ...]] = ("F",)
    N: int = 3
    F: int = 48
    dropout: float = 0.0
    drop_path: float = 0.0
    auxiliary: bool = False
    outputs: str = "unused"

    def plan(self, cell: Cell, input_shape: Sequence[int], classes: int) -> NetworkPlan:
        """See `Skeleton.plan`."""
        shape = check_shape(input_shape, classes)
        return self._plan(cell, shape, classes, Stem(shape[0], 3 * self.F, 1, PnasFactory().epsilon), [])


@register_skeleton
@final
@dataclass(frozen=True)
class PnasImagenet(_Pnas):
    """3x3 stem of stride 2; two stem cells of stride 2 with F/4 and F/2 filters; then 3N cells as in `PnasCifar`.

        >>> from pronas.networks import describe
        >>> describe(Cell.parse("-1:3x3 dconv + -2:identity"), PnasImagenet(N=1, F=16), (3, 64, 64)).parameters
        28562

    Attributes:
        N, F: as in the paper; F a multiple of 4. Large: N = 4, F = 216; mobile: N = 3, F = 54.
        stem: filters of the first convolution.
        dropout: rate before the dense layer.
        drop_path: rate of scheduled drop path at the last cell at the end of training.
        auxiliary: whether training has an auxiliary head after cell 2N (stem cells not counted).
        outputs: blocks in a cell's output: "unused" or "all", as in `PnasCifar`.
    """

    name: ClassVar[str] = "pnas-imagenet"
    widths: ClassVar[tuple[str, ...]] = ("F", "stem")
    N: int = 4
    F: int = 216
    stem: int = 96
    dropout: float = 0.5
    drop_path: float = 0.0
    auxiliary: bool = False
    outputs: str = "unused"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ints("stem", self.stem)

    def plan(self, cell: Cell, input_shape: Sequence[int], classes: int) -> NetworkPlan:
        """See `Skeleton.plan`."""
        shape = check_shape(input_shape, classes)
        first = [Stage(max(self.F // 4, 1), 2), Stage(max(self.F // 2, 1), 2)]
        return self._plan(cell, shape, classes, Stem(shape[0], self.stem, 2, PnasFactory().epsilon), first)
