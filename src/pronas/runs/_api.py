"""``search``: the whole way from images to a trained network in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack

from pronas.data import Dataset, load_dataset
from pronas.errors import UsageError
from pronas.runs._config import Config
from pronas.runs._driver import Driver, done_event
from pronas.runs._experiment import Experiment
from pronas.runs._resolve import resolve
from pronas.runs._run import Run, choose_folder, differing, open_run, say_differing, stored_config
from pronas.runs._settings import Settings, asked, configuration, merged, space_values
from pronas.space import StateSpace

Path_ = str | os.PathLike[str]


def search(
    dataset: Dataset | Path_ | None = None,
    *,
    out: Path_ | None = None,
    resume: Path_ | None = None,
    config: Path_ | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    **settings: Unpack[Settings],
) -> Experiment:
    """Search a cell for a data set, train the winner, and evaluate it once on the test set.

    The same call again goes on where it stopped, or, once done, returns the result at once.

    Args:
        dataset: a ``Dataset``, or what ``load_dataset`` takes; default: ``digits``.
        out: the run folder; default: the first of ``pronas-run``, ``pronas-run-2``, … that is free or holds this
            search.
        resume: go on with the run in this folder; what else is given must be what it began with.
        config: a TOML file of settings, as a run folder's ``config.toml``; keywords win over it.
        on_event: called with every event (a plain dict, see ``docs/cli.md``).
        **settings: see ``Settings`` and ``docs/cli.md``. ``space`` may be a ``StateSpace``; ``skeleton``, ``recipe``
            and ``final_recipe`` may be objects.

    Returns:
        The finished run.

    Raises:
        UsageError: a setting that makes no sense, or a folder that holds another search.
        DataError: the images cannot be read.
        RunError: the folder is in use or cannot be written, or no child could be trained.
    """
    emit = on_event or (lambda event: None)
    given = _plain(dict(settings))
    if resume is not None:
        folder = Path(resume)
        wanted = _resumed(folder, dataset, given, config)
        images = _images(dataset, wanted)
    else:
        wanted = configuration(given | _data_setting(dataset), config)
        images = _images(dataset, wanted)
        wanted = resolve(wanted, images)
        folder = choose_folder(None if out is None else Path(out), wanted)
    experiment = _finished(folder, wanted, emit)
    if experiment is not None:
        return experiment
    run = open_run(folder, wanted, dataset_facts(images))
    try:
        Driver(run, images, emit).drive()
    finally:
        run.close()
    return Experiment(folder)


def _images(dataset: Dataset | Path_ | None, config: Config) -> Dataset:
    return dataset if isinstance(dataset, Dataset) else load_images(config)


def load_images(config: Config) -> Dataset:
    """Load the images that a configuration names, split by its seed."""
    data = config.data
    share = data.validation
    validation = int(share) if share is not None and share >= 1 else share
    return load_dataset(
        data.name,
        data_dir=data.directory,
        validation=validation,
        seed=config.seed,
        limit=data.limit,
        image_size=data.image_size,
    )


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


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Turn objects among the settings into plain data."""
    space = settings.get("space")
    if isinstance(space, StateSpace):
        own = space_values(space)
        own["space"] = own.pop("kind")
        settings = own | {name: value for name, value in settings.items() if name != "space" and value is not None}
    for name in ("skeleton", "recipe", "final_recipe"):
        value = settings.get(name)
        if value is not None and hasattr(value, "to_dict"):
            settings[name] = value.to_dict()
    return settings


def _data_setting(dataset: Dataset | Path_ | None) -> dict[str, Any]:
    if dataset is None:
        return {}
    return {"data": dataset.name if isinstance(dataset, Dataset) else os.fspath(dataset)}


def _resumed(folder: Path, dataset: Dataset | Path_ | None, given: Mapping[str, Any], file: Path_ | None) -> Config:
    """Return a stored configuration after checking that what is asked for besides is the same."""
    stored = stored_config(folder)
    values = merged(stored.to_dict(), asked({**given, **_data_setting(dataset)}, file))
    wanted = resolve(Config.from_dict(values, "settings"))
    keys = differing(stored, wanted)
    if keys:
        raise UsageError(say_differing(folder, stored, wanted, keys))
    return wanted


def _finished(folder: Path, wanted: Config, emit: Callable[[dict[str, Any]], None]) -> Experiment | None:
    """Return the run if it is done, after telling its result again."""
    try:
        experiment = Experiment(folder)
    except Exception:  # nothing there yet, or not readable: opening it will say so
        return None
    if experiment.state != "done":
        return None
    emit({"event": "note", "text": f"{folder} is finished"})
    final = experiment.final
    stand_in = Run(folder, wanted, None, None, True)  # type: ignore[arg-type]
    emit(done_event(stand_in, experiment.best, final, (final or {}).get("seconds", 0.0)))
    return experiment
