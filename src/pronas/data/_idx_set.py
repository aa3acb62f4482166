"""A data set of four idx files: training and test images and labels, under MNIST's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pronas.data._idx import read_idx
from pronas.data._labels import names_of
from pronas.data._source import Source
from pronas.data._types import Split
from pronas.errors import DataError

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def find(folder: Path, stem: str) -> Path | None:
    """The file ``stem`` in ``folder``, gzipped or plain, also spelled with a dot (``train-images.idx3-ubyte``)."""
    dotted = stem.replace("-idx", ".idx")
    for name in (stem, f"{stem}.gz", dotted, f"{dotted}.gz"):
        if (folder / name).is_file():
            return folder / name
    return None


def is_idx_folder(folder: Path) -> bool:
    """Whether the folder holds at least MNIST-named training images."""
    return folder.is_dir() and find(folder, TRAIN[0]) is not None


def load_idx_folder(
    folder: Path, name: str, classes: Sequence[str] | None = None, checksums: Mapping[str, str] | None = None
) -> Source:
    """The training images and, where there, the test images of a folder of idx files.

    Args:
        folder: holds ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, perhaps the same of ``t10k``, each
            plain or gzipped. Images are unsigned bytes, (n, H, W) or (n, H, W, C).
        name: of the data set.
        classes: the class names; ``None``: 0 to the largest label.
        checksums: SHA-256 of the decompressed files by their name without ``.gz``.

    Raises:
        DataError: a file is missing, corrupt, of another content than ``checksums`` says, or does not pair up.
    """
    known = checksums or {}
    train = _pair(folder, TRAIN, known)
    test = _pair(folder, TEST, known) if known or find(folder, TEST[0]) else None
    return Source(name, train, tuple(classes or names_of(train.labels)), test)


def _pair(folder: Path, stems: tuple[str, str], checksums: Mapping[str, str]) -> Split:
    paths = [_existing(folder, stem) for stem in stems]
    images, labels = (read_idx(path, checksums.get(stem)) for path, stem in zip(paths, stems, strict=True))
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(f"{paths[0]}: {images.dtype} values of shape {images.shape} are not images (n, H, W) of bytes")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{paths[1]}: {labels.dtype} values of shape {labels.shape} are not labels")
    if len(images) != len(labels):
        raise DataError(f"{paths[0]}: {len(images)} images, but {len(labels)} labels in {paths[1].name}")
    channels_last = images[..., None] if images.ndim == 3 else images
    return Split(np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2), np.uint8), labels.astype(np.int64))


def _existing(folder: Path, stem: str) -> Path:
    path = find(folder, stem)
    if path is None:
        raise DataError(f"{folder}: {stem} (or {stem}.gz) is missing")
    return path
