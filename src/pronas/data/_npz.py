"""NumPy archives as data sets."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pronas.data import limits
from pronas.data._archive import check_zip
from pronas.data._arrays import Pair, as_images, source_of_arrays
from pronas.data._kept import collected
from pronas.data._resize import resize
from pronas.data._rows import Images
from pronas.data._source import ReadOptions, Source
from pronas.errors import DataError, PronasError

_PAIRS = (("x_train", "y_train"), ("x_test", "y_test"), ("x_val", "y_val"))

Shape = tuple[int, ...]


def read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Every array of a ``.npz``, never unpickling.

    Raises:
        DataError: missing, corrupt, a bomb, or with arrays of Python objects.
    """
    with _opened(path) as (_, arrays):
        return {name: arrays[name] for name in arrays.files}


def load_npz(path: Path, options: ReadOptions) -> Source:
    """A data set of one ``.npz``: x_train, y_train, perhaps x_test, y_test, x_val, y_val and class names, ``classes``.

    Images of 256 MiB and more are never whole in memory: they are resized on their way to a file of the cache.

    Raises:
        DataError: an array is missing or does not fit; see :func:`dataset_from_arrays`.
    """
    with _opened(path) as (archive, arrays):
        _check_names(path, set(arrays.files))
        large = _total(archive, arrays.files) >= limits.LARGE
        key = _key(path, options) if large else None
        layout = "NCHW" if large else options.layout
        train, test, validation = (_pair(path, archive, arrays, names, options, key) for names in _PAIRS)
        names = arrays["classes"] if "classes" in arrays.files else None
    assert train is not None
    classes = None if names is None else [str(name) for name in np.atleast_1d(names)]
    return source_of_arrays(path.stem, str(path), train, test, validation, classes, layout, key)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(path, archive)
            with np.load(path, allow_pickle=False) as arrays:
                yield archive, arrays
    except PronasError:
        raise
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a readable .npz of plain arrays ({error})") from error


def npy_header(file: IO[bytes]) -> tuple[Shape, bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and type of a ``.npy``, whose values come next in the file.

    Raises:
        ValueError: it is none.
    """
    version: Any = np.lib.format.read_magic(file)
    reader: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(file)
    return tuple(int(side) for side in shape), bool(fortran), dtype


def _check_names(path: Path, there: set[str]) -> None:
    for images, labels in _PAIRS:
        if (images in there) != (labels in there):
            one, missing = (images, labels) if images in there else (labels, images)
            raise DataError(f"{path}: {one} without {missing}")
    if "x_train" not in there:
        raise DataError(f"{path}: no x_train and y_train; it holds {', '.join(sorted(there)) or 'nothing'}")


def _total(archive: zipfile.ZipFile, names: list[str]) -> int:
    return sum(archive.getinfo(f"{images}.npy").file_size for images, _ in _PAIRS if images in names)


def _key(path: Path, options: ReadOptions) -> str:
    status = path.stat()
    facts = (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino, options.size, options.layout)
    return hashlib.sha256(repr(("npz", facts)).encode()).hexdigest()


def _pair(
    path: Path, archive: zipfile.ZipFile, arrays: Any, names: tuple[str, str], options: ReadOptions, key: str | None
) -> Pair | None:
    images, labels = names
    if images not in arrays.files:
        return None
    if key is None:
        return arrays[images], arrays[labels]

    def chunks() -> Iterator[Images]:
        for chunk in _streamed(archive, arrays, images):
            pixels = as_images(chunk, f"{path}, {images}", options.layout)
            yield resize(pixels, options.size) if options.size else pixels

    return collected(chunks, hashlib.sha256(f"{key} {images}".encode()).hexdigest()), arrays[labels]


def _streamed(archive: zipfile.ZipFile, arrays: Any, name: str) -> Iterator[NDArray[Any]]:
    with archive.open(f"{name}.npy") as file:
        shape, fortran, dtype = npy_header(file)
        if fortran or dtype.hasobject:
            yield arrays[name]
            return
        row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        step = max(1, limits.CHUNK // max(1, row))
        for start in range(0, shape[0], step):
            count = min(step, shape[0] - start)
            content = file.read(count * row)
            yield np.frombuffer(content, dtype).reshape(count, *shape[1:])
