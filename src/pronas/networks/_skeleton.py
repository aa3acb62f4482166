"""Skeletons: small frozen dataclasses that say how a cell is made into a network."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch

from pronas.errors import UsageError, nearest, shown
from pronas.networks._network import Network, Origin
from pronas.networks._plan import NetworkPlan
from pronas.space import Cell

PixelScale = tuple[Sequence[float], Sequence[float]]


class Skeleton(ABC):
    """How a cell is made into a network. Subclasses are frozen dataclasses whose fields are plain values.

    >>> flat = skeleton("flat", filters=(8, 16))
    >>> flat.scaled(0.5).filters, flat.to_dict()["name"]
    ((4, 8), 'flat')
    """

    name: ClassVar[str]
    binary: ClassVar[bool] = False
    widths: ClassVar[tuple[str, ...]] = ("filters", "stem", "head")
    """Fields that hold numbers of filters: what `scaled` changes."""
    width_step: ClassVar[int] = 4
    """What `scaled` makes them multiples of: vectors and bytes are filled by them."""

    @abstractmethod
    def plan(self, cell: Cell, input_shape: Sequence[int], classes: int) -> NetworkPlan:
        """The network as plain data.

        Raises:
            UsageError: an operator that the skeleton cannot build, an image smaller than 8x8, fewer than two classes.
        """

    def build(
        self, cell: Cell, input_shape: Sequence[int], classes: int, *, seed: int = 0, scale: PixelScale | None = None
    ) -> Network:
        """Build and initialise the network, in training mode, on the CPU, kernels channels last.

        Args:
            cell: the structure of every cell.
            input_shape: (channels, height, width) of the images, 8x8 or more.
            classes: number of classes, two or more.
            seed: of the initialisation; the global random generator is left as it was.
            scale: (mean, std) of the pixels, one value a channel, in units of 0…255; None stands for 127.5 and 127.5.
                Binary networks read 2x - 255 whatever it says.

        Raises:
            UsageError: as `plan`, or a scale that does not fit.
        """
        plan = self.plan(cell, input_shape, classes)
        gain, offset = self._image_scale(scale, plan.input_shape[0])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Network(plan, gain, offset)
        network.origin = Origin(str(cell), self.to_dict(), scale)
        # the layout decides the last bits, of predictions too, so it goes with the network wherever it is used
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _image_scale(self, scale: PixelScale | None, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.binary:
            return torch.full((channels,), 2.0), torch.full((channels,), -255.0)
        mean, std = scale or ([127.5] * channels, [127.5] * channels)
        if len(mean) != channels or len(std) != channels or not all(s > 0 for s in std):
            raise UsageError(f"the scale {scale!r} does not fit: give {channels} means and as many positive deviations")
        return torch.tensor([1 / s for s in std]), torch.tensor([-m / s for m, s in zip(mean, std, strict=True)])

    def scaled(self, width: float, step: int | None = None) -> Self:
        """The same skeleton with ``width`` times as many filters everywhere, in steps of ``step`` or `width_step`.

        The width multiplier of Howard et al. 2017 (MobileNet, section 3.3).
        """
        step = step or self.width_step

        def scale(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(scale(one) for one in value)
            return value and max(1, round(value * width / step)) * step

        fields = [f.name for f in dataclasses.fields(self) if f.name in self.widths]  # type: ignore[arg-type]
        return dataclasses.replace(self, **{name: scale(getattr(self, name)) for name in fields})  # type: ignore[type-var]

    def shapes(self, input_shape: Sequence[int]) -> dict[str, Self]:
        """Other outer shapes worth trying on images of (channels, height, width), by name; here none."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Plain data (``name`` and the fields) that `skeleton_from_dict` reads."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if not _unsaid(self, f)}  # type: ignore[arg-type]
        return {"name": self.name, **{name: _plain(value) for name, value in found.items()}}


#: Metadata of a field that files of earlier versions do not know: it is written only where it is not the default.
LATER = {"later": True}


def _unsaid(made: Skeleton, field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get("later")) and getattr(made, field.name) == field.default


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


SKELETONS: dict[str, type[Skeleton]] = {}


