"""The three styles of operator: convolution then activation (flat), activation first and separable ones twice (PNAS),
and ±1 (binary)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from torch import nn

from pronas.networks._chain import Chain
from pronas.networks._layers import AveragePool, FactorizedReduction, MaxPool, QuantConv2d, Sign, SumPool, reduce_map
from pronas.networks._registry import Site, Style


def _chain(*parts: nn.Module | Iterable[nn.Module]) -> Chain:
    """One flat sequence of layers."""
    layers: list[nn.Module] = []
    for part in parts:
        layers.extend([part] if isinstance(part, nn.Module) and not isinstance(part, nn.Sequential) else part)
    return Chain(*layers)


@final
@dataclass(frozen=True)
class FlatStyle(Style):
    """Full precision; every convolution is followed by batch norm and ReLU (requirements, section 3).

    In the 1x7-7x1 convolution the first of the two is strided both ways.
    """

    epsilon: float = 1e-5
    binary = False

    def _normal(self, filters: int) -> nn.Sequential:
        return Chain(nn.BatchNorm2d(filters, eps=self.epsilon), nn.ReLU(inplace=True))

    def convolution(self, site: Site, kernel: int, dilation: int = 1) -> nn.Sequential:
        """Convolution, batch norm, ReLU."""
        conv = QuantConv2d(site.channels, site.filters, kernel, site.stride, dilation=dilation)
        return _chain(conv, self._normal(site.filters))

    def separable(self, site: Site, kernel: int) -> nn.Sequential:
        """Depthwise (strided), pointwise, batch norm, ReLU."""
        depthwise = QuantConv2d(site.channels, site.channels, kernel, site.stride, groups=site.channels)
        return _chain(depthwise, QuantConv2d(site.channels, site.filters, 1), self._normal(site.filters))

    def spatial(self, site: Site, length: int) -> nn.Sequential:
        """1 x length (strided), batch norm, ReLU, length x 1, batch norm, ReLU."""
        first = QuantConv2d(site.channels, site.filters, (1, length), site.stride)
        second = QuantConv2d(site.filters, site.filters, (length, 1))
        return _chain(first, self._normal(site.filters), second, self._normal(site.filters))

    def _project(self, site: Site, stride: int = 1) -> nn.Sequential:
        return _chain(QuantConv2d(site.channels, site.filters, 1, stride), self._normal(site.filters))

    def max_pool(self, site: Site, kernel: int) -> nn.Sequential:
        """Max pool, then convolution, batch norm and ReLU where channels change."""
        return _chain(MaxPool(kernel, site.stride), self._project(site) if site.projects else ())

    def average_pool(self, site: Site, kernel: int) -> nn.Sequential:
        """Average pool, then convolution, batch norm and ReLU where channels change."""
        return _chain(AveragePool(kernel, site.stride), self._project(site) if site.projects else ())

    def identity(self, site: Site) -> nn.Sequential:
        """Nothing, or a strided 1x1 convolution, batch norm and ReLU."""
        return self._project(site, site.stride) if site.projects or site.stride > 1 else nn.Sequential()

    def adapt(self, site: Site) -> nn.Sequential:
        """Max pool where the size differs; convolution, batch norm and ReLU where the channels must change."""
        return _chain(reduce_map(site.stride), self._project(site) if site.projects else ())

    def after_add(self, filters: int) -> nn.Sequential:
        """Nothing."""
        return nn.Sequential()


@final
@dataclass(frozen=True)
class PnasStyle(Style):
    """Full precision, ReLU before each convolution and batch norm after; separable convolutions are applied twice
    (Liu et al. 2018, appendix A; requirements, section 8).

    Attributes:
        adapts_stem: false in the published ImageNet network, whose first cell reads the stem's 96 channels as they are.
    """

    adapts_stem: bool = True
    epsilon: float = 1e-3
    binary = False
    adapts = True

    def _unit(self, *convolutions: QuantConv2d) -> nn.Sequential:
        filters = convolutions[-1].out_channels
        return Chain(nn.ReLU(), *convolutions, nn.BatchNorm2d(filters, eps=self.epsilon))

    def convolution(self, site: Site, kernel: int, dilation: int = 1) -> nn.Sequential:
        """ReLU, convolution, batch norm."""
        return self._unit(QuantConv2d(site.channels, site.filters, kernel, site.stride, dilation=dilation))

    def _separable_once(self, channels: int, filters: int, kernel: int, stride: int) -> nn.Sequential:
        depthwise = QuantConv2d(channels, channels, kernel, stride, groups=channels)
        return self._unit(depthwise, QuantConv2d(channels, filters, 1))

    def separable(self, site: Site, kernel: int) -> nn.Sequential:
        """Twice: ReLU, depthwise, pointwise, batch norm; the first depthwise is strided."""
        first = self._separable_once(site.channels, site.filters, kernel, site.stride)
        return _chain(first, self._separable_once(site.filters, site.filters, kernel, 1))

    def spatial(self, site: Site, length: int) -> nn.Sequential:
        """ReLU, 1 x length (strided), batch norm, ReLU, length x 1, batch norm."""
        first = self._unit(QuantConv2d(site.channels, site.filters, (1, length), site.stride))
        return _chain(first, self._unit(QuantConv2d(site.filters, site.filters, (length, 1))))

    def _project(self, site: Site) -> nn.Sequential:
        if not site.projects:
            return nn.Sequential()
        conv = QuantConv2d(site.channels, site.filters, 1)
        return Chain(conv, nn.BatchNorm2d(site.filters, eps=self.epsilon))

    def max_pool(self, site: Site, kernel: int) -> nn.Sequential:
        """Max pool, then a 1x1 convolution and batch norm where channels change."""
        return _chain(MaxPool(kernel, site.stride), self._project(site))

    def average_pool(self, site: Site, kernel: int) -> nn.Sequential:
        """Average pool, then a 1x1 convolution and batch norm where channels change."""
        return _chain(AveragePool(kernel, site.stride), self._project(site))

    def identity(self, site: Site) -> nn.Sequential:
        """Nothing, or ReLU, strided 1x1 convolution, batch norm."""
        needed = site.projects or site.stride > 1
        return self._unit(QuantConv2d(site.channels, site.filters, 1, site.stride)) if needed else nn.Sequential()

    def adapt(self, site: Site) -> nn.Sequential:
        """ReLU, 1x1 convolution, batch norm; where the size differs twofold, a factorized reduction in their place."""
        if site.stride == 1:
            return self._unit(QuantConv2d(site.channels, site.filters, 1))
        reduction = FactorizedReduction(site.channels, site.filters, self.epsilon)
        return _chain(reduce_map(site.stride // 2), nn.ReLU(), reduction)

    def after_add(self, filters: int) -> nn.Sequential:
        """Nothing."""
        return nn.Sequential()


@final
@dataclass(frozen=True)
class BinaryStyle(Style):
    """Inputs and outputs of every operator are ±1 (only the image is not); each convolution has a binary kernel and is
    followed by batch norm and sign (requirements, section 4).

    Attributes:
        h: bound H of the latent weights, a number or "Glorot".
        rate: learning-rate multiplier, a number or "Glorot".
        xnor: scale each convolution's output channels by their mean absolute weight.
        momentum: of the batch norm, in PyTorch's sense (0.1 is 0.9 in Keras's).
        epsilon: of the batch norm.
    """

    h: float | str = 1.0
    rate: float | str = 1.0
    xnor: bool = False
    momentum: float = 0.1
    epsilon: float = 1e-6
    binary = True

    def normal_sign(self, filters: int) -> nn.Sequential:
        """Batch norm and sign."""
        return Chain(nn.BatchNorm2d(filters, eps=self.epsilon, momentum=self.momentum), Sign())

    def _unit(
        self, channels: int, filters: int, kernel: int | tuple[int, int], stride: int = 1, groups: int = 1
    ) -> nn.Sequential:
        conv = QuantConv2d(
            channels, filters, kernel, stride, groups=groups,
            kernel_quantizer="ste_sign", h=self.h, rate=self.rate, xnor=self.xnor,
        )  # fmt: skip
        return _chain(conv, self.normal_sign(filters))

    def convolution(self, site: Site, kernel: int, dilation: int = 1) -> nn.Sequential:
        """Binary convolution, batch norm, sign."""
        assert dilation == 1, "there is no dilated binary convolution"
        return self._unit(site.channels, site.filters, kernel, site.stride)

    def separable(self, site: Site, kernel: int) -> nn.Sequential:
        """Binary depthwise (strided), batch norm, sign, binary pointwise, batch norm, sign."""
        depthwise = self._unit(site.channels, site.channels, kernel, site.stride, groups=site.channels)
        return _chain(depthwise, self._unit(site.channels, site.filters, 1))

    def spatial(self, site: Site, length: int) -> nn.Sequential:
        """Binary 1 x length (strided), batch norm, sign, binary length x 1, batch norm, sign."""
        first = self._unit(site.channels, site.filters, (1, length), site.stride)
        return _chain(first, self._unit(site.filters, site.filters, (length, 1)))

    def max_pool(self, site: Site, kernel: int) -> nn.Sequential:
        """Max pool; on the image batch norm and sign; where channels change a binary 1x1 convolution, norm and sign."""
        ending = nn.Sequential()
        if site.projects:
            ending = self._unit(site.channels, site.filters, 1)
        elif site.image:
            ending = self.normal_sign(site.channels)
        return _chain(MaxPool(kernel, site.stride), ending)

    def average_pool(self, site: Site, kernel: int) -> nn.Sequential:
        """Sum of the taps, batch norm, sign; where channels change a binary 1x1 convolution, norm and sign."""
        ending = self._unit(site.channels, site.filters, 1) if site.projects else nn.Sequential()
        return _chain(SumPool(kernel, site.stride), self.normal_sign(site.channels), ending)

    def identity(self, site: Site) -> nn.Sequential:
        """Nothing, or a strided binary 1x1 convolution, batch norm and sign."""
        needed = site.projects or site.stride > 1 or site.image
        return self._unit(site.channels, site.filters, 1, site.stride) if needed else nn.Sequential()

    def adapt(self, site: Site) -> nn.Sequential:
        """Max pool where the size differs; binary 1x1 convolution, norm and sign where the channels must change."""
        return _chain(reduce_map(site.stride), self._unit(site.channels, site.filters, 1) if site.projects else ())

    def after_add(self, filters: int) -> nn.Sequential:
        """Batch norm and sign, so that the sum is ±1 again."""
        return self.normal_sign(filters)
