"""Binary networks that people write by hand, in plain PyTorch, as wide as a number of bits allows.

A weight of a binary layer counts one bit, every other trained number 32, as in `pronas.networks.describe`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from _rivals import Recipe


class _Sign(torch.autograd.Function):
    """±1 forward; backward the triangle of Bi-Real Net (Liu et al. 2018, section 3.2) or the clipped straight line."""

    @staticmethod
    def forward(ctx, x, triangle):
        ctx.save_for_backward(x)
        ctx.triangle = triangle
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        slope = (2 - 2 * x.abs()).clamp_min(0) if ctx.triangle else (x.abs() <= 1).to(x.dtype)
        return gradient * slope, None


class BinaryConv(nn.Conv2d):
    """A convolution of signs with signs; its output channels are scaled by the mean absolute latent weight."""

    def __init__(self, channels, filters, stride=1, *, triangle=False, image=False):
        super().__init__(channels, filters, 3, stride, 1, bias=False)
        self.triangle, self.image = triangle, image

    def forward(self, x):
        x = x if self.image else _Sign.apply(x, self.triangle)
        weight = self.weight.abs().mean((1, 2, 3), keepdim=True).detach() * _Sign.apply(self.weight, False)
        return F.conv2d(x, weight, stride=self.stride, padding=self.padding)


class BinaryLinear(nn.Linear):
    """The same, dense."""

    def forward(self, x):
        scale = self.weight.abs().mean(1, keepdim=True).detach()
        return F.linear(_Sign.apply(x, False), scale * _Sign.apply(self.weight, False))


class RealShortcut(nn.Module):
    """One convolution with its own real-valued shortcut (Bi-Real Net, section 3.1). A smaller map is averaged on its
    way round; more channels are copies of it (ReActNet, Liu et al. 2020), which cost no bits, or a projection."""

    def __init__(self, channels, filters, stride, *, project):
        super().__init__()
        self.conv = nn.Sequential(BinaryConv(channels, filters, stride, triangle=True), nn.BatchNorm2d(filters))
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.copies = filters // channels
        self.project = nn.Sequential()
        if project and filters != channels:
            self.project = nn.Sequential(nn.Conv2d(channels, filters, 1, bias=False), nn.BatchNorm2d(filters))
            self.copies = 1

    def forward(self, x):
        around = self.project(self.pool(x))
        return self.conv(x) + torch.cat([around] * self.copies, 1)


def bireal(channels, classes, width, *, project=False):
    """Bi-Real Net for small images: stem and last layer in full precision, three stages of two binary layers."""
    layers = [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
    before = width
    for stage, filters in enumerate((width, 2 * width, 4 * width)):
        layers.append(RealShortcut(before, filters, 2 if stage else 1, project=project))
        layers.append(RealShortcut(filters, filters, 1, project=project))
        before = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


def binarynet(channels, classes, width, *, dense=8):
    """BinaryNet (Courbariaux et al. 2016) for small images: pairs of binary layers, pooled, then dense ones."""
    layers, before = [], channels
    for filters in (width, 2 * width, 4 * width):
        layers += [BinaryConv(before, filters, image=not layers), nn.BatchNorm2d(filters)]
        layers += [BinaryConv(filters, filters), nn.MaxPool2d(2, ceil_mode=True), nn.BatchNorm2d(filters)]
        before = filters
    layers += [nn.AdaptiveAvgPool2d(4) if dense else nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    inputs = before * (16 if dense else 1)
    if dense:
        layers += [BinaryLinear(inputs, dense * width, bias=False), nn.BatchNorm1d(dense * width)]
        inputs = dense * width
    return nn.Sequential(*layers, BinaryLinear(inputs, classes, bias=False), nn.BatchNorm1d(classes))


def bits(network):
    """Bits of all trained numbers."""
    binary = sum(m.weight.numel() for m in network.modules() if isinstance(m, BinaryConv | BinaryLinear))
    return 32 * (sum(p.numel() for p in network.parameters()) - binary) + binary


def widest(build, limit):
    """``build(channels, classes)`` as wide as ``limit`` bits allow."""

    def fitted(channels, classes):
        width = 1
        while bits(build(channels, classes, width + 1)) <= limit:
            width += 1
        return build(channels, classes, width)

    return fitted


NETWORKS = {
    "binarynet": binarynet,
    "binarynet-pooled": lambda c, n, width: binarynet(c, n, width, dense=0),
    "bireal": bireal,
    "bireal-projected": lambda c, n, width: bireal(c, n, width, project=True),
}

#: Adam throughout, as their authors do; no weight decay, which only shrinks what a sign forgets.
RECIPES = {
    "slow": Recipe("adam", 1e-3, 2, False, 0.0),
    "plain": Recipe("adam", 4e-3, 2, False, 0.0),
    "flips": Recipe("adam", 4e-3, 2, True, 0.0),
    "fast": Recipe("adam", 1e-2, 2, False, 0.0),
}