def register_skeleton(cls: type[Skeleton]) -> type[Skeleton]:
    """Class decorator: make a skeleton known by its ``name``; registering a name again replaces it.

        >>> from dataclasses import dataclass
        >>> @register_skeleton
        ... @dataclass(frozen=True)
        ... class Single(Skeleton):
        ...     name = "single"
        ...     filters: int = 8
        ...
        ...     def plan(self, cell, input_shape, classes):
        ...         return skeleton("flat", filters=(self.filters,)).plan(cell, input_shape, classes)
        >>> skeleton("single", filters=4).build(Cell.parse("0:3x3 conv + 0:identity"), (1, 8, 8), 2).plan.classes
        2

    Args:
        cls: a frozen dataclass derived from `Skeleton`, each field with a default.

    Returns:
        The class as it is.

    Raises:
        UsageError: not a dataclass of `Skeleton` with a name and defaults, or (with the defaults) its network does not
            give one logit a class.
    """
    name = getattr(cls, "name", None)
    if not (isinstance(cls, type) and issubclass(cls, Skeleton) and dataclasses.is_dataclass(cls) and name):
        raise UsageError(f"{cls!r} cannot be registered: a skeleton is a frozen dataclass of Skeleton with a `name`")
    if not cls.__module__.startswith("pronas."):
        _try(cls)
    SKELETONS[cls.name] = cls
    return cls


def _try(cls: type[Skeleton]) -> None:
    """Build a small network without memory, and look at its logits."""
    shape, classes = (3, 16, 16), 5
    try:
        made = cls()
    except TypeError as error:
        raise UsageError(f"the skeleton {cls.name!r} cannot be made: every field needs a default ({error})") from error
    plan = made.plan(Cell.parse("-1:identity + -1:3x3 maxpool"), shape, classes)
    with torch.device("meta"), torch.no_grad():
        network = Network(plan, torch.ones(shape[0]), torch.zeros(shape[0])).eval()
        logits = network(torch.zeros(2, *shape))
    if tuple(logits.shape) != (2, classes):
        raise UsageError(
            f"the skeleton {cls.name!r} gives {tuple(logits.shape)} for 2 images of {classes} classes: "
            f"it must give one logit a class, (2, {classes})"
        )


def skeleton(name: str, **options: Any) -> Skeleton:
    """The skeleton of that name; options are its fields.

        >>> skeleton("flat", filters=(8, 16)).filters
        (8, 16)

    Args:
        name: ``flat``, ``residual``, ``binary``, ``pnas-cifar``, ``pnas-imagenet``, or a user's.
        **options: its fields, see its class.

    Returns:
        The skeleton; frozen, so it can be compared, hashed and sent to workers.

    Raises:
        UsageError: unknown name or option, or a value that makes no sense.
    """
    cls = SKELETONS.get(name)
    if cls is None:
        raise UsageError(f"no skeleton is called {name!r}{nearest(name, SKELETONS)} (known: {', '.join(SKELETONS)})")
    fields = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for option in options:
        if option not in fields:
            hint = nearest(option, fields)
            raise UsageError(f"the skeleton {name!r} has no option {option!r}{hint} (options: {', '.join(fields)})")
    return cls(**options)


def skeleton_from_dict(d: dict[str, Any]) -> Skeleton:
    """The inverse of `Skeleton.to_dict`.

        >>> skeleton_from_dict(skeleton("flat", filters=(8,)).to_dict()) == skeleton("flat", filters=(8,))
        True

    Args:
        d: ``name`` and the fields that are not the defaults.

    Returns:
        The skeleton; equal to the one that was written.

    Raises:
        UsageError: as `skeleton`.
    """
    options = dict(d)
    return skeleton(str(options.pop("name", "")), **options)


def check_shape(input_shape: Sequence[int], classes: int) -> tuple[int, int, int]:
    """Return the shape as a tuple of three.

    Raises:
        UsageError: not (channels, height, width), smaller than 8x8, or fewer than two classes.
    """
    shape = tuple(int(v) for v in input_shape)
    if len(shape) != 3 or shape[0] < 1 or min(shape[1:]) < 8 or max(shape) > MOST_FILTERS:
        raise UsageError(
            f"the input shape {shape} is not (channels, height, width) with a height and width of 8 or more"
        )
    if classes < 2:
        raise UsageError(f"{classes} classes: a classifier needs two or more")
    return (shape[0], shape[1], shape[2])


#: More filters, or more entries of a list, are a slip of the finger or a forged file, and would take all memory.
MOST_FILTERS, MOST_ENTRIES = 65_536, 1024


def check_ints(what: str, values: Any, least: int = 1, most: int = MOST_FILTERS) -> tuple[int, ...]:
    """Return ``values`` as a non-empty tuple of integers from ``least`` to ``most``.

    Raises:
        UsageError: they are not.
    """
    try:
        result = tuple(values)
    except TypeError:
        result = (values,)
    if not result or any(isinstance(v, bool) or not isinstance(v, int) or v < least for v in result):
        raise UsageError(f"{what} is {shown(values)}: give one or more integers of {least} or more")
    if max(result) > most or len(result) > MOST_ENTRIES:
        raise UsageError(f"{what} is {shown(values)}: at most {MOST_ENTRIES} numbers, and none above {most:,}")
    return result


def check_fraction(what: str, value: float) -> None:
    """Raise unless 0 <= value < 1.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise UsageError(f"{what} is {value!r}: give a number from 0 to below 1")
