"""Three layer factories: convolution then activation (flat), activation first and separable ones twice (PNAS), and ±1
(binary)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from torch import nn

from pronas.networks._layers import AveragePool, FactorizedReduction, MaxPool, QuantConv2d, Sign, SumPool, reduce_map
from pronas.networks._registry import LayerFactory, OperatorContext


def _sequence(*parts: nn.Module | Iterable[nn.Module]) -> nn.Sequential:
    """One flat sequence of layers."""
    layers: list[nn.Module] = []
    for part in parts:
        layers.extend([part] if isinstance(part, nn.Module) and not isinstance(part, nn.Sequential) else part)
    return nn.Sequential(*layers)


@final
@dataclass(frozen=True)
class FlatFactory(LayerFactory):
    """Full precision; every convolution is followed by batch norm and ReLU.

    In the 1x7-7x1 convolution the first of the two is strided both ways.
    """

    kernel_quantizer: str = ""
    epsilon: float = 1e-5
    binary = False

    def _conv(
        self, channels: int, filters: int, kernel: int | tuple[int, int], stride: int = 1, *,
        dilation: int = 1, groups: int = 1,
    ) -> QuantConv2d:  # fmt: skip
        how = self.kernel_quantizer or None
        return QuantConv2d(channels, filters, kernel, stride, dilation=dilation, groups=groups, kernel_quantizer=how)

    def _normal(self, filters: int) -> nn.Sequential:
        return nn.Sequential(nn.BatchNorm2d(filters, eps=self.epsilon), nn.ReLU())

    def convolution(self, context: OperatorContext, kernel: int, dilation: int = 1) -> nn.Sequential:
        """Convolution, batch norm, ReLU."""
        conv = self._conv(context.channels, context.filters, kernel, context.stride, dilation=dilation)
        return _sequence(conv, self._normal(context.filters))

    def separable(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Depthwise (strided), pointwise, batch norm, ReLU."""
        depthwise = self._conv(context.channels, context.channels, kernel, context.stride, groups=context.channels)
        return _sequence(depthwise, self._conv(context.channels, context.filters, 1), self._normal(context.filters))

    def depthwise(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Depthwise (strided), batch norm, ReLU."""
        channels = context.channels
        conv = self._conv(channels, channels, kernel, context.stride, groups=channels)
        return _sequence(conv, self._normal(channels))

    def spatial(self, context: OperatorContext, length: int) -> nn.Sequential:
        """1 x length (strided), batch norm, ReLU, length x 1, batch norm, ReLU."""
        first = self._conv(context.channels, context.filters, (1, length), context.stride)
        second = self._conv(context.filters, context.filters, (length, 1))
        return _sequence(first, self._normal(context.filters), second, self._normal(context.filters))

    def _project(self, context: OperatorContext, stride: int = 1) -> nn.Sequential:
        return _sequence(self._conv(context.channels, context.filters, 1, stride), self._normal(context.filters))

    def max_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Max pool, then convolution, batch norm and ReLU where channels change."""
        return _sequence(MaxPool(kernel, context.stride), self._project(context) if context.projects else ())

    def average_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Average pool, then convolution, batch norm and ReLU where channels change."""
        return _sequence(AveragePool(kernel, context.stride), self._project(context) if context.projects else ())

    def identity(self, context: OperatorContext) -> nn.Sequential:
        """Nothing, or a strided 1x1 convolution, batch norm and ReLU."""
        return self._project(context, context.stride) if context.projects or context.stride > 1 else nn.Sequential()

    def adapt(self, context: OperatorContext) -> nn.Sequential:
        """Max pool where the size differs; convolution, batch norm and ReLU where the channels must change."""
        return _sequence(reduce_map(context.stride), self._project(context) if context.projects else ())

    def after_add(self, filters: int) -> nn.Sequential:
        """Nothing."""
        return nn.Sequential()


@final
@dataclass(frozen=True)
class PnasFactory(LayerFactory):
    """Full precision, ReLU before each convolution and batch norm after; separable convolutions are applied twice
    (Liu et al. 2018, appendix A).

    Attributes:
        adapts_stem: false in the published ImageNet network, whose first cell reads the stem's 96 channels as they are.
    """

    adapts_stem: bool = True
    epsilon: float = 1e-3
    binary = False
    adapts = True

    def _unit(self, *convolutions: QuantConv2d) -> nn.Sequential:
        filters = convolutions[-1].out_channels
        return nn.Sequential(nn.ReLU(), *convolutions, nn.BatchNorm2d(filters, eps=self.epsilon))

    def convolution(self, context: OperatorContext, kernel: int, dilation: int = 1) -> nn.Sequential:
        """ReLU, convolution, batch norm."""
        return self._unit(QuantConv2d(context.channels, context.filters, kernel, context.stride, dilation=dilation))

    def _separable_once(self, channels: int, filters: int, kernel: int, stride: int) -> nn.Sequential:
        depthwise = QuantConv2d(channels, channels, kernel, stride, groups=channels)
        return self._unit(depthwise, QuantConv2d(channels, filters, 1))

    def separable(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Twice: ReLU, depthwise, pointwise, batch norm; the first depthwise is strided."""
        first = self._separable_once(context.channels, context.filters, kernel, context.stride)
        return _sequence(first, self._separable_once(context.filters, context.filters, kernel, 1))

    def depthwise(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """ReLU, depthwise (strided), batch norm."""
        channels = context.channels
        return self._unit(QuantConv2d(channels, channels, kernel, context.stride, groups=channels))

    def spatial(self, context: OperatorContext, length: int) -> nn.Sequential:
        """ReLU, 1 x length (strided), batch norm, ReLU, length x 1, batch norm."""
        first = self._unit(QuantConv2d(context.channels, context.filters, (1, length), context.stride))
        return _sequence(first, self._unit(QuantConv2d(context.filters, context.filters, (length, 1))))

    def _project(self, context: OperatorContext) -> nn.Sequential:
        if not context.projects:
            return nn.Sequential()
        conv = QuantConv2d(context.channels, context.filters, 1)
        return nn.Sequential(conv, nn.BatchNorm2d(context.filters, eps=self.epsilon))

    def max_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Max pool, then a 1x1 convolution and batch norm where channels change."""
        return _sequence(MaxPool(kernel, context.stride), self._project(context))

    def average_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Average pool, then a 1x1 convolution and batch norm where channels change."""
        return _sequence(AveragePool(kernel, context.stride), self._project(context))

    def identity(self, context: OperatorContext) -> nn.Sequential:
        """Nothing, or ReLU, strided 1x1 convolution, batch norm."""
        needed = context.projects or context.stride > 1
        return (
            self._unit(QuantConv2d(context.channels, context.filters, 1, context.stride)) if needed else nn.Sequential()
        )

    def adapt(self, context: OperatorContext) -> nn.Sequential:
        """ReLU, 1x1 convolution, batch norm; where the size differs twofold, a factorized reduction in their place."""
        if context.stride == 1 or context.filters == 1:  # a reduction would have no filter for the even pixels
            return self._unit(QuantConv2d(context.channels, context.filters, 1, context.stride))
        reduction = FactorizedReduction(context.channels, context.filters, self.epsilon)
        return _sequence(reduce_map(context.stride // 2), nn.ReLU(), reduction)

    def after_add(self, filters: int) -> nn.Sequential:
        """Nothing."""
        return nn.Sequential()


@final
@dataclass(frozen=True)
class BinaryFactory(LayerFactory):
    """Inputs and outputs of every operator are ±1 (only the image is not); each convolution has a binary kernel and is
    followed by batch norm and sign.

    Attributes:
        latent_bound: H, the bound of the latent weights, a number or "Glorot".
        lr_multiplier: what their learning rate is multiplied by, a number or "Glorot".
        xnor: scale each convolution's output channels by their mean absolute weight.
        sign: the quantizer of one bit after each batch norm.
        momentum: of the batch norm, in PyTorch's sense (0.1 is 0.9 in Keras's).
        epsilon: of the batch norm.
    """

    latent_bound: float | str = 1.0
    lr_multiplier: float | str = 1.0
    xnor: bool = False
    sign: str = "ste_sign"
    momentum: float = 0.1
    epsilon: float = 1e-6
    binary = True

    def normal_sign(self, filters: int) -> nn.Sequential:
        """Batch norm and sign."""
        return nn.Sequential(nn.BatchNorm2d(filters, eps=self.epsilon, momentum=self.momentum), Sign(self.sign))

    def _unit(
        self, channels: int, filters: int, kernel: int | tuple[int, int], stride: int = 1, groups: int = 1
    ) -> nn.Sequential:
        conv = QuantConv2d(
            channels, filters, kernel, stride, groups=groups, kernel_quantizer="ste_sign",
            latent_bound=self.latent_bound, lr_multiplier=self.lr_multiplier, xnor=self.xnor,
        )  # fmt: skip
        return _sequence(conv, self.normal_sign(filters))

    def convolution(self, context: OperatorContext, kernel: int, dilation: int = 1) -> nn.Sequential:
        """Binary convolution, batch norm, sign."""
        assert dilation == 1, "there is no dilated binary convolution"
        return self._unit(context.channels, context.filters, kernel, context.stride)

    def separable(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Binary depthwise (strided), batch norm, sign, binary pointwise, batch norm, sign."""
        return _sequence(self.depthwise(context, kernel), self._unit(context.channels, context.filters, 1))

    def depthwise(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Binary depthwise (strided), batch norm, sign."""
        channels = context.channels
        return self._unit(channels, channels, kernel, context.stride, groups=channels)

    def spatial(self, context: OperatorContext, length: int) -> nn.Sequential:
        """Binary 1 x length (strided), batch norm, sign, binary length x 1, batch norm, sign."""
        first = self._unit(context.channels, context.filters, (1, length), context.stride)
        return _sequence(first, self._unit(context.filters, context.filters, (length, 1)))

    def max_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Max pool; on the image batch norm and sign; where channels change a binary 1x1 convolution, norm and sign."""
        ending = nn.Sequential()
        if context.projects:
            ending = self._unit(context.channels, context.filters, 1)
        elif context.image:
            ending = self.normal_sign(context.channels)
        return _sequence(MaxPool(kernel, context.stride), ending)

    def average_pool(self, context: OperatorContext, kernel: int) -> nn.Sequential:
        """Sum of the taps, batch norm, sign; where channels change a binary 1x1 convolution, norm and sign."""
        ending = self._unit(context.channels, context.filters, 1) if context.projects else nn.Sequential()
        return _sequence(SumPool(kernel, context.stride), self.normal_sign(context.channels), ending)

    def identity(self, context: OperatorContext) -> nn.Sequential:
        """Nothing, or a strided binary 1x1 convolution, batch norm and sign."""
        needed = context.projects or context.stride > 1 or context.image
        return self._unit(context.channels, context.filters, 1, context.stride) if needed else nn.Sequential()

    def adapt(self, context: OperatorContext) -> nn.Sequential:
        """Max pool where the size differs; binary 1x1 convolution, norm and sign where the channels must change."""
        return _sequence(
            reduce_map(context.stride), self._unit(context.channels, context.filters, 1) if context.projects else ()
        )

    def after_add(self, filters: int) -> nn.Sequential:
        """Batch norm and sign, so that the sum is ±1 again."""
        return self.normal_sign(filters)
