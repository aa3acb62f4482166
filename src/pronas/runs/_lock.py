"""One driver a run folder."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType

from pronas.errors import RunError


class RunLock:
    """Holds a run folder for this process until closed; the kernel lets go of it however the process ends.

    Raises:
        RunError: another process (or another search of this one) holds the folder, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = _open(folder / ".lock")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise RunError(
                    f"{folder}: cannot be locked ({error.strerror}); use a folder on a local disk"
                ) from error
            raise RunError(
                f"{folder} is in use by another search (process {holder or 'unknown'}); "
                "wait for it, stop it, or choose another folder"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def close(self) -> None:
        """Let go of the folder."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> RunLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RunError(f"{path.parent}: cannot be written ({error.strerror}); choose another folder") from error
