"""Arrays in memory, in any of the usual layouts, as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pronas.data._groups import numbered
from pronas.data._labels import as_labels, encode
from pronas.data._resize import image_size_of
from pronas.data._source import Source, resized, to_dataset
from pronas.data._types import SMALLEST_SIDE, Dataset, Split
from pronas.errors import DataError, UsageError
from pronas.mapped import contiguous

LAYOUTS = ("NHW", "NHWC", "NCHW")
Pair = tuple[ArrayLike, ArrayLike]


def dataset_from_arrays(
    train: Pair,
    test: Pair | None = None,
    validation_set: Pair | None = None,
    *,
    name: str = "arrays",
    classes: Sequence[str] | None = None,
    layout: str | None = None,
    validation: int | float | None = None,
    seed: int = 0,
    limit: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    groups: ArrayLike | None = None,
) -> Dataset:
    """A data set of arrays in memory.

        >>> generator = np.random.default_rng(0)
        >>> images, labels = generator.integers(0, 256, (60, 16, 16, 3)), generator.integers(0, 2, 60)
        >>> dataset_from_arrays((images, labels), classes=["cat", "dog"])
        Dataset('arrays', 43 + 5 + 12 images of (3, 16, 16), 2 classes)

    Args:
        train: images and labels. Images: pixel values 0…255 of any numeric type, (n, H, W), (n, H, W, C) or
            (n, C, H, W); labels: whole numbers from 0, words, or one-hot rows.
        test: the same; ``None``: a stratified fifth of ``train``, the same whatever the seed.
        validation_set: the same; ``None``: held out of ``train``.
        name: of the data set.
        classes: class names by label; ``None``: the numbers, or the words sorted.
        layout: ``NHW``, ``NHWC`` or ``NCHW``; ``None``: told by the shape, where a side under 8 can only be channels.
        validation: as in :func:`load_dataset`, like the rest.
        seed: of the split.
        limit: most training images.
        image_size: resize to this.
        groups: (n,) words or numbers, one an image of ``train``: images of equal ones stay on one side of every split.

    Returns:
        Images as uint8 (n, C, H, W), labels as int64 (n,), in three splits.

    Raises:
        DataError: values, shapes or labels that do not fit.
        UsageError: a bad argument.
    """
    size = image_size_of(image_size)
    source = source_of_arrays(name, name, train, test, validation_set, classes, layout)
    if groups is not None:
        source = replace(source, train=replace(source.train, groups=numbered(groups)))
    if size is not None:
        source = resized(source, size)
    return to_dataset(source, validation=validation, seed=seed, limit=limit)


def source_of_arrays(
    name: str,
    where: str,
    train: Pair,
    test: Pair | None,
    validation: Pair | None,
    classes: Sequence[str] | None,
    layout: str | None,
    key: str | None = None,
) -> Source:
    """The arrays checked and brought to one layout; ``where`` names them in errors, ``key`` is the source's."""
    parts = {"training": train, "test": test, "validation": validation}
    given = {part: pair for part, pair in parts.items() if pair is not None}
    at = [f"{where}, {part} set" for part in given]
    coded, names = encode([as_labels(pair[1], a) for pair, a in zip(given.values(), at, strict=True)], classes, at)
    splits = {
        part: _split(as_images(pair[0], a, layout), labels, a)
        for (part, pair), labels, a in zip(given.items(), coded, at, strict=True)
    }
    return Source(name, splits["training"], names, splits.get("test"), splits.get("validation"), key=key)


def _split(images: NDArray[np.uint8], labels: NDArray[np.int64], where: str) -> Split:
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images but {len(labels)} labels: they must pair up")
    return Split(images, labels)


def as_images(values: ArrayLike, where: str, layout: str | None = None) -> NDArray[np.uint8]:
    """Images in a known or recognisable layout as uint8 (n, C, H, W).

    Raises:
        DataError: pixel values that are not whole numbers 0…255, or a shape that is no set of images or is ambiguous.
        UsageError: an unknown layout.
    """
    array = np.asanyarray(values)  # a mapped array stays one
    if array.ndim not in (3, 4):
        raise DataError(f"{where}: images of shape {array.shape}; (n, H, W), (n, H, W, C) or (n, C, H, W) is needed")
    layout = _checked(layout, array, where) if layout else recognised(array.shape, where)
    pixels = as_pixels(array, where)
    if layout == "NHW":
        return pixels[:, None]
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) if layout == "NHWC" else pixels


def _checked(layout: str, array: NDArray[np.generic], where: str) -> str:
    if layout not in LAYOUTS:
        raise UsageError(f"layout={layout!r}: one of {', '.join(LAYOUTS)} is needed")
    if len(layout) != array.ndim:
        raise DataError(f"{where}: images of shape {array.shape} are not {layout}")
    return layout


def recognised(shape: tuple[int, ...], where: str) -> str:
    """The layout that a shape of three or four sides tells; see :func:`dataset_from_arrays`.

    Raises:
        DataError: it does not tell.
    """
    if len(shape) == 3:
        return "NHW"
    first, last = shape[1] < SMALLEST_SIDE, shape[3] < SMALLEST_SIDE  # too small for a side: must be channels
    if first == last:
        why = "both could be channels" if first else "either could be channels"
        raise DataError(f"{where}: shape {shape}: of axes 1 and 3 {why}: say layout='NCHW' or 'NHWC'")
    return "NCHW" if first else "NHWC"


def as_pixels(array: NDArray[np.generic], where: str) -> NDArray[np.uint8]:
    """Whole numbers 0…255 of any numeric type as uint8."""
    if array.dtype == np.uint8:
        return contiguous(array)
    if array.dtype.kind not in "iuf":
        raise DataError(f"{where}: {array.dtype} values are not pixels; store them as uint8, 0…255")
    pixels = array.astype(np.uint8) if _in_range(array) else None
    if pixels is None or not np.array_equal(pixels, array):
        raise DataError(f"{where}: pixels must be whole numbers 0…255; scale and round them, and store them as uint8")
    return pixels


def _in_range(array: NDArray[np.generic]) -> bool:
    # false for NaN too, which no cast to uint8 defines
    return not array.size or bool(array.min() >= 0 and array.max() <= 255)
