"""The binary skeleton: strided cells of ±1 layers and binary dense layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from pronas.networks._flat import check_combine, stages_of
from pronas.networks._layer_factory import BinaryFactory
from pronas.networks._layers import DropoutNoScale, QuantLinear, Sign
from pronas.networks._module_spec import ModuleSpec
from pronas.networks._plan import NetworkPlan, State, plan_cells
from pronas.networks._quantizers import resolve_latent_bound, resolve_lr_multiplier
from pronas.networks._skeleton import LATER, Skeleton, check_fraction, check_ints, check_shape, register_skeleton
from pronas.space import Cell


@final
@dataclass(frozen=True)
class BinaryHead(ModuleSpec):
    """Flatten (channels, then rows, then columns); binary dense layers, each with batch norm, the hidden ones with
    sign; dropout without rescaling on the input and the hidden layers."""

    factory: BinaryFactory
    inputs: int
    units: tuple[int, ...]
    input_dropout: float
    dropout: float

    def build(self) -> nn.Module:
        """Flatten, (dropout, dense, batch norm, sign)…, dropout, dense, batch norm."""
        layers: list[nn.Module] = [nn.Flatten()]
        inputs, rate = self.inputs, self.input_dropout
        for units in self.units:
            layers += [DropoutNoScale(rate)] if rate else []
            layers += [self._dense(inputs, units), self._norm(units), Sign(self.factory.sign)]
            inputs, rate = units, self.dropout
        return nn.Sequential(*layers[:-1])

    def _dense(self, inputs: int, units: int) -> QuantLinear:
        factory = self.factory
        return QuantLinear(
            inputs, units, kernel_quantizer="ste_sign", xnor=factory.xnor,
            latent_bound=factory.latent_bound, lr_multiplier=factory.lr_multiplier,
        )  # fmt: skip

    def _norm(self, units: int) -> nn.BatchNorm1d:
        return nn.BatchNorm1d(units, eps=self.factory.epsilon, momentum=self.factory.momentum)


@register_skeleton
@final
@dataclass(frozen=True)
class Binary(Skeleton):
    """Strided cells whose maps are ±1, flattened, then binary dense layers; batch norm on the logits.

        >>> from pronas.networks import describe
        >>> describe(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), Binary(filters=(8, 8)), (3, 32, 32)).parameters
        34322

    Attributes:
        filters: of each cell (``NUM_CELL_FILTERS``).
        strides: of each cell, or one for all.
        dense: units of the hidden dense layers; the last one, of as many units as classes, is added.
        combine: how a block joins its two operators: "concat", or "add" with batch norm and sign after the sum.
        h: bound H of the latent weights, a number or "Glorot" (the default: with H = 1 signs settle far too slowly).
        rate: learning-rate multiplier of the quantized layers, a number or "Glorot".
        xnor: scale output channels by their mean absolute latent weight.
        activation: the quantizer of one bit between layers: "ste_sign" or "approx_sign" (Bi-Real), by their gradients.
        input_dropout, dropout: rates, without rescaling, on the input of the first dense layer and on the hidden ones.
    """

    name: ClassVar[str] = "binary"
    binary: ClassVar[bool] = True
    widths: ClassVar[tuple[str, ...]] = ("filters", "dense")
    width_step: ClassVar[int] = 8
    filters: tuple[int, ...] = (16, 24, 32)
    strides: tuple[int, ...] = (2,)
    dense: tuple[int, ...] = (32,)
    combine: str = "concat"
    h: float | str = "Glorot"
    rate: float | str = 1.0
    xnor: bool = False
    input_dropout: float = 0.0
    dropout: float = 0.0
    activation: str = dataclasses.field(default="ste_sign", metadata=LATER)

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", check_ints("filters", self.filters))
        object.__setattr__(self, "strides", check_ints("strides", self.strides))
        object.__setattr__(self, "dense", check_ints("dense", self.dense) if self.dense else ())
        check_fraction("input_dropout", self.input_dropout)
        check_fraction("dropout", self.dropout)
        check_combine(self.combine)
        resolve_latent_bound(self.h, 1, 1)
        resolve_lr_multiplier(self.rate, 1, 1)
        stages_of(self.filters, self.strides)
        Sign(self.activation)

    def plan(self, cell: Cell, input_shape: Sequence[int], classes: int) -> NetworkPlan:
        """See `Skeleton.plan`."""
        shape, factory = check_shape(input_shape, classes), BinaryFactory(self.h, self.rate, self.xnor, self.activation)
        stages = stages_of(self.filters, self.strides)
        states, cells = plan_cells(cell, factory, State(shape[0], 1, True), stages, self.combine == "add")
        last = states[-1]
        inputs = last.channels * -(-shape[1] // last.stride) * -(-shape[2] // last.stride)
        head = BinaryHead(factory, inputs, (*self.dense, classes), self.input_dropout, self.dropout)
        return NetworkPlan(factory, shape, classes, None, states, cells, head)
