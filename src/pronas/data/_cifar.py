"""CIFAR-10 and CIFAR-100 in their binary version: records of one or two label bytes and 3,072 pixels."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from pathlib import Path

import numpy as np

from pronas.data._archive import check_expansion
from pronas.data._named import NamedSet
from pronas.data._source import Source
from pronas.data._types import Split
from pronas.errors import DataError

_PIXELS = 3 * 32 * 32


def find_cifar(folder: Path, named: NamedSet) -> Path | None:
    """The archive in ``folder``, or the folder in it (or itself) that holds the unpacked files."""
    first = next(iter(named.files))
    for place in (folder, *(folder / name for name in ("cifar-10-batches-bin", "cifar-100-binary"))):
        if (place / first).is_file():
            return place
    archive = folder / named.archive
    return archive if archive.is_file() else None


def load_cifar(path: Path, named: NamedSet, *, check: bool = True) -> Source:
    """The set from its archive or its unpacked folder.

    Args:
        path: of the archive or folder.
        named: gives the files' names and format, and the classes.
        check: against the published SHA-256.

    Raises:
        DataError: a file is missing, truncated or (``check``) not the published one.
    """
    contents = _unpacked(path, named) if path.is_dir() else _archived(path, named)
    for name, sha256 in named.files.items() if check else ():
        _check(contents[name], sha256, path / name)
    tests = [name for name in named.files if name.startswith("test")]
    train = [_records(contents[name], path / name, named) for name in named.files if name not in tests]
    joined = Split(np.concatenate([s.images for s in train]), np.concatenate([s.labels for s in train]))
    return Source(named.name, joined, named.classes, _records(contents[tests[0]], path / tests[0], named))


def _unpacked(folder: Path, named: NamedSet) -> dict[str, bytes]:
    contents = {}
    for name in named.files:
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f"{folder / name}: cannot be read ({error.strerror}); fetch {named.name} again") from error
    return contents


def _archived(path: Path, named: NamedSet) -> dict[str, bytes]:
    contents = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if member.isfile() and name in named.files:
                    check_expansion(path, path.stat().st_size, member.size)
                    file = archive.extractfile(member)
                    contents[name] = file.read() if file else b""
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: corrupt or truncated ({error}); fetch it again") from error
    if missing := [name for name in named.files if name not in contents]:
        raise DataError(f"{path}: {missing[0]} is missing in it; fetch it again")
    return contents


def _check(content: bytes, sha256: str, where: Path) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{where}: the content is not the published one (SHA-256 differs): fetch it again")


def _records(content: bytes, where: Path, named: NamedSet) -> Split:
    record = named.label_bytes + _PIXELS
    if not content or len(content) % record:
        raise DataError(f"{where}: {len(content)} bytes are not whole records of {record}; fetch it again")
    rows = np.frombuffer(content, np.uint8).reshape(-1, record)
    # CIFAR-100 has the coarse label first; the fine one is next to the pixels
    labels = rows[:, named.label_bytes - 1].astype(np.int64)
    return Split(np.ascontiguousarray(rows[:, named.label_bytes :]).reshape(-1, 3, 32, 32), labels)
