"""The values of this room: a split of images and labels, and a data set of three splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from pronas.data._cache import remembered
from pronas.data._kept import gathered, together
from pronas.data._notes import class_notes
from pronas.errors import DataError

SMALLEST_SIDE = 8  # smaller images leave nothing after the reductions of any skeleton


@final
@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

        >>> import numpy as np
        >>> len(Split(np.zeros((3, 1, 8, 8), np.uint8), np.array([0, 1, 0])))
        3

    Attributes:
        images: uint8, (n, C, H, W), pixel values 0…255.
        labels: int64, (n,), each in 0…classes-1.
        groups: int64, (n,): images of one number belong together (one person, track or source picture) and were kept on
            one side of every split; ``None``: none were asked for.
        names: objects, (n,): the images' file names; ``None``: they have none.

    Raises:
        DataError: a wrong type or shape, or counts that differ.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None
    names: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        """Check types, shapes and counts."""
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"images must be uint8 (n, C, H, W), not {self.images.dtype} of shape {self.images.shape}: convert them"
            )
        if self.labels.dtype != np.int64 or self.labels.ndim != 1:
            raise DataError(f"labels must be int64 (n,), not {self.labels.dtype} of shape {self.labels.shape}")
        if len(self.images) != len(self.labels):
            raise DataError(f"{len(self.images)} images but {len(self.labels)} labels: they must pair up")
        for what, more in (("groups", self.groups), ("names", self.names)):
            if more is not None and more.shape != self.labels.shape:
                raise DataError(f"{len(self.images)} images but {what} of shape {more.shape}: one an image is needed")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indexes: NDArray[np.int64]) -> Split:
        """What is at ``indexes``, in that order: in memory, or, large images that lie in a file, in another file."""
        groups = None if self.groups is None else self.groups[indexes]
        names = None if self.names is None else self.names[indexes]
        return Split(gathered(self.images, indexes), self.labels[indexes], groups, names)


def joined(one: Split, other: Split) -> Split:
    """The images of both, the one's first: in memory, or, large images that lie in files, in another file.

        >>> from pronas.data import load_dataset
        >>> dataset = load_dataset("digits", limit=100)
        >>> len(joined(dataset.train, dataset.validation)) == len(dataset.train) + len(dataset.validation)
        True

    Args:
        one: uint8 (n, C, H, W) and their labels.
        other: of the same shape.

    Returns:
        All n + m of them; groups and file names are left out.
    """
    return Split(together(one.images, other.images), np.concatenate([one.labels, other.labels]))


@final
@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test images of one classification task.

    The search sees ``train`` and ``validation``; ``test`` is for the final report alone.

        >>> from pronas.data import load_dataset
        >>> dataset = load_dataset("digits", limit=100)
        >>> len(dataset.train), dataset.input_shape, dataset.num_classes, dataset.train.images.dtype.name
        (100, (1, 8, 8), 10, 'uint8')

    Attributes:
        name: what reports call it.
        classes: the class names; label i is ``classes[i]``.
        fingerprint: SHA-256 (hex) over the pixels, labels and class names of the three splits: equal exactly when the
            data and the way it was split are equal. Computed when first asked for, and remembered in the cache.
        notes: what a user should know of it, a line each: what was left out, tiny and unbalanced classes, duplicates
            across splits. Looked for when first asked for.
        held_out: a tenth where so many training images became the validation set because the data has none, is not a
            named set and nobody said how many; None otherwise.

    Raises:
        DataError: splits of different image shapes, images under 8x8, fewer than two classes, a label that is not a
            class, an empty split.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    loader_notes: tuple[str, ...] = ()
    key: str | None = None  # stands for the content in the cache
    held_out: float | None = None

    def __post_init__(self) -> None:
        """Check that the splits agree with each other and with the classes."""
        if len(self.classes) < 2:
            raise DataError(f"{self.name}: {len(self.classes)} class; classification needs two or more")
        check_size(self.input_shape, self.name)
        for part, split in self.splits():
            check_split(split, self.input_shape, self.classes, f"{self.name}, {part} set")

    @staticmethod
    def from_torch(train: Any, test: Any = None, validation_set: Any = None, **options: Any) -> Dataset:
        """Read PyTorch's data sets, or any other iterables of pairs (image, label).

            >>> Dataset.from_torch(torchvision.datasets.FashionMNIST(folder, transform=ToTensor()))  # doctest: +SKIP

        Every item is read once, without augmentation that changes from one reading to the next, please: pronas has its
        own. Images of 256 MiB and more are kept in a file of the cache until the process ends.

        Args:
            train: a map-style data set (``len`` and ``[i]``) or an iterable. An image is a tensor, a PIL image or an
                array: (H, W), (C, H, W) or (H, W, C); whole numbers 0…255, or fractions 0…1 as ``ToTensor`` gives. A
                label is a whole number from 0, a word or a one-hot row.
            test: the same; ``None``: a stratified fifth of ``train``, the same whatever the seed.
            validation_set: the same; ``None``: held out of ``train``.
            **options: ``name``, ``classes`` (``None``: those that ``train`` carries, else the numbers or the words),
                ``validation``, ``seed``, ``limit``, ``image_size``, ``groups``: as in ``dataset_from_arrays``.

        Raises:
            DataError: an item that is no such pair, or of another size than the first; the message gives its index.
        """
        from pronas.data._pairs import dataset_from_pairs

        return dataset_from_pairs(train, test, validation_set, **options)

    @staticmethod
    def from_iterable(train: Any, test: Any = None, validation_set: Any = None, **options: Any) -> Dataset:
        """Read iterables of pairs (image, label): as :meth:`from_torch`."""
        return Dataset.from_torch(train, test, validation_set, **options)

    @staticmethod
    def from_arrays(train: Any, test: Any = None, validation_set: Any = None, **options: Any) -> Dataset:
        """Read arrays in memory, pairs (images, labels): see :func:`pronas.data.dataset_from_arrays`."""
        from pronas.data._arrays import dataset_from_arrays

        return dataset_from_arrays(train, test, validation_set, **options)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of content and split; see the class."""
        return str(remembered(self.key, "fingerprint", self._fingerprint))

    @cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """How many training images each class has: int64 (classes,)."""
        return np.bincount(self.train.labels, minlength=self.num_classes)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a user should know; see the class."""
        from pronas.data._duplicates import duplicate_notes

        return (*self.loader_notes, *class_notes(self.class_counts, self.classes), *duplicate_notes(self))

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr(self.classes).encode())
        for part, split in self.splits():
            digest.update(f"{part} {split.images.shape}".encode())
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
        return digest.hexdigest()

    def splits(self) -> tuple[tuple[str, Split], ...]:
        """The three splits with their names."""
        return ("training", self.train), ("validation", self.validation), ("test", self.test)

    def __repr__(self) -> str:
        counts = " + ".join(str(len(split)) for _, split in self.splits())
        return f"Dataset({self.name!r}, {counts} images of {self.input_shape}, {self.num_classes} classes)"


def check_size(shape: Sequence[int], where: str) -> None:
    """Refuse images (C, H, W) whose height or width is under 8."""
    if min(shape[1:]) < SMALLEST_SIDE:
        raise DataError(
            f"{where}: images of {shape[1]}x{shape[2]} are too small; {SMALLEST_SIDE}x{SMALLEST_SIDE} is the least: "
            "resize them with image_size",
            "image_size",
        )


def check_split(split: Split, shape: tuple[int, ...], classes: Sequence[Any], where: str) -> None:
    """Refuse a split that is empty, of another image shape, or with a label that is no class."""
    if not len(split):
        raise DataError(f"{where}: no images")
    if split.images.shape[1:] != shape:
        raise DataError(f"{where}: images are {split.images.shape[1:]} (C, H, W), the training images {shape}")
    wrong = np.flatnonzero((split.labels < 0) | (split.labels >= len(classes)))
    if len(wrong):
        raise DataError(
            f"{where}: label {split.labels[wrong[0]]} of image {wrong[0]} is not one of the {len(classes)} classes"
        )
