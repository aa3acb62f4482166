"""Images to classify, and Hugging Face data sets."""

import io
import pickle
import sys

import numpy as np
import pytest
from PIL import Image

from pronas.data import from_hugging, load_dataset, load_images, load_named_images
from pronas.errors import DataError, MissingExtraError, UsageError


def save(path, value=50, size=(12, 10), mode="RGB"):
    Image.new(mode, size, value if mode == "L" else (value, 2, 3)).save(path)
    return path


def test_pictures_arrays_and_folders(tmp_path):
    folder = tmp_path / "more"
    (folder / "deep").mkdir(parents=True)
    save(folder / "b.png", 60)
    save(folder / "deep" / "a.png", 70)
    (folder / "notes.txt").write_text("")
    np.save(tmp_path / "two.npy", np.stack([np.full((3, 8, 9), v, np.uint8) for v in (80, 90)]))
    names, images = load_named_images([save(tmp_path / "one.png"), folder, tmp_path / "two.npy"], (3, 8, 9))
    assert images.shape == (5, 3, 8, 9)
    assert images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == [50, 60, 70, 80, 90]
    assert [name.removeprefix(f"{tmp_path}/") for name in names] == [
        "one.png", "more/b.png", "more/deep/a.png", "two.npy[0]", "two.npy[1]",
    ]  # fmt: skip


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 1), ("L", 3), ("RGB", 4)])
def test_channels_are_converted(tmp_path, mode, channels):
    assert load_images([save(tmp_path / "x.png", mode=mode)], (channels, 10, 12)).shape == (1, channels, 10, 12)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((8, 9), (1, 8, 9)),
        ((5, 8, 9), (1, 8, 9)),
        ((1, 8, 9), (1, 8, 9)),
        ((8, 9, 1), (1, 8, 9)),
        ((5, 1, 8, 9), (1, 8, 9)),
        ((8, 9, 3), (3, 8, 9)),
        ((5, 8, 9, 3), (3, 8, 9)),
        ((3, 8, 9), (3, 8, 9)),
        ((5, 12, 8, 9), (12, 8, 9)),
    ],
)
@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_array_shapes(tmp_path, shape, wanted, kind):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / f"x.{kind}"
    np.save(path, array) if kind == "npy" else np.savez(path, images=array, y_test=[1])
    images = load_images([path], wanted)
    assert images.shape == (5 if shape[0] == 5 else 1, *wanted)
    assert sorted(images.ravel()) == sorted(array.ravel())
    if shape[-1] == 3:
        assert np.array_equal(images, array.reshape(-1, 8, 9, 3).transpose(0, 3, 1, 2))


def test_errors_name_the_file(tmp_path):
    def fails(name, words, shape=(3, 8, 9), error=DataError):
        with pytest.raises(error, match=words) as caught:
            load_images([tmp_path / name] if name else [], shape)
        assert "\n" not in str(caught.value)

    (tmp_path / "empty").mkdir()
    (tmp_path / "x.txt").write_text("x")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "bad.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999,), }\n"
    )
    (tmp_path / "code.npy").write_bytes(pickle.dumps(print))
    np.save(tmp_path / "other.npy", np.zeros((3, 7, 7), np.uint8))
    np.save(tmp_path / "float.npy", np.full((3, 8, 9), 0.5))
    np.savez(tmp_path / "keys.npz", a=np.zeros(1), b=np.zeros(1))
    np.savez(tmp_path / "none.npz")
    save(tmp_path / "one.png")
    fails("gone.png", r"gone\.png: no such file")
    fails("empty", "no images in this folder")
    fails("x.txt", r"x\.txt: not an image")
    fails("bad.png", r"bad\.png")
    fails("bad.npy", r"bad\.npy: not a readable")
    fails("code.npy", r"code\.npy: not a readable")
    fails("other.npy", r"other\.npy: an array of shape \(3, 7, 7\)")
    fails("float.npy", r"float\.npy: pixels must be whole numbers")
    fails("keys.npz", r"keys\.npz: name the images 'images'; it holds a, b")
    fails("none.npz", "it holds nothing")
    fails("one.png", r"one\.png: the network reads 5 channels", (5, 8, 9), UsageError)
    fails(None, "no images", error=UsageError)


def hugging(n, seed=0, label="label", **columns):
    datasets = pytest.importorskip("datasets", reason="needs the extra hf")
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(n):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (9, 10, 3), dtype=np.uint8)).save(out, "PNG")
        pictures.append({"bytes": out.getvalue(), "path": None})
    features = {"img": datasets.Image(), label: datasets.ClassLabel(names=["cat", "dog"])}
    values = {"img": pictures, label: [i % 2 for i in range(n)]}
    for name, names in columns.items():
        features[name], values[name] = datasets.ClassLabel(names=names), [0] * n
    return datasets.Dataset.from_dict(values, features=datasets.Features(features))


def test_hugging_face_conversion():
    dataset = from_hugging({"train": hugging(40), "test": hugging(10, 1)}, name="hf:toy")
    assert dataset.classes == ("cat", "dog")
    assert dataset.input_shape == (3, 9, 10)
    assert [len(split) for _, split in dataset.splits()] == [36, 4, 10]
    first = np.random.default_rng(1).integers(0, 256, (9, 10, 3), dtype=np.uint8)
    assert np.array_equal(dataset.test.images[0], first.transpose(2, 0, 1))


def test_hugging_face_columns():
    loaded = {"train": hugging(40, label="fine_label", coarse=["a", "b", "c"])}
    assert from_hugging(loaded, name="x").classes == ("cat", "dog")
    assert from_hugging({"train": hugging(40, label="animal")}, name="x", image_size=16).input_shape == (3, 16, 16)
    with pytest.raises(DataError, match="no split 'train'; it has test"):
        from_hugging({"test": hugging(4)}, name="x")
    with pytest.raises(DataError, match="0 image columns"):
        from_hugging({"train": hugging(4).remove_columns("img")}, name="x")
    with pytest.raises(DataError, match="no label column"):
        from_hugging({"train": hugging(4).remove_columns("label")}, name="x")


def test_hugging_face_by_name(monkeypatch):
    datasets = pytest.importorskip("datasets", reason="needs the extra hf")
    asked = []

    def load(path, configuration):
        asked.append((path, configuration))
        if path == "gone":
            raise FileNotFoundError("Dataset 'gone'\ndoes not exist")
        return {"train": hugging(40)}

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert load_dataset("hf:someone/toy:small", limit=10).name == "hf:someone/toy:small"
    assert asked == [("someone/toy", "small")]
    with pytest.raises(
        DataError, match=r"hf:gone: cannot be loaded \(FileNotFoundError: Dataset 'gone' does not exist"
    ):
        load_dataset("hf:gone")


def test_hugging_face_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pronas\[hf\]'"):
        load_dataset("hf:toy")
