"""One picture file (PNG, JPEG, …) decoded to an array."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pronas.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # no format that runs programs or reads other files
_MAX_PIXELS = 89_478_485  # in one picture; from there on the decoder warns of bombs
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
            if size:
                # a large photograph is decoded at a half, a quarter or an eighth, never under three times the size
                picture.draft(None, (3 * size[1], 3 * size[0]))
            return as_array(picture, where, size, channels)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{where}: more than {_MAX_PIXELS} pixels: refused; make it smaller") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{where}: not a picture in a known format ({', '.join(_FORMATS)})") from error
    except Exception as error:  # a picture library meets corrupt bytes with any exception there is
        raise DataError(f"{where}: corrupt or truncated ({error}); fetch or save it again") from error


def as_array(
    picture: Image.Image, where: str, size: tuple[int, int] | None = None, channels: int | None = None
) -> Pixels:
    """An opened picture as :func:`decode` gives it."""
    converted = _converted(picture, where, channels)
    if size and converted.size != (size[1], size[0]):
        converted = converted.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    array = np.asarray(converted)
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


def header(data: bytes) -> tuple[int, int, int] | None:
    """(height, width, channels) that the beginning of a file says, nothing decoded; ``None``: it says none."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            channels = 1 if picture.mode in _GRAY else 4 if picture.mode in ("LA", "RGBA", "PA") else 3
            return picture.height, picture.width, channels
    except Exception:  # as in `decode`
        return None
