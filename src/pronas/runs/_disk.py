"""What the disk may refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pronas.errors import RunError
from pronas.files import disk_is_full


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk, or a folder that cannot be written, into a RunError."""
    try:
        yield
    except OSError as error:
        if isinstance(error, (RunError, BrokenPipeError)):
            raise
        cure = "make room and run the same command again" if disk_is_full(error) else "mend that and run it again"
        where = error.filename or folder
        raise RunError(f"{where}: {error.strerror or error}; nothing recorded before is lost: {cure}") from error
