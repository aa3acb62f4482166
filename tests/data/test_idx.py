"""The idx format."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pronas.data import load_dataset, read_idx
from pronas.errors import DataError

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_bytes(array):
    code = CODES[array.dtype.newbyteorder("=").str[1:]]
    big = array.astype(array.dtype.newbyteorder(">"))
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + big.tobytes()


arrays = st.sampled_from(sorted(CODES)).flatmap(
    lambda code: hnp.arrays(
        np.dtype(code),
        hnp.array_shapes(max_dims=4, max_side=5),
        elements={"allow_nan": False} if code[0] == "f" else None,
    )
)


@given(arrays, st.booleans())
@settings(max_examples=60, deadline=None)
def test_round_trip(tmp_path_factory, array, packed):
    path = tmp_path_factory.mktemp("idx") / "x"
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    back = read_idx(path)
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


@given(st.binary(max_size=40), st.integers(0, 60), st.booleans(), st.integers(-1, 59), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_damage_is_a_data_error(tmp_path_factory, noise, cut, packed, at, value):
    """Whatever is cut off or changed: an array or DataError naming the file, nothing else."""
    whole = idx_bytes(np.arange(24, dtype="u1").reshape(2, 3, 4)) + noise
    whole = bytearray(gzip.compress(whole) if packed else whole)
    if 0 <= at < len(whole):
        whole[at] = value
    path = tmp_path_factory.mktemp("idx") / "damaged"
    path.write_bytes(bytes(whole[:cut]) if cut < 60 else bytes(whole))
    try:
        assert read_idx(path).size < 100
    except DataError as error:
        said = str(error)
    else:
        return
    assert "damaged" in said


@given(st.integers(0, 39))
@settings(deadline=None)
def test_every_truncation_is_seen(tmp_path_factory, cut):
    whole = idx_bytes(np.arange(24, dtype="u1").reshape(2, 3, 4))
    path = tmp_path_factory.mktemp("idx") / "cut"
    path.write_bytes(whole[: min(cut, len(whole) - 1)])
    with pytest.raises(DataError, match="cut"):
        read_idx(path)


def test_bytes_left_over(tmp_path):
    (tmp_path / "long").write_bytes(idx_bytes(np.zeros((2, 2), "u1")) + b"x")
    with pytest.raises(DataError, match="bytes are left"):
        read_idx(tmp_path / "long")


def test_a_header_that_announces_a_bomb(tmp_path):
    (tmp_path / "bomb").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**10, 2**10))
    with pytest.raises(DataError, match="bomb"):
        read_idx(tmp_path / "bomb")


def test_checksum_is_of_the_decompressed_content(tmp_path):
    import hashlib

    content = idx_bytes(np.arange(6, dtype="u1"))
    sha256 = hashlib.sha256(content).hexdigest()
    for level in (1, 9):
        (tmp_path / "x.gz").write_bytes(gzip.compress(content, level))
        assert read_idx(tmp_path / "x.gz", sha256).tolist() == list(range(6))
    with pytest.raises(DataError, match="SHA-256"):
        read_idx(tmp_path / "x.gz", "0" * 64)


def write_set(folder, images, labels, stem="train"):
    (folder / f"{stem}-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))


def random_set(n=60, side=9, classes=3):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, side, side), dtype="u1"), (np.arange(n) % classes).astype("u1")


def test_a_folder_of_idx_files(tmp_path):
    write_set(tmp_path, *random_set())
    dataset = load_dataset(tmp_path)
    assert dataset.input_shape == (1, 9, 9)
    assert dataset.classes == ("0", "1", "2")
    assert [len(split) for _, split in dataset.splits()] == [43, 5, 12]
    write_set(tmp_path, *random_set(30), stem="t10k")
    assert len(load_dataset(tmp_path / "train-images-idx3-ubyte").test) == 30


def test_counts_that_differ(tmp_path):
    images, labels = random_set()
    write_set(tmp_path, images, labels[:-1])
    with pytest.raises(DataError, match="train-images-idx3-ubyte: 60 images, but 59 labels"):
        load_dataset(tmp_path)


def test_labels_missing_or_not_labels(tmp_path):
    images, labels = random_set()
    write_set(tmp_path, images, np.stack([labels, labels]))
    with pytest.raises(DataError, match="not labels"):
        load_dataset(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="train-labels-idx1-ubyte"):
        load_dataset(tmp_path)


def test_test_labels_out_of_range(tmp_path):
    write_set(tmp_path, *random_set())
    images, labels = random_set(30)
    labels[7] = 200
    write_set(tmp_path, images, labels, stem="t10k")
    with pytest.raises(DataError, match="test set: label 200 of image 7"):
        load_dataset(tmp_path)


def test_no_images_at_all(tmp_path):
    write_set(tmp_path, np.zeros((0, 9, 9), "u1"), np.zeros(0, "u1"))
    with pytest.raises(DataError, match="no training images"):
        load_dataset(tmp_path)
