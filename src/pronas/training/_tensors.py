"""Images on the device: the whole data set as tensors, batches by index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from pronas.data import Augmentation, Split, expand
from pronas.errors import DataError
from pronas.training._recipe import Recipe


@dataclass(frozen=True)
class Tensors:
    """One split on a device: ``images`` uint8 (n, C, H, W), ``labels`` int64 (n,).

    Images stay bytes: gathering a batch of bytes and converting it is faster than gathering floats, and takes a quarter
    of the memory.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, split: Split, device: torch.device | str = "cpu") -> Tensors:
        """Put a split on ``device``; on a CPU nothing is copied."""
        return cls.of_arrays(split.images, split.labels, device)

    @classmethod
    def of_arrays(cls, images: NDArray[Any], labels: NDArray[Any], device: torch.device | str = "cpu") -> Tensors:
        """Put arrays on ``device``; on a CPU nothing is copied.

        Raises:
            DataError: there is no image.
        """
        if len(images) == 0:
            raise DataError("a split without images cannot be trained on or evaluated")
        return cls(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device))

    def shuffled(
        self, batch: int, generator: torch.Generator, steps: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield random whole batches of one epoch, ``steps`` at the most; the rest is left out.

        Every step has one shape, which keeps the library's prepared kernels in use, and no batch is too small for batch
        norm. A split smaller than ``batch`` is one batch.
        """
        order = torch.randperm(len(self), generator=generator).to(self.labels.device)
        size = min(batch, len(self))
        last = len(self) - size if steps is None else min(len(self) - size, (steps - 1) * size)
        for start in range(0, last + 1, size):
            index = order[start : start + size]
            yield self.images.index_select(0, index), self.labels.index_select(0, index)

    def steps(self, batch: int, images: int | None = None) -> int:
        """How many batches an epoch has, of all images or of ``images`` at the most."""
        return max(1, min(len(self), images or len(self)) // batch)

    def in_order(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all images in order."""
        return zip(torch.split(self.images, batch), torch.split(self.labels, batch), strict=True)


def training_split(split: Split, recipe: Recipe, seed: int) -> Split:
    """Give the images to train on: with turned and shifted copies where the augmentation asks for expansion."""
    expansion = isinstance(recipe.augmentation, Augmentation) and recipe.augmentation.expansion
    return expand(split, seed) if expansion else split
