"""Labels as they are stored, turned into 0…classes-1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pronas.errors import DataError


def names_of(labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Class names where none are given: the numbers from 0 to the largest label."""
    return tuple(str(label) for label in range(int(labels.max(initial=-1)) + 1))


def as_labels(values: ArrayLike, where: str) -> NDArray[np.int64] | NDArray[np.str_]:
    """Stored labels as one dimension of whole numbers or of words.

    Args:
        values: (n,) or (n, 1) whole numbers (of any numeric type) or strings, or (n, classes) one-hot rows.
        where: names the file in errors.

    Raises:
        DataError: anything else.
    """
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] > 1 and _is_one_hot(array):
        return np.asarray(array.argmax(1), np.int64)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{where}: labels of shape {array.shape}; one label an image is needed: (n,)")
    if array.dtype.kind == "U":
        return array.astype(np.str_)
    if array.dtype.kind not in "iuf" or not np.array_equal(array, np.rint(array)):
        raise DataError(f"{where}: {array.dtype} values are not labels; give whole numbers from 0 or class names")
    return np.asarray(array, np.int64)


def _is_one_hot(array: NDArray[np.generic]) -> bool:
    return array.dtype.kind in "iufb" and bool(((array == 0) | (array == 1)).all() and (array.sum(1) == 1).all())


def encode(
    labels: Sequence[NDArray[np.int64] | NDArray[np.str_]], classes: Sequence[str] | None, where: Sequence[str]
) -> tuple[list[NDArray[np.int64]], tuple[str, ...]]:
    """Labels of several splits as class numbers, with the class names.

    Without ``classes``, the classes are the words of the first (the training) labels in sorted order, or the numbers
    from 0 to its largest label, every one of which must occur.

    Raises:
        DataError: a label that is no class, or a class without a training image.
    """
    words = labels[0].dtype.kind == "U"
    if any((part.dtype.kind == "U") != words for part in labels):
        raise DataError(f"{where[0]}: class names in one split and class numbers in another")
    if classes is not None:
        names = tuple(str(name) for name in classes)
    elif words:
        names = tuple(str(word) for word in np.unique(labels[0]))
    else:
        numbers = labels[0].astype(np.int64)
        _check_gapless(numbers, where[0])  # before there are as many names as the largest label says
        names = names_of(numbers)
    return [_coded(part, names, at) for part, at in zip(labels, where, strict=True)], names


def _coded(labels: NDArray[np.int64] | NDArray[np.str_], names: tuple[str, ...], where: str) -> NDArray[np.int64]:
    if labels.dtype.kind != "U":
        numbers = labels.astype(np.int64)
        wrong = np.flatnonzero((numbers < 0) | (numbers >= len(names)))
    else:
        known = {name: number for number, name in enumerate(names)}
        numbers = np.array([known.get(str(word), -1) for word in labels], dtype=np.int64)
        wrong = np.flatnonzero(numbers < 0)
    if len(wrong):
        raise DataError(f"{where}: label {labels[wrong[0]]} of image {wrong[0]} is not one of the {len(names)} classes")
    return numbers


def _check_gapless(labels: NDArray[np.int64], where: str) -> None:
    there = np.unique(labels[labels >= 0])
    missing = np.flatnonzero(there != np.arange(len(there)))
    if len(missing):
        raise DataError(
            f"{where}: labels run to {labels.max()}, but no image has label {missing[0]}: number the classes from 0, "
            "or give the class names"
        )
