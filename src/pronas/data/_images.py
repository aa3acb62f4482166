"""Images to classify: pictures, arrays and folders of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pronas.data._arrays import as_pixels
from pronas.data._notes import printable
from pronas.data._npz import read_npz
from pronas.data._pictures import SUFFIXES, decode
from pronas.data._walk import walk
from pronas.errors import DataError, UsageError

_ARRAYS = (".npy", ".npz")
_KEYS = ("images", "x", "x_test")

Images = NDArray[np.uint8]


def load_images(paths: Iterable[str | os.PathLike[str]], input_shape: tuple[int, int, int]) -> Images:
    """Images for a network: uint8, (n, C, H, W); see :func:`load_named_images`.

        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "grey.png"
        >>> Image.new("RGB", (20, 10), (128, 128, 128)).save(path)
        >>> load_images([path], (3, 8, 8))[0, :, 0, 0].tolist()
        [128, 128, 128]

    Args:
        paths: as there.
        input_shape: (C, H, W) of the network.

    Returns:
        uint8 (n, C, H, W), in the order of the paths.

    Raises:
        DataError, UsageError: as there.
    """
    return load_named_images(paths, input_shape)[1]


def load_named_images(
    paths: Iterable[str | os.PathLike[str]], input_shape: tuple[int, int, int]
) -> tuple[list[str], Images]:
    """Images for a network, and what to call each.

        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "grey.png"
        >>> Image.new("RGB", (20, 10), (128, 128, 128)).save(path)
        >>> names, images = load_named_images([path], (1, 8, 8))
        >>> names[0].endswith("grey.png"), images.shape
        (True, (1, 1, 8, 8))

    Args:
        paths: picture files (resized and converted to the network's channels), ``.npy`` or ``.npz`` arrays (of exactly
            its shape: one image or many, channels first or last; of a ``.npz``, ``images``, ``x``, ``x_test`` or the
            only array), and folders, which stand for the pictures and arrays in them, sorted, subfolders too (but not
            links to folders).
        input_shape: (C, H, W) of the network.

    Returns:
        n names (a path, with ``[i]`` for an image of many) and uint8 images (n, C, H, W).

    Raises:
        DataError: a file is missing, corrupt or does not fit; the message names it.
        UsageError: no path, or a picture for a network of other than 1, 3 or 4 channels.
    """
    names: list[str] = []
    parts: list[Images] = []
    for found, part in each_image_file(paths, input_shape):
        if isinstance(part, DataError):
            raise part
        names += found
        parts.append(part)
    return names, np.concatenate(parts)


def each_image_file(
    paths: Iterable[str | os.PathLike[str]], input_shape: tuple[int, int, int]
) -> Iterator[tuple[list[str], Images | DataError]]:
    """:func:`load_named_images` file by file: the names and images of each, or no name and what is wrong with it.

        >>> [(names, str(problem)) for names, problem in each_image_file(["nowhere.png"], (1, 8, 8))]
        [([], 'nowhere.png: ...')]

    Args:
        paths: as there.
        input_shape: (C, H, W) of the network.

    Returns:
        Pairs, file by file: names and uint8 images (n, C, H, W); or no name and the `DataError`.

    Raises:
        UsageError: no path, or a picture for a network of other than 1, 3 or 4 channels.
    """
    given = [Path(path) for path in paths]
    if not given:
        raise UsageError("no images: give picture files, .npy or .npz files, or folders of them")
    for path in given:
        try:
            files = _files(path)
        except DataError as error:
            yield [], error
            continue
        for file in files:
            try:
                part = _array(file, input_shape) if file.suffix.lower() in _ARRAYS else _picture(file, input_shape)
            except DataError as error:
                yield [], error
                continue
            name = printable(str(file))
            yield [name] if len(part) == 1 else [f"{name}[{i}]" for i in range(len(part))], part


def _files(path: Path) -> list[Path]:
    known = SUFFIXES | set(_ARRAYS)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        found = [path / name for name in walk(path).files if os.path.splitext(name)[1].lower() in known]
        if not found:
            raise DataError(f"{path}: no images in this folder ({', '.join(sorted(known))})")
        return found
    if path.suffix.lower() not in known:
        raise DataError(f"{path}: not an image; known are {', '.join(sorted(known))}")
    return [path]


def _picture(file: Path, shape: tuple[int, int, int]) -> Images:
    channels, height, width = shape
    if channels not in (1, 3, 4):
        raise UsageError(f"{file}: the network reads {channels} channels, which no picture has; give a .npy or .npz")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    return decode(data, str(file), (height, width), channels).transpose(2, 0, 1)[None]


def _array(file: Path, shape: tuple[int, int, int]) -> Images:
    array = _stored(file)
    fitted = _fitted(array, shape)
    if fitted is None or not len(fitted):
        raise DataError(
            f"{file}: an array of shape {array.shape}; (n, C, H, W) = (n, {', '.join(map(str, shape))}) fits"
        )
    return as_pixels(fitted, str(file))


def _stored(file: Path) -> NDArray[np.generic]:
    if file.suffix.lower() == ".npz":
        arrays = read_npz(file)
        found = [key for key in _KEYS if key in arrays] or list(arrays)[: len(arrays) == 1]
        if not found:
            raise DataError(f"{file}: name the images 'images'; it holds {', '.join(sorted(arrays)) or 'nothing'}")
        return arrays[found[0]]
    try:
        array = np.load(file, allow_pickle=False, mmap_mode="r")  # a header that lies allocates nothing
        return np.array(array)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise DataError(f"{file}: not a readable .npy of numbers ({error})") from error


def _fitted(array: NDArray[np.generic], shape: tuple[int, int, int]) -> NDArray[np.generic] | None:
    """The array as (n, C, H, W); ``None``: it does not fit."""
    channels, height, width = shape
    layouts: list[tuple[Sequence[int], bool]] = [(shape, False), ((height, width, channels), True)]
    for wanted, last in layouts:
        for images in (array, array[None]):
            if images.shape[1:] == tuple(wanted):
                return images.transpose(0, 3, 1, 2) if last else images
    if channels == 1 and array.shape[-2:] == (height, width) and array.ndim in (2, 3):
        return array.reshape(-1, 1, height, width)
    return None
