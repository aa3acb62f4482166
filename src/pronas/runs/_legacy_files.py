"""The files that users of the old systems know: ``train_history.csv`` and ``architectures/NAME.txt``."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path

from pronas.errors import UsageError
from pronas.files import write_atomic
from pronas.runs.store import Child
from pronas.space import Cell, StateSpace

HISTORY = "train_history.csv"
#: Both files are written whole (never appended to, so never torn or mixed with another run's): not for every child.
_EVERY = 1.0


class LegacyFiles:
    """Keeps ``train_history.csv`` and ``architectures/NAME.txt`` up to date, children in the order of proposal.

    Args:
        folder: the run folder.
        name: ``NAME``, made safe for a file name.
        space: what representation strings are written for.
    """

    def __init__(self, folder: Path, name: str, space: StateSpace) -> None:
        self._history = folder / HISTORY
        self._architectures = folder / architectures(name)
        self._space = space
        self._written = 0.0

    def update(self, children: Iterable[Child], *, now: bool = False) -> None:
        """Write both files, unless that was done a moment ago and ``now`` is false."""
        if not now and time.monotonic() - self._written < _EVERY:
            return
        settled = [child for child in children if child.settled]
        write_atomic(self._history, "".join(f"{child.reward or 0.0},{child.cell.to_csv()}\n" for child in settled))
        parts = [architecture(number, child, self._space) for number, child in enumerate(settled, start=1)]
        write_atomic(self._architectures, "\n".join(parts))
        self._written = time.monotonic()


def architectures(name: str) -> Path:
    """Return the place in a run folder of ``NAME.txt``."""
    return Path("architectures") / f"{safe_name(name)}.txt"


def architecture(number: int, child: Child, space: StateSpace) -> str:
    """Return one child's paragraph of ``architectures/NAME.txt``."""
    lines = [
        f"Sr. No: {number}",
        f"Reward: {child.reward or 0.0}",
        f"Architecture: {child.cell.to_list()}",
        f'Representation String: "{_representation(child.cell, space)}"',
    ]
    return "\n".join(lines) + "\n"


def safe_name(name: str) -> str:
    """Return ``name`` (perhaps a path) as the stem of a file name."""
    stem = Path(name).name or "data"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-") or "data"


def _representation(cell: Cell, space: StateSpace) -> str:
    try:
        return cell.representation(space)
    except UsageError:  # a cell from a space of fewer inputs, taken over by hand
        return ""
