"""Pairs of an image and a label, one by one: PyTorch's data sets, and whatever else can be iterated."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pronas.data import limits
from pronas.data._arrays import as_pixels, recognised
from pronas.data._groups import numbered
from pronas.data._kept import collected, in_memory
from pronas.data._labels import as_labels, encode
from pronas.data._pictures import as_array
from pronas.data._resize import image_size_of, resize
from pronas.data._rows import Images, Rows, with_channels
from pronas.data._source import Source, to_dataset
from pronas.data._types import SMALLEST_SIDE, Dataset, Split
from pronas.errors import DataError

Size = tuple[int, int] | None


def dataset_from_pairs(
    train: Any,
    test: Any = None,
    validation_set: Any = None,
    *,
    name: str = "images",
    classes: Sequence[str] | None = None,
    validation: int | float | None = None,
    seed: int = 0,
    limit: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    groups: ArrayLike | None = None,
) -> Dataset:
    """A data set of pairs (image, label); see :meth:`Dataset.from_torch`."""
    size = image_size_of(image_size)
    given = {"training": train, "test": test, "validation": validation_set}
    read = {part: _read(pairs, f"{name}, {part} set", size) for part, pairs in given.items() if pairs is not None}
    where = [f"{name}, {part} set" for part in read]
    coded, names = encode([labels for _, labels in read.values()], classes or _classes(train), where)
    channels = {images.shape[1] for images, _ in read.values()}
    splits = {
        part: Split(images if len(channels) == 1 else with_channels(images, 3), labels)
        for (part, (images, _)), labels in zip(read.items(), coded, strict=True)
    }
    if groups is not None:
        first = splits["training"]
        splits["training"] = Split(first.images, first.labels, numbered(groups))
    source = Source(name, splits["training"], names, splits.get("test"), splits.get("validation"))
    return to_dataset(source, validation=validation, seed=seed, limit=limit)


def _classes(train: Any) -> Sequence[str] | None:
    """The class names that torchvision's data sets carry, also those of which a subset was taken."""
    while train is not None:
        found = getattr(train, "classes", None)
        if isinstance(found, list | tuple) and found:
            return [str(label) for label in found]
        train = getattr(train, "dataset", None)
    return None


def _read(pairs: Any, where: str, size: Size) -> tuple[Images, NDArray[np.int64] | NDArray[np.str_]]:
    labels: list[Any] = []
    chunks = _chunks(_each(pairs, where), labels, where, size)
    head: list[Images] = []
    while sum(chunk.nbytes for chunk in head) < limits.LARGE:
        chunk = next(chunks, None)
        if chunk is None:
            return _joined(head, where), as_labels(labels, where)
        head.append(chunk)
    streams = [itertools.chain(head, chunks)]

    def once() -> Iterable[Images]:
        if streams:
            return streams.pop()
        raise DataError(f"{where}: the cache cannot be written, and memory may not hold the images")

    return collected(once), as_labels(labels, where)


def _joined(chunks: list[Images], where: str) -> Images:
    if not chunks:
        raise DataError(f"{where}: no images")

    def fill(rows: Rows) -> None:
        for chunk in chunks:
            rows.append(chunk)

    return in_memory(fill)[0]


def _each(pairs: Any, where: str) -> Iterator[tuple[Any, Any]]:
    mapped = hasattr(pairs, "__getitem__") and hasattr(pairs, "__len__")
    items: Iterator[Any] = (pairs[index] for index in range(len(pairs))) if mapped else iter(pairs)
    for index in itertools.count():
        try:
            item = next(items)
        except StopIteration:
            return
        except Exception as error:  # of the user's own code: whatever it raises belongs to that item
            raise DataError(f"{where}: item {index}: {type(error).__name__}: {error}") from error
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"{where}: item {index} is a {type(item).__name__}, not a pair (image, label)")
        yield item[0], item[1]


def _chunks(pairs: Iterable[tuple[Any, Any]], labels: list[Any], where: str, size: Size) -> Iterator[Images]:
    """Images (k, C, H, W), a few at a time; each one's label is added to ``labels``."""
    converter = _Converter(where, size)
    waiting: list[Images] = []
    shape: tuple[int, ...] = ()
    for index, (image, label) in enumerate(pairs):
        picture = converter.convert(image, index)
        shape = shape or picture.shape[2:]
        if picture.shape[2:] != shape:
            (height, width), (h, w) = shape, picture.shape[2:]
            raise DataError(
                f"{where}: item {index} is {h}x{w}, the first {height}x{width}: give image_size to resize all",
                "image_size",
            )
        labels.append(_label(label))
        if waiting and (len(waiting) == limits.ITEMS or waiting[0].shape != picture.shape):
            yield np.concatenate(waiting)
            waiting.clear()
        waiting.append(picture)
    if waiting:
        yield np.concatenate(waiting)


def _label(label: Any) -> Any:
    array = label.detach().cpu().numpy() if hasattr(label, "detach") else np.asarray(label)
    return array.item() if array.size == 1 else array.tolist()


class _Converter:
    """Images of any kind to uint8 (1, C, H, W).

    Floats up to 1 are taken as shares of 255, as torchvision's ``ToTensor`` gives them, unless one before had more.
    """

    def __init__(self, where: str, size: Size) -> None:
        self._where, self._size = where, size
        self._unit: bool | None = None  # whether floating-point images lie in 0…1; None: none has told yet

    def convert(self, image: Any, index: int) -> Images:
        where = f"{self._where}: item {index}"
        if hasattr(image, "convert") and hasattr(image, "mode"):  # a PIL image
            return as_array(image, where, self._size).transpose(2, 0, 1)[None]
        tensor = hasattr(image, "detach")
        array = image.detach().cpu().numpy() if tensor else np.asarray(image)
        pixels = as_pixels(self._bytes(array, where), where)
        planes = self._planes(pixels, tensor, where)
        return resize(planes, self._size) if self._size is not None else planes

    def _bytes(self, array: NDArray[Any], where: str) -> NDArray[Any]:
        if array.dtype == np.bool_:
            return array.astype(np.uint8) * 255
        if array.dtype.kind != "f" or not array.size:
            return array
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 255):
            raise DataError(f"{where}: values {low:.3g}…{high:.3g}; 0…1 or 0…255 is needed: leave out normalisation")
        if high > 1:
            if self._unit:
                raise DataError(f"{where}: values up to {high:.3g}, but images before lie in 0…1")
            self._unit = False
        elif self._unit is None and bool((array % 1 != 0).any()):
            self._unit = True
        return array if self._unit is False else np.rint(array * np.float32(255))

    def _planes(self, pixels: NDArray[np.uint8], tensor: bool, where: str) -> Images:
        if pixels.ndim not in (2, 3):
            raise DataError(f"{where}: an image of shape {pixels.shape}; (H, W), (H, W, C) or (C, H, W) is needed")
        stack = pixels[None]
        if pixels.ndim == 2:
            return stack[:, None]
        first = (tensor and pixels.shape[0] < SMALLEST_SIDE) or recognised(stack.shape, where) == "NCHW"
        return stack if first else stack.transpose(0, 3, 1, 2)
