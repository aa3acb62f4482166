"""Splits, arrays and what a Dataset promises."""

import numpy as np
import pytest

from pronas.data import Dataset, Split, dataset_from_arrays, load_dataset
from pronas.errors import DataError, UsageError


def images(n, shape=(3, 9, 10), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def numbered(n, classes):
    """Images that carry their index, to follow them through splits."""
    pictures = np.zeros((n, 8, 8), np.uint8)
    pictures[:, 0, 0], pictures[:, 0, 1] = np.arange(n) % 256, np.arange(n) // 256
    return pictures, np.arange(n) % classes


def ids(split):
    return set((split.images[:, 0, 0, 0].astype(int) + 256 * split.images[:, 0, 0, 1].astype(int)).tolist())


def test_splits_are_disjoint_whole_stratified_and_seeded():
    data = numbered(1000, 4)
    first, again, other = (dataset_from_arrays(data, seed=seed) for seed in (0, 0, 1))
    parts = [ids(split) for _, split in first.splits()]
    assert [len(part) for part in parts] == [720, 80, 200]
    assert len(set.union(*parts)) == 1000
    assert all((np.bincount(split.labels) == len(split) // 4).all() for _, split in first.splits())
    assert ids(again.validation) == parts[1]
    assert ids(other.validation) != parts[1]
    assert ids(other.test) == parts[2]  # the test set never changes with the seed
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_rare_classes():
    labels = np.array([0] * 500 + [1] * 3 + [2] + [3] * 2)
    dataset = dataset_from_arrays((images(506), labels), (images(5, seed=1), np.arange(5) % 4), validation=0.1)
    assert 2 in dataset.train.labels  # a single image stays in training
    assert 2 not in dataset.validation.labels
    assert {0, 1, 2, 3} == set(dataset.train.labels.tolist())


def test_every_class_single():
    with pytest.raises(DataError, match="single image"):
        dataset_from_arrays((images(3), [0, 1, 2]), (images(3), [0, 1, 2]))


@pytest.mark.parametrize("validation", [0, 3, 997, 0.0, 1.0, -0.5])
def test_bad_validation(validation):
    with pytest.raises(UsageError, match="validation="):
        dataset_from_arrays(numbered(1000, 4), numbered(10, 4), validation=validation)


def test_validation_counts_and_stored_sets():
    assert len(dataset_from_arrays(numbered(1000, 4), validation=100).validation) == 100
    stored = dataset_from_arrays(numbered(100, 4), numbered(10, 4), numbered(20, 4))
    assert [len(split) for _, split in stored.splits()] == [100, 20, 10]


@pytest.mark.parametrize(("limit", "at_least"), [(4, 4), (100, 100), (719, 716), (720, 720), (5000, 720)])
def test_limit(limit, at_least):
    dataset = dataset_from_arrays(numbered(1000, 4), limit=limit)
    assert at_least <= len(dataset.train) <= limit
    assert len(np.unique(dataset.train.labels)) == 4
    assert (len(dataset.validation), len(dataset.test)) == (80, 200)


def test_limit_below_the_classes():
    with pytest.raises(UsageError, match="4 classes"):
        dataset_from_arrays(numbered(1000, 4), limit=3)


@pytest.mark.parametrize(
    ("shape", "result"),
    [
        ((9, 10), (1, 9, 10)),
        ((9, 10, 3), (3, 9, 10)),
        ((4, 9, 10), (4, 9, 10)),
        ((8, 8, 1), (1, 8, 8)),
        ((6, 30, 8), (6, 30, 8)),
    ],
)
def test_layouts_are_recognised(shape, result):
    assert dataset_from_arrays((images(60, shape), np.arange(60) % 2)).input_shape == result


def test_layout_transposes_pixels():
    last = images(40, (9, 10, 3))
    dataset = dataset_from_arrays((last, np.arange(40) % 2), (last, np.arange(40) % 2))
    assert np.array_equal(dataset.test.images, last.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("shape", [(16, 16, 16), (3, 32, 3)])
def test_ambiguous_layout_asks(shape):
    data = (images(40, shape), np.arange(40) % 2)
    with pytest.raises(DataError, match="layout="):
        dataset_from_arrays(data)
    if min(shape) >= 8:
        assert dataset_from_arrays(data, layout="NCHW").input_shape == shape


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.random.default_rng(0).random((40, 9, 9)), "whole numbers"),
        (np.full((40, 9, 9), -1), "whole numbers"),
        (np.full((40, 9, 9), 256), "whole numbers"),
        (np.full((40, 9, 9), np.nan), "whole numbers"),
        (np.zeros((40, 9, 9), bool), "not pixels"),
        (np.zeros((40, 81), np.uint8), "shape"),
        (np.zeros((40, 7, 7), np.uint8), "too small"),
        (np.zeros((0, 9, 9), np.uint8), "40|no training"),
    ],
)
def test_bad_images(values, words):
    with pytest.raises(DataError, match=words):
        dataset_from_arrays((values, np.arange(40) % 2))


def test_whole_numbers_of_other_types():
    floats = images(40).astype(np.float64)
    assert dataset_from_arrays((floats, np.arange(40.0) % 2)).train.images.dtype == np.uint8


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.arange(40) % 2, ("0", "1")),
        ((np.arange(40) % 2)[:, None], ("0", "1")),
        (np.eye(3, dtype=int)[np.arange(40) % 3], ("0", "1", "2")),
        (np.array(["cat", "ant"] * 20), ("ant", "cat")),
    ],
)
def test_labels(labels, classes):
    assert dataset_from_arrays((images(40), labels)).classes == classes


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.arange(40) % 2 + 1, "no image has label 0"),
        (np.arange(40) % 2 * 10**9, "no image has label 1"),
        (np.arange(40) % 2 - 1, "label -1"),
        (np.arange(40) % 2 + 0.5, "not labels"),
        (np.zeros(40), "1 class"),
        (np.arange(39) % 2, "40 images but 39 labels"),
        (np.zeros((40, 2, 2)), "one label an image"),
        ([None] * 40, "not labels"),
    ],
)
def test_bad_labels(labels, words):
    with pytest.raises(DataError, match=words):
        dataset_from_arrays((images(40), labels))


