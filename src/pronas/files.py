"""Whole files or none: write beside, then rename; and what a disk says where it refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on a clean exit it replaces ``path`` durably, otherwise it is removed.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "file.txt"
    >>> with replacing(path) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> path.read_text()
    'whole'
    """
    target = Path(path)
    _refuse_folder(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    special = target.exists() and not target.is_file()  # a device or a pipe is written to, never replaced
    beside = None if special else target.parent
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=beside)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if special:
            target.write_bytes(temporary.read_bytes())
            return
        _sync(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """Give an empty folder; on a clean exit every file in it moves to ``folder``, otherwise none.

    >>> folder = Path(tempfile.mkdtemp())
    >>> with together(folder) as temporary:
    ...     for name in ("a.c", "a.h"):
    ...         write_atomic(temporary / name, "whole")
    >>> sorted(path.name for path in folder.iterdir())
    ['a.c', 'a.h']
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pronas-", dir=folder) as name:
        temporary = Path(name)
        try:
            yield temporary
        except OSError as error:
            if Path(str(error.filename)).parent == temporary:  # the user named another place
                error.filename = str(folder / Path(error.filename).name)
            raise
        paths = sorted(temporary.iterdir())
        for path in paths:
            _refuse_folder(folder / path.name)
        for path in paths:
            os.replace(path, folder / path.name)


def write_atomic(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Write ``data`` (text as UTF-8) so that a reader sees the old file or the new one, never a part.

    Raises:
        OSError: it cannot be written; the old file is as it was.

        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "file.txt"
        >>> write_atomic(path, "whole")
        >>> path.read_text()
        'whole'
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def explained(error: OSError, place: object = "") -> str:
    """Return what the system refused, of which file (or of ``place``, where it does not say), and the cure if known.

    >>> explained(OSError(errno.ENOSPC, "No space left on device"), "run/store.sqlite")
    'run/store.sqlite: No space left on device; make room and try again'
    """
    where = error.filename or place
    text = f"{where}: {error.strerror or error}" if where else str(error.strerror or error)
    return f"{text}; make room and try again" if disk_is_full(error) else text


def disk_is_full(error: OSError) -> bool:
    """Whether there was no room, on the disk or in what this user may fill of it.

    >>> disk_is_full(OSError(errno.ENOSPC, "No space left on device")), disk_is_full(OSError(errno.EACCES, "no"))
    (True, False)
    """
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file", str(path))


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    # mkstemp makes files private; what replaces a user's file should have the usual rights
    current = os.umask(0)
    os.umask(current)
    return current


def fold_journal(store: Path) -> None:
    """Fold a SQLite file's write-ahead log into it, so that the file is all there is and a folder can be copied.

    Done by whoever closes last; where somebody else has the file open, or it may not be written, it stays as it is.

        >>> import sqlite3, tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.sqlite"
        >>> connection = sqlite3.connect(path)
        >>> _ = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        >>> _ = connection.execute("CREATE TABLE t(a)")
        >>> path.with_name("a.sqlite-wal").exists()
        True
        >>> connection.close()
        >>> fold_journal(path)
        >>> [each.name for each in path.parent.iterdir()]
        ['a.sqlite']
    """
    import sqlite3  # not everything that writes files needs it

    if not any(store.with_name(store.name + end).exists() for end in ("-wal", "-shm")):
        return
    with contextlib.suppress(sqlite3.Error):
        connection = sqlite3.connect(f"{store.resolve().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("PRAGMA journal_mode=DELETE")
