"""Images kept in the cache as files that are mapped: what took long to decode, and what memory might not hold."""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import io
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from pronas.data import limits
from pronas.data._cache import cache_dir
from pronas.data._rows import Images, Rows, chunks_of
from pronas.errors import DataError
from pronas.files import replacing, write_atomic
from pronas.mapped import MappedArray, map_array

_IN_USE = 3600.0  # seconds in which nothing is removed, since another process may be about to map it

Facts = dict[str, Any]


def kept(key: str | None, fill: Callable[[Rows], Facts | None]) -> tuple[Images, Facts]:
    """The images kept under ``key`` (hex), else what ``fill`` writes, kept; and the facts (plain data) it gave.

    Where the cache cannot be written, the images are held in memory. ``None`` for a key: until this process ends.

    Raises:
        DataError: neither the cache nor memory has room for them.
    """
    name = _temporary_name() if key is None else key
    folder = cache_dir() / "decoded"
    return _opened(folder, name) or _written(folder, name, fill) or in_memory(fill)


def gathered(images: Images, indexes: np.ndarray[Any, np.dtype[np.int64]]) -> Images:
    """``images[indexes]``, kept in a file where they lie in one and are large."""
    if len(indexes) == len(images) and bool((np.diff(indexes) == 1).all()):
        return images
    if not isinstance(images, MappedArray) or len(indexes) * images[0].nbytes < limits.LARGE:
        return cast(Images, np.asarray(images)[indexes])
    order = hashlib.sha256(np.ascontiguousarray(indexes, "<i8").data).hexdigest()
    return collected(lambda: chunks_of(images, indexes), _key_of("gathered", order, images))


def together(one: Images, other: Images) -> Images:
    """The images of both, kept in a file where the one's lie in one and are large."""

    def chunks() -> Iterator[Images]:
        for part in (one, other):
            yield from chunks_of(part, np.arange(len(part), dtype=np.int64))

    return together_of(chunks, one, (len(one) + len(other)) / len(one), _key_of("together", "", one, other))


def together_of(chunks: Callable[[], Iterable[Images]], images: Images, times: float, key: str | None = None) -> Images:
    """What is made of ``images`` and is ``times`` as large, kept in a file where they lie in one and it is large."""
    if isinstance(images, MappedArray) and images.nbytes * times >= limits.LARGE:
        return collected(chunks, key)
    return cast(Images, np.concatenate([np.asarray(chunk) for chunk in chunks()]))


def _key_of(how: str, order: str, *arrays: Images) -> str | None:
    """Stands for what is made of kept arrays; ``None``: not all of them are kept for longer than this process."""
    parts = [how, order]
    for array in arrays:
        if not isinstance(array, MappedArray) or array.path is None:
            return None
        path = array.path
        if Path(path).parent != cache_dir() / "decoded" or Path(path).name.startswith("temporary-"):
            return None
        parts.append(f"{Path(path).name} {array.offset} {array.shape}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def collected(chunks: Callable[[], Iterable[Images]], key: str | None = None) -> Images:
    """The chunks of images (k, C, H, W) that a function gives (again, if it must), as one array in a kept file."""

    def fill(rows: Rows) -> None:
        for chunk in chunks():
            rows.append(chunk)

    return kept(key, fill)[0]


def part(images: Images, start: int, stop: int) -> Images:
    """``images[start:stop]``, mapped as well where ``images`` is."""
    if not isinstance(images, MappedArray) or images.path is None:
        return images[start:stop]
    row = images.nbytes // len(images)
    shape = (stop - start, *images.shape[1:])
    return cast(Images, map_array(images.path, "|u1", shape, images.offset + start * row))


def room_for(size: int, where: str) -> None:
    """Refuse ``size`` bytes of images that neither the cache's disk nor memory can hold.

    Raises:
        DataError: the message says how much there is.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    if size > max(_free(cache_dir()), memory):
        raise DataError(
            f"{where}: {size >> 20} MiB of pixels are too many for the disk of {cache_dir()} and for memory: give "
            "image_size to shrink them, or another cache folder with PRONAS_CACHE"
        )


def _free(folder: Path) -> int:
    there = next((place for place in (folder, *folder.parents) if place.is_dir()), folder)
    with contextlib.suppress(OSError):
        return shutil.disk_usage(there).free
    return 0


def _opened(folder: Path, name: str) -> tuple[Images, Facts] | None:
    data = folder / f"{name}.u8"
    try:
        facts = json.loads((folder / f"{name}.json").read_bytes())
        shape = tuple(int(side) for side in facts["shape"])
        if len(shape) != 4 or min(shape) < 0 or data.stat().st_size != int(np.prod(shape, dtype=np.int64)):
            return None
        os.utime(data)
        return cast(Images, map_array(data, "|u1", shape)), facts
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _written(folder: Path, name: str, fill: Callable[[Rows], Facts | None]) -> tuple[Images, Facts] | None:
    try:
        with replacing(folder / f"{name}.u8") as temporary, open(temporary, "wb+") as file:
            rows = Rows(file)
            facts = fill(rows) or {}
        # the second file makes the first one valid
        write_atomic(folder / f"{name}.json", json.dumps({"shape": list(rows.shape or (0, 0, 0, 0)), **facts}))
        prune_cache()
    except OSError:
        return None
    return _opened(folder, name)


def in_memory(fill: Callable[[Rows], Facts | None]) -> tuple[Images, Facts]:
    """What ``fill`` writes, held in memory, and the facts it gave."""
    buffer = io.BytesIO()
    rows = Rows(cast(BinaryIO, buffer))
    facts = fill(rows) or {}
    return np.frombuffer(buffer.getbuffer(), np.uint8).reshape(rows.shape or (0, 0, 0, 0)), facts


def prune_cache() -> None:
    """Remove what killed processes left among the kept images, and the ones unused longest beyond `limits.MAX_KEPT`.

    What was used in the last hour stays. It is done whenever images are kept.
    """
    folder = cache_dir() / "decoded"
    for path in folder.glob("temporary-*"):
        if _is_left_over(path):
            path.unlink(missing_ok=True)
    total = 0
    for path, status in sorted(_files(folder), key=lambda entry: entry[1].st_mtime, reverse=True):
        total += status.st_size
        if total > limits.MAX_KEPT and time.time() - status.st_mtime > _IN_USE:
            path.unlink(missing_ok=True)


def _is_left_over(path: Path) -> bool:
    """Whether the process that kept a file for its own time was killed, and some time ago."""
    try:
        os.kill(int(path.name.split("-")[1]), 0)
    except ProcessLookupError:
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime > _IN_USE
    except (OSError, ValueError, OverflowError):
        return False
    return False


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            yield path, path.stat()


def _temporary_name() -> str:
    _remove_at_exit(os.getpid())
    return f"temporary-{os.getpid()}-{uuid.uuid4().hex}"


@functools.cache
def _remove_at_exit(process: int) -> None:
    folder = cache_dir() / "decoded"

    def remove() -> None:
        if os.getpid() == process:  # not in children that were forked
            for path in folder.glob(f"temporary-{process}-*"):
                path.unlink(missing_ok=True)

    atexit.register(remove)
