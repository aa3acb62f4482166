"""The flat skeleton: the small full-precision network of strided cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from pronas.errors import UsageError
from pronas.networks._layer_factory import FlatFactory
from pronas.networks._module_spec import PoolHead, Stem
from pronas.networks._plan import NetworkPlan, Stage, State, plan_cells
from pronas.networks._quantizers import quantizer
from pronas.networks._skeleton import LATER, Skeleton, check_fraction, check_ints, check_shape, register_skeleton
from pronas.space import Cell


def stages_of(filters: tuple[int, ...], strides: tuple[int, ...]) -> list[Stage]:
    """One stage a cell; a single stride stands for all.

    Raises:
        UsageError: as many strides as filters, or one, are needed.
    """
    strides = strides * len(filters) if len(strides) == 1 else strides
    if len(strides) != len(filters):
        raise UsageError(f"{len(strides)} strides for {len(filters)} cells: give one for each, or one for all")
    return [Stage(f, s) for f, s in zip(filters, strides, strict=True)]


def check_combine(combine: str) -> None:
    """Raise unless ``combine`` is "concat" or "add".

    Raises:
        UsageError: it is not.
    """
    if combine not in ("concat", "add"):
        raise UsageError(f"combine is {combine!r}: give 'concat' or 'add'")


@register_skeleton
@final
@dataclass(frozen=True)
class Flat(Skeleton):
    """Strided cells, global average pooling, a dense layer.

    Operators give ``filters`` channels; where results are concatenated, pools and the identity keep the channels they
    read as long as these are not more. A value that looks back past the first cell reads the image (or the stem).

        >>> from pronas.networks import describe
        >>> describe(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), Flat(filters=(4, 8)), (3, 32, 32)).parameters
        796

    Attributes:
        filters: of each cell.
        strides: of each cell, or one for all.
        combine: how a block joins its two operators: "concat" or "add".
        stem: filters of a 3x3 convolution with batch norm before the first cell; 0 for none.
        dropout: rate before the dense layer.
        drop_path: rate of scheduled drop path at the last cell at the end of training.
        kernel_quantizer: of the cells' convolutions, "ste_sign", "dorefa-4", …; maps stay in full precision. "": none.
    """

    name: ClassVar[str] = "flat"
    filters: tuple[int, ...] = (32, 64)
    strides: tuple[int, ...] = (2,)
    combine: str = "concat"
    stem: int = 0
    dropout: float = 0.0
    drop_path: float = 0.0
    kernel_quantizer: str = dataclasses.field(default="", metadata=LATER)

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", check_ints("filters", self.filters))
        object.__setattr__(self, "strides", check_ints("strides", self.strides))
        check_ints("stem", self.stem, 0)
        check_fraction("dropout", self.dropout)
        check_fraction("drop_path", self.drop_path)
        check_combine(self.combine)
        quantizer(self.kernel_quantizer or None)
        stages_of(self.filters, self.strides)

    def plan(self, cell: Cell, input_shape: Sequence[int], classes: int) -> NetworkPlan:
        """See `Skeleton.plan`."""
        shape, factory = check_shape(input_shape, classes), FlatFactory(self.kernel_quantizer)
        stem = Stem(shape[0], self.stem, 1, factory.epsilon) if self.stem else None
        first, stages = State(self.stem or shape[0], 1), stages_of(self.filters, self.strides)
        states, cells = plan_cells(cell, factory, first, stages, self.combine == "add")
        head = PoolHead(states[-1].channels, classes, self.dropout)
        return NetworkPlan(factory, shape, classes, stem, states, cells, head, drop_path=self.drop_path)
