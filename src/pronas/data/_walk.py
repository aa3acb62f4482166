"""What lies in a folder: every file once, links to folders not followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from pronas.errors import DataError


@final
@dataclass(frozen=True)
class Listing:
    """Files and folders under a root, hidden ones left out; paths are relative and have ``/``.

    Attributes:
        files: sorted; with the size in bytes, the modification time in ns, the device and the inode of each (zeros
            where it cannot be asked).
        folders: every folder that was looked into, but for the root.
        links: links to folders, which are not followed.
        twins: files left out because they are, by a link, the same file as one before.
    """

    files: dict[str, tuple[int, int, int, int]]
    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)


def walk(root: Path) -> Listing:
    """List a folder.

    Raises:
        DataError: a folder in it cannot be read.
    """
    found: dict[str, tuple[int, int, int, int]] = {}
    folders: list[str] = []
    links: list[str] = []
    seen = {_identity(root)}
    open_folders = [""]
    while open_folders:
        prefix = open_folders.pop()
        for entry in _entries(root, prefix):
            name = prefix + entry.name
            if not entry.is_dir():
                found[name] = _status(entry)
            elif entry.is_symlink():
                links.append(name)
            elif (identity := _identity(root / name)) not in seen:  # a folder may be mounted within itself
                seen.add(identity)
                folders.append(name)
                open_folders.append(f"{name}/")
    files, twins = _apart({name: found[name] for name in sorted(found)})
    return Listing(files, sorted(folders), sorted(links), twins)


def _apart(found: dict[str, tuple[int, int, int, int]]) -> tuple[dict[str, tuple[int, int, int, int]], list[str]]:
    seen: set[tuple[int, int]] = set()
    files, twins = {}, []
    for name, status in found.items():
        inode = status[2:]
        if inode[1] and inode in seen:
            twins.append(name)
        else:
            seen.add(inode)
            files[name] = status
    return files, twins


def _entries(root: Path, prefix: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(root / prefix) as entries:
            yield from (entry for entry in entries if not entry.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise DataError(f"{root / prefix}: cannot be read ({error.strerror})") from error


def _status(entry: os.DirEntry[str]) -> tuple[int, int, int, int]:
    try:
        status = entry.stat()
    except OSError:  # a link to nothing: reading it will say so
        return 0, 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return status.st_dev, status.st_ino
