"""Downloads that go on where they stopped and are believed only when checked."""

from __future__ import annotations

import fcntl
import http.client
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pronas.errors import DataError, UsageError

_BLOCK = 1 << 18
_TRIES = 4  # in a row without a new byte
_AGENT = {"User-Agent": "pronas", "Accept-Encoding": "identity"}

Check = Callable[[Path], None]


class _GoneError(Exception):
    """The server answers that it has no such file; asking again is no use."""


def download(urls: Sequence[str], target: Path, check: Check, most: int) -> None:
    """Fetch a file into ``target`` from the first address that serves the right content.

    A transfer that stalls or is cut off goes on from the byte it reached (also in the next call: the part is kept as
    ``target.part``). The file is renamed to ``target`` only after ``check`` accepted it.

    Args:
        urls: http or https addresses of the same file, tried in this order.
        target: where to put it; its folder is made.
        check: raises ``DataError`` for wrong content.
        most: bytes no honest server sends more of.

    Raises:
        DataError: no address served it, with the reason and the cure.
    """
    reasons = []
    with _locked(target):
        if target.is_file():  # another process fetched it while this one waited
            return
        for url in urls:
            reason = _fetch_checked(url, target, check, most)
            if reason is None:
                return
            reasons.append(f"{url}: {reason}")
    raise DataError(
        f"{target.name} could not be downloaded ({'; '.join(reasons)}): "
        "fetch it by other means and name its folder with data_dir",
        "data_dir",
    )


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = open(target.with_name(target.name + ".lock"), "w")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"{target.parent}: cannot be written ({error.strerror}); set PRONAS_CACHE") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_checked(url: str, target: Path, check: Check, most: int) -> str | None:
    """Why ``url`` failed; ``None``: it did not."""
    part = target.with_name(target.name + ".part")
    for _ in range(2):
        resumed = part.exists()
        try:
            _fetch(url, part, most)
            check(part)
        except _GoneError as error:
            return str(error)
        except (OSError, http.client.HTTPException) as error:
            return _reason(error)
        except DataError as error:
            part.unlink(missing_ok=True)
            if not resumed:
                return str(error).replace(str(part), "the content")
            continue  # an old part of another file may be why: once more from the start
        os.replace(part, target)
        return None
    return "the content is wrong"


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())


def _fetch(url: str, part: Path, most: int) -> None:
    """Append to ``part`` until it is whole."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _transfer(url, part, before, most)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and before:  # nothing after what is there: whole, or another file's part
                return
            if error.code < 500 and error.code not in (408, 425, 429):
                raise _GoneError(f"HTTP {error.code}") from error
            last: Exception = OSError(f"HTTP {error.code}")
        except (OSError, http.client.HTTPException) as error:
            if isinstance(getattr(error, "reason", None), socket.gaierror):  # no network: waiting is no use
                raise
            last = error
        else:
            return
        failures = 0 if part.exists() and part.stat().st_size > before else failures + 1
        if failures >= _TRIES:
            raise last
        time.sleep(0.1 * 2**failures)


def _transfer(url: str, part: Path, start: int, most: int) -> None:
    request = urllib.request.Request(url, headers=_AGENT | ({"Range": f"bytes={start}-"} if start else {}))
    with urllib.request.urlopen(request, timeout=_timeout()) as reply:
        if start and reply.status != 206:  # the server sends everything again
            start = 0
        length = reply.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        if total is not None and total > most:
            raise _GoneError(f"it is {total} bytes long, expected at most {most}")
        with open(part, "r+b" if start else "wb") as file, _progress(url, total) as advance:
            file.seek(start)
            file.truncate()
            _copy(reply, file, most - start, lambda done: advance(start + done))
            if total is not None and file.tell() < total:
                raise ConnectionError(f"cut off after {file.tell()} of {total} bytes")


def _copy(reply: Any, file: IO[bytes], most: int, advance: Callable[[int], None]) -> None:
    done = 0
    while block := reply.read1(_BLOCK):
        done += len(block)
        if done > most:
            raise _GoneError("it sends more bytes than the file has")
        file.write(block)
        advance(done)


def _timeout() -> float:
    text = os.environ.get("PRONAS_DOWNLOAD_TIMEOUT", "30")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise UsageError(
            f"PRONAS_DOWNLOAD_TIMEOUT={text!r}: give seconds of silence after which a server is asked again"
        )
    return seconds


@contextmanager
def _progress(url: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, one line elsewhere; on stderr, since stdout may be for machines."""
    name = url.rsplit("/", 1)[-1]
    if not sys.stderr.isatty():
        print(f"downloading {url}" + (f" ({total >> 10} KiB)" if total else ""), file=sys.stderr)
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"downloading {name}", total=total)
        yield lambda done: bar.update(task, completed=done)
