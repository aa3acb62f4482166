"""Sets that are kept in files: the same as in memory, remembered, shared with workers by path."""

import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronas.data import Dataset, Rows, Split, expand, joined, limits, load_dataset, prune_cache, scale_of
from pronas.errors import DataError
from pronas.execution import SharedArrays, open_shared
from pronas.mapped import MappedArray, contiguous, map_array


@pytest.fixture
def small_is_large(monkeypatch):
    monkeypatch.setattr(limits, "LARGE", 1000)
    monkeypatch.setattr(limits, "CHUNK", 5000)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PRONAS_CACHE", str(folder))
    return folder


def save(path, n=200, shape=(12, 10, 3), test=True):
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(0, 256, (n, *shape), dtype=np.uint8), "y_train": np.arange(n) % 4}
    if test:
        arrays |= {"x_test": arrays["x_train"][:20][::-1], "y_test": np.arange(20) % 4}
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize("size", [None, 8])
def test_a_streamed_npz_is_the_same(tmp_path, monkeypatch, cache, size, test):
    path = save(tmp_path / "x.npz", test=test)
    wanted = load_dataset(path, image_size=size, limit=100)
    assert wanted.key is None
    assert not (cache / "decoded").exists()
    monkeypatch.setattr(limits, "LARGE", 1000)
    first = load_dataset(path, image_size=size, limit=100)
    again = load_dataset(path, image_size=size, limit=100)
    assert first.train.images.path == again.train.images.path
    assert first.fingerprint == again.fingerprint == wanted.fingerprint
    assert scale_of(first) == scale_of(again) == scale_of(wanted)
    assert first.key
    assert len(list((cache / "facts").iterdir())) == 1
    assert not list((cache / "decoded").glob("temporary-*"))


def test_what_is_remembered_is_of_this_split_alone(tmp_path, small_is_large):
    path = save(tmp_path / "x.npz")
    keys = {load_dataset(path, seed=seed, limit=limit).key for seed in (0, 1) for limit in (None, 50)}
    assert len(keys) == 4
    fingerprints = {load_dataset(path, seed=seed, limit=limit).fingerprint for seed in (0, 1) for limit in (None, 50)}
    assert len(fingerprints) == 4
    save(path, n=180)
    assert load_dataset(path).key not in keys


def test_a_damaged_large_npz(tmp_path, small_is_large):
    path = save(tmp_path / "x.npz")
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 3] ^= 255
    path.write_bytes(changed)
    with pytest.raises(DataError, match=r"x\.npz"):
        load_dataset(path)
    np.savez(path, x_train=np.zeros((200, 12, 10, 3)) + 0.5, y_train=np.arange(200) % 2)
    with pytest.raises(DataError, match="whole numbers"):
        load_dataset(path)


def test_a_cache_that_cannot_be_written(tmp_path, small_is_large, monkeypatch):
    path = save(tmp_path / "x.npz")
    wanted = load_dataset(path).fingerprint
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PRONAS_CACHE", str(tmp_path / "file" / "cache"))
    assert load_dataset(path).fingerprint == wanted
    assert Dataset.from_iterable((np.zeros((12, 10), np.uint8), i % 2) for i in range(100)).num_classes == 2


def test_a_disk_that_fills_up(tmp_path, small_is_large, monkeypatch):
    path = save(tmp_path / "x.npz")
    wanted = load_dataset(path).fingerprint
    write = Rows.append

    def append(self, images):
        if not hasattr(self._file, "getbuffer") and self.shape:  # a file that holds something already
            raise OSError(28, "No space left on device")
        write(self, images)

    monkeypatch.setattr(Rows, "append", append)
    save(path)
    assert load_dataset(path).fingerprint == wanted  # in memory
    monkeypatch.setattr(limits, "ITEMS", 5)
    with pytest.raises(DataError, match="the cache cannot be written"):
        Dataset.from_iterable((np.zeros((12, 10), np.uint8), i % 2) for i in range(100))


def test_workers_map_the_same_file(tmp_path, small_is_large):
    dataset = load_dataset(save(tmp_path / "x.npz"))
    shared = SharedArrays({"images": contiguous(dataset.train.images), "labels": dataset.train.labels})
    handle = shared.plain["images"]
    assert os.path.samefile(handle.path, dataset.train.images.path)
    os.unlink(dataset.train.images.path)  # as another process may that needs room
    opened = open_shared(shared.plain)
    assert np.array_equal(opened["images"], dataset.train.images)
    opened["images"][0] = 7  # copy-on-write: nobody else sees it
    assert not (dataset.train.images[0] == 7).all()
    shared.close()


