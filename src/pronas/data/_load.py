"""One way in: a name or a path becomes a data set."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pronas.data._digits import load_digits
from pronas.data._idx_set import is_idx_folder, load_idx_folder
from pronas.data._named import NAMED
from pronas.data._resize import image_size_of
from pronas.data._source import Source, resized, to_dataset
from pronas.data._types import Dataset
from pronas.errors import DataError


def load_dataset(
    name_or_path: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    validation: int | float | None = None,
    seed: int = 0,
    limit: int | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Dataset:
    """Load a data set and split it."""
    size = image_size_of(image_size)
    source = _source(name_or_path, data_dir)
    if size is not None:
        source = resized(source, size)
    return to_dataset(source, validation=validation, seed=seed, limit=limit)


def _source(name_or_path: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None) -> Source:
    name = str(name_or_path)
    if name == "digits":
        return load_digits()
    if name in NAMED and data_dir is not None:
        named = NAMED[name]
        for folder in (Path(data_dir) / name, Path(data_dir)):
            if is_idx_folder(folder):
                source = load_idx_folder(folder, name, named.classes, named.files)
                return replace(source, held_out=named.held_out)
    path = Path(name_or_path)
    if is_idx_folder(path):
        return load_idx_folder(path, path.name)
    raise DataError(f"{name}: no such data set")
