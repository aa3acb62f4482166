"""NumPy archives as data sets."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pronas.data._archive import check_zip
from pronas.data._arrays import source_of_arrays
from pronas.data._source import Source
from pronas.errors import DataError

_PAIRS = (("x_train", "y_train"), ("x_test", "y_test"), ("x_val", "y_val"))


def read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Every array of a ``.npz``, never unpickling.

    Raises:
        DataError: missing, corrupt, a bomb, or with arrays of Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(path, archive)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not a readable .npz of plain arrays ({error})") from error


def load_npz(path: Path, layout: str | None = None) -> Source:
    """A data set of one ``.npz``: x_train, y_train, perhaps x_test, y_test, x_val, y_val and class names, ``classes``.

    Raises:
        DataError: an array is missing or does not fit; see :func:`dataset_from_arrays`.
    """
    arrays = read_npz(path)
    train, test, validation = (_pair(path, arrays, *names) for names in _PAIRS)
    if train is None:
        raise DataError(f"{path}: no x_train and y_train; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    names = arrays.get("classes")
    classes = None if names is None else [str(name) for name in np.atleast_1d(names)]
    return source_of_arrays(path.stem, str(path), train, test, validation, classes, layout)


def _pair(
    path: Path, arrays: dict[str, NDArray[np.generic]], images: str, labels: str
) -> tuple[NDArray[np.generic], NDArray[np.generic]] | None:
    if (images in arrays) != (labels in arrays):
        there, missing = (images, labels) if images in arrays else (labels, images)
        raise DataError(f"{path}: {there} without {missing}")
    return (arrays[images], arrays[labels]) if images in arrays else None
