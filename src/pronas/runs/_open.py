"""Third: a run folder opened for writing: found or made, locked, and checked against what is searched."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pronas.data import Dataset
from pronas.errors import FolderTakenError, RunError
from pronas.files import write_atomic
from pronas.runs._config import Config
from pronas.runs._differences import differing, say_differing
from pronas.runs._disk import disk_errors
from pronas.runs._experiment import stored_config
from pronas.runs._lock import RunLock
from pronas.runs._resolve import Problem
from pronas.runs._schema import connect
from pronas.runs.store import STORE, Store, read_meta
from pronas.runs.toml import dumps
from pronas.version import installed_version

DEFAULT = "pronas-run"
CONFIG = "config.toml"


@dataclass(frozen=True)
class Run:
    """An open run: its folder, what is searched, its store, and whether it existed before."""

    folder: Path
    problem: Problem
    store: Store
    resumed: bool

    @property
    def config(self) -> Config:
        """The resolved configuration, as the run keeps it."""
        return self.problem.config


@contextmanager
def open_run(problem: Problem) -> Iterator[Run]:
    """Lock the folder of a search and open the run in it, or begin one; close it at the end.

    The folder is the one that was named, or the first of ``pronas-run``, ``pronas-run-2``, … that is free or holds this
    very search. Of a run that exists, only ``execution`` and the images' place may change.

    Raises:
        FolderTakenError: the folder holds something else, or another search (the keys are named).
        RunError: in use, unwritable, of another version, or its images have changed.
    """
    folder = _choose_folder(problem)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with RunLock(folder):
        store = Store(folder)
        try:
            yield _opened(folder, problem, store)
        finally:
            store.close()


def _opened(folder: Path, problem: Problem, store: Store) -> Run:
    config, stored = problem.config, store.meta("config")
    if stored is not None:
        config = _kept(Config.from_dict(stored, str(folder)), config)
        check_dataset(folder, store.meta("dataset"), problem.dataset)
        if config.to_dict() != stored:
            store.set_meta(config=config.to_dict())
    else:
        store.set_meta(
            created=time.time(),
            version=installed_version(),
            state="searching",
            config=config.to_dict(),
            dataset=dataset_facts(problem.dataset),
        )
    with disk_errors(folder):
        write_atomic(folder / CONFIG, dumps(config.to_dict()))
    return Run(folder, replace(problem, config=config), store, stored is not None)


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """Return what the store keeps of a data set."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "shape": list(dataset.input_shape),
        "classes": list(dataset.classes),
        "train": len(dataset.train),
        "validation": len(dataset.validation),
        "test": len(dataset.test),
    }


def _choose_folder(problem: Problem) -> Path:
    if problem.out is None:
        names = itertools.chain([DEFAULT], (f"{DEFAULT}-{number}" for number in itertools.count(2)))
        return next(path for path in map(Path, names) if _refusal(path, problem) is None)
    refusal = _refusal(problem.out, problem)
    if isinstance(refusal, Exception):
        raise refusal
    return problem.out


def _refusal(folder: Path, problem: Problem) -> Exception | None:
    """Say why ``folder`` cannot be used for a search; ``None``: it can."""
    if not os.path.exists(folder):  # also where the name is too long: then making it says so
        return None
    if not folder.is_dir():
        return FolderTakenError(f"{folder} is a file; choose another folder", str(folder))
    if not (folder / STORE).exists():
        strangers = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
        text = f"{folder} exists and is no run folder (it holds {', '.join(strangers[:1])}); choose another folder"
        return FolderTakenError(text, str(folder)) if strangers else None
    try:
        old = stored_config(folder)
    except RunError as error:
        return None if "before it began" in str(error) else error
    keys = differing(old, problem.config)
    images = _images_differ(folder, problem)
    if images and not problem.resumes and old.data.name != problem.config.data.name:
        keys = sorted([*keys, "data.name"])
    if keys:
        return say_differing(folder, old, problem.config, keys)
    return images


def _images_differ(folder: Path, problem: Problem) -> RunError | None:
    connection = connect(folder / STORE, read_only=True)
    try:
        old = read_meta(connection, "dataset")
    finally:
        connection.close()
    try:
        check_dataset(folder, old, problem.dataset)
    except RunError as error:
        return error
    return None


def _kept(old: Config, new: Config) -> Config:
    """The configuration that a run began with, its children trained where they are now, its images where they are."""
    place = replace(old.data, name=new.data.name, directory=new.data.directory)
    return replace(old, data=place, execution=replace(new.execution, threads=old.execution.threads))


def check_dataset(folder: Path, old: Mapping[str, Any] | None, dataset: Dataset) -> None:
    """Check that images are those that a folder's result belongs to; ``old``: what was kept of them, if anything.

    Raises:
        RunError: they are not.
    """
    if old and old["fingerprint"] != dataset.fingerprint:
        new = dataset_facts(dataset)
        raise RunError(
            f"{folder}: the images of {new['name']} are not those that the search began with "
            f"({old['train']} + {old['validation']} + {old['test']} then, {new['train']} + {new['validation']} + "
            f"{new['test']} now, or their content changed); restore them, or start in another folder"
        )
