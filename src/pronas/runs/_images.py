"""The images of a run, or of a training, that is over, for what comes after it."""

from __future__ import annotations

import os
from pathlib import Path

from pronas.data import Dataset
from pronas.errors import RunError
from pronas.runs._config import Config
from pronas.runs._experiment import Experiment
from pronas.runs._open import CONFIG, check_dataset
from pronas.runs._parse import read_toml
from pronas.runs._resolve import load
from pronas.runs._train import stored_result
from pronas.runs.store import STORE


def stored_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """The data set of a search's or a training's folder, split as it was.

    Args:
        folder: of `pronas.search` or `pronas.runs.train`.

    Returns:
        Training, validation and test images, uint8 (n, C, H, W).

    Raises:
        RunError: there is none, or its images are others now.
        DataError: the images are not where they were.
        UsageError: its ``config.toml`` makes no sense.
    """
    path = Path(folder)
    if (path / STORE).is_file():
        experiment = Experiment(path)
        config, facts = experiment.config, experiment.meta("dataset")
    elif (path / CONFIG).is_file():
        config = Config.from_dict(read_toml(path / CONFIG), str(path / CONFIG))
        facts = (stored_result(path) or {}).get("dataset")
    else:
        raise RunError(f"{folder}: no run ({CONFIG} is missing)")
    dataset = load(config, stored=True)
    check_dataset(path, facts, dataset)
    return dataset
