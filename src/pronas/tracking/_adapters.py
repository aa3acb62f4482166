"""Three calls for every tracker: a run begins, numbers are logged, it ends. Its own environment says where to."""

from __future__ import annotations

import importlib.util
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

from pronas.errors import MissingExtraError, UsageError, nearest, require

PROJECT = "pronas"
_BATCH, _LONGEST = 100, 500  # parameters that MLflow takes at a time, and characters of each


class Tracker(ABC):
    """What pronas asks of a tracker. A run is whatever ``begin`` gives; one without a parent is a search.

    >>> class Printed(Tracker):
    ...     def begin(self, name, facts, parent=None):
    ...         return name
    ...     def log(self, run, values, step):
    ...         print(run, step, dict(values))
    ...     def end(self, run, *, failed=False):
    ...         pass
    >>> Printed().log("child 1", {"reward": 0.5}, 1)
    child 1 1 {'reward': 0.5}
    """

    @abstractmethod
    def begin(self, name: str, facts: Mapping[str, Any], parent: Any = None) -> Any:
        """Begin a run with its settings; a child's parent is what ``begin`` gave for the search."""

    @abstractmethod
    def log(self, run: Any, values: Mapping[str, float], step: int) -> None:
        """Log finite numbers by name, at a step that never falls within a run."""

    @abstractmethod
    def end(self, run: Any, *, failed: bool = False) -> None:
        """End a run; nothing is logged to it afterwards."""


@final
class Mlflow(Tracker):
    """MLflow's client: nested runs of the experiment ``pronas``, in the store that ``MLFLOW_TRACKING_URI`` names."""

    def __init__(self) -> None:
        mlflow = require("mlflow", "mlflow")
        self._entities = require("mlflow.entities", "mlflow")
        self._client = mlflow.MlflowClient()
        found = self._client.get_experiment_by_name(PROJECT)
        self._experiment = found.experiment_id if found else self._client.create_experiment(PROJECT)

    def begin(self, name: str, facts: Mapping[str, Any], parent: Any = None) -> Any:
        """Begin a run, below its parent."""
        tags = {} if parent is None else {"mlflow.parentRunId": parent}
        run = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        entries = [self._entities.Param(key, str(value)[:_LONGEST]) for key, value in facts.items()]
        for first in range(0, len(entries), _BATCH):
            self._client.log_batch(run, params=entries[first : first + _BATCH])
        return run

    def log(self, run: Any, values: Mapping[str, float], step: int) -> None:
        """Log numbers."""
        now = int(1000 * time.time())
        metrics = [self._entities.Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(run, metrics=metrics)

    def end(self, run: Any, *, failed: bool = False) -> None:
        """End the run."""
        self._client.set_terminated(run, "FAILED" if failed else "FINISHED")


@final
class Wandb(Tracker):
    """Weights & Biases: runs of the project ``pronas``, children in a group that has the search's name."""

    def __init__(self) -> None:
        self._wandb = require("wandb", "wandb")
        self._names: dict[int, str] = {}

    def begin(self, name: str, facts: Mapping[str, Any], parent: Any = None) -> Any:
        """Begin a run."""
        group = self._names[id(parent)] if parent is not None else name
        quiet = self._wandb.Settings(silent=True, console="off")
        run = self._wandb.init(
            project=PROJECT, name=name, group=group, job_type="search" if parent is None else "child",
            config=dict(facts), reinit="create_new", settings=quiet,
        )  # fmt: skip
        self._names[id(run)] = name
        return run

    def log(self, run: Any, values: Mapping[str, float], step: int) -> None:
        """Log numbers."""
        run.log(dict(values), step=step)

    def end(self, run: Any, *, failed: bool = False) -> None:
        """End the run."""
        self._names.pop(id(run), None)
        run.finish(exit_code=int(failed))


@final
class Trackio(Tracker):
    """Trackio: runs of the project ``pronas`` in its folder (``TRACKIO_DIR``), children in a group named as the search.

    It has one run at a time, so what the search itself logs waits for its end.
    """

    def __init__(self) -> None:
        self._trackio = require("trackio", "trackio")
        for name in ("trackio", "trackio.run", "trackio.utils"):
            vars(require(name, "trackio"))["print"] = lambda *_, **__: None  # it greets every run on standard output
        self._waiting: dict[str, tuple[Mapping[str, Any], list[tuple[dict[str, float], int]]]] = {}
        self._now: Any = None

    def begin(self, name: str, facts: Mapping[str, Any], parent: Any = None) -> Any:
        """Begin a run."""
        if parent is None:
            self._waiting[name] = facts, []
            return name
        self._now = self._init(name, facts, parent)
        return self._now

    def log(self, run: Any, values: Mapping[str, float], step: int) -> None:
        """Log numbers."""
        if isinstance(run, str):
            self._waiting[run][1].append((dict(values), step))
        else:
            run.log(dict(values), step=step)

    def end(self, run: Any, *, failed: bool = False) -> None:
        """End the run."""
        if isinstance(run, str):
            facts, logged = self._waiting.pop(run)
            run = self._init(run, facts, run)
            for values, step in logged:
                run.log(values, step=step)
        run.finish()

    def _init(self, name: str, facts: Mapping[str, Any], group: str) -> Any:
        return self._trackio.init(
            project=PROJECT, name=name, group=group, config=dict(facts), embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip


_CLASSES: dict[str, type[Tracker]] = {"mlflow": Mlflow, "wandb": Wandb, "trackio": Trackio}
#: The names that ``--track`` takes.
TRACKERS = tuple(_CLASSES)


def make_tracker(name: str) -> Tracker:
    """Return a tracker by its name.

        >>> make_tracker("mlfow")
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: unknown tracker 'mlfow'; did you mean 'mlflow'? (there are mlflow, wandb, trackio)

    Args:
        name: of `TRACKERS`.

    Raises:
        UsageError: there is none of that name.
        MissingExtraError: its package is not installed.
    """
    check_tracker(name)
    return _CLASSES[name]()


def check_tracker(name: str) -> None:
    """Refuse a tracker that cannot be had; it is neither imported nor asked anything.

        >>> check_tracker("tensorbord")
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: unknown tracker 'tensorbord' (there are mlflow, wandb, trackio)

    Args:
        name: of `TRACKERS`.

    Raises:
        UsageError: there is none of that name.
        MissingExtraError: its package is not installed.
    """
    if name not in _CLASSES:
        raise UsageError(f"unknown tracker {name!r}{nearest(name, TRACKERS)} (there are {', '.join(TRACKERS)})")
    if importlib.util.find_spec(name) is None:
        raise MissingExtraError(f"{name} is not installed: pip install 'pronas[{name}]'")


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers of a mapping."""
    kept = {name: value for name, value in values.items() if isinstance(value, int | float)}
    return {name: float(value) for name, value in kept.items() if math.isfinite(value)}
