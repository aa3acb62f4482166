"""Picture files (PNG, JPEG, …) decoded to arrays, many at a time."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pronas.errors import DataError
from pronas.machine import cores

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # no format that runs programs or reads other files
_MAX_PIXELS = 89_478_485  # in one picture; from there on the decoder warns of bombs
_CHUNK = 256
_GRAY = frozenset({"1", "L"})
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

Pixels = NDArray[np.uint8]


def decode(data: bytes, where: str, size: tuple[int, int] | None = None, channels: int | None = None) -> Pixels:
    """One picture as uint8 (H, W, c), c being 1 for grayscale, 4 with transparency, else 3.

    Args:
        data: the file's content.
        where: names the file in errors.
        size: resize to this (height, width), bilinear and antialiased, the aspect ratio not kept.
        channels: convert to this many (1, 3 or 4).

    Raises:
        DataError: not a picture, corrupt, truncated, over 89 megapixels or of 32-bit pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise DataError(f"{where}: {picture.width}x{picture.height} pixels: refused; make it smaller")
            converted = _converted(picture, where, channels)
            if size and converted.size != (size[1], size[0]):
                converted = converted.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            array = np.asarray(converted)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{where}: more than {_MAX_PIXELS} pixels: refused; make it smaller") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{where}: not a picture in a known format ({', '.join(_FORMATS)})") from error
    except Exception as error:  # a picture library meets corrupt bytes with any exception there is
        raise DataError(f"{where}: corrupt or truncated ({error}); fetch or save it again") from error
    return array[:, :, None] if array.ndim == 2 else array


def _converted(picture: Image.Image, where: str, channels: int | None) -> Image.Image:
    mode = picture.mode
    if mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8))
        mode = "L"
    elif mode in ("I", "F"):
        raise DataError(f"{where}: {mode} pixels of 32 bits; save it with 8 or 16 bits, or use .npz")
    if channels is None:
        clear = mode in ("LA", "RGBA", "PA") or "transparency" in picture.info
        channels = 4 if clear else 1 if mode in _GRAY else 3
    return picture if picture.mode == _MODES[channels] else picture.convert(_MODES[channels])


def decode_all(
    names: Sequence[str], read: Callable[[str], bytes], where: str, size: tuple[int, int] | None
) -> NDArray[np.uint8]:
    """Many pictures as uint8 (n, C, H, W), decoded in parallel.

    All grayscale: one channel; all with transparency: four; otherwise three, grayscale repeated, transparency dropped.

    Args:
        names: the pictures, in the order of the result.
        read: gives a picture's content by its name, from any thread.
        where: names the folder or archive in errors.
        size: resize every one to this; ``None``: they must be of one size.

    Raises:
        DataError: as :func:`decode`; the first picture of another size than the first one; more than fits into memory.
    """
    pictures: list[Pixels] = []
    for picture in _decoded(names, read, where, size):
        if not pictures:
            _check_memory(len(names) * picture.nbytes, where)
        elif picture.shape[:2] != pictures[0].shape[:2]:
            (height, width), (h, w) = pictures[0].shape[:2], picture.shape[:2]
            name = names[len(pictures)]
            raise DataError(f"{where}: {name} is {h}x{w}, {names[0]} {height}x{width}: give image_size to resize all")
        pictures.append(picture)
    return _stacked(pictures)


def _decoded(
    names: Sequence[str], read: Callable[[str], bytes], where: str, size: tuple[int, int] | None
) -> Iterator[Pixels]:
    def chunk(start: int) -> list[Pixels]:
        return [decode(read(name), f"{where}: {name}", size) for name in names[start : start + _CHUNK]]

    with ThreadPoolExecutor(min(8, cores())) as pool:
        try:
            for pictures in pool.map(chunk, range(0, len(names), _CHUNK)):
                yield from pictures
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _check_memory(needed: int, where: str) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory // 2:
        raise DataError(
            f"{where}: {needed >> 20} MiB of pixels are too many for memory: give image_size to shrink them"
        )


def _stacked(pictures: list[Pixels]) -> NDArray[np.uint8]:
    found = {picture.shape[2] for picture in pictures}
    channels = found.pop() if len(found) == 1 else 3
    out = np.empty((len(pictures), channels, *pictures[0].shape[:2]), np.uint8)
    for index, picture in enumerate(pictures):
        out[index] = picture[:, :, :channels].transpose(2, 0, 1)  # one gray plane spreads over three channels
    return out
