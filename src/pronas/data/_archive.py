"""Bounds on what compressed files may unfold to, and the names they may hold."""

from __future__ import annotations

import os
import stat
import zipfile

from pronas.errors import DataError

MIB = 1 << 20
MAX_RATIO = 100  # photographs reach 1, drawings 10; a bomb 1000
MAX_TOTAL = 1 << 36  # 64 GiB
MAX_ENTRY = 1 << 35
MAX_ENTRIES = 5_000_000
_UNSUSPICIOUS = 64 * MIB  # below this any ratio is harmless


def check_expansion(path: str | os.PathLike[str], stored: int, unfolded: int) -> None:
    """Refuse a file of ``stored`` bytes that unfolds to suspiciously many.

    Raises:
        DataError: over 64 GiB, or over 64 MiB at more than 100 times the stored size.
    """
    if unfolded > MAX_TOTAL or (unfolded > _UNSUSPICIOUS and unfolded > MAX_RATIO * stored):
        raise DataError(
            f"{path}: {stored} bytes would unfold to {unfolded}: refused as corrupt or a decompression bomb"
        )


def check_zip(path: str | os.PathLike[str], archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of a zip, after refusing what no honest data set holds.

    Nothing is ever extracted to disk; a path that leaves its folder is refused all the same, since such an archive is
    made to do harm.

    Raises:
        DataError: a bomb (declared sizes), absolute paths, ``..``, symbolic links, encryption, duplicates.
    """
    entries = [info for info in archive.infolist() if not info.is_dir()]
    if len(entries) > MAX_ENTRIES:
        raise DataError(f"{path}: {len(entries)} files are more than the {MAX_ENTRIES} that are read")
    for info in entries:
        _check_entry(path, info)
    # the archive's size, not the entries' claims: overlapping entries share their bytes
    check_expansion(path, os.stat(path).st_size, sum(info.file_size for info in entries))
    if len({info.filename for info in entries}) < len(entries):
        raise DataError(f"{path}: two files of one name: refused as corrupt")
    return entries


def _check_entry(path: str | os.PathLike[str], info: zipfile.ZipInfo) -> None:
    parts = info.filename.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or ":" in parts[0]:
        raise DataError(f"{path}: {info.filename!r} leads outside the archive: refused")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(f"{path}: {info.filename!r} is a symbolic link: refused; store the file itself")
    if info.flag_bits & 1:
        raise DataError(f"{path}: {info.filename!r} is encrypted: store it without a password")
    if info.file_size > MAX_ENTRY:
        raise DataError(f"{path}: {info.filename!r} would unfold to {info.file_size} bytes: refused")
