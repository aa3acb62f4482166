"""A controller's state on disk."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pronas.controller._archive import Archive
from pronas.controller._fit_report import FitReport
from pronas.controller._strategies import Proposal
from pronas.errors import ModelFileError, UsageError
from pronas.predictors import (
    Predictor,
    RankCorrelations,
    Rows,
    predictor_values,
    read_checkpoint,
    restore_predictor,
    write_checkpoint,
)
from pronas.space import Space, canonical_operator

log = logging.getLogger("pronas.controller")


def note_ignored(input_b: int | None) -> None:
    """Say that ``input_B`` has no effect."""
    if input_b is not None:
        log.info("input_B is ignored: a checkpoint knows the space it was fitted on")


@dataclass(frozen=True)
class State:
    """What a controller is, beside its predictor and its settings.

    ``fitted_on``: cells that the last fit saw; ``asked``: cells of the proposal that were given; ``pending``: indexes
    in the proposal of those that have no reward; ``awaiting``: whether `train` may be called for them.
    """

    seed: int
    archive: Archive
    reports: tuple[FitReport, ...]
    proposal: Proposal | None
    fitted_on: int
    finished: bool
    asked: int
    pending: tuple[int, ...]
    awaiting: bool

    @property
    def waiting(self) -> Rows:
        """Rows of the cells that have no reward yet."""
        if self.proposal is None or not self.pending:
            return np.empty((0, 4), np.int16)
        return self.proposal.rows[list(self.pending)]


def save(path: Path, predictor: Predictor, state: State) -> None:
    """Write a predictor and a state."""
    tensors, head = predictor_values(predictor)
    values: dict[str, Any] = {
        "space": predictor.space.to_dict(),
        "predictor": head,
        "seed": state.seed,
        "rows": state.archive.rows,
        "rewards": state.archive.rewards,
        "noise": state.archive.noise,
        "reports": [report.to_dict() for report in state.reports],
        "fitted_on": state.fitted_on,
        "finished": state.finished,
        "asked": state.asked,
        "pending": state.pending,
        "awaiting": state.awaiting,
        "proposal": None if state.proposal is None else _proposal_values(state.proposal),
    }
    write_checkpoint(path, tensors, values)


def restore(path: Path, predictor: Predictor) -> State:
    """Read what `save` wrote: the predictor takes its state, the rest is returned.

    Raises:
        ModelFileError: missing, damaged, of another space or predictor; the predictor is not changed.
    """
    tensors, document = read_checkpoint(path)
    check_same_space(predictor.space, document.get("space"), path)
    saved = restore_predictor(tensors, document, predictor.space)
    if saved.name != predictor.name:
        raise ModelFileError(f"{path} holds a predictor {saved.name!r}, this controller has {predictor.name!r}")
    try:
        state = _state(predictor.space, document)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise ModelFileError(f"{path} is not a controller's state: {error}") from None
    if saved.fitted:
        predictor.set_state(*saved.state())
    return state


def _state(space: Space, document: dict[str, Any]) -> State:
    archive = Archive(space)
    noise = document.get("noise", [0.0] * len(document["rows"]))  # version 0.1 had none
    for row, reward, error in zip(document["rows"], document["rewards"], noise, strict=True):
        archive.add(np.array([row], dtype=np.int16), [reward], [error])
    return State(
        seed=document["seed"],
        archive=archive,
        reports=tuple(map(_report, document["reports"])),
        proposal=None if document["proposal"] is None else _proposal(document["proposal"]),
        fitted_on=document["fitted_on"],
        finished=document["finished"],
        asked=document["asked"],
        pending=tuple(document["pending"]),
        awaiting=document["awaiting"],
    )


def check_same_space(space: Space, saved: Any, path: Path) -> None:
    """Raise a ModelFileError unless the saved space is this one; only B may differ."""
    here = _comparable(space.to_dict())
    if not isinstance(saved, dict):
        raise ModelFileError(f"{path} does not say for which space it is")
    saved = _comparable(saved)
    for name in sorted({*here, *saved} - {"B"}):
        if here.get(name) != saved.get(name):
            raise ModelFileError(
                f"{path} is of another space: its {name} is {saved.get(name)!r}, this space's {here.get(name)!r}"
            )


def _comparable(space: Mapping[str, Any]) -> dict[str, Any]:
    """A space's values, operators that have two names called by one."""
    names = space.get("operators")
    return (
        {**space, "operators": [canonical_operator(name) for name in names]} if isinstance(names, list) else {**space}
    )


def _proposal_values(proposal: Proposal) -> dict[str, Any]:
    predicted = not np.isnan(proposal.mean).any()
    return {
        "level": proposal.level,
        "round": proposal.round,
        "rows": proposal.rows.tolist(),
        "mean": proposal.mean.tolist() if predicted else None,
        "spread": proposal.std.tolist() if predicted else None,
    }


def _proposal(values: dict[str, Any]) -> Proposal:
    level, rows = int(values["level"]), values["rows"]
    nothing = [float("nan")] * len(rows)
    return Proposal(
        level,
        int(values["round"]),
        np.array(rows, dtype=np.int16).reshape(len(rows), 4 * level),
        np.array(nothing if values["mean"] is None else values["mean"], dtype=np.float64),
        np.array(nothing if values["spread"] is None else values["spread"], dtype=np.float64),
    )


def _report(values: dict[str, Any]) -> FitReport:
    rankings = {
        name: RankCorrelations(**values[name])
        for name in ("in_sample", "cross_validated", "extrapolation")
        if values[name]
    }
    known = {name: value for name, value in values.items() if name != "detail"}  # of files of version 0.1
    return FitReport(**(known | rankings))
