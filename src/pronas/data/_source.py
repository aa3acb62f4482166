"""What a loader hands on, before it is split: images and labels as they were stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from pronas.data._split import hold_out, limited
from pronas.data._types import Dataset, Split, check_size
from pronas.errors import DataError

TEST_SEED = 20171202  # fixed (the paper's date): a test set held out here never changes with a run's seed
TEST_FRACTION = 0.2


@final
@dataclass(frozen=True)
class Source:
    """Images and labels as stored; a split that is not stored is ``None`` and is held out of ``train``.

    Attributes:
        held_out: what is held out for validation unless the caller says: a count or a fraction of the training images.
    """

    name: str
    train: Split
    classes: tuple[str, ...]
    test: Split | None = None
    validation: Split | None = None
    held_out: int | float = 0.1


def to_dataset(source: Source, *, validation: int | float | None, seed: int, limit: int | None) -> Dataset:
    """Split a source: first the test set (by a fixed seed) where none is stored, then validation, then the limit."""
    train, test, valid = source.train, source.test, source.validation
    _check_labels(train, source)
    if test is None:
        train, test = hold_out(train, TEST_FRACTION, TEST_SEED, "test")
    if valid is None or validation is not None:
        train, valid = hold_out(train, source.held_out if validation is None else validation, seed, "validation")
    if limit is not None:
        train = limited(train, limit, seed)
    return Dataset(source.name, train, valid, test, source.classes)


def _check_labels(train: Split, source: Source) -> None:
    # before any split: the splitter would fail on these in words nobody understands
    if not len(train):
        raise DataError(f"{source.name}: no training images")
    check_size(train.images.shape[1:], source.name)
    wrong = np.flatnonzero((train.labels < 0) | (train.labels >= len(source.classes)))
    if len(wrong):
        label, count = train.labels[wrong[0]], len(source.classes)
        raise DataError(f"{source.name}: label {label} of training image {wrong[0]} is not one of the {count} classes")


def resized(source: Source, size: tuple[int, int]) -> Source:
    """Every split's images resized to ``size`` (height, width); see :func:`resize`."""
    from pronas.data._resize import resize

    def scaled(split: Split | None) -> Split | None:
        return split and Split(resize(split.images, size), split.labels)

    train = Split(resize(source.train.images, size), source.train.labels)
    return replace(source, train=train, test=scaled(source.test), validation=scaled(source.validation))
