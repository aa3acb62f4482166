"""The user's cache: downloads, and decoded images so that a folder or zip is decoded once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pronas.data._archive import MIB
from pronas.data._npz import read_npz
from pronas.errors import DataError
from pronas.files import replacing

MAX_DECODED = 8192 * MIB  # all decoded sets together; the ones unused longest go first


def cache_dir() -> Path:
    """Where downloads and decoded images are kept: ``$PRONAS_CACHE``, else ``pronas`` in the XDG cache folder."""
    if own := os.environ.get("PRONAS_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pronas"


def cached_images(key: str, compute: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The images kept under ``key`` (hex), else computed and kept.

    The cache is never needed: what cannot be read is computed again, what cannot be written is not kept.
    """
    path = cache_dir() / "decoded" / f"{key}.npz"
    try:
        images = read_npz(path)["images"]
        os.utime(path)
    except (DataError, KeyError, OSError):
        images = None
    if images is not None and images.dtype == np.uint8 and images.ndim == 4:
        return images.astype(np.uint8, copy=False)
    decoded = compute()
    with contextlib.suppress(OSError):
        with replacing(path) as temporary:
            np.savez(temporary, images=decoded)
        _prune(path.parent)
    return decoded


def _prune(folder: Path) -> None:
    kept = 0
    for path in sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True):
        kept += path.stat().st_size
        if kept > MAX_DECODED:
            path.unlink(missing_ok=True)