def test_views_are_copied_not_mistaken_for_the_file(tmp_path):
    np.arange(24, dtype=np.uint8).tofile(tmp_path / "x")
    array = map_array(tmp_path / "x", "|u1", (6, 4))
    assert isinstance(array, MappedArray)
    assert array[2:].path is None
    shared = SharedArrays({"x": array[2:], "part": map_array(tmp_path / "x", "|u1", (2, 4), 8)})
    opened = open_shared(shared.plain)
    assert opened["x"].tolist() == array[2:].tolist()
    assert opened["part"].tolist() == array[2:4].tolist()
    shared.close()
    with pytest.raises(ValueError, match="mmap"):
        map_array(tmp_path / "x", "|u1", (7, 4))
    assert map_array(tmp_path / "x", "|u1", (0, 4)).shape == (0, 4)


def test_joined(tmp_path, small_is_large):
    dataset = load_dataset(save(tmp_path / "x.npz"))
    both = joined(dataset.train, dataset.validation)
    assert both.images.path
    assert np.array_equal(both.images, np.concatenate([dataset.train.images, dataset.validation.images]))
    assert len(both) == len(both.labels) == 200
    few = Split(np.asarray(dataset.train.images[:2]), dataset.train.labels[:2])
    assert len(joined(few, few)) == 4


def test_expansion_of_a_large_set_is_the_same(tmp_path, small_is_large):
    train = load_dataset(save(tmp_path / "x.npz")).train
    large, wanted = expand(train, 3), expand(Split(np.array(train.images), train.labels), 3)
    assert large.images.path
    assert np.array_equal(large.images, wanted.images)
    assert np.array_equal(large.labels, wanted.labels)


def test_old_files_go_first(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(limits, "LARGE", 40 * 400)  # a whole set is, what is split off it is not
    monkeypatch.setattr(limits, "MAX_KEPT", 100 * 400)
    kept = []
    for i in range(4):
        load_dataset(save(tmp_path / f"{i}.npz", n=40, shape=(20, 20), test=False))
        kept += [path.stem for path in (cache / "decoded").glob("*.u8") if path.stem not in kept]
        old = time.time() - (86400 * (10 - i) if i < 3 else 0)
        for path in (cache / "decoded").glob(f"{kept[i]}.*"):
            os.utime(path, (old, old))
    prune_cache()
    assert {path.stem for path in (cache / "decoded").glob("*.u8")} == set(kept[2:])


def test_files_of_killed_processes_go(cache):
    (cache / "decoded").mkdir()
    names = [
        "temporary-999999999-a.u8",
        f"temporary-{os.getpid()}-b.u8",
        "temporary-999999998-new.u8",
        "temporary-x-c.u8",
    ]
    for name in names:
        (cache / "decoded" / name).write_bytes(b"x")
        if "new" not in name:
            os.utime(cache / "decoded" / name, (1e9, 1e9))
    prune_cache()
    assert sorted(path.name for path in (cache / "decoded").iterdir()) == sorted(names[1:])


def of_channels(images, channels):
    """Gray spreads over three planes; what is beyond them goes."""
    return images.repeat(channels, 1) if images.shape[1] < channels else images[:, :channels]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from([1, 3, 4])), min_size=1, max_size=8),
    st.integers(1, 3),
    st.integers(1, 200),
)
def test_rows_of_several_channels(parts, side, chunk):
    import io

    rng = np.random.default_rng(0)
    given = [rng.integers(0, 256, (count, channels, side, side), dtype=np.uint8) for count, channels in parts]
    file = io.BytesIO()
    rows = Rows(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "CHUNK", chunk)
        for images in given:
            rows.append(images)
    found = {channels for _, channels in parts}
    channels = found.pop() if len(found) == 1 else 3
    wanted = np.concatenate([of_channels(images, channels) for images in given])
    assert rows.shape == wanted.shape
    assert np.array_equal(np.frombuffer(file.getvalue(), np.uint8).reshape(rows.shape), wanted)
