"""Folders of class folders, and zips of such."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pronas.data._archive import check_zip
from pronas.data._cache import cached_images
from pronas.data._pictures import decode_all
from pronas.data._source import Source
from pronas.data._tree import Tree, sort_out
from pronas.data._types import Split
from pronas.errors import DataError

_WORTH_CACHING = 1000  # fewer pictures are decoded as fast as looked up
_DECODER = "1"  # part of the cache's key: raise it when decoding changes
_ORDER = ("train", "validation", "test")


def load_folder(path: Path, size: tuple[int, int] | None) -> Source:
    """A folder of class folders, perhaps under ``train``, ``test`` and ``val``, each class folder holding pictures.

    Raises:
        DataError: see :func:`sort_out` and :func:`decode_all`.
    """
    names = sorted(_walk(path))
    tree = sort_out(names, str(path))

    def read(name: str) -> bytes:
        try:
            return (path / name).read_bytes()
        except OSError as error:
            raise DataError(f"{path / name}: cannot be read ({error.strerror})") from error

    def key() -> str:
        digest = hashlib.sha256()
        for name in names:
            status = (path / name).stat()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    return _source(path.resolve().name, str(path), tree, read, key, size)


def _walk(path: Path) -> list[str]:
    try:
        found = os.walk(path, followlinks=True)
        return [os.path.relpath(os.path.join(top, name), path) for top, _, names in found for name in names]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def load_zip(path: Path, size: tuple[int, int] | None) -> Source:
    """A zip of what :func:`load_folder` reads. It is read in memory; nothing is extracted to disk.

    Raises:
        DataError: no zip, corrupt, a bomb or with paths that lead outside; see :func:`check_zip`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            tree = sort_out([info.filename for info in check_zip(path, archive)], str(path))
            return _source(path.stem, str(path), tree, _reader(path, archive), lambda: _digest(path), size)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable zip ({error})") from error


def _reader(path: Path, archive: zipfile.ZipFile) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        try:
            return archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise DataError(f"{path}: {name}: corrupt or truncated in the archive ({error}); fetch it again") from error

    return read


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _source(
    name: str,
    where: str,
    tree: Tree,
    read: Callable[[str], bytes],
    content: Callable[[], str],
    size: tuple[int, int] | None,
) -> Source:
    names = [path for split in _ORDER for path in tree.names.get(split, ())]

    def decoded() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return decode_all(names, read, where, size)

    # one array for all splits, so that they have the same channels and one size is asked of all
    images = decoded() if len(names) < _WORTH_CACHING else cached_images(_key(content(), names, size), decoded)
    if len(images) != len(names):
        images = decoded()
    splits, start = {}, 0
    for split in (split for split in _ORDER if split in tree.names):
        labels = np.array(tree.labels[split], dtype=np.int64)
        splits[split] = Split(images[start : start + len(labels)], labels)
        start += len(labels)
    return Source(name, splits["train"], tree.classes, splits.get("test"), splits.get("validation"))


def _key(content: str, names: list[str], size: tuple[int, int] | None) -> str:
    return hashlib.sha256(repr((_DECODER, content, names, size)).encode()).hexdigest()
