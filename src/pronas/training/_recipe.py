"""Recipes: everything that decides how a network is trained, as data."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, cast, get_args, get_type_hints

from pronas.data import Augmentation, Dataset, augmentation_names, default_augmentation
from pronas.errors import UsageError, nearest
from pronas.metrics import metric as find_metric
from pronas.training._losses import LOSSES
from pronas.training._optimizers import OPTIMIZERS
from pronas.training._registry import Registry
from pronas.training._schedules import SCHEDULES

Policy = Literal["light", "standard", "strong"]
_REGISTRIES: dict[str, Registry[Any]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES}
CLASS_WEIGHTS = ("balanced",)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Plain data: two equal recipes train alike.

        >>> recipe = Recipe(epochs=10, optimizer="sgd", learning_rate=0.1, schedule="linear", warmup=0.2)
        >>> recipe.replace(epochs=20).epochs
        20
        >>> Recipe.from_dict({"optimizer": "adamm"})
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: recipe: unknown optimizer 'adamm'; did you mean 'adam'? (there are ...)

    Attributes:
        name: what it is called in stores and messages; says nothing to the training itself.
        epochs: passes over the training images.
        images: images an epoch, a fresh random choice each time; None: all. Large sets are trained on in parts, so that
            the schedule's end and the looks at the validation images come in time.
        batch: images a step; the images left over at the end of an epoch wait for the next shuffle.
        optimizer: ``adam``, ``adamw`` (decoupled weight decay), ``sgd`` (with Nesterov momentum), ``rmsprop``, or the
            name of one that was registered (``pronas.register_optimizer``).
        learning_rate: the highest rate of the schedule, before a layer's own multiplier.
        momentum: SGD's momentum; Adam's first beta.
        beta2: Adam's second beta; RMSprop's decay of the squares.
        epsilon: Adam's or RMSprop's.
        amsgrad: Adam with the largest second moment seen so far.
        weight_decay: on convolution and dense weights; never on batch norm, biases or latent binary weights.
        schedule: ``constant``, or ``cosine``, ``exponential`` or ``linear`` from the rate to ``final`` times the rate
            (``linear`` with a long warm-up is known as one-cycle), or one that was registered
            (``pronas.register_schedule``). It starts afresh with every network.
        warmup: share of all steps over which the rate first rises linearly from (almost) nothing.
        final: the last step's rate as a share of ``learning_rate``.
        loss: ``cross-entropy``, ``squared-hinge`` (mean over images and classes of max(0, 1 - t y)^2, t = ±1), or
            one that was registered (``pronas.register_loss``).
        label_smoothing: share of the target spread over all classes (cross-entropy only).
        auxiliary: weight of the auxiliary head's loss, where the skeleton has such a head (drop path, too, belongs to
            the skeleton; its schedule follows the epochs).
        clip_norm: largest norm of the gradient of all weights together; None: not clipped.
        mixed_precision: whether convolutions and dense layers multiply in bfloat16 in training (weights, batch norm and
            loss stay float32); meant for GPUs: on a CPU without bfloat16 units it is slower.
        average: share of all steps, at the end, whose weights are averaged into those that are kept (Izmailov et al.
            2018); 0: none.
        metric: what the best epoch is chosen by, and a child's reward: a name of ``pronas.metrics``; None: accuracy.
        class_weights: ``balanced``: an image weighs in the loss by the inverse frequency of its class
            (``pronas.data.class_weights``); None: all weigh 1.
        augmentation: what is done to training batches; ``light``, ``standard`` or ``strong``: what suits the data set
            (``pronas.data.default_augmentation``); the name of one that was registered (``pronas.augmentation``); None:
            nothing.
    """

    name: str = "custom"
    epochs: int = 5
    images: int | None = None
    batch: int = 128
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    amsgrad: bool = False
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup: float = 0.0
    final: float = 0.1
    loss: str = "cross-entropy"
    label_smoothing: float = 0.0
    auxiliary: float = 0.4
    clip_norm: float | None = None
    mixed_precision: bool = False
    average: float = 0.0
    metric: str | None = None
    class_weights: str | None = None
    augmentation: Augmentation | Policy | None = None

    def __post_init__(self) -> None:
        for field, registry in _REGISTRIES.items():
            registry[getattr(self, field)]
        for field, low, high in _RANGES:
            value = getattr(self, field)
            if value is not None and not low <= value <= high:
                raise UsageError(f"recipe: {field} must lie in [{low:g}, {high:g}], not {value!r}")
        if self.metric is not None:
            find_metric(self.metric)
        if self.class_weights is not None:
            _check_choice("class_weights", self.class_weights, CLASS_WEIGHTS)
        object.__setattr__(self, "augmentation", _augmentation(self.augmentation))

    def replace(self, **changes: Any) -> Self:
        """Return the recipe with some fields changed.

        Raises:
            UsageError: there is no such field, or its value makes no sense.
        """
        return type(self).from_dict({**self.to_dict(), **changes})

    def suited(self, dataset: Dataset) -> Self:
        """Return the recipe with its augmentation spelt out for ``dataset``."""
        if not isinstance(self.augmentation, str):
            return self
        chosen = default_augmentation(dataset, strength=self.augmentation)
        return dataclasses.replace(self, augmentation=chosen)

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that ``from_dict`` reads; fields that are None are left out (TOML has no null)."""
        values = dataclasses.asdict(self)
        if isinstance(self.augmentation, Augmentation):
            values["augmentation"] = self.augmentation.to_dict()
        return {key: value for key, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read ``to_dict``'s form; missing fields have their defaults.

        Raises:
            UsageError: an unknown field, a value of the wrong type or out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                raise UsageError(f"recipe: no field {key!r}{nearest(key, known)}")
        plain = dict(values)
        augmentation = plain.pop("augmentation", None)
        for key, value in plain.items():
            plain[key] = _convert(key, value)
        return cls(**plain, augmentation=_augmentation(augmentation))


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("epochs", 1, 1_000_000),
    ("batch", 1, 1_000_000),
    ("images", 1, 1e12),
    ("average", 0.0, 1.0),
    ("learning_rate", 0.0, 1e6),
    ("momentum", 0.0, 1.0),
    ("beta2", 0.0, 1.0),
    ("epsilon", 0.0, 1.0),
    ("weight_decay", 0.0, 1e6),
    ("warmup", 0.0, 1.0),
    ("final", 0.0, 1.0),
    ("label_smoothing", 0.0, 1.0),
    ("auxiliary", 0.0, 1e6),
    ("clip_norm", 0.0, 1e9),
)


def _check_choice(field: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(
            f"recipe: unknown {field} {value!r}{nearest(str(value), choices)} (there are {', '.join(choices)})"
        )


@functools.cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Recipe)  # a millisecond or two, and asked for every field of every child


def _convert(key: str, value: Any) -> Any:
    """Check a plain value's type: whole numbers may stand for fractions, nothing else is converted."""
    hint = _hints()[key]
    kinds = get_args(hint) or (hint,)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if key in _REGISTRIES:  # checked with the names that are known
        return value
    if not any(isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) for kind in kinds):
        raise UsageError(f"recipe: {key} must be {' or '.join(kind.__name__ for kind in kinds)}, not {value!r}")
    return value


def _augmentation(value: Any) -> Augmentation | Policy | None:
    if value is None or isinstance(value, Augmentation):
        return value
    if isinstance(value, str):
        if value in augmentation_names():
            return Augmentation(then=(value,))
        _check_choice("augmentation", value, (*get_args(Policy), *augmentation_names()))
        return cast(Policy, value)
    try:
        return Augmentation(**value)
    except TypeError as error:
        known = ", ".join(field.name for field in dataclasses.fields(Augmentation))
        raise UsageError(f"recipe: augmentation takes {known}; {error}") from error
