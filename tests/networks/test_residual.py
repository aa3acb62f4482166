"""The residual skeleton: hand-made networks are points of its space."""

import torch
from torch import nn

import pronas
from pronas.networks import Residual, describe
from pronas.space import Cell


def _unit(channels, filters, kernel=3, stride=1, groups=1):
    conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(filters)]


class _Branch(nn.Module):
    """relu(body(x) + shortcut(x)); without a shortcut relu(body(x)); ``linear``: no ReLU."""

    def __init__(self, body, shortcut=None, linear=False):
        super().__init__()
        self.body, self.shortcut, self.linear = nn.Sequential(*body), shortcut, linear

    def forward(self, x):
        result = self.body(x) if self.shortcut is None else self.body(x) + self.shortcut(x)
        return result if self.linear else torch.relu(result)


def _resnet8():
    layers = [*_unit(3, 16), nn.ReLU()]
    for channels, filters, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
        body = [*_unit(channels, filters, 3, stride), nn.ReLU(), *_unit(filters, filters)]
        shortcut = nn.Identity() if stride == 1 else nn.Sequential(*_unit(channels, filters, 1, stride))
        layers.append(_Branch(body, shortcut))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _ds_cnn():
    layers = [*_unit(3, 64, 3, 2), nn.ReLU()]
    for _ in range(4):
        layers.append(_Branch([*_unit(64, 64, 3, 1, 64), nn.ReLU(), *_unit(64, 64, 1)]))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _mobilenet():
    def body(channels, filters, stride):
        wide = 6 * channels
        return [
            *_unit(channels, wide, 1), nn.ReLU(),
            *_unit(wide, wide, 3, stride, wide), nn.ReLU(), *_unit(wide, filters, 1),
        ]  # fmt: skip

    layers = [*_unit(3, 16), nn.ReLU()]
    for channels, filters, stride in ((16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 32, 2), (32, 32, 1)):
        shortcut = (
            nn.Identity()
            if stride == 1 and channels == filters
            else nn.Sequential(*_unit(channels, filters, 1, stride))
        )
        layers.append(_Branch(body(channels, filters, stride), shortcut, linear=True))
    return nn.Sequential(
        *layers, *_unit(32, 128, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)
    )


def _same_logits(plain, cell, skeleton):
    ours = skeleton.build(Cell.parse(cell), (3, 32, 32), 10, scale=([0.0] * 3, [1.0] * 3)).eval()
    theirs, mine = plain.state_dict(), ours.state_dict()
    names = [name for name in mine if not name.startswith("scale.")]
    assert [tuple(mine[n].shape) for n in names] == [tuple(v.shape) for v in theirs.values()]
    generator = torch.Generator().manual_seed(0)
    for name, value in zip(names, theirs.values(), strict=True):
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator) * 0.2 + (0.5 if "running_var" in name else -0.1)
            value.copy_(noise)
            mine[name].copy_(noise)
    plain.eval()
    images = torch.randint(0, 256, (4, 3, 32, 32), generator=generator).float()
    with torch.no_grad():
        torch.testing.assert_close(ours(images), plain(images), rtol=1e-4, atol=1e-3)
    return sum(p.numel() for p in plain.parameters())


def test_resnet8_is_a_point():
    skeleton = pronas.skeleton("residual")
    count = _same_logits(_resnet8(), "0:3x3-3x3 conv + 0:identity", skeleton)
    described = describe(Cell.parse("0:3x3-3x3 conv + 0:identity"), skeleton, (3, 32, 32))
    assert described.parameters == count == 78_042
    assert described.macs == 12_501_632  # MLPerf Tiny's 12.5 M


def test_ds_cnn_is_a_point():
    skeleton = Residual(filters=(64,), strides=(1,), repeats=(4,), stem=64, stem_stride=2)
    _same_logits(_ds_cnn(), "0:3x3 dconv + 0:none", skeleton)


def test_mobilenet_is_a_point():
    skeleton = Residual(filters=(16, 24, 32), strides=(1, 2, 2), repeats=(1, 2, 2), linear=True, head=128)
    _same_logits(_mobilenet(), "0:3x3 mbconv6 + 0:identity", skeleton)


def test_other_shapes_are_proposed_where_strides_are_the_usual_and_images_large_enough():
    usual = pronas.skeleton("residual", filters=(8, 16, 24))
    early = usual.shapes((3, 32, 32))["early"]
    assert early == pronas.skeleton("residual", filters=(8, 16, 24), strides=(2, 2, 2))
    assert early.shapes((3, 32, 32)) == {}
    assert usual.shapes((1, 8, 8)) == {}
    assert pronas.skeleton("residual", stem_stride=2).shapes((3, 32, 32)) == {}
    assert pronas.skeleton("flat").shapes((3, 32, 32)) == {}
    cell = Cell.parse("0:3x3-3x3 conv + 0:identity")
    assert describe(cell, early.scaled(2.0), (3, 32, 32)).macs < describe(cell, usual.scaled(2.0), (3, 32, 32)).macs / 3
