"""How many images are held out to compare children, where the data has no validation images of its own."""

from __future__ import annotations

from dataclasses import replace

from pronas.data import Dataset, divided
from pronas.runs._config import Config

_ENOUGH = 500  # images, whose accuracy has a standard error of two points or less
_MOST = 0.3


def validation_share(images: int, usual: float) -> float:
    """Return the share of ``images`` to hold out: as many as a comparison needs, at most three tenths.

    The winner learns from them, too, so that they cost it nothing; with a tenth of a few hundred images, children and
    augmentations would be chosen by luck.

        >>> [round(validation_share(images, 0.1), 2) for images in (150, 2000, 4000, 50_000)]
        [0.3, 0.25, 0.12, 0.1]
    """
    return max(usual, min(_MOST, _ENOUGH / images))


def with_validation_share(config: Config, dataset: Dataset) -> Config:
    """``config`` with the share for a small set within a budget; as it is where a number was given."""
    if config.search.budget is None or config.data.validation is not None or dataset.held_out is None:
        return config
    share = validation_share(len(dataset.train) + len(dataset.validation), dataset.held_out)
    return config if share <= dataset.held_out else replace(config, data=replace(config.data, validation=share))


def held_out(config: Config) -> int | float | None:
    """The number or the share of validation images that a configuration says."""
    value = config.data.validation
    return value if value is None or value < 1 else int(value)


def divided_as(config: Config, dataset: Dataset) -> Dataset:
    """Images that a caller has in memory as ``config`` divides them; those with validation images of their own as they
    are."""
    validation = held_out(config)
    return dataset if validation is None or dataset.held_out is None else divided(dataset, validation, config.seed)
