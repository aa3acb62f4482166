"""``USE_EXPANSION``: more training images by small rotations and shifts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pronas.data._kept import together_of
from pronas.data._types import Split

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CHUNK = 2048


def expand(split: Split, seed: int, *, copies: int = 4, degrees: float = 15.0, shift: int = 2) -> Split:
    """Every image and ``copies`` changed ones: rotated about the centre, then shifted.

    Rotations are uniform within ±``degrees``, shifts are whole pixels uniform within ±``shift`` in either direction.
    What comes in from outside has the image's background: per channel, the median of its border pixels.

        >>> from pronas.data import load_dataset
        >>> len(expand(load_dataset("digits", limit=100).train, seed=0))
        500

    Args:
        split: n images.
        seed: of all that is random.
        copies: of each image.
        degrees: largest rotation, either way.
        shift: largest shift, in pixels.

    Returns:
        ``(copies + 1) * n`` images: the originals in their order, then each round of copies in the same order.
    """
    whole = together_of(lambda: _expanded(split.images, seed, copies, degrees, shift), split.images, copies + 1)
    return Split(whole, np.tile(split.labels, copies + 1))


def _expanded(
    images: NDArray[np.uint8], seed: int, copies: int, degrees: float, shift: int
) -> Iterator[NDArray[np.uint8]]:
    import torch

    generator = torch.Generator().manual_seed(seed)
    starts = range(0, len(images), _CHUNK)
    yield from (images[start : start + _CHUNK] for start in starts)
    for _ in range(copies):
        for start in starts:
            part = torch.from_numpy(images[start : start + _CHUNK])
            yield _changed(part, degrees, shift, generator).numpy()


def _changed(images: Tensor, degrees: float, shift: int, generator: torch.Generator) -> Tensor:
    import torch

    n = len(images)
    angle = (torch.rand(n, generator=generator) * 2 - 1) * math.radians(degrees)
    move = torch.randint(-shift, shift + 1, (2, n), generator=generator)
    return moved(images, angle, move, _background(images))


def moved(images: Tensor, angle: Tensor, move: Tensor, background: Tensor, *, reflect: bool = False) -> Tensor:
    """Images rotated about their centre, then shifted; bilinear.

    Args:
        images: (n, C, H, W), uint8 or float.
        angle: (n,), radians.
        move: (2, n), pixels to the right and down.
        background: what comes in from outside, of a shape that spreads to that of the images.
        reflect: the image mirrored at its edge comes in instead.
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    n, _, height, width = images.shape
    grid = affine_grid(_matrices(angle, move, height, width), [n, 1, height, width], align_corners=False)
    padding = "reflection" if reflect else "zeros"
    # zeros are what comes from outside, so the background is made zero for the while
    values = grid_sample(images.float() - background, grid, mode="bilinear", padding_mode=padding, align_corners=False)
    values = (values + background).clamp_(0, 255)
    return values.to(images.dtype) if images.is_floating_point() else values.round_().to(torch.uint8)


def _matrices(angle: Tensor, move: Tensor, height: int, width: int) -> Tensor:
    # from output to input in grid units (-1…1 over a side): undo the shift, then the rotation, in pixels
    import torch

    cos, sin = angle.cos(), angle.sin()
    across, down = move[0] * 2 / width, move[1] * 2 / height
    ratio = height / width
    first = torch.stack([cos, sin * ratio, -(cos * across + sin * ratio * down)], 1)
    second = torch.stack([-sin / ratio, cos, sin / ratio * across - cos * down], 1)
    return torch.stack([first, second], 1)


def _background(images: Tensor) -> Tensor:
    import torch

    border = [images[:, :, 0], images[:, :, -1], images[:, :, 1:-1, 0], images[:, :, 1:-1, -1]]
    return torch.cat(border, 2).median(2).values.float()[:, :, None, None]
