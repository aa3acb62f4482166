"""Training and validation images of a set in memory, divided anew."""

from __future__ import annotations

from dataclasses import replace

from pronas.data._groups import held_out
from pronas.data._types import Dataset, joined


def divided(dataset: Dataset, validation: int | float, seed: int) -> Dataset:
    """Divide training and validation images anew; groups stay together, the test set as it is.

        >>> from pronas.data import load_dataset
        >>> divided(load_dataset("digits"), 0.4, seed=0)
        Dataset('digits', 863 + 575 + 359 images of (1, 8, 8), 10 classes)

    Args:
        dataset: any.
        validation: how many images are held out (int) or which fraction (float), every class in proportion.
        seed: of the choice.

    Returns:
        The set as it is but for its training and validation images.

    Raises:
        UsageError: no fraction, or a number that leaves a class without images.
    """
    both = joined(dataset.train, dataset.validation)
    kept, out = held_out(both.labels, both.groups, validation, seed, "validation")
    return replace(dataset, train=both.take(kept), validation=both.take(out), key=None, held_out=None)
