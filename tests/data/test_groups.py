"""Groups stay on one side of every split, and classes stay in proportion."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronas.data import dataset_from_arrays, load_dataset
from pronas.errors import DataError, UsageError

BCCD = Path(os.environ.get("PRONAS_TEST_DATA", "/nowhere")) / "bccd-cells48.zip"


def dataset_of(labels, groups, **options):
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8), dtype=np.uint8)
    return dataset_from_arrays((images, labels), groups=groups, classes=["a", "b", "c"], **options)


def check(dataset):
    sides = [set(split.groups.tolist()) for _, split in dataset.splits()]
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert all(map(len, sides))


def test_groups_are_whole_seeded_and_stratified():
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 150, 3000)
    labels = np.where(rng.random(3000) < 0.9, 0, 1 + rng.integers(0, 2, 3000))
    first, again, other = (dataset_of(labels, groups, seed=seed) for seed in (0, 0, 1))
    check(first)
    check(other)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert set(first.test.groups) == set(other.test.groups)  # the test set never changes with the seed
    assert abs(len(first.test) / 3000 - 0.2) < 0.01
    shares = np.bincount(first.test.labels, minlength=3) / np.bincount(labels, minlength=3)
    assert np.abs(shares - 0.2).max() < 0.05


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_groups(data):
    count = data.draw(st.integers(2, 12))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    groups = np.repeat(np.arange(count), sizes)
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(groups), max_size=len(groups))))
    try:
        dataset = dataset_of(labels, groups, seed=data.draw(st.integers(0, 5)))
    except DataError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert "groups are too few or too large" in refused
        return
    check(dataset)
    assert set(dataset.train.labels.tolist()) == set(labels.tolist())  # no class is emptied


def test_one_group_cannot_be_split():
    with pytest.raises(DataError, match="of 1 groups none can be held out"):
        dataset_of([0, 1, 2] * 10, [7] * 30)
    with pytest.raises(DataError, match="groups of shape"):
        dataset_of([0, 1, 2] * 10, [7] * 29)
    with pytest.raises(UsageError, match="validation=40"):
        dataset_of([0, 1, 2] * 10, list(range(30)), validation=40)


def save_tree(root, names):
    from PIL import Image

    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), i % 256).save(root / name)
    return root


def test_pattern_over_file_names(tmp_path):
    names = [f"{label}/person{p:02}_{i}.png" for label in ("ant", "bee") for p in range(12) for i in range(4)]
    path = save_tree(tmp_path / "d", names)
    dataset = load_dataset(path, group_by=r"(person\d+)_")
    check(dataset)
    sides = [{name.split("/")[1][:8] for name in split.names} for _, split in dataset.splits()]
    assert sum(map(len, sides)) == 12
    assert load_dataset(path, group_by=r"person\d+").fingerprint == dataset.fingerprint  # all that matched
    with pytest.raises(DataError, match=r"matches nothing in 96 of 96 file names, such as ant/person00_0\.png"):
        load_dataset(path, group_by="nobody")
    with pytest.raises(UsageError, match="not a regular expression"):
        load_dataset(path, group_by="(")
    with pytest.raises(UsageError, match="digits has no file names"):
        load_dataset("digits", group_by="x")


STORED = (("train", 1), ("test", 2))


def test_stored_splits_that_tear_groups_apart_are_told(tmp_path):
    names = [
        f"{top}/{label}/p{p}_{i}.png" for top, p in (("train", 1), ("test", 2)) for label in "ab" for i in range(9)
    ]
    names += [f"train/{label}/p{p}_0.png" for label in "ab" for p in (2, 3, 4, 5, 6)]
    dataset = load_dataset(save_tree(tmp_path / "d", names), group_by=r"p\d")
    assert "1 groups have both test and other images, as the files are stored" in dataset.notes


@pytest.mark.skipif(not BCCD.is_file(), reason="PRONAS_TEST_DATA names no folder with bccd-cells48.zip")
def test_blood_cells_of_one_picture():
    dataset = load_dataset(BCCD, group_by=r"([^/]+)_[^_]*$")
    check(dataset)
    sources = [{name.split("/")[-1].rsplit("_", 1)[0] for name in split.names} for _, split in dataset.splits()]
    assert sum(map(len, sources)) == len(set.union(*sources))
    for _, split in dataset.splits():
        assert (split.labels == dataset.classes.index("RBC")).mean() == pytest.approx(4153 / 4886, abs=0.02)
