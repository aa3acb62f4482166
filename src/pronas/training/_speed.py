"""How fast a network trains here."""

from __future__ import annotations

import time

from pronas.data import Dataset
from pronas.machine import torch_threads
from pronas.networks import Network
from pronas.training._loop import Training
from pronas.training._recipe import Recipe
from pronas.training._tensors import Tensors


def images_per_second(network: Network, dataset: Dataset, recipe: Recipe, *, seconds: float = 1.0) -> float:
    """Return how many of the data set's images one thread trains a second, measured for about so many ``seconds``.

        >>> from pronas.data import load_dataset
        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> network = skeleton("flat", filters=(4,)).build(Cell.parse("0:3x3 conv + 0:3x3 maxpool"), (1, 8, 8), 10)
        >>> images_per_second(network, load_dataset("digits", limit=100), Recipe(batch=25), seconds=0.05) > 0
        True

    Args:
        network: trained a little by this; build another one to use.
        dataset: its training images are used.
        recipe: with its own batch and augmentation.
        seconds: how long to measure, after a first stretch that warms up.

    Returns:
        Images a second, the upper quartile over stretches of four steps; augmentation and the updates of weights have
        their part in the time.
    """
    short = recipe.suited(dataset).replace(epochs=1000, images=4 * recipe.batch, average=0.0)
    with torch_threads(1):
        training = Training(network, Tensors.of(dataset.train), None, short, seed=0)
        training.run_epoch()
        rates, start = [], time.perf_counter()
        while time.perf_counter() - start < seconds and not training.finished:
            before, since = training.images_trained, time.perf_counter()
            training.run_epoch()
            rates.append((training.images_trained - before) / (time.perf_counter() - since))
        return sorted(rates)[3 * len(rates) // 4]  # what else the machine does for a moment is not its speed
