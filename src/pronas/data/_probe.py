"""The sizes of a data set's images, looked at without decoding them, and a size that a budget can afford."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from pronas.data._archive import check_zip
from pronas.data._arrays import recognised
from pronas.data._cifar import find_cifar
from pronas.data._find import places
from pronas.data._idx import idx_shape
from pronas.data._idx_set import TRAIN, find, is_idx_folder
from pronas.data._named import ALIASES, NAMED
from pronas.data._npz import npy_header
from pronas.data._pictures import header
from pronas.data._tree import Tree, sort_out
from pronas.data._types import SMALLEST_SIDE, Dataset
from pronas.data._walk import walk
from pronas.errors import DataError

_SAMPLE = 200  # pictures whose headers are read
_HEADER = 1 << 16  # bytes that nearly always hold a picture's header
_MULTIPLE = 8  # sides are halved a few times in a network

Size = tuple[int, int]


@final
@dataclass(frozen=True)
class ImageSizes:
    """What is known of a data set before it is read.

    Attributes:
        images: about how many there are, all splits together.
        classes: how many; 0: not known without reading.
        channels: of an image.
        sizes: (height, width) of the images that were looked at, smallest area first.
    """

    images: int
    classes: int
    channels: int
    sizes: tuple[Size, ...]

    @property
    def smallest(self) -> Size:
        """The one of least area."""
        return self.sizes[0]

    @property
    def median(self) -> Size:
        """The one in the middle, by area."""
        return self.sizes[len(self.sizes) // 2]

    @property
    def largest(self) -> Size:
        """The one of most area."""
        return self.sizes[-1]

    @property
    def same(self) -> bool:
        """Whether all are of one size; else reading them needs ``image_size``."""
        return len(set(self.sizes)) == 1


def probe_images(
    data: str | os.PathLike[str] | Dataset, data_dir: str | os.PathLike[str] | None = None
) -> ImageSizes | None:
    """Look at a data set's image sizes: headers of 200 pictures of a folder or zip, of arrays their shape.

        >>> from pronas.data import load_dataset
        >>> probe_images(load_dataset("digits", limit=100)).sizes[0]
        (8, 8)

    Args:
        data: what :func:`load_dataset` takes, or a data set.
        data_dir: as there.

    Returns:
        ``None`` for ``hf:`` sets, whose images are not at hand.

    Raises:
        DataError: nothing there, or nothing that can be read.
    """
    if isinstance(data, Dataset):
        channels, height, width = data.input_shape
        return ImageSizes(sum(len(split) for _, split in data.splits()), data.num_classes, channels, ((height, width),))
    name = os.fspath(data)
    known = ALIASES.get(name.lower(), name.lower())
    if known == "digits":
        return ImageSizes(1797, 10, 1, ((8, 8),))
    if known in NAMED:
        return _named(known, Path(data_dir) if data_dir is not None else None)
    return None if name.startswith("hf:") else _of_path(Path(name))


def suggest_image_size(sizes: ImageSizes, pixels: int) -> Size | None:
    """The ``image_size`` (height, width) that brings images to at most ``pixels`` each.

    Sides are multiples of 8 where they can be, no larger than the median image's, and keep the aspect ratio where all
    images have it (within a tenth), else they are equal.

        >>> suggest_image_size(ImageSizes(images=100, classes=2, channels=3, sizes=((480, 640),) * 10), pixels=64 * 64)
        (48, 72)

    Args:
        sizes: of the images.
        pixels: height times width that can be afforded.

    Returns:
        ``None`` where the images can stay as they are: of one size, and no larger.
    """
    height, width = sizes.median
    if sizes.same and height * width <= pixels:
        return None
    ratios = [math.log(w / h) for h, w in sizes.sizes]
    if max(ratios) - min(ratios) > 0.1:
        height = width = min(height, width)
    shrink = min(1.0, math.sqrt(pixels / (height * width)))
    longest = pixels / SMALLEST_SIDE  # of a side, whose other is the least that there is
    return _rounded(min(height * shrink, longest)), _rounded(min(width * shrink, longest))


def _rounded(side: float) -> int:
    whole = int(side + 1e-6)
    return max(SMALLEST_SIDE, whole - whole % _MULTIPLE)


def _of_path(path: Path) -> ImageSizes:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir():
        return _of_folder(path)
    if path.suffix == ".npz":
        return _of_npz(path)
    if path.suffix == ".zip":
        return _of_zip(path)
    for named in NAMED.values():
        if named.archive == path.name:
            return _published(named.name)
    return _of_idx(path.parent)


def _of_folder(path: Path) -> ImageSizes:
    if is_idx_folder(path):
        return _of_idx(path)
    for named in NAMED.values():
        if named.archive and find_cifar(path, named) is not None:
            return _published(named.name)

    def read(name: str, most: int) -> bytes:
        with open(path / name, "rb") as file:
            return file.read(most)

    return _of_tree(sort_out(walk(path).files, str(path)), read, str(path))


def _of_zip(path: Path) -> ImageSizes:
    try:
        with zipfile.ZipFile(path) as archive:
            tree = sort_out([info.filename for info in check_zip(path, archive)], str(path))

            def read(name: str, most: int) -> bytes:
                with archive.open(name) as file:
                    return file.read(most)

            return _of_tree(tree, read, str(path))
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable zip ({error})") from error


def _of_tree(tree: Tree, read: Callable[[str, int], bytes], where: str) -> ImageSizes:
    names = [name for split in tree.names.values() for name in split]
    chosen = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(_SAMPLE, len(names))).astype(int))]
    found = [entry for entry in (_header(name, read) for name in chosen) if entry is not None]
    if not found:
        raise DataError(f"{where}: of {len(chosen)} pictures looked at none can be read")
    channels = {entry[2] for entry in found}
    sizes = sorted(((height, width) for height, width, _ in found), key=lambda size: (size[0] * size[1], size))
    return ImageSizes(len(names), len(tree.classes), channels.pop() if len(channels) == 1 else 3, tuple(sizes))


def _header(name: str, read: Callable[[str, int], bytes]) -> tuple[int, int, int] | None:
    try:
        return header(read(name, _HEADER)) or header(read(name, -1))
    except Exception:  # a damaged entry raises whatever its decoder does; loading will say so
        return None


def _of_npz(path: Path) -> ImageSizes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {info.filename for info in check_zip(path, archive)}
            shapes = [
                _npy_shape(archive, f"{key}.npy") for key in ("x_train", "x_test", "x_val") if f"{key}.npy" in names
            ]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable .npz of plain arrays ({error})") from error
    if not shapes:
        raise DataError(f"{path}: no x_train in it")
    return _of_shape(shapes[0], sum(shape[0] for shape in shapes), str(path))


def _npy_shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    with archive.open(name) as file:
        return npy_header(file)[0]


def _of_idx(folder: Path) -> ImageSizes:
    path = find(folder, TRAIN[0])
    if path is None:
        raise DataError(f"{folder}: {TRAIN[0]} (or {TRAIN[0]}.gz) is missing")
    shape = idx_shape(path)
    return _of_shape(shape, shape[0], str(path))


def _of_shape(shape: Sequence[int], images: int, where: str) -> ImageSizes:
    layout = recognised(tuple(shape), where) if len(shape) in (3, 4) else ""
    sides = dict(zip(layout, shape, strict=True))
    if not layout:
        raise DataError(f"{where}: an array of shape {tuple(shape)} is no set of images")
    return ImageSizes(images, 0, sides.get("C", 1), ((sides["H"], sides["W"]),))


def _named(name: str, data_dir: Path | None) -> ImageSizes:
    """Of a copy that was cut down, its own; else the published ones."""
    for place in places(NAMED[name], data_dir):
        for copy in (place / f"{name}.zip", place / f"{name}.npz"):
            if copy.is_file():
                return _of_path(copy)
    return _published(name)


def _published(name: str) -> ImageSizes:
    if name.startswith("cifar"):
        return ImageSizes(60_000, len(NAMED[name].classes), 3, ((32, 32),))
    return ImageSizes(70_000, len(NAMED[name].classes), 1, ((28, 28),))
