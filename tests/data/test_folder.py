"""Folders of class folders, zips of them, and .npz files."""

import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from pronas.data import load_dataset, load_named_images
from pronas.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PRONAS_CACHE", str(folder))
    return folder


def picture(value=0, size=(10, 9), mode="RGB", form="PNG"):
    color = {"L": value, "RGB": (value, 1, 2), "RGBA": (value, 1, 2, 9), "LA": (value, 9)}[mode]
    out = io.BytesIO()
    Image.new(mode, size, color).save(out, form)
    return out.getvalue()


def tree(*, per_class=10, tops=("",), classes=("ant", "bee"), **options):
    """Paths and contents; the red value tells class and number."""
    return {
        f"{top}{label}/{i:03}.png": picture(100 * c + i % 100, **options)
        for top in tops
        for c, label in enumerate(classes)
        for i in range(per_class)
    }


def write_folder(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(params=["folder", "zip"])
def stored(request, tmp_path):
    """Store a tree either way; both must read the same."""

    def store(files):
        return (
            write_folder(tmp_path / "d", files) if request.param == "folder" else write_zip(tmp_path / "d.zip", files)
        )

    return store


def test_classes_only(stored):
    dataset = load_dataset(stored(tree()))
    assert dataset.name == "d"
    assert dataset.classes == ("ant", "bee")
    assert dataset.input_shape == (3, 9, 10)
    assert sum(len(split) for _, split in dataset.splits()) == 20
    for _, split in dataset.splits():
        assert (split.images[:, 0, 0, 0] // 100 == split.labels).all()
        assert (split.images[:, 1] == 1).all()


def test_train_test_and_val(stored):
    files = tree(tops=("wrap/Train/", "wrap/test/", "wrap/val/"))
    files |= {"wrap/README.txt": b"hello", "wrap/train/.DS_Store": b"", "__MACOSX/wrap/train/ant/._000.png": b""}
    dataset = load_dataset(stored(files))
    assert [len(split) for _, split in dataset.splits()] == [20, 20, 20]


def test_a_class_called_train_and_numbers_in_order(stored):
    assert load_dataset(stored(tree(classes=("train", "car")))).classes == ("car", "train")


def test_number_classes_are_sorted_as_numbers(stored):
    assert load_dataset(stored(tree(classes=("10", "9", "1")))).classes == ("1", "9", "10")


def test_grayscale_mixed_and_transparent(stored):
    assert load_dataset(stored(tree(mode="L"))).input_shape == (1, 9, 10)
    mixed = load_dataset(
        stored(tree() | {"ant/000.png": picture(7, mode="L"), "bee/000.png": picture(100, mode="RGBA")})
    )
    assert mixed.input_shape == (3, 9, 10)
    every = np.concatenate([split.images for _, split in mixed.splits()])
    assert [7, 7, 7] in every[:, :, 0, 0].tolist()
    assert [100, 1, 2] in every[:, :, 0, 0].tolist()


def test_all_transparent_has_four_channels(stored):
    assert load_dataset(stored(tree(mode="RGBA"))).input_shape == (4, 9, 10)


def test_sixteen_bits(tmp_path):
    files = tree(mode="L")
    for name in files:
        out = io.BytesIO()
        Image.fromarray(np.full((9, 10), 0x8123, np.uint16)).save(out, "PNG")
        files[name] = out.getvalue()
    assert set(np.unique(load_dataset(write_folder(tmp_path, files)).train.images)) == {0x81}


def test_mixed_sizes(stored):
    path = stored(tree() | {"bee/004.png": picture(size=(11, 9))})
    with pytest.raises(DataError, match=r"bee/004.png is 9x11, ant/000.png 9x10: give image_size"):
        load_dataset(path)
    assert load_dataset(path, image_size=16).input_shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"bee/005.png": picture()[:48]}, "bee/005.png: corrupt or truncated"),
        ({"bee/005.png": b""}, "bee/005.png: not a picture"),
        ({"bee/005.jpg": b"%!PS-Adobe-3.0 EPSF-3.0"}, "bee/005.jpg: not a picture"),
        ({"stray.png": picture()}, "stray.png is in no class folder"),
    ],
)
def test_damage_names_the_file(stored, files, words):
    with pytest.raises(DataError, match=words):
        load_dataset(stored(tree() | files))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"notes.txt": b""}, "no pictures"),
        (tree(classes=("ant",)), "1 class"),
        (tree(tops=("train/", "test/")) | {"test/beee/1.png": picture()}, "'beee' has no training pictures"),
        (tree(tops=("train/", "test/")) | {"more/ant/1.png": picture()}, "'more' beside"),
        (tree(tops=("train/",)) | {"test/1.png": picture()}, "test/1.png is in no class folder"),
        (tree(size=(7, 9)), "too small"),
    ],
)
def test_bad_trees(stored, files, words):
    with pytest.raises(DataError, match=words):
        load_dataset(stored(files))


