"""Many pictures decoded, in parallel; what cannot be read costs itself alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from pronas.data._kept import in_memory, kept, room_for
from pronas.data._notes import printable
from pronas.data._pictures import Pixels, decode, header
from pronas.data._rows import Images, Rows, with_channels
from pronas.errors import DataError
from pronas.machine import cores

T = TypeVar("T")
R = TypeVar("R")
_CHUNK = 256  # pictures that a thread decodes at a time
_CHUNK_BYTES = 1 << 26
_NAMED = 10  # of many bad pictures, so many are named


@final
@dataclass(frozen=True)
class Decoded:
    """Pictures as an array.

    Attributes:
        images: uint8 (n, C, H, W) of the good ones, in order.
        kept: bool, one a name: whether it is among them.
        bad: index of the name and the reason, for each of the others.
    """

    images: Images
    kept: NDArray[np.bool_]
    bad: tuple[tuple[int, str], ...]


def decode_all(
    names: Sequence[str],
    read: Callable[[str], bytes],
    where: str,
    size: tuple[int, int] | None,
    *,
    key: str | None = None,
    few: bool = False,
) -> Decoded:
    """Many pictures as uint8 (n, C, H, W), decoded in parallel.

    All grayscale: one channel; all with transparency: four; otherwise three, grayscale repeated, transparency dropped.

    Args:
        names: the pictures, in the order of the result.
        read: gives a picture's content by its name, from any thread; its ``DataError`` makes that picture a bad one.
        where: names the folder or archive in errors.
        size: resize every one to this; ``None``: they must be of one size.
        key: of what was kept of the same pictures before (hex).
        few: keep nothing, hold them in memory.

    Raises:
        DataError: pictures of several sizes; none that can be read; more than disk and memory hold.
    """

    def fill(rows: Rows) -> dict[str, Any]:
        return {"bad": _decode_into(rows, names, read, where, size)}

    if few:
        images, facts = in_memory(fill)
    else:
        images, facts = kept(key, fill)
        if len(images) + len(facts.get("bad", ())) != len(names):  # a file of the cache that lies
            images, facts = in_memory(fill)
    bad = tuple((int(index), str(reason)) for index, reason in facts["bad"])
    good = np.ones(len(names), dtype=bool)
    good[[index for index, _ in bad]] = False
    if not len(images):
        raise DataError(bad_pictures([reason for _, reason in bad], where))
    return Decoded(images, good, bad)


def bad_pictures(reasons: Sequence[str], where: str) -> str:
    """One line that names the pictures which cannot be read, the first ten of many."""
    if len(reasons) == 1:
        return f"{where}: {listed(reasons)}"
    return f"{where}: {len(reasons)} pictures cannot be read: {listed(reasons)}"


def listed(reasons: Sequence[str]) -> str:
    """The reasons, the first ten of many."""
    more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    return printable("; ".join(reasons[:_NAMED])) + more


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``map`` over threads that runs only a few items ahead of its reader, whatever their number."""
    workers = min(8, cores())
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _decode_into(
    rows: Rows, names: Sequence[str], read: Callable[[str], bytes], where: str, size: tuple[int, int] | None
) -> list[tuple[int, str]]:
    bad: list[tuple[int, str]] = []
    odd: list[str] = []
    first: tuple[str, tuple[int, ...]] | None = None
    for start, results in _results(names, read, where, size):
        good: list[Pixels] = []
        for index, result in enumerate(results, start):
            if isinstance(result, str):
                bad.append((index, result))
                continue
            first = first or (names[index], result.shape[:2])
            if result.shape[:2] == first[1]:
                good.append(result)
            else:
                odd.append(f"{names[index]} is {result.shape[0]}x{result.shape[1]}")
        if good:
            rows.append(_stacked(good))
    if odd and first:
        others = f" (and {len(odd) - 1} others)" if len(odd) > 1 else ""
        height, width = first[1]
        raise DataError(
            f"{where}: {odd[0]}{others}, {first[0]} {height}x{width}: give image_size to resize all to one size",
            "image_size",
        )
    return bad


def _results(
    names: Sequence[str], read: Callable[[str], bytes], where: str, size: tuple[int, int] | None
) -> Iterator[tuple[int, list[Pixels | str]]]:
    def one(name: str) -> Pixels | str:
        try:
            return decode(read(name), name, size)
        except DataError as error:
            return str(error)

    step = _step(names, read, where, size)

    def chunk(start: int) -> tuple[int, list[Pixels | str]]:
        return start, [one(name) for name in names[start : start + step]]

    return in_parallel(chunk, range(0, len(names), step))


def _step(names: Sequence[str], read: Callable[[str], bytes], where: str, size: tuple[int, int] | None) -> int:
    """How many pictures to decode at a time, and that there is room for all."""
    height, width, channels = next(filter(None, (_header(name, read) for name in names[:_NAMED])), (1, 1, 1))
    height, width = size or (height, width)
    picture = height * width * channels
    room_for(len(names) * picture, where)
    return max(1, min(_CHUNK, _CHUNK_BYTES // picture))


def _header(name: str, read: Callable[[str], bytes]) -> tuple[int, int, int] | None:
    try:
        return header(read(name))
    except DataError:
        return None


def _stacked(pictures: list[Pixels]) -> Images:
    found = {picture.shape[2] for picture in pictures}
    channels = found.pop() if len(found) == 1 else 3
    out = np.empty((len(pictures), channels, *pictures[0].shape[:2]), np.uint8)
    for index, picture in enumerate(pictures):
        out[index : index + 1] = with_channels(picture.transpose(2, 0, 1)[None], channels)
    return out
