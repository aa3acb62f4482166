"""What a network is given, looked at where it costs nothing: images of another kind give answers that mean nothing."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from pronas.errors import UsageError


def check_shape_of(images: Tensor, channels: int) -> None:
    """Refuse what is no batch of images of so many channels; one channel would be spread over three.

    Raises:
        UsageError: it is none.
    """
    if images.dim() != 4 or images.shape[1] != channels:
        raise UsageError(
            f"the network reads images (n, {channels}, height, width) of pixel values 0 to 255, not a tensor of shape "
            f"{tuple(images.shape)}"
        )


def complaint(images: Tensor) -> str | None:
    """Say what is wrong with the values of some images; None: nothing, or it cannot be told."""
    if images.is_meta or not images.is_floating_point() or not images.numel() or torch.compiler.is_compiling():
        return None
    low, high = (float(value) for value in torch.aminmax(images))
    if low < 0:
        return f"pixel values are 0 to 255, these begin at {low:g}: give images as they are, not normalized"
    if 0 < high <= 1:
        return "pixel values are 0 to 255, these are 0 to 1: multiply them by 255, or give the bytes themselves"
    return None


def warn_of(images: Tensor) -> bool:
    """Warn of images whose values are wrong; returns whether there was something to say."""
    found = complaint(images)
    if found is not None:
        warnings.warn(found, UserWarning, stacklevel=5)
    return found is not None
