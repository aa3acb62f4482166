"""The published ImageNet weights of PNASNet-5: a made-up file of the same names and shapes, and what it computes."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import pronas
from pronas.data import dataset_from_arrays
from pronas.errors import ModelFileError
from pronas.runs import train
from pronas.training import load_published

# (operator, input) as the authors' PyTorch version numbers them: 0 the cell before the previous, 1 the previous
GENOTYPE = [(5, 0), ("max", 0), (7, 1), ("max", 1), (5, 1), (3, 1), (3, 4), ("max", 1), (3, 0), ("skip", 1)]


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3)


class Unit(nn.Module):
    """ReLU, then what is given, under the name ``op``."""

    def __init__(self, *layers):
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), *layers)

    def forward(self, x):
        return self.op(x)


def conv(inputs, outputs, stride=1):
    return Unit(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))


def separable(inputs, outputs, kernel, stride):
    def half(a, stride):
        depthwise = nn.Conv2d(a, a, kernel, stride, kernel // 2, groups=a, bias=False)
        return [depthwise, nn.Conv2d(a, outputs, 1, bias=False), norm(outputs)]

    return Unit(*half(inputs, stride), nn.ReLU(), *half(outputs, 1))


class Halves(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv_1 = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.conv_2 = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.bn = norm(outputs)

    def forward(self, x):
        x = F.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:])], 1))


class Published(nn.Module):
    """The authors' network for ImageNet, of any size, by the names of its tensors; the stem padded, as ours is."""

    def __init__(self, filters, cells, stem, classes):
        super().__init__()
        self.conv0, self.conv0_bn = nn.Conv2d(3, stem, 3, 2, 1, bias=False), norm(stem)
        before, now, halved = stem, stem, None
        names = [("stem1", filters // 4, True), ("stem2", filters // 2, True)]
        width = filters
        for i in range(cells):
            reduces = i in (cells // 3, 2 * cells // 3)
            width *= 2 if reduces else 1
            names.append((f"cell{i}", width, reduces))
        self.cells, self.order = nn.ModuleList(), []
        for name, width, reduces in names:
            cell = Cell(before, now, width, reduces, halved)
            if name.startswith("stem"):
                setattr(self, name, cell)
            else:
                self.cells.append(cell)
            self.order.append(cell)
            before, now, halved = now, 5 * width, reduces
        self.classifier = nn.Linear(now, classes)

    def forward(self, x):
        first = second = self.conv0_bn(self.conv0(x))
        for cell in self.order:
            first, second = second, cell(first, second)
        return self.classifier(F.relu(second).mean((2, 3)))


class Cell(nn.Module):
    def __init__(self, before, now, width, reduces, halved):
        super().__init__()
        first = halved is None
        self.preprocess0 = nn.Identity() if first else Halves(before, width) if halved else conv(before, width)
        self.preprocess1 = conv(now, width)
        self._ops = nn.ModuleList()
        for kind, read in GENOTYPE:
            inputs, stride = before if first and read == 0 else width, 2 if reduces and read < 2 else 1
            self._ops.append(operator(kind, inputs, width, stride))

    def forward(self, first, second):
        states = [self.preprocess0(first), self.preprocess1(second)]
        for left, right in zip(range(0, 10, 2), range(1, 10, 2), strict=True):
            parts = [self._ops[k](states[GENOTYPE[k][1]]) for k in (left, right)]
            states.append(sum(parts))
        return torch.cat(states[2:], 1)


def operator(kind, inputs, width, stride):
    if kind == "skip":
        return nn.Identity() if stride == 1 else conv(inputs, width, stride)
    if kind == "max":
        pool = nn.MaxPool2d(3, stride, 1)
        return pool if inputs == width else nn.Sequential(pool, nn.Conv2d(inputs, width, 1, bias=False), norm(width))
    return separable(inputs, width, kind, stride)


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    network = Published(filters=8, cells=3, stem=6, classes=11)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 1.5)
    return network.eval()


def written(network, path):
    tensors = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    if path.suffix == ".pth":
        torch.save(tensors, path)
    else:
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_published_file_gives_the_published_network(published, tmp_path, suffix):
    model = load_published(written(published, tmp_path / f"large{suffix}"), image_size=64)
    assert (model.spec.skeleton["N"], model.spec.skeleton["F"], len(model.spec.classes)) == (1, 8, 11)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), dtype=np.uint8))
    with torch.inference_mode():
        theirs = published((images.float() - 127.5) / 127.5)
        torch.testing.assert_close(model.network(images), theirs, rtol=1e-3, atol=1e-4)
    saved = pronas.save_model(model.network, tmp_path / "own")
    assert pronas.load_model(saved).spec.cell == model.spec.cell


def test_the_auxiliary_head_is_passed_over(published, tmp_path):
    published.auxiliary_head = nn.Linear(2, 2)
    try:
        assert load_published(written(published, tmp_path / "a.pth"), image_size=32).network.plan.classes == 11
    finally:
        del published.auxiliary_head


def test_a_training_starts_from_it(published, tmp_path):
    path = written(published, tmp_path / "a.pth")
    model = load_published(path, image_size=16)
    images = np.random.default_rng(0).integers(0, 256, (44, 3, 16, 16), dtype=np.uint8)
    labels = np.arange(44) % 11
    data = dataset_from_arrays((images, labels), (images[:11], labels[:11]), name="eleven", validation=11)
    settings = {"skeleton": model.spec.skeleton, "epochs": 1, "recipe": {"learning_rate": 1e-9}, "batch": 33}
    _, result = train(model.spec.cell, data, load_saved=path, out=tmp_path / "out", **settings)
    trained = pronas.load_model(tmp_path / "out" / "weights" / "best").network
    assert result["epochs" if "epochs" in result else "best_epoch"] == 1
    for name, weights in trained.named_parameters():
        torch.testing.assert_close(weights, model.network.get_parameter(name), rtol=1e-3, atol=1e-5)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"nothing", "cannot be read"),
        (Evil(), "cannot be read"),
        ([1, 2], "holds no tensors by name"),
        ({"conv0.weight": 3}, "holds no tensors by name"),
        ({"conv9.weight": torch.zeros(1)}, "'conv9.weight' is no tensor of the published"),
        ({"conv0.weight": torch.zeros(6, 3, 3, 3)}, "is not the published PNASNet-5"),
    ],
)
def test_what_is_no_such_file_is_refused_in_a_line(tmp_path, content, says, capfd):
    path = tmp_path / "bad.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ModelFileError, match=says) as caught:
        load_published(path)
    assert "\n" not in str(caught.value)
    assert "executed" not in capfd.readouterr().out


def test_a_tensor_too_few_is_named(published, tmp_path):
    tensors = published.state_dict()
    del tensors["cells.1._ops.2.op.1.weight"]
    torch.save(tensors, tmp_path / "a.pth")
    with pytest.raises(ModelFileError, match=r"'cells\.3\.blocks\.1\.left\.1\.weight' is missing"):
        load_published(tmp_path / "a.pth")
