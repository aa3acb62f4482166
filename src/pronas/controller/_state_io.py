"""A controller's state on disk."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pronas.controller._archive import Archive
from pronas.controller._fit_report import FitReport
from pronas.controller._strategies import Proposal
from pronas.errors import ModelFileError, UsageError
from pronas.predictors import Ranking, key_bytes, predictor_values, read_checkpoint, restore_predictor, write_checkpoint
from pronas.space import Space

if TYPE_CHECKING:
    from pronas.controller._manager import ControllerManager

log = logging.getLogger("pronas.controller")


def note_ignored(input_b: int | None) -> None:
    """Say that ``input_B`` has no effect."""
    if input_b is not None:
        log.info("input_B is ignored: a checkpoint knows the space it was fitted on")


def save(manager: ControllerManager, path: Path) -> None:
    """Write the manager's state."""
    tensors, head = predictor_values(manager.predictor)
    proposal = manager._proposal
    values: dict[str, Any] = {
        "space": manager.space.to_dict(),
        "predictor": head,
        "seed": manager.seed,
        "rows": manager.archive.rows,
        "rewards": manager.archive.rewards,
        "reports": [report.to_dict() for report in manager.reports],
        "fitted_on": manager._fitted_on,
        "finished": manager._finished,
        "asked": manager._asked,
        "pending": sorted(manager._pending.values()),
        "awaiting": bool(manager._awaiting),
        "proposal": None if proposal is None else _proposal_values(proposal),
    }
    write_checkpoint(path, tensors, values)


def restore(manager: ControllerManager, path: Path) -> None:
    """Set the manager's state to the saved one."""
    tensors, document = read_checkpoint(path)
    check_same_space(manager.space, document.get("space"), path)
    predictor = restore_predictor(tensors, document, manager.space)
    if predictor.name != manager.predictor.name:
        raise ModelFileError(
            f"{path} holds a predictor {predictor.name!r}, this controller has {manager.predictor.name!r}"
        )
    try:
        archive = Archive(manager.space)
        for row, reward in zip(document["rows"], document["rewards"], strict=True):
            archive.add(np.array([row], dtype=np.int16), [reward])
        reports = [_report(item) for item in document["reports"]]
        proposal = None if document["proposal"] is None else _proposal(document["proposal"])
        rest = (
            document["fitted_on"],
            document["finished"],
            document["asked"],
            document["pending"],
            document["awaiting"],
        )
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise ModelFileError(f"{path} is not a controller's state: {error}") from None
    if predictor.fitted:
        manager.predictor.set_state(*predictor.state())
    manager.archive, manager.reports, manager._proposal = archive, reports, proposal
    manager._fitted_on, manager._finished, manager._asked, pending, awaiting = rest
    rows = proposal.rows[pending] if proposal is not None and pending else np.empty((0, 4), np.int16)
    manager._pending = dict(zip(key_bytes(manager.space, rows), pending, strict=True)) if len(rows) else {}
    manager._awaiting = manager.space.decode(rows) if awaiting and len(rows) else []


def check_same_space(space: Space, saved: Any, path: Path) -> None:
    """Raise a ModelFileError unless the saved space is this one; only B may differ."""
    here = space.to_dict()
    if not isinstance(saved, dict):
        raise ModelFileError(f"{path} does not say for which space it is")
    for name in sorted({*here, *saved} - {"B"}):
        if here.get(name) != saved.get(name):
            raise ModelFileError(
                f"{path} is of another space: its {name} is {saved.get(name)!r}, this space's {here.get(name)!r}"
            )


def _proposal_values(proposal: Proposal) -> dict[str, Any]:
    values = asdict(proposal)
    predicted = not np.isnan(proposal.mean).any()
    return {
        "level": proposal.level,
        "round": proposal.round,
        "rows": values["rows"].tolist(),
        "mean": values["mean"].tolist() if predicted else None,
        "spread": values["spread"].tolist() if predicted else None,
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
        name: Ranking(**values[name]) for name in ("in_sample", "cross_validated", "extrapolation") if values[name]
    }
    return FitReport(**(values | rankings))
