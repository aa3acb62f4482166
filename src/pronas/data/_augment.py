"""Standard augmentation, as tensor code on whole batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

from pronas.data._expand import moved
from pronas.data._scale import scale_of
from pronas.data._types import Dataset
from pronas.errors import UsageError, nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Change = Callable[["Tensor", "torch.Generator"], "Tensor"]
#: What users have registered, by name: a function of images (n, C, H, W) and a generator.
AUGMENTATIONS: dict[str, Change] = {}


def augmentation(name: str) -> Callable[[Change], Change]:
    """Register the decorated function as the augmentation ``name``, for recipes, TOML files and `Augmentation.then`.

    It gets a batch of images (n, C, H, W), pixel values 0…255, uint8 or float, and a ``torch.Generator``, the source of
    every random choice; it returns a batch of the same shape, type and device, and does not change its argument.
    Registering a name again replaces it. For workers, register in a module that ``modules`` names.

        >>> @augmentation("negative")
        ... def negative(images, generator):
        ...     return 255 - images

    Args:
        name: as recipes, TOML files and `Augmentation.then` name it.

    Returns:
        A decorator; it tries the function once, on black images of uint8, and gives it back as it is.

    Raises:
        UsageError: (of the decorator) every batch that was tried changed its shape or type, or became no tensor. What
            raises an exception on one is tried on the next size, and is not refused here: it may want other images.
    """

    def register(change: Change) -> Change:
        _try_once(name, change)
        AUGMENTATIONS[name] = change
        return change

    return register


def augmentation_names() -> tuple[str, ...]:
    """The names that were registered.

        >>> _ = augmentation("mirrored twice")(lambda images, generator: images.flip(3).flip(3))
        >>> "mirrored twice" in augmentation_names()
        True

    Returns:
        The names, in the order of registration.
    """
    return tuple(AUGMENTATIONS)


def registered(name: str) -> Change:
    """The augmentation of that name.

    Raises:
        UsageError: nobody registered it.
    """
    if name not in AUGMENTATIONS:
        there = f" (there are {', '.join(AUGMENTATIONS)})" if AUGMENTATIONS else " (none is registered)"
        raise UsageError(f"no augmentation is called {name!r}{nearest(name, AUGMENTATIONS)}{there}")
    return AUGMENTATIONS[name]


#: Sizes (C, H, W) of the images that a function is tried on; some want more than 8x8, or are made for one size.
_TRIED = ((3, 8, 8), (3, 32, 32), (1, 28, 28))


def _try_once(name: str, change: Change) -> None:
    """Refuse what keeps the shape and type of none of `_TRIED`."""
    import torch

    refused = []
    for size in _TRIED:
        images = torch.zeros(2, *size, dtype=torch.uint8)
        try:
            result = change(images, torch.Generator().manual_seed(0))
        except Exception:  # whatever it wants of its images, or of what its module defines further down
            continue
        try:
            _checked(name, result, images)
            return
        except UsageError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _checked(name: str, result: Tensor, images: Tensor) -> Tensor:
    import torch

    if not isinstance(result, torch.Tensor):
        raise UsageError(f"augmentation {name!r}: images became {type(result).__name__}; they must stay a tensor")
    wanted = (tuple(images.shape), images.dtype, images.device)
    found = (tuple(result.shape), result.dtype, result.device)
    if found != wanted:
        raise UsageError(
            f"augmentation {name!r}: images of shape {wanted[0]}, {wanted[1]} on {wanted[2]} became {found[0]}, "
            f"{found[1]} on {found[2]}; they must stay as they are but for their values"
        )
    return result


@final
@dataclass(frozen=True)
class Augmentation:
    """Random changes to training images that keep their class.

        >>> import torch
        >>> images = torch.arange(128, dtype=torch.uint8).view(2, 1, 8, 8)
        >>> Augmentation(crop=2, flip=True, fill=255).apply(images, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 1, 8, 8])

    Attributes:
        crop: pixels added on every side before a window of the old size is cut out at random (He et al. 2016); 0: none.
        flip: mirror half of the images left to right.
        cutout: side in pixels of a square painted over, its centre anywhere in the image, so that it may lie partly
            outside (DeVries & Taylor 2017); 0: none.
        expansion: before training, add turned and shifted copies of every image (``USE_EXPANSION``), :func:`expand`;
            :meth:`apply` does not.
        reflect: what a crop adds is the image mirrored at its edge rather than ``fill``.
        fill: pixel value, or one a channel, of what a crop or a rotation adds and a cutout paints.
        rotate: degrees by which an image is turned at most, either way, bilinear; 0: none.
        brightness: share of 255 that is added or taken away at most, the same in all of an image; 0: none.
        contrast: share by which differences from the image's mean are stretched or shrunk at most; 0: none.
        then: names of registered augmentations (:func:`augmentation`) that follow, in this order.

    They are done in the order: rotate, crop, flip, contrast and brightness, cutout, then ``then``.

    Raises:
        UsageError: a negative size, a share above 1, a pixel value outside 0…255, or a name that nobody registered.
    """

    crop: int = 0
    flip: bool = False
    cutout: int = 0
    expansion: bool = False
    reflect: bool = False
    fill: tuple[int, ...] = (0,)
    rotate: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    then: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the sizes; accept a number or a list for ``fill``."""
        fill = (self.fill,) if isinstance(self.fill, int) else tuple(self.fill)
        object.__setattr__(self, "fill", fill)
        if self.crop < 0 or self.cutout < 0:
            raise UsageError(f"augmentation: crop={self.crop} and cutout={self.cutout} must be 0 or more pixels")
        if not fill or not all(0 <= value <= 255 for value in fill):
            raise UsageError(f"augmentation: fill={self.fill} must be pixel values 0…255")
        for name, most in (("rotate", 180), ("brightness", 1), ("contrast", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise UsageError(f"augmentation: {name}={getattr(self, name)} must lie between 0 and {most}")
        object.__setattr__(self, "then", (self.then,) if isinstance(self.then, str) else tuple(self.then))
        for name in self.then:
            registered(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, keywords of this class; what came after the first version is left out where it does nothing."""
        later = ("rotate", "brightness", "contrast", "then")
        return {name: value for name, value in asdict(self).items() if value or name not in later}

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment a batch, each image by itself.

        Args:
            images: (n, C, H, W), pixel values 0…255, uint8 or float, in either memory format. Not changed.
            generator: source of every random choice: the same state gives the same images, on any device.

        Returns:
            A tensor of the same shape, type, device and memory format (the argument itself where nothing is asked).

        Raises:
            UsageError: a crop beyond what reflection can fill, or ``fill`` of another number of channels.
        """
        if self.rotate:
            images = self._turned(images, generator)
        if self.crop or self.flip or self.contrast or self.brightness or self.cutout:
            images = self._changed(images, generator)
        for name in self.then:
            images = _checked(name, registered(name)(images, generator), images)
        return images

    def _changed(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
        # both memory formats as (n, planes, H, W, values a pixel): one code moves whole rows in either
        grid = images.permute(0, 2, 3, 1).unsqueeze(1) if last else images.contiguous().unsqueeze(4)
        fill = self._fill(grid, images.shape[1])
        out = self._crop(grid, fill, generator) if self.crop else grid.clone()
        if self.flip:
            chosen = (torch.rand(len(out), generator=generator, device=generator.device) < 0.5).to(out.device)
            indexes = chosen.nonzero()[:, 0]
            out[indexes] = out[indexes].flip(3)
        if self.contrast or self.brightness:
            out = self._lit(out, generator)
        if self.cutout:
            out = torch.where(self._holes(out, generator), fill, out)
        return out.squeeze(1).permute(0, 3, 1, 2) if last else out.squeeze(4)

    def _turned(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        n, channels = images.shape[:2]
        share = torch.rand(n, generator=generator, device=generator.device).to(images.device) * 2 - 1
        fill = torch.tensor(self.fill, dtype=torch.float32, device=images.device).view(1, -1, 1, 1)
        self._check_fill(channels)
        still = torch.zeros(2, n, device=images.device)
        out = moved(images, share * math.radians(self.rotate), still, fill, reflect=self.reflect)
        last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
        return out.contiguous(memory_format=torch.channels_last) if last else out

    def _lit(self, grid: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        share = torch.rand((2, len(grid)), generator=generator, device=generator.device).to(grid.device) * 2 - 1
        gain, offset = (1 + self.contrast * share[0]), 255 * self.brightness * share[1]
        values = grid.float()
        # gain * (value - mean) + mean + offset, in one multiplication and one addition
        mean = values.mean((1, 2, 3, 4))
        changed = torch.addcmul(
            (mean * (1 - gain) + offset).view(-1, 1, 1, 1, 1), values, gain.view(-1, 1, 1, 1, 1)
        ).clamp_(0, 255)
        return changed.to(grid.dtype) if grid.is_floating_point() else changed.round_().to(grid.dtype)

    def _check_fill(self, channels: int) -> None:
        if len(self.fill) not in (1, channels):
            raise UsageError(f"augmentation: fill has {len(self.fill)} values, the images {channels} channels")

    def _fill(self, grid: Tensor, channels: int) -> Tensor:
        import torch

        self._check_fill(channels)
        value = torch.tensor(self.fill, dtype=grid.dtype, device=grid.device)
        return value.view(-1, 1, 1, 1) if grid.shape[4] == 1 and grid.shape[1] == channels else value

    def _crop(self, grid: Tensor, fill: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        n, planes, height, width, depth = grid.shape
        steps = 2 * self.crop + 1
        shift = torch.randint(steps, (2, n), generator=generator, device=generator.device).to(grid.device)
        padded = self._padded(grid, fill)
        row = padded.shape[3] * depth
        # every window of every image as a view: picking one an image copies whole rows, without a loop
        windows = padded.as_strided(
            (n, steps, steps, planes, height, width * depth),
            (planes * padded.shape[2] * row, row, depth, padded.shape[2] * row, row, 1),
        )
        picked = windows[torch.arange(n, device=grid.device), shift[0], shift[1]]
        return picked.view(n, planes, height, width, depth)

    def _padded(self, grid: Tensor, fill: Tensor) -> Tensor:
        n, planes, height, width, depth = grid.shape
        pad = self.crop
        if self.reflect:
            return grid.index_select(2, _mirror(height, pad, grid)).index_select(3, _mirror(width, pad, grid))
        out = grid.new_empty(n, planes, height + 2 * pad, width + 2 * pad, depth)
        out[:] = fill
        out[:, :, pad : pad + height, pad : pad + width] = grid
        return out

    def _holes(self, grid: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        n, _, height, width, _ = grid.shape
        centre = torch.rand((2, n, 1), generator=generator, device=generator.device).to(grid.device)
        rows, columns = (
            (torch.arange(side, device=grid.device) - (centre[axis] * side).floor() + self.cutout // 2).float()
            for axis, side in enumerate((height, width))
        )
        inside = [(offset >= 0) & (offset < self.cutout) for offset in (rows, columns)]
        return (inside[0][:, :, None] & inside[1][:, None, :])[:, None, :, :, None]


def _mirror(side: int, pad: int, like: Tensor) -> Tensor:
    import torch

    if pad >= side:
        raise UsageError(f"augmentation: crop={pad} needs images of more than {pad} pixels a side to reflect")
    position = torch.arange(-pad, side + pad, device=like.device).abs()
    return torch.where(position >= side, 2 * (side - 1) - position, position)


def default_augmentation(dataset: Dataset, *, strength: str = "standard") -> Augmentation:
    """What suits a data set: crops for all (an eighth of the side), flips where a mirror image is as likely.

    Handwritten digits are not flipped, Fashion-MNIST and colour photographs are; other grayscale sets are not, since
    they may be writing. Colour is cropped with reflected edges.

        >>> from pronas.data import load_dataset
        >>> default_augmentation(load_dataset("digits", limit=100)).flip  # a mirrored digit is none
        False

    Args:
        dataset: names and shapes decide; the pixel mean of its training images is the fill (0 for the MNIST family).
        strength: ``light``: crops of a sixteenth of the side and nothing else, which keeps the class of any image;
            ``standard``; ``strong``: with the cutout of full training, half the side for colour, a quarter for gray.

    Returns:
        The augmentation; deterministic, so the same for the same data set.

    Raises:
        UsageError: another strength.
    """
    if strength not in ("light", "standard", "strong"):
        raise UsageError(f"augmentation: no strength {strength!r} (there are light, standard, strong)")
    channels, height, width = dataset.input_shape
    side, colour = min(height, width), channels >= 3
    dark = dataset.name in ("digits", "mnist", "fashion-mnist")
    return Augmentation(
        crop=max(1, side // 16 if strength == "light" else (side + 4) // 8),
        flip=strength != "light" and (colour or dataset.name == "fashion-mnist"),
        cutout=side // (2 if colour else 4) if strength == "strong" else 0,
        reflect=colour,
        fill=(0,) if dark else tuple(round(value) for value in scale_of(dataset).mean),
    )
