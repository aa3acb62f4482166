"""Folders of class folders, and zips of such."""

from __future__ import annotations

import hashlib
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from pronas.data._archive import check_zip
from pronas.data._cache import remembered
from pronas.data._decode import Decoded, bad_pictures, decode_all, listed
from pronas.data._groups import groups_of
from pronas.data._kept import part
from pronas.data._notes import few_of, printable
from pronas.data._source import ReadOptions, Source
from pronas.data._tree import ORDER, Tree, sort_out
from pronas.data._types import Split
from pronas.data._walk import walk
from pronas.errors import DataError

_WORTH_KEEPING = 1000  # fewer pictures are decoded as fast as looked up
_LARGE_ZIP = 1 << 24  # bytes
_DECODER = "2"  # part of the cache's key: raise it when decoding changes


@dataclass(frozen=True)
class _Found:
    """A folder or archive looked through: what is in it, how to read it, and what identifies its content."""

    name: str
    where: str
    tree: Tree
    read: Callable[[str], bytes]
    content: str
    notes: tuple[str, ...]


def load_folder(path: Path, options: ReadOptions) -> Source:
    """A folder of class folders, perhaps under ``train``, ``test`` and ``val``, each class folder holding pictures.

    Links to folders are not followed, and a file that several links lead to counts once.

    Raises:
        DataError: see :func:`sort_out` and :func:`decode_all`.
        UsageError: a pattern that is no regular expression.
    """
    listing = walk(path)
    tree = sort_out(listing.files, str(path))
    digest = hashlib.sha256()
    for name, status in listing.files.items():
        digest.update(f"{name}\0{status}\n".encode(errors="surrogateescape"))

    def read(name: str) -> bytes:
        try:
            return (path / name).read_bytes()
        except OSError as error:
            raise DataError(f"{name}: cannot be read ({error.strerror})") from error

    notes = (
        *_passed_over(tree, listing.folders),
        *few_of(listing.links, "link to a folder was not followed", "links to folders were not followed"),
        *few_of(listing.twins, "file was left out as the same as another", "files were left out as the same as others"),
    )
    return _source(_Found(path.resolve().name, str(path), tree, read, digest.hexdigest(), notes), options)


def load_zip(path: Path, options: ReadOptions) -> Source:
    """A zip of what :func:`load_folder` reads. It is read in memory; nothing is extracted to disk.

    Raises:
        DataError: no zip, corrupt, a bomb or with paths that lead outside; see :func:`check_zip`.
        UsageError: a pattern that is no regular expression.
    """
    try:
        status = path.stat()
        content = f"{status.st_size} {status.st_mtime_ns} {status.st_dev} {status.st_ino}"
        # reading the directory of a large archive takes longer than everything after it
        key = hashlib.sha256(f"zip {content}".encode()).hexdigest() if status.st_size > _LARGE_ZIP else None
        files, folders = remembered(key, "names", lambda: _names_in(path))
        tree = sort_out(files, str(path))
        with _Archive(path) as archive:
            found = _Found(path.stem, str(path), tree, archive.read, content, _passed_over(tree, folders))
            return _source(found, options)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable zip ({error})") from error


def _names_in(path: Path) -> tuple[list[str], list[str]]:
    with zipfile.ZipFile(path) as archive:
        files = [info.filename for info in check_zip(path, archive)]
        return files, [name.rstrip("/") for name in archive.namelist() if name.endswith("/")]


class _Archive:
    """A zip that is opened when something is read from it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._archive: zipfile.ZipFile | None = None

    def read(self, name: str) -> bytes:
        """Give a file's content; from any thread."""
        with self._lock:
            if self._archive is None:
                self._archive = zipfile.ZipFile(self._path)
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise DataError(f"{name}: corrupt or truncated in the archive ({error}); fetch it again") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._archive is not None:
            self._archive.close()


def _passed_over(tree: Tree, folders: Iterable[str]) -> tuple[str, ...]:
    used: set[str] = set()
    for names in tree.names.values():
        for folder in {name.rpartition("/")[0] for name in names}:
            while folder and folder not in used:
                used.add(folder)
                folder = folder.rpartition("/")[0]
    empty = [folder for folder in folders if folder not in used]
    return (
        *few_of(tree.others, "file is no picture and was passed over", "files are no pictures and were passed over"),
        *few_of(empty, "folder holds no picture and was passed over", "folders hold no picture and were passed over"),
    )


def _source(found: _Found, options: ReadOptions) -> Source:
    tree = found.tree
    names = [path for split in ORDER for path in tree.names.get(split, ())]
    groups = None if options.group_by is None else groups_of(names, options.group_by, found.where)
    key = hashlib.sha256(repr((_DECODER, found.content, names, options.size)).encode(errors="surrogateescape"))
    few = len(names) < _WORTH_KEEPING
    # one array for all splits, so that they have the same channels and one size is asked of all
    decoded = decode_all(names, found.read, found.where, options.size, key=key.hexdigest(), few=few)
    notes = (*found.notes, *_bad_notes(names, decoded, found.where, options))
    splits, start, row = {}, 0, 0
    for split in (split for split in ORDER if split in tree.names):
        chosen = slice(start, start + len(tree.names[split]))
        good = decoded.kept[chosen]
        labels = np.array(tree.labels[split], dtype=np.int64)[good]
        pictures = np.array([*tree.names[split], None], dtype=object)[:-1][good]
        inside = None if groups is None else groups[chosen][good]
        splits[split] = Split(part(decoded.images, row, row + len(labels)), labels, inside, pictures)
        start, row = chosen.stop, row + len(labels)
    _check_classes(splits["train"], tree, found.where)
    return Source(
        found.name,
        splits["train"],
        tuple(printable(label) for label in tree.classes),
        splits.get("test"),
        splits.get("validation"),
        notes=notes,
        key=None if few else key.hexdigest(),
    )


def _bad_notes(names: Sequence[str], decoded: Decoded, where: str, options: ReadOptions) -> tuple[str, ...]:
    if not decoded.bad:
        return ()
    reasons = [reason for _, reason in decoded.bad]
    if not options.skip_bad:
        raise DataError(f"{bad_pictures(reasons, where)}; skip_bad leaves out what cannot be read", "skip_bad")
    return (f"{len(reasons)} of {len(names)} pictures were left out: {listed(reasons)}",)


def _check_classes(train: Split, tree: Tree, where: str) -> None:
    missing = np.flatnonzero(np.bincount(train.labels, minlength=len(tree.classes)) == 0)
    if len(missing):
        raise DataError(f"{where}: no training picture of class {tree.classes[missing[0]]!r} can be read")
