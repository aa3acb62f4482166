"""``search``: the whole way from images to a trained network in one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pronas.errors import RunError
from pronas.runs._config import SETTINGS
from pronas.runs._events import done_event, note
from pronas.runs._experiment import BEST, Experiment
from pronas.runs._parse import Path_, SearchRequest, parse
from pronas.runs._signature import document

if TYPE_CHECKING:
    from pronas.data import Dataset

OnEvent = Callable[[dict[str, Any]], object]


@document(SETTINGS.values())
def search(
    dataset: Dataset | Path_ | None = None,
    *,
    out: Path_ | None = None,
    resume: Path_ | None = None,
    config: Path_ | None = None,
    on_event: OnEvent | None = None,
    **settings: Any,
) -> Experiment:
    """Search a cell for a data set, train the winner, and evaluate it once on the test set.

    The same call again goes on where it stopped, or, once done, returns the result at once.

        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp()) / "run"
        >>> small = dict(space="flat", blocks=1, first=1, filters=[4], epochs=1, final_epochs=1, limit=100)
        >>> run = search("digits", out=folder, execution="inline", **small)
        >>> run.state, len(run.children()), 0 <= run.best.reward <= 1
        ('done', 1, True)

    Args:
        dataset: a ``Dataset``, or what ``load_dataset`` takes; default: ``digits``.
        out: the run folder; default: the first of ``pronas-run``, ``pronas-run-2``, … that is free or holds this
            search.
        resume: go on with the run in this folder; what else is given must be what it began with.
        config: a TOML file of settings, as a run folder's ``config.toml``; keywords win over it.
        on_event: called with every event (a plain dict, see ``docs/cli.md``). Where it returns ``"stop"`` to a
            ``progress`` event, that child ends with its epoch and counts as it stands (not with ``inline`` execution);
            to any other event, the search ends there, and the same call goes on. Where it returns ``"finish"`` to an
            event of the search, that ends early, and the best cell so far becomes the winner.
        {settings}

    Lists may be given as text with commas. ``space`` may be a ``StateSpace``; ``skeleton``, ``recipe`` and
    ``final_recipe`` may be objects, or dicts of their fields.

    Returns:
        The finished run (or, where ``on_event`` stopped it, the unfinished one).

    Raises:
        UsageError: a setting that makes no sense, or a folder that holds another search; nothing was written.
        DataError: the images cannot be read; nothing was written.
        RunError: the folder is in use or cannot be written, or no child could be trained.
    """
    started = time.monotonic()
    emit = on_event or (lambda event: None)
    request = parse(dataset, settings, file=config, out=out, resume=resume)
    finished = _finished(request)
    if finished is not None:
        _restored(finished, emit)
        return _compared(_tell(finished, emit), request, emit)
    # heavy from here on: what was mistyped is told before torch is imported
    from pronas.runs._driver import drive
    from pronas.runs._open import open_run
    from pronas.runs._resolve import resolve

    with open_run(resolve(request)) as run:
        experiment = drive(run, emit, started)
    return _compared(experiment, request, emit)


def _compared(experiment: Experiment, request: SearchRequest, emit: OnEvent) -> Experiment:
    """Train hand-made networks as well, where that is asked for."""
    if request.config.execution.baselines and experiment.state == "done" and experiment.final is not None:
        from pronas.runs.baselines import baseline

        baseline(experiment.path, request.dataset, on_event=emit)
    return experiment


def _finished(request: SearchRequest) -> Experiment | None:
    """Return the run to resume if it is whole and nothing else is asked of it: then its images are not needed."""
    if request.stored is None or request.says_data:
        return None
    from pronas.runs._choose import completed
    from pronas.runs._differences import differing

    if differing(request.stored, completed(request.config)):
        return None
    experiment = Experiment(request.out or "")
    trained = experiment.final is None or (experiment.path / BEST.with_suffix(".safetensors")).is_file()
    return experiment if experiment.state == "done" and trained else None


def _restored(experiment: Experiment, emit: OnEvent) -> None:
    """Bring deleted files back; a result on a disk that cannot be written is told all the same."""
    from pronas.runs._restore import restore

    try:
        restore(experiment)
    except RunError as error:
        emit(note(f"deleted files do not come back: {error}"))


def _tell(experiment: Experiment, emit: OnEvent) -> Experiment:
    final = experiment.final
    emit(note(f"{experiment.path} is finished"))
    emit(done_event(experiment.path, experiment.best, final, (final or {}).get("seconds", 0.0)))
    return experiment
