"""Image sizes seen without decoding, and what a budget can afford."""

import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pronas.data import ImageSizes, load_dataset, probe_images, suggest_image_size
from pronas.errors import DataError


def save(root, sizes, form="JPEG"):
    for i, (height, width) in enumerate(sizes):
        path = root / "ab"[i % 2] / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height), (i, 0, 0)).save(path, form)
    return root


def test_folder_and_zip(tmp_path):
    root = save(tmp_path / "d", [(100, 200)] * 300 + [(50, 60), (400, 300)])
    (root / "a" / "bad.jpg").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for path in sorted(root.rglob("*.jpg")):
            archive.write(path, path.relative_to(root))
    for path in (root, tmp_path / "d.zip"):
        sizes = probe_images(path)
        assert (sizes.images, sizes.classes, sizes.channels) == (303, 2, 3)
        assert sizes.median == (100, 200)
    with pytest.raises(DataError, match="none can be read"):
        probe_images(write_bad(tmp_path / "bad"))
    with pytest.raises(DataError, match="no such file"):
        probe_images(tmp_path / "gone")


def write_bad(root):
    save(root, [(9, 9)] * 4)
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"\xff\xd8")
    return root


def test_arrays_named_and_loaded(tmp_path):
    images = np.zeros((30, 9, 10, 3), np.uint8)
    np.savez_compressed(
        tmp_path / "x.npz", x_train=images, y_train=np.arange(30) % 3, x_test=images[:3], y_test=[0, 1, 2]
    )
    sizes = probe_images(tmp_path / "x.npz")
    assert (sizes.images, sizes.channels, sizes.median) == (33, 3, (9, 10))
    assert probe_images("CIFAR-10") == ImageSizes(60_000, 10, 3, ((32, 32),))
    assert probe_images("digits").images == len(load_dataset("digits").train) + 288 + 359
    assert probe_images(load_dataset("digits")) == probe_images("digits")
    assert probe_images("hf:someone/toy") is None
    (tmp_path / "y.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"y\.npz"):
        probe_images(tmp_path / "y.npz")


def test_idx(tmp_path):
    import gzip
    import struct

    data = struct.pack(">HBB3I", 0, 8, 3, 5, 28, 20) + bytes(5 * 28 * 20)
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(data)
    assert probe_images(tmp_path) == ImageSizes(5, 0, 1, ((28, 20),))


def sizes_of(*sizes):
    return ImageSizes(100, 2, 3, tuple(sorted(sizes, key=lambda size: size[0] * size[1])))


def test_suggestions():
    assert suggest_image_size(sizes_of((32, 32)), 1024) is None
    assert suggest_image_size(sizes_of((32, 32)), 1023) == (24, 24)
    assert suggest_image_size(sizes_of((480, 640)), 48 * 64) == (48, 64)
    assert suggest_image_size(sizes_of((480, 640), (960, 1280)), 48 * 64) == (48, 64)
    assert suggest_image_size(sizes_of((480, 640), (640, 480)), 64 * 64) == (64, 64)
    assert suggest_image_size(sizes_of((40, 44), (40, 40)), 10**6) == (40, 40)
    assert suggest_image_size(sizes_of((9, 1000)), 100) == (8, 8)


@given(st.lists(st.tuples(st.integers(8, 5000), st.integers(8, 5000)), min_size=1, max_size=5), st.integers(64, 10**7))
def test_suggestions_keep_to_the_limit(sizes, pixels):
    found = sizes_of(*sizes)
    height, width = suggest_image_size(found, pixels) or found.median
    assert min(height, width) >= 8
    assert height * width <= pixels or min(height, width) == 8
    assert height <= max(8, found.median[0])
    assert width <= max(8, max(found.median))
