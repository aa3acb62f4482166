"""The images of a run, or of a training, that is over, for what comes after it."""

from __future__ import annotations

import os
from pathlib import Path

from pronas.data import Dataset
from pronas.errors import RunError
from pronas.runs._config import Config
from pronas.runs._open import CONFIG
from pronas.runs._parse import read_toml
from pronas.runs._resolve import load


def stored_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """The data set of a search's or a training's folder, split as it was.

    Args:
        folder: of `pronas.search` or `pronas.runs.train`.

    Returns:
        Training, validation and test images, uint8 (n, C, H, W).

    Raises:
        RunError: there is none.
        DataError: the images are not where they were.
        UsageError: its ``config.toml`` makes no sense.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise RunError(f"{folder}: no run ({CONFIG} is missing)")
    return load(Config.from_dict(read_toml(path), str(path)), stored=True)
