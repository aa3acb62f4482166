"""Data sets of PyTorch, iterables and arrays."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pronas.data import Dataset, limits
from pronas.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 9, 10, 3), dtype=np.uint8)
LABELS = np.arange(40) % 2


class Mapped(torch.utils.data.Dataset):
    classes = ("cat", "dog")

    def __init__(self, convert, labels=LABELS):
        self.convert, self.labels = convert, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.convert(PIXELS[index]), self.labels[index]


FORMS = {
    "bytes, channels last": lambda image: image,
    "a picture": Image.fromarray,
    "ToTensor": lambda image: torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)) / 255,
    "tensor of bytes": lambda image: torch.from_numpy(image.transpose(2, 0, 1)),
    "tensor of floats 0…255": lambda image: torch.from_numpy(image.transpose(2, 0, 1)).float(),
    "fractions, channels last": lambda image: image / 255,
}


def whole(dataset):
    return np.concatenate([split.images for _, split in dataset.splits()])


@pytest.mark.parametrize("form", FORMS)
def test_any_form_gives_the_same_bytes(form):
    wanted = Dataset.from_arrays((PIXELS, LABELS), classes=["cat", "dog"])
    dataset = Dataset.from_torch(Mapped(FORMS[form]))
    assert dataset.fingerprint == wanted.fingerprint
    again = Dataset.from_iterable(
        ((FORMS[form](image), label) for image, label in zip(PIXELS, LABELS, strict=True)), classes=("cat", "dog")
    )
    assert again.fingerprint == wanted.fingerprint


def test_subsets_keep_the_class_names_and_splits_are_taken_as_given():
    train, test = torch.utils.data.random_split(Mapped(FORMS["ToTensor"]), [30, 10])
    dataset = Dataset.from_torch(train, test, name="mine")
    assert dataset.classes == ("cat", "dog")
    assert [len(split) for _, split in dataset.splits()] == [27, 3, 10]
    assert dataset.name == "mine"


@pytest.mark.parametrize("labels", [torch.from_numpy(LABELS), np.eye(2)[LABELS], np.array(["cat", "dog"])[LABELS]])
def test_labels_of_any_form(labels):
    dataset = Dataset.from_torch(Mapped(FORMS["a picture"], labels))
    assert dataset.fingerprint == Dataset.from_torch(Mapped(FORMS["a picture"])).fingerprint


def test_sizes_and_channels():
    sizes = [(PIXELS[i, : 8 + i % 2, :, 0], i % 2) for i in range(20)]
    with pytest.raises(DataError, match=r"item 1 is 9x10, the first 8x10: give image_size"):
        Dataset.from_iterable(sizes)
    assert Dataset.from_iterable(sizes, image_size=12).input_shape == (1, 12, 12)
    mixed = [(PIXELS[i, :, :, 0] if i % 2 else PIXELS[i], i % 2) for i in range(20)]
    assert Dataset.from_iterable(mixed).input_shape == (3, 9, 10)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (PIXELS[0], "item 20 is a ndarray, not a pair"),
        ((PIXELS[0],), "item 20 is a tuple, not a pair"),
        ((torch.randn(3, 9, 10), 0), "item 20: values -.*leave out normalisation"),
        ((np.full((9, 10, 3), np.nan), 0), "item 20: values nan"),
        ((np.full((9, 10, 3), 300), 0), "item 20: pixels must be whole numbers"),
        ((np.zeros((2, 3, 9, 10), np.uint8), 0), r"item 20: an image of shape \(2, 3, 9, 10\)"),
        ((PIXELS[0], 2.5), "labels"),
        ((PIXELS[0], -1), "label -1"),
    ],
)
def test_bad_items_are_named(item, words):
    items = [*zip(PIXELS[:20], LABELS.tolist()[:20], strict=True), item]
    with pytest.raises(DataError, match=words):
        Dataset.from_iterable(items)


def test_an_item_that_raises():
    class Broken(Mapped):
        def __getitem__(self, index):
            if index == 7:
                raise OSError("no such file")
            return super().__getitem__(index)

    with pytest.raises(DataError, match="item 7: OSError: no such file"):
        Dataset.from_torch(Broken(FORMS["ToTensor"]))
    with pytest.raises(DataError, match="no images"):
        Dataset.from_iterable([])


def test_large_ones_are_kept_in_a_file(monkeypatch):
    monkeypatch.setattr(limits, "LARGE", 5000)
    monkeypatch.setattr(limits, "ITEMS", 7)
    dataset = Dataset.from_torch(Mapped(FORMS["ToTensor"]))
    assert dataset.train.images.path
    assert dataset.fingerprint == Dataset.from_arrays((PIXELS, LABELS), classes=["cat", "dog"]).fingerprint


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=64, max_size=64))
def test_fractions_are_rounded(values):
    image = np.array(values, np.float32).reshape(8, 8)
    halves = np.full((8, 8), 0.5, np.float32)  # tells that these are fractions
    dataset = Dataset.from_iterable([(halves, 0), (halves, 1)] * 4 + [(image, 0)] * 2, validation=2)
    assert {tuple(np.rint(image.ravel() * np.float32(255)).astype(int))} <= {tuple(i.ravel()) for i in whole(dataset)}


def test_importing_and_arrays_need_no_torch():
    code = (
        "import sys, numpy as np, pronas.data as d; d.Dataset.from_arrays((np.zeros((20, 8, 8)), [0, 1] * 10)).notes; "
    )
    code += "d.Dataset.from_iterable([(np.zeros((8, 8)), i % 2) for i in range(20)]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
