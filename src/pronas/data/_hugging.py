"""Hugging Face data sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.data._arrays import source_of_arrays
from pronas.data._decode import bad_pictures, decode_all
from pronas.data._kept import part
from pronas.data._resize import image_size_of
from pronas.data._source import Source, to_dataset
from pronas.data._types import Dataset
from pronas.errors import DataError, require

_SPLITS = {"train": ("train",), "test": ("test",), "validation": ("validation", "valid", "val")}
_FEW = 20_000  # pictures that are held in memory


def load_hugging(name: str, size: tuple[int, int] | None) -> Source:
    """``NAME`` or ``NAME:CONFIGURATION`` from the Hugging Face hub (extra ``hf``).

    Raises:
        MissingExtraError: ``datasets`` is not installed.
        DataError: it cannot be loaded, or holds no images with class labels.
    """
    datasets = require("datasets", "hf")
    path, _, configuration = name.partition(":")
    try:
        loaded = datasets.load_dataset(path, configuration or None)
    except Exception as error:  # the hub's client raises its own, the network's and the file system's errors
        reason = " ".join(str(error).split())
        raise DataError(f"hf:{name}: cannot be loaded ({type(error).__name__}: {reason})") from error
    return convert(loaded, f"hf:{name}", size)


def from_hugging(
    loaded: Mapping[str, Any],
    *,
    name: str,
    validation: int | float | None = None,
    seed: int = 0,
    limit: int | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Dataset:
    """A ``datasets.DatasetDict`` in memory as a data set; the arguments are those of :func:`load_dataset`.

    The image column is the one of type ``Image``, the label the one of type ``ClassLabel`` (of several, the one called
    ``label``, ``labels`` or ``fine_label``), whose names become the classes; without one, a column of these names.

    Args:
        loaded: splits by name: ``train``, and perhaps a test and a validation split.
        name: of the data set, for messages.
        validation: as in :func:`load_dataset`, like the rest.
        seed: of the split.
        limit: most training images.
        image_size: resize to this.

    Returns:
        Images as uint8 (n, C, H, W), labels as int64 (n,), in three splits.

    Raises:
        DataError: no training split, no such columns, or a picture that cannot be read.
        UsageError: a bad argument.
    """
    source = convert(loaded, name, image_size_of(image_size))
    return to_dataset(source, validation=validation, seed=seed, limit=limit)


def convert(loaded: Mapping[str, Any], name: str, size: tuple[int, int] | None) -> Source:
    """The splits of a ``datasets.DatasetDict``; see :func:`from_hugging`."""
    parts = {ours: loaded[theirs] for ours, known in _SPLITS.items() for theirs in known if theirs in loaded}
    if "train" not in parts:
        raise DataError(f"{name}: no split 'train'; it has {', '.join(loaded) or 'none'}")
    features = parts["train"].features
    image, label = _image_column(features, name), _label_column(features, name)
    classes = getattr(features[label], "names", None)
    images = _images(parts, image, name, size)
    pairs = {part: (images[part], np.array(parts[part][label])) for part in parts}
    return source_of_arrays(
        name, name, pairs["train"], pairs.get("test"), pairs.get("validation"), classes, layout="NCHW"
    )


def _image_column(features: Mapping[str, Any], name: str) -> str:
    found = [column for column, kind in features.items() if type(kind).__name__ == "Image"]
    if len(found) != 1:
        raise DataError(f"{name}: {len(found)} image columns among {', '.join(features)}; one is needed")
    return found[0]


def _label_column(features: Mapping[str, Any], name: str) -> str:
    typed = [column for column, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    usual = [column for column in ("label", "labels", "fine_label") if column in (typed or features)]
    if len(typed) == 1 or usual:
        return usual[0] if usual else typed[0]
    raise DataError(
        f"{name}: no label column among {', '.join(features)}; a ClassLabel, or one called 'label', is needed"
    )


def _images(
    parts: Mapping[str, Any], column: str, name: str, size: tuple[int, int] | None
) -> dict[str, NDArray[np.uint8]]:
    # the stored bytes rather than decoded pictures: decoding them is the same as for files, and parallel
    raw = {part: split.cast_column(column, _undecoded(split, column)) for part, split in parts.items()}
    names = [f"{part}[{row}]" for part, split in raw.items() for row in range(len(split))]
    index = {f"{part}[{row}]": (split, row) for part, split in raw.items() for row in range(len(split))}

    def read(key: str) -> bytes:
        split, row = index[key]
        return _content(split[row][column], key)

    decoded = decode_all(names, read, name, size, few=len(names) < _FEW)
    if decoded.bad:
        raise DataError(bad_pictures([reason for _, reason in decoded.bad], name))
    images = decoded.images
    bounds = np.cumsum([0, *(len(split) for split in raw.values())])
    return {name: part(images, bounds[i], bounds[i + 1]) for i, name in enumerate(raw)}


def _undecoded(split: Any, column: str) -> Any:
    return type(split.features[column])(decode=False)


def _content(value: Any, where: str) -> bytes:
    if isinstance(value, Mapping) and value.get("bytes"):
        return bytes(value["bytes"])
    if isinstance(value, Mapping) and value.get("path"):
        try:
            with open(value["path"], "rb") as file:
                return file.read()
        except OSError as error:
            raise DataError(f"{where}: {value['path']} cannot be read ({error.strerror})") from error
    raise DataError(f"{where}: no image")
