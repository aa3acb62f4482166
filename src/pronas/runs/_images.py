"""The images of a run that is over, for what comes after it."""

from __future__ import annotations

import os
from pathlib import Path

from pronas.data import Dataset
from pronas.runs._experiment import stored_config
from pronas.runs._resolve import load


def stored_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """The data set of a run, split as it was.

    Raises:
        RunError: there is no run.
        DataError: the images are not where they were.
    """
    return load(stored_config(Path(folder)), stored=True)
