"""The built-in operators by name."""

from __future__ import annotations

from torch import nn

from pronas.networks._layers import Zeros
from pronas.networks._registry import OperatorContext, operator


def _register_kernel(kernel: int) -> None:
    """The convolutions of one kernel size, in full precision and binary."""
    conv, dconv = f"{kernel}x{kernel} conv", f"{kernel}x{kernel} dconv"
    bconv, sep_bconv = f"{kernel}x{kernel} bconv", f"{kernel}x{kernel} sep-bconv"

    def convolution(context: OperatorContext) -> nn.Module:
        return context.factory.convolution(context, kernel)

    def separable(context: OperatorContext) -> nn.Module:
        return context.factory.separable(context, kernel)

    operator(dconv, False, counterpart=sep_bconv)(separable)
    operator(conv, False, counterpart=bconv)(convolution)
    operator(bconv, True, counterpart=conv)(convolution)
    operator(sep_bconv, True, counterpart=dconv)(separable)


for _kernel in (3, 5, 7):
    _register_kernel(_kernel)


@operator("3x3-3x3 bconv", True, counterpart="3x3-3x3 conv")
@operator("3x3-3x3 conv", False, counterpart="3x3-3x3 bconv")
def _double(context: OperatorContext) -> nn.Module:
    return context.factory.double(context, 3)


def _register_bottleneck(kernel: int, expansion: int) -> None:
    @operator(f"{kernel}x{kernel} mbconv{expansion}", False, counterpart=f"{kernel}x{kernel} sep-bconv")
    def bottleneck(context: OperatorContext) -> nn.Module:
        return context.factory.bottleneck(context, kernel, expansion)


for _kernel in (3, 5):
    for _expansion in (3, 6):
        _register_bottleneck(_kernel, _expansion)


@operator("none", False, counterpart="linear")
def _none(context: OperatorContext) -> nn.Module:
    return nn.Sequential(Zeros(context.filters, context.stride))


@operator("1x7-7x1 bconv", True, counterpart="1x7-7x1 conv")
@operator("1x7-7x1 conv", False, counterpart="1x7-7x1 bconv")
def _spatial(context: OperatorContext) -> nn.Module:
    return context.factory.spatial(context, 7)


@operator("3x3 dilated conv", False, counterpart="5x5 bconv")
def _dilated(context: OperatorContext) -> nn.Module:
    return context.factory.convolution(context, 3, dilation=2)


@operator("3x3 maxpool")
def _max_pool(context: OperatorContext) -> nn.Module:
    return context.factory.max_pool(context, 3)


@operator("3x3 avgpool")
def _average_pool(context: OperatorContext) -> nn.Module:
    return context.factory.average_pool(context, 3)


@operator("linear")
@operator("identity")
def _identity(context: OperatorContext) -> nn.Module:
    return context.factory.identity(context)