@pytest.mark.parametrize(
    "name", ["../ant/x.png", "/ant/x.png", "ant/../../x.png", "C:/ant/x.png", "ant\\..\\..\\x.png"]
)
def test_zip_that_leads_outside(tmp_path, name):
    with pytest.raises(DataError, match="leads outside the archive"):
        load_dataset(write_zip(tmp_path / "d.zip", tree() | {name: picture()}))
    assert os.listdir(tmp_path) == ["d.zip"]


def test_zip_with_a_link(tmp_path):
    path = write_zip(tmp_path / "d.zip", tree())
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("ant/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="symbolic link"):
        load_dataset(path)


def test_zip_with_a_name_twice(tmp_path):
    path = write_zip(tmp_path / "d.zip", tree())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("ant/000.png", picture(9))
    with pytest.raises(DataError, match="two files of one name"):
        load_dataset(path)


def test_zip_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ant/1.png", bytes(80 << 20))
    with pytest.raises(DataError, match="bomb"):
        load_dataset(tmp_path / "d.zip")


@pytest.mark.parametrize("side", [10000, 14000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_picture_bomb(tmp_path, side):
    out = io.BytesIO()
    Image.new("1", (side, side)).save(out, "PNG", compress_level=1)
    with pytest.raises(DataError, match=r"ant/000\.png: .*refused"):
        load_dataset(write_folder(tmp_path, tree() | {"ant/000.png": out.getvalue()}))


def test_damaged_zip(tmp_path):
    whole = write_zip(tmp_path / "d.zip", tree()).read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "cut.zip").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"cut\.zip"):
            load_dataset(tmp_path / "cut.zip")
    changed = bytearray(whole)
    changed[80] ^= 255
    (tmp_path / "changed.zip").write_bytes(bytes(changed))
    with pytest.raises(DataError, match=r"ant/000\.png: corrupt"):
        load_dataset(tmp_path / "changed.zip")


def test_decoded_pictures_are_cached(stored, cache):
    files = tree(per_class=500)
    path = stored(files)
    first = load_dataset(path)
    (kept,) = (cache / "decoded").glob("*.u8")
    marked = np.fromfile(kept, np.uint8).reshape(1000, 3, 9, 10)
    marked[:, 2] = 77
    marked.tofile(kept)
    assert (load_dataset(path).train.images[:, 2] == 77).all()  # it was read, not decoded
    kept.write_bytes(b"rubbish")
    assert load_dataset(path).fingerprint == first.fingerprint
    kept.write_bytes(b"rubbish")
    changed = load_dataset(stored(files | {"ant/000.png": picture(55, form="JPEG")}))
    assert changed.fingerprint != first.fingerprint
    assert len(list((cache / "decoded").glob("*.u8"))) == 2


def test_unwritable_cache_does_not_matter(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PRONAS_CACHE", str(tmp_path / "file" / "cache"))
    assert load_dataset(write_zip(tmp_path / "d.zip", tree(per_class=500))).num_classes == 2


def arrays(n=60, shape=(9, 10), classes=3):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8), np.arange(n) % classes


def test_npz(tmp_path):
    (x, y), (xt, yt), (xv, yv) = arrays(), arrays(12), arrays(9)
    np.savez(
        tmp_path / "toy.npz", x_train=x, y_train=y, x_test=xt, y_test=yt, x_val=xv, y_val=yv, classes=["a", "b", "c"]
    )
    dataset = load_dataset(tmp_path / "toy.npz")
    assert (dataset.name, dataset.classes) == ("toy", ("a", "b", "c"))
    assert np.array_equal(dataset.test.images[:, 0], xt)
    assert [len(split) for _, split in dataset.splits()] == [60, 9, 12]


def test_npz_layout_and_classes_arguments(tmp_path):
    x, y = arrays(shape=(16, 16, 16))
    np.savez_compressed(tmp_path / "toy.npz", x_train=x, y_train=y)
    with pytest.raises(DataError, match=r"toy\.npz.*layout"):
        load_dataset(tmp_path / "toy.npz")
    dataset = load_dataset(tmp_path / "toy.npz", layout="NHWC", classes=["a", "b", "c"])
    assert dataset.input_shape == (16, 16, 16)
    assert dataset.classes == ("a", "b", "c")
    with pytest.raises(DataError, match="3 classes, but 2"):
        load_dataset(tmp_path / "toy.npz", layout="NHWC", classes=["a", "b"])


def test_bad_npz(tmp_path):
    path = tmp_path / "bad.npz"
    x, y = arrays()
    cases = [
        ({"x_train": x}, "x_train without y_train"),
        ({"images": x}, "no x_train and y_train; it holds images"),
        ({"x_train": x, "y_train": y[:-1]}, "60 images but 59 labels"),
        ({"x_train": x, "y_train": y, "x_test": x, "y_test": y + 1}, "test set: label 3"),
        ({"x_train": np.array([object()]), "y_train": y}, "bad.npz: not a readable"),
    ]
    for content, words in cases:
        np.savez(path, **content, allow_pickle=True)
        with pytest.raises(DataError, match=words):
            load_dataset(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=r"bad\.npz"):
        load_dataset(path)
    np.savez_compressed(path, x_train=np.zeros((80 << 20,), np.uint8), y_train=y)
    with pytest.raises(DataError, match="bomb"):
        load_dataset(path)


def bad_tree(count=3):
    files = tree(per_class=20)
    for i in range(count):
        files[f"bee/{i:03}.png"] = [picture()[:48], b"", b"\x89PNG\r\n"][i % 3]
    return files


def test_all_bad_pictures_are_named_at_once(stored):
    with pytest.raises(DataError) as caught:
        load_dataset(stored(bad_tree()))
    message = str(caught.value)
    assert "3 pictures cannot be read" in message
    assert all(f"bee/{i:03}.png: " in message for i in range(3))
    assert "skip_bad" in message
    assert "\n" not in message


def test_of_many_bad_pictures_ten_are_named(stored):
    with pytest.raises(DataError, match=r"15 pictures cannot be read: .*bee/009\.png: .*; and 5 more"):
        load_dataset(stored(bad_tree(15)))


def test_bad_pictures_are_left_out_and_said(stored):
    dataset = load_dataset(stored(bad_tree()), skip_bad=True)
    assert sum(len(split) for _, split in dataset.splits()) == 37
    for _, split in dataset.splits():
        assert (split.images[:, 0, 0, 0] // 100 == split.labels).all()
        assert [int(name[4:7]) for name in split.names] == (split.images[:, 0, 0, 0] % 100).tolist()
    assert any(note.startswith("3 of 40 pictures were left out: ") and "bee/001.png" in note for note in dataset.notes)


def test_a_class_of_bad_pictures_alone(stored):
    files = tree() | {f"bee/{i:03}.png": b"" for i in range(10)}
    with pytest.raises(DataError, match="no training picture of class 'bee' can be read"):
        load_dataset(stored(files), skip_bad=True)
    with pytest.raises(DataError, match=r"20 pictures cannot be read"):
        load_dataset(stored(dict.fromkeys(files, b"")), skip_bad=True)


def test_bad_pictures_among_kept_ones(stored, cache):
    files = tree(per_class=600) | {"ant/007.png": b"", "bee/599.png": b""}
    path = stored(files)
    for _ in range(2):
        with pytest.raises(DataError, match="2 pictures cannot be read"):
            load_dataset(path)
    first, again = (load_dataset(path, skip_bad=True) for _ in range(2))
    assert len(list((cache / "decoded").glob("*.u8"))) == 1
    assert first.fingerprint == again.fingerprint
    assert sum(len(split) for _, split in again.splits()) == 1198


def test_what_is_passed_over_is_said(stored, tmp_path):
    path = stored(tree() | {"README.txt": b"", "ant/x.doc": b"", ".hidden": b""})
    notes = load_dataset(path).notes
    assert any(note.startswith("2 files are no pictures") and "README.txt" in note for note in notes)
    assert any("ant (" in note and "fewer than 20" in note for note in notes)
    if path.is_dir():
        (path / "wasp").mkdir()
        assert any(note == "1 folder holds no picture and was passed over: wasp" for note in load_dataset(path).notes)


def test_links_to_folders_are_not_followed(tmp_path):
    path = write_folder(tmp_path / "d", tree())
    (path / "ant" / "loop").symlink_to(path)
    dataset = load_dataset(path)
    assert sum(len(split) for _, split in dataset.splits()) == 20
    assert "1 link to a folder was not followed: ant/loop" in dataset.notes
    assert load_dataset(path / "ant" / "loop").fingerprint == dataset.fingerprint  # but one may be given itself


def test_a_file_counts_once(tmp_path):
    path = write_folder(tmp_path / "d", tree())
    os.link(path / "ant" / "000.png", path / "ant" / "again.png")
    (path / "bee" / "zz.png").symlink_to(path / "bee" / "001.png")
    dataset = load_dataset(path)
    assert sum(len(split) for _, split in dataset.splits()) == 20
    assert any(note.startswith("2 files were left out as the same as others") for note in dataset.notes)


def test_a_link_to_nothing_is_a_bad_picture(tmp_path):
    path = write_folder(tmp_path / "d", tree())
    (path / "ant" / "gone.png").symlink_to(path / "nowhere")
    with pytest.raises(DataError, match=r"ant/gone\.png: cannot be read"):
        load_dataset(path)
    assert load_dataset(path, skip_bad=True).num_classes == 2


def test_mixed_channels_among_many(stored):
    modes = ["L"] * 700 + ["RGB"] * 5 + ["RGBA"] * 295
    files = {f"{'ant' if i < 500 else 'bee'}/{i:04}.png": picture(i % 250, mode=mode) for i, mode in enumerate(modes)}
    dataset = load_dataset(stored(files))
    assert dataset.input_shape == (3, 9, 10)
    for _, split in dataset.splits():
        numbers = np.array([int(name[4:8]) for name in split.names])
        assert (split.images[:, 0, 0, 0] == numbers % 250).all()
        gray = numbers < 700
        assert (split.images[gray, 1, 0, 0] == numbers[gray] % 250).all()
        assert (split.images[~gray, 1] == 1).all()


def test_own_validation_folder_is_used_as_it_stands(stored):
    files = tree(tops=("train/",), per_class=30) | tree(tops=("validation/",), per_class=5)
    dataset = load_dataset(stored(files))
    assert len(dataset.validation) == 10
    assert {name.split("/")[0] for name in dataset.validation.names} == {"validation"}
    assert {name.split("/")[0] for name in dataset.test.names} == {"train"}


def test_large_photographs_are_decoded_small_and_alike(tmp_path):
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((1600, 1200), Image.BILINEAR)
    files = {}
    for label in ("ant", "bee"):
        for i in range(5):
            out = io.BytesIO()
            rough.save(out, "JPEG", quality=95)
            files[f"{label}/{i}.jpg"] = out.getvalue()
    images = load_dataset(write_folder(tmp_path, files), image_size=32).train.images
    exact = np.asarray(rough.resize((32, 32), Image.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(images[0].astype(int) - exact).max() <= 6


def test_names_that_are_no_text(tmp_path):
    files = {f"{label}/{i}.png": picture(i) for label in ("ant", "b\nee", os.fsdecode(b"\xff")) for i in range(12)}
    path = write_folder(tmp_path / "d", files | {"ant/" + os.fsdecode(b"\xfe\n.png"): b""})
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    dataset = load_dataset(path, skip_bad=True)
    for text in (str(caught.value), *dataset.notes, *dataset.classes):
        assert text.isprintable()
        text.encode()
    assert dataset.classes == ("ant", "b\\nee", "\\udcff")
    names, _ = load_named_images([path / os.fsdecode(b"\xff")], (3, 9, 10))
    assert all(name.isprintable() for name in names)
