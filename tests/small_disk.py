"""A disk of a few megabytes, and something that fills it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int = 6) -> Iterator[Path]:
    """Mount one at ``folder``; the test is skipped where that is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, left: int = 0) -> Path:
    """Leave so many bytes free (whole pages), no more; returns the file that takes the others."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (2**16, 1):
            try:
                while file.write(b"0" * size):
                    pass
            except OSError:
                continue
    os.truncate(filler, max(0, filler.stat().st_size - left))
    return filler
