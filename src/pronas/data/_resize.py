"""Resizing of whole arrays of images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pronas.data._types import SMALLEST_SIDE
from pronas.errors import UsageError

_CHUNK = 1024


def image_size_of(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """(height, width) of the ``image_size`` argument: a number stands for a square.

    Raises:
        UsageError: a side under 8.
    """
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < SMALLEST_SIDE:
        raise UsageError(f"image_size={size}: {SMALLEST_SIDE}x{SMALLEST_SIDE} is the least")
    return height, width


def resize(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Images (n, C, H, W) resized to ``size`` (height, width), bilinear and antialiased, the aspect ratio not kept."""
    if images.shape[2:] == size:
        return images
    out = np.empty((*images.shape[:2], *size), dtype=np.uint8)
    start = 0
    for chunk in resized_chunks(images, size):
        out[start : start + len(chunk)] = chunk
        start += len(chunk)
    return out


def resized_chunks(images: NDArray[np.uint8], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """:func:`resize`, a thousand images at a time."""
    import torch
    from torch.nn.functional import interpolate

    for start in range(0, len(images), _CHUNK):
        batch = torch.from_numpy(np.ascontiguousarray(images[start : start + _CHUNK])).float()
        small = interpolate(batch, size, mode="bilinear", antialias=True, align_corners=False)
        yield small.round_().clamp_(0, 255).to(torch.uint8).numpy()
