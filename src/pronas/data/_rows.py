"""Images written to a file one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, final

import numpy as np
from numpy.typing import NDArray

from pronas.data import limits

Images = NDArray[np.uint8]


def with_channels(images: Images, channels: int) -> Images:
    """Images (n, c, H, W) with ``channels``: one gray plane spreads over three, what is beyond them is dropped."""
    if images.shape[1] == channels:
        return images
    return np.repeat(images, channels, axis=1) if images.shape[1] == 1 else images[:, :channels]


@final
class Rows:
    """Images (n, C, H, W) as they come, brought to one number of channels.

    All of one number: that one. Otherwise three, and what was written with one or four is written again.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.shape: tuple[int, ...] = ()

    def append(self, images: Images) -> None:
        """Add images (k, C, H, W); all must have one height and width."""
        if not len(images):
            return
        if not self.shape:
            self.shape = (0, *images.shape[1:])
        if images.shape[1] != self.shape[1]:
            self._convert(3)
            images = with_channels(images, 3)
        self._file.write(np.ascontiguousarray(images).data)
        self.shape = (self.shape[0] + len(images), *self.shape[1:])

    def _convert(self, channels: int) -> None:
        n, old, height, width = self.shape
        if old == channels:
            return
        image = height * width
        step = max(1, limits.CHUNK // (image * channels))
        starts: Any = range(0, n, step)
        for start in reversed(starts) if channels > old else starts:  # never over what was not read yet
            self._file.seek(start * old * image)
            part = np.frombuffer(self._file.read(min(step, n - start) * old * image), np.uint8)
            self._file.seek(start * channels * image)
            self._file.write(np.ascontiguousarray(with_channels(part.reshape(-1, old, height, width), channels)).data)
        self._file.truncate(n * channels * image)
        self._file.seek(0, 2)
        self.shape = (n, channels, height, width)


def chunks_of(images: Images, indexes: NDArray[np.int64]) -> Iterator[Images]:
    """The images at ``indexes``, in that order, a few at a time."""
    step = max(1, limits.CHUNK // max(1, images[0].nbytes))
    return (images[indexes[start : start + step]] for start in range(0, len(indexes), step))
