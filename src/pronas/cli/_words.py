"""What the displays for people say of a search: a line a level, the pace, and the last block."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]
#: Ranks of fewer cells are luck and are not shown.
_FEWEST_RANKED = 5
#: Events that show that the children of a level are done.
_AFTER_A_LEVEL = ("fit", "level", "trial", "final", "epoch", "done")


class Level:
    """What became of the level that is searched now: one line when it is done."""

    def __init__(self) -> None:
        self._now: Event | None = None
        self._done = self._failed = 0
        self._best, self._first_error, self._start = 0.0, "", 0.0

    def take(self, event: Event) -> str | None:
        """Take an event; return the line of the level that it ends, if it ends one."""
        kind = event["event"]
        line = self.end(event) if kind in _AFTER_A_LEVEL else None
        if kind == "level":
            self._now, self._start = event, time.monotonic()
            self._done, self._failed, self._best, self._first_error = 0, 0, 0.0, ""
        elif kind == "child":
            self._done += 1
            self._best = max(self._best, event["reward"] or 0.0)
            if event["status"] == "failed":
                self._failed += 1
                self._first_error = self._first_error or str(event["error"])
        return line

    def end(self, event: Event | None = None) -> str | None:
        """Return the line of what was done of the level, once; the event may be the predictor's fit."""
        now, self._now = self._now, None
        if now is None or not self._done:
            return None
        of = f" of {now['candidates']:,} cells" if now["candidates"] else ""
        parts = [f"{self._done} children{of}"]
        if self._failed:
            parts.append(f"{self._failed} failed ({self._first_error})")
        parts.append(f"best {self._best:.4f}")
        ranks = _ranks(event["report"]) if event is not None and event["event"] == "fit" else None
        if ranks is not None:
            parts.append(f"predictor's rank correlation {ranks:.2f}")
        return f"{name_of(now)}: {', '.join(parts)}, {clock(time.monotonic() - self._start)}"


class Tally:
    """The pace of a search: rate, time left, best so far."""

    def __init__(self) -> None:
        self.done, self.fresh, self.total, self.best = 0, 0, 0, 0.0
        self._start = time.monotonic()

    def take(self, event: Event) -> None:
        """Count a child."""
        self.done, self.total = event["done"], event["total"]
        self.fresh += not event["known"]
        self.best = max(self.best, event["reward"] or 0.0)

    def begin(self) -> None:
        """Start the clock, unless children are counted already."""
        if not self.fresh:
            self._start = time.monotonic()

    def __str__(self) -> str:
        rate = self.fresh / max(time.monotonic() - self._start, 1e-6)
        left = clock((self.total - self.done) / rate) if self.fresh else "?"
        return f"best {self.best:.4f}, {rate:.2f}/s, {left} left"


def name_of(level: Event) -> str:
    """Return the name of a level, and of its round from the second on, from its event."""
    round_ = f", round {level['round']}" if level.get("round", 1) > 1 else ""
    return "skips" if level["skips"] else f"level {level['level']}/{level['levels']}{round_}"


def clock(seconds: float) -> str:
    """Return ``1:02:03`` or ``2:03``."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def child_line(event: Event, tally: Tally) -> str:
    """Return the line of a child, for those who want one each."""
    what = f"{event['reward']:.4f}" if event["status"] == "done" else f"failed ({event['error']})"
    return f"level {event['level']}, child {event['done']}/{event['total']}: {what}; {tally}; {event['cell']}"


def epoch_line(event: Event) -> str:
    """Return the line of an epoch of the winner."""
    result = f"loss {event['loss']:.4f}, validation {event['accuracy']:.4f}"
    return f"epoch {event['epoch']}/{event['epochs']}: {result}{' (best)' if event['best'] else ''}"


def describe(event: Event, *, verbose: bool, test_images: int | None = None) -> str | None:
    """Return the line that an event has by itself, if it has one.

    Args:
        event: see ``docs/cli.md``.
        verbose: also those of single trainings.
        test_images: how many the winner was tested on, where that is known.
    """
    kind = event["event"]
    if kind == "start":
        images = f"{event['train']} + {event['validation']} images, {len(event['classes'])} classes"
        goes_on = "going on with " if event["resumed"] else ""
        return (
            f"{goes_on}{event['path']}: {event['data']} ({images}), {event['space']} space, {event['workers']} workers"
        )
    if kind == "final":
        measured = f" (validation {event['reward']:.4f})" if event["reward"] is not None else ""
        return f"winner{measured}: {event['cell']}, to be trained for {event['epochs']} epochs"
    if kind == "note":
        return str(event["text"]) if verbose or not event.get("detail") else None
    return result_block(event, test_images) if kind == "done" else None


def result_block(event: Event, test_images: int | None = None) -> str:
    """Return the last block: how good, how large, where, and what can be done with it."""
    path = Path(event["path"])
    rows = [("cell", event["cell"])]
    if event["reward"] is not None:
        rows.append(("validation", f"{event['reward']:.4f} as a child of the search"))
    trained = event["test_accuracy"] is not None
    if trained:
        of = f" of {test_images:,} test images" if test_images else ""
        rows.append(("test accuracy", f"{100 * event['test_accuracy']:.2f} %{of}"))
        rows.append(("size", f"{event['parameters']:,} parameters, {event['weight_bits'] / 8000:,.1f} kB of weights"))
    rows.append(("time", clock(event["seconds"])))
    rows.append(("files", f"{path}/ ({', '.join(_files(path))})"))
    width = max(len(name) for name, _ in rows) + 2
    lines = ["", *(f"{name + ':':<{width}}{text}" for name, text in rows)]
    return "\n".join([*lines, "next:", *(f"  {line}" for line in next_commands(path, trained=trained))])


def next_commands(path: Path, *, trained: bool, compared: bool = False) -> list[str]:
    """Return what can be done with a finished run or training, a command and its purpose a line.

    Args:
        path: the folder.
        trained: whether it holds a trained network.
        compared: whether hand-made networks were trained beside it.
    """
    searched = (path / "store.sqlite").exists()
    typed, rows = shlex.quote(str(path)), []
    if searched:
        rows.append((f"pronas report {typed}", "all that was found, as one page"))
    if trained:
        rows.append((f"pronas predict {typed} IMAGE...", "classify pictures"))
        rows.append((f"pronas export {typed} --format onnx", "or int8, C, packed bits"))
    if searched and trained and not compared:
        rows.append((f"pronas baseline {typed}", "did it pay? beside hand-made networks"))
    if searched:
        rows.append((f"pronas train {typed}", "train the winner longer" if trained else "train the best cell"))
    width = max((len(command) for command, _ in rows), default=0) + 2
    return [f"{command:<{width}}{purpose}" for command, purpose in rows]


def _files(path: Path) -> list[str]:
    names = ("weights/best.safetensors", "train_history.csv", "store.sqlite", "result.json")
    return [name for name in names if (path / name).exists()]


def _ranks(report: Mapping[str, Any]) -> float | None:
    """Spearman's rho of the hardest question that was asked of the predictor; None where too few cells answer it."""
    for name in ("extrapolation", "cross_validated"):
        found = report.get(name) or {}
        if found.get("spearman") is not None and found.get("n", 0) >= _FEWEST_RANKED:
            return float(found["spearman"])
    return None
