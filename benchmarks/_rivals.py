"""Networks that people write by hand, in plain PyTorch, trained for so many seconds with a sane recipe of their own."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


def _unit(channels, filters, kernel=3, stride=1, groups=1):
    conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(filters)]


class Block(nn.Module):
    def __init__(self, body, shortcut=None, linear=False):
        super().__init__()
        self.body, self.shortcut, self.linear = nn.Sequential(*body), shortcut, linear

    def forward(self, x):
        y = self.body(x)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return y if self.linear else F.relu(y)


def _head(channels, classes):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def resnet(channels, classes, width=1.0, blocks=1):
    """ResNet-8 of MLPerf Tiny (``blocks=1``), ResNet-14 (2)."""
    sizes = [max(4, round(f * width)) for f in (16, 32, 64)]
    layers, before = [*_unit(channels, sizes[0]), nn.ReLU()], sizes[0]
    for stage, filters in enumerate(sizes):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            same = stride == 1 and before == filters
            shortcut = nn.Identity() if same else nn.Sequential(*_unit(before, filters, 1, stride))
            body = [*_unit(before, filters, 3, stride), nn.ReLU(), *_unit(filters, filters)]
            layers.append(Block(body, shortcut))
            before = filters
    return nn.Sequential(*layers, *_head(before, classes))


def ds_cnn(channels, classes, width=1.0):
    """DS-CNN (Zhang et al. 2017), small."""
    filters = round(64 * width)
    layers = [*_unit(channels, filters, 3, 2), nn.ReLU()]
    for _ in range(4):
        layers.append(Block([*_unit(filters, filters, 3, 1, filters), nn.ReLU(), *_unit(filters, filters, 1)]))
    return nn.Sequential(*layers, *_head(filters, classes))


def mobilenet(channels, classes, width=1.0):
    """MobileNetV2 (Sandler et al. 2018) for small images."""
    sizes = [max(4, round(f * width)) for f in (16, 24, 24, 32, 32)]
    layers, before = [*_unit(channels, sizes[0]), nn.ReLU()], sizes[0]
    for filters, stride in zip(sizes, (1, 2, 1, 2, 1), strict=True):
        wide = 6 * before
        body = [
            *_unit(before, wide, 1),
            nn.ReLU(),
            *_unit(wide, wide, 3, stride, wide),
            nn.ReLU(),
            *_unit(wide, filters, 1),
        ]
        layers.append(Block(body, nn.Identity() if stride == 1 and before == filters else None, linear=True))
        before = filters
    return nn.Sequential(*layers, *_unit(before, 4 * before, 1), nn.ReLU(), *_head(4 * before, classes))


NETWORKS = {
    "resnet8": resnet,
    "resnet8-narrow": lambda c, n: resnet(c, n, 0.5),
    "resnet8-wide": lambda c, n: resnet(c, n, 1.5),
    "resnet14": lambda c, n: resnet(c, n, 1.0, 2),
    "ds-cnn": ds_cnn,
    "mobilenetv2": mobilenet,
}


@dataclass(frozen=True)
class Recipe:
    """Rates rise over the first fifth of the time and then fall to nothing."""

    optimizer: str
    rate: float
    crop: int
    flip: bool
    smoothing: float


#: Crops are for 32 pixels and shrink with the image.
RECIPES = {
    "plain": Recipe("sgd", 0.2, 2, False, 0.0),
    "flips": Recipe("sgd", 0.1, 4, True, 0.1),
    "adam": Recipe("adam", 3e-3, 2, False, 0.0),
}


def train(network, recipe, images, labels, seconds, *, seed, batch=64):
    """Train for so many seconds; return how many passes that was. ``images``: uint8 (n, c, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    network.to(memory_format=torch.channels_last).train()
    optimizer = _optimizer(network, recipe)
    base, start, seen = recipe.rate, time.perf_counter(), 0
    scale = images.float().mean((0, 2, 3), keepdim=True), images.float().std((0, 2, 3), keepdim=True) + 1e-6
    crop = max(1, round(recipe.crop * images.shape[-1] / 32)) if recipe.crop else 0
    while True:
        order = torch.randperm(len(images), generator=generator)
        for index in order.split(batch):
            done = (time.perf_counter() - start) / seconds
            if done >= 1:
                return seen / len(images)
            if len(index) < 2:
                continue
            for group in optimizer.param_groups:
                group["lr"] = base * (done / 0.2 if done < 0.2 else (1 - done) / 0.8)
            x = _augmented(images[index], crop, recipe.flip, generator, scale)
            loss = F.cross_entropy(network(x), labels[index], label_smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += len(index)


def _optimizer(network, recipe):
    if recipe.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), recipe.rate, fused=True)
    groups = [
        {"params": [p for p in network.parameters() if p.dim() > 1], "weight_decay": 5e-4},
        {"params": [p for p in network.parameters() if p.dim() <= 1]},
    ]
    return torch.optim.SGD(groups, recipe.rate, momentum=0.9, nesterov=True, fused=True)


def _augmented(images, crop, flip, generator, scale):
    n, _, h, w = images.shape
    x = (images.float() - scale[0]) / scale[1]
    if crop:
        shift = torch.randint(0, 2 * crop + 1, (2, n), generator=generator)
        padded = F.pad(x, (crop,) * 4)
        rows, columns = shift[0][:, None] + torch.arange(h), shift[1][:, None] + torch.arange(w)
        x = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        x = torch.where(torch.rand(n, generator=generator)[:, None, None, None] < 0.5, x.flip(3), x)
    return x.contiguous(memory_format=torch.channels_last)


def accuracy(network, train_images, images, labels):
    """Share of images classified right."""
    mean = train_images.float().mean((0, 2, 3), keepdim=True)
    std = train_images.float().std((0, 2, 3), keepdim=True) + 1e-6
    network.eval()
    right = 0
    with torch.inference_mode():
        for x, y in zip(images.split(500), labels.split(500), strict=True):
            right += (network((x.float() - mean) / std).argmax(1) == y).sum().item()
    return right / len(images)
