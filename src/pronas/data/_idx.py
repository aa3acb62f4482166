"""The idx format of MNIST: two zero bytes, a type, the number of dimensions, big-endian sizes, then the values."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from pronas.data._archive import check_expansion
from pronas.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str], sha256: str | None = None) -> NDArray[np.generic]:
    """Read an idx file, plain or gzipped (told by its content).

        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels-idx1-ubyte"
        >>> path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))  # uint8, one side, of three
        11
        >>> read_idx(path).tolist()
        [7, 2, 1]

    Args:
        path: the file.
        sha256: what the SHA-256 (hex) of the decompressed content must be.

    Returns:
        An array of the file's type (in the machine's byte order) and shape.

    Raises:
        DataError: it is missing, not in this format, truncated, has extra bytes or another checksum.
    """
    with _opened(Path(path)) as stream:
        return _parse(stream, Path(path), sha256)


def idx_shape(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """The shape that an idx file's header announces.

    Raises:
        DataError: it is missing or not in this format.
    """
    with _opened(Path(path)) as stream:
        return _header(stream, Path(path))[1]


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    try:
        with open(file, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: cannot be read ({error}): corrupt or truncated; fetch it again") from error


def _parse(stream: IO[bytes], file: Path, sha256: str | None) -> NDArray[np.generic]:
    dtype, shape, header = _header(stream, file)
    size = math.prod(shape) * dtype.itemsize
    check_expansion(file, file.stat().st_size, size)
    body = stream.read(size)
    if len(body) != size:
        raise DataError(f"{file}: truncated: {size} bytes of values announced, {len(body)} there; fetch it again")
    if stream.read(1):
        raise DataError(f"{file}: bytes are left after the {size} announced: corrupt; fetch it again")
    if sha256 and hashlib.sha256(header + body).hexdigest() != sha256:
        raise DataError(
            f"{file}: the content is not the published one (SHA-256 differs): fetch it again, "
            "or load your own data by the path of its folder"
        )
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _header(stream: IO[bytes], file: Path) -> tuple[np.dtype[np.generic], tuple[int, ...], bytes]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not magic[3]:
        raise DataError(f"{file}: not an idx file: it begins with {magic.hex(' ') or 'nothing'}")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{file}: truncated in its header; fetch it again")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    if magic[3] > 32:
        raise DataError(f"{file}: {magic[3]} dimensions: corrupt; fetch it again")
    return np.dtype(_TYPES[magic[2]]), shape, magic + sizes
