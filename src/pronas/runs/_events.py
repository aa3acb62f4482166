"""The events of a search that more than one place tells; all of them are listed in ``docs/cli.md``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pronas.runs.store import Child

#: What a callback returns to end a child (after a ``progress`` event) or the search (after any other).
STOP = "stop"
#: What it returns to any event to end the search early: the best so far becomes the winner.
FINISH = "finish"


class SearchStoppedError(Exception):
    """A callback ended the search. All that was decided is in the store, as after a kill; nobody outside sees this."""


def note(text: str, *, detail: bool = False) -> dict[str, Any]:
    """Return the event ``note``: something for people; a ``detail`` only for those who want every step."""
    return {"event": "note", "text": text, **({"detail": True} if detail else {})}


def child_event(child: Child, done: int, total: int, *, known: bool) -> dict[str, Any]:
    """Return the event ``child``: one more result."""
    names = ("id", "level", "round", "status", "reward", "predicted", "error", "seconds", "parameters", "weight_bits")
    facts = {name: getattr(child, name) for name in names}
    return {"event": "child", **facts, "cell": str(child.cell), "known": known, "done": done, "total": total}


def done_event(folder: Path, best: Child, final: Mapping[str, Any] | None, seconds: float) -> dict[str, Any]:
    """Return the last event of a search: its result."""
    names = ("test_accuracy", "validation_accuracy", "parameters", "weight_bits")
    facts = {name: (final or {}).get(name) for name in names}
    cell = (final or {}).get("cell", str(best.cell))
    return {"event": "done", "path": str(folder), "cell": cell, "reward": best.reward, **facts, "seconds": seconds}