def test_label_beyond_the_named_classes():
    with pytest.raises(DataError, match="label 2 of image 2"):
        dataset_from_arrays((images(40), np.arange(40) % 3), classes=["a", "b"])


def test_shapes_must_agree():
    with pytest.raises(DataError, match="test set: images are"):
        dataset_from_arrays((images(40), np.arange(40) % 2), (images(4, (3, 8, 8)), [0, 1, 0, 1]))


def test_split_and_dataset_check_themselves():
    good = Split(images(2), np.array([0, 1]))
    with pytest.raises(DataError, match="uint8"):
        Split(images(2).astype(float), np.array([0, 1]))
    with pytest.raises(DataError, match="int64"):
        Split(images(2), np.array([0.0, 1]))
    with pytest.raises(DataError, match="2 images but 1"):
        Split(images(2), np.array([1]))
    with pytest.raises(DataError, match="validation set: no images"):
        Dataset("x", good, Split(images(0), np.zeros(0, np.int64)), good, ("a", "b"))


def test_fingerprint_sees_pixels_labels_and_names():
    def made(change=0, names=("a", "b")):
        pictures = images(4)
        pictures[0, 0, 0, 0] += change
        part = Split(pictures, np.array([0, 1, 0, 1]))
        return Dataset("x", part, part, part, names).fingerprint

    assert made() == made()
    assert len({made(), made(1), made(names=("a", "c"))}) == 3


def test_digits():
    dataset = load_dataset("digits")
    assert repr(dataset) == "Dataset('digits', 1150 + 288 + 359 images of (1, 8, 8), 10 classes)"
    assert dataset.train.images.max() == 255
    assert len(np.unique(dataset.train.images)) == 17
    assert np.array_equal(dataset.test.images, load_dataset("digits", seed=9).test.images)


def test_image_size():
    dataset = load_dataset("digits", image_size=(12, 16))
    assert dataset.input_shape == (1, 12, 16)
    assert abs(dataset.train.images.mean() - load_dataset("digits").train.images.mean()) < 2
    with pytest.raises(UsageError, match="image_size"):
        load_dataset("digits", image_size=7)


def test_unknown_names(tmp_path):
    with pytest.raises(DataError, match="did you mean 'digits'"):
        load_dataset("digit")
    with pytest.raises(DataError, match="known names: digits"):
        load_dataset("qqq")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UsageError, match="not a data set"):
        load_dataset(tmp_path / "x.txt")
