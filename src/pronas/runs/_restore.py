"""Of a finished run, what follows from its store and was deleted."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from pronas.files import write_atomic
from pronas.runs._children import Children
from pronas.runs._choose import choose, state_space
from pronas.runs._disk import disk_errors
from pronas.runs._experiment import Experiment
from pronas.runs._legacy_files import HISTORY, architectures
from pronas.runs._lock import RunLock
from pronas.runs._mistakes import MISTAKES, bring_back_mistakes
from pronas.runs._open import CONFIG
from pronas.runs._tensorboard import LOGS
from pronas.runs.store import Store
from pronas.runs.toml import dumps


def restore(experiment: Experiment) -> None:
    """Write the files for people anew where one of them is missing; the run's images are not needed.

    Raises:
        RunError: the folder is in use or cannot be written.
    """
    folder, config = experiment.path, experiment.config
    names: list[str | Path] = [CONFIG, HISTORY, architectures(config.data.name), LOGS]
    if experiment.meta("mistakes") is not None:
        names.append(MISTAKES)
    if all((folder / name).exists() for name in names):
        return
    space = state_space(choose(config))  # which imports the run's modules
    with RunLock(folder), closing(Store(folder)) as store:
        with disk_errors(folder):
            write_atomic(folder / CONFIG, dumps(config.to_dict()))
            bring_back_mistakes(folder, store)
        untold = replace(config, execution=replace(config.execution, track=None))
        children = Children(folder, store, untold, space)
        children.flush()
        children.observers.close()
