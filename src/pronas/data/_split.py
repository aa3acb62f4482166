"""Stratified, seeded splits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pronas.errors import DataError, UsageError

Indexes = NDArray[np.int64]


def stratified(labels: NDArray[np.int64], held_out: int | float, seed: int, what: str) -> tuple[Indexes, Indexes]:
    """Indexes of the images kept and of those held out, each sorted; every class in proportion.

    The rule for rare classes: a class with a single image is kept whole; every other class takes part in proportion to
    its size, and a fraction is rounded so that there are at least as many images on either side as such classes.

    Args:
        labels: int64 (n,).
        held_out: how many images (int, at least 1) or which fraction of them (float, between 0 and 1).
        seed: the same labels and seed give the same split.
        what: names the argument in errors.

    Raises:
        UsageError: ``held_out`` is no fraction, or a number too small or too large to give every class its share.
        DataError: no class has two images.
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    counts = np.bincount(labels)
    eligible = np.flatnonzero(counts[labels] > 1)
    classes = int((counts > 1).sum())
    if not classes:
        raise DataError(f"{what}: every class has a single image, so none can be held out: add images")
    size = _size(held_out, len(eligible), classes, what)
    splitter = StratifiedShuffleSplit(1, test_size=size, random_state=seed % 2**32)
    _, chosen = next(splitter.split(eligible, labels[eligible]))
    out = np.sort(eligible[chosen]).astype(np.int64)
    return np.setdiff1d(np.arange(len(labels), dtype=np.int64), out, assume_unique=True), out


def limited(labels: Indexes, limit: int, seed: int) -> Indexes:
    """Sorted indexes of at most ``limit`` images, every class in proportion; a class with a single image keeps it.

    Raises:
        UsageError: ``limit`` is smaller than the number of classes.
    """
    if limit >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    classes = len(np.unique(labels))
    if limit < classes:
        raise UsageError(f"limit={limit}: the training set has {classes} classes; give at least one image a class")
    dropped = max(len(labels) - limit, classes)  # the least that can be drawn from every class
    return stratified(labels, dropped, seed, "limit")[0]


def _size(held_out: int | float, images: int, classes: int, what: str) -> int:
    if isinstance(held_out, float):
        if not 0 < held_out < 1:
            raise UsageError(f"{what}={held_out}: a fraction lies between 0 and 1; give a whole number to count images")
        return min(max(round(held_out * images), classes), images - classes)
    if not classes <= held_out <= images - classes:
        raise UsageError(
            f"{what}={held_out}: of {images} images in {classes} classes, "
            f"{classes} to {images - classes} can be held out"
        )
    return int(held_out)
