"""What a loader hands on, before it is split: images and labels as they were stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from pronas.data import limits
from pronas.data._groups import held_out
from pronas.data._kept import collected
from pronas.data._resize import resize, resized_chunks
from pronas.data._split import Indexes, limited
from pronas.data._types import Dataset, Split, check_size
from pronas.errors import DataError, UsageError

TEST_SEED = 20171202  # fixed (the paper's date): a test set held out here never changes with a run's seed
TEST_FRACTION = 0.2


@final
@dataclass(frozen=True)
class ReadOptions:
    """How files are read; see :func:`load_dataset`."""

    size: tuple[int, int] | None = None
    layout: str | None = None
    group_by: str | None = None
    skip_bad: bool = False


#: Of the training images, held out for validation where nobody knows better.
TENTH = 0.1


@final
@dataclass(frozen=True)
class Source:
    """Images and labels as stored; a split that is not stored is ``None`` and is held out of ``train``.

    Attributes:
        held_out: what is held out for validation unless the caller says: a count or a fraction of the training images.
        notes: what the loader came across, a line each.
        key: hex that stands for the images, by which facts about them are remembered; ``None``: nothing is.
    """

    name: str
    train: Split
    classes: tuple[str, ...]
    test: Split | None = None
    validation: Split | None = None
    held_out: int | float = TENTH
    notes: tuple[str, ...] = ()
    key: str | None = None


def to_dataset(source: Source, *, validation: int | float | None, seed: int, limit: int | None) -> Dataset:
    """Split a source: first the test set (by a fixed seed) where none is stored, then validation, then the limit."""
    _check_labels(source.train, source)
    # of indexes, so that large images are gathered once
    rows = np.arange(len(source.train), dtype=np.int64)
    test, valid = source.test, source.validation
    if test is None:
        rows, out = _held_out(source, rows, TEST_FRACTION, TEST_SEED, "test")
        test = source.train.take(out)
    by_default = source.held_out if valid is None and validation is None else None
    if valid is None or validation is not None:
        share = source.held_out if validation is None else validation
        rows, out = _held_out(source, rows, share, seed, "validation")
        valid = source.train.take(out)
    if limit is not None:
        rows = rows[limited(source.train.labels[rows], limit, seed)]
    train = source.train.take(rows)
    notes = (*source.notes, *_divided(train, valid, test))
    tenth = TENTH if by_default == TENTH else None
    return Dataset(source.name, train, valid, test, source.classes, notes, _key(source, rows, valid, test), tenth)


def _divided(train: Split, validation: Split, test: Split) -> tuple[str, ...]:
    """Notes of groups that stored splits have torn apart."""
    if train.groups is None or validation.groups is None or test.groups is None:
        return ()
    both = len(np.intersect1d(train.groups, validation.groups))
    seen = len(np.intersect1d(np.union1d(train.groups, validation.groups), test.groups))
    pairs = ((both, "training and validation"), (seen, "test and other"))
    return tuple(f"{count} groups have both {sides} images, as the files are stored" for count, sides in pairs if count)


def _held_out(source: Source, rows: Indexes, share: int | float, seed: int, what: str) -> tuple[Indexes, Indexes]:
    groups = source.train.groups
    kept, out = held_out(
        source.train.labels[rows], None if groups is None else groups[rows], share, seed, what
    )  # fmt: skip
    return rows[kept], rows[out]


def _key(source: Source, rows: Indexes, validation: Split, test: Split) -> str | None:
    if source.key is None:
        return None
    digest = hashlib.sha256(repr((source.key, source.classes, source.train.images.shape)).encode())
    for array in (rows, source.train.labels[rows], validation.labels, test.labels):
        digest.update(np.ascontiguousarray(array, "<i8").data)
    return digest.hexdigest()


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

    def scaled(split: Split) -> Split:
        images = split.images
        if images.shape[2:] == size:
            return split
        row = images.shape[1] * size[0] * size[1]
        if len(images) * row < limits.LARGE:
            return replace(split, images=resize(images, size))
        return replace(split, images=collected(lambda: resized_chunks(images, size)))

    key = None if source.key is None else f"{source.key}-{size[0]}x{size[1]}"
    test, validation = source.test and scaled(source.test), source.validation and scaled(source.validation)
    return replace(source, train=scaled(source.train), test=test, validation=validation, key=key)


def no_file_names(group_by: str | None, what: str) -> None:
    """Refuse ``group_by`` where images have no file names.

    Raises:
        UsageError: a pattern was given.
    """
    if group_by is not None:
        raise UsageError(f"group_by={group_by!r}: {what} has no file names; it goes with folders and zips of pictures")
