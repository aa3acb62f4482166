"""How a search is shown: live bars on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, TextIO, final

if TYPE_CHECKING:
    from rich.progress import TaskID

Event = Mapping[str, Any]


class Display(ABC):
    """Shows events (``docs/cli.md``) as they come. A context manager."""

    def hello(self) -> None:  # noqa: B027 - most have nothing to say before the first event
        """Show a sign of life before anything heavy is imported."""

    @abstractmethod
    def event(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:  # noqa: B027
        """Put the display away."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()


def make_display(*, as_json: bool, stream: TextIO) -> Display:
    """Choose the display: JSON lines if asked for, live bars on a terminal, plain lines otherwise."""
    if as_json:
        return JsonLines()
    return Bars() if stream.isatty() else Lines(stream)


@final
class JsonLines(Display):
    """One JSON object a line on what was standard output.

    Libraries print there too (Ray does so from C++), so their standard output becomes standard error and ours is a copy
    of the descriptor.
    """

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def event(self, event: Event) -> None:
        """Write the event."""
        print(json.dumps(event, ensure_ascii=False), file=self._out, flush=True)

    def close(self) -> None:
        """Give standard output back."""
        self._out.flush()
        os.dup2(self._out.fileno(), 1)
        self._out.close()


class _Tally:
    """What both displays for people say of a search's pace: rate, time left, best so far."""

    def __init__(self) -> None:
        self.done, self.fresh, self.total, self.best, self.best_cell = 0, 0, 0, 0.0, ""
        self._start = time.monotonic()

    def take(self, event: Event) -> None:
        self.done, self.total = event["done"], event["total"]
        if not event["known"]:
            self.fresh += 1
        if event["reward"] is not None and event["reward"] > self.best:
            self.best, self.best_cell = event["reward"], event["cell"]

    def begin(self) -> None:
        self._start = time.monotonic()

    @property
    def rate(self) -> float:
        """Children a second."""
        return self.fresh / max(time.monotonic() - self._start, 1e-6)

    @property
    def left(self) -> str:
        return clock((self.total - self.done) / self.rate) if self.fresh else "?"


def clock(seconds: float) -> str:
    """Return ``1:02:03`` or ``2:03``."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def describe(event: Event) -> str | None:
    """Return the line that both displays for people show for an event, if it has one."""
    kind = event["event"]
    if kind == "start":
        images = f"{event['train']} + {event['validation']} images, {len(event['classes'])} classes"
        goes_on = "going on with " if event["resumed"] else ""
        return (
            f"{goes_on}{event['path']}: {event['data']} ({images}), {event['space']} space, {event['workers']} workers"
        )
    if kind == "level":
        of = f" of {event['candidates']:,} cells" if event["candidates"] else ""
        name = "skips" if event["skips"] else f"level {event['level']}/{event['levels']}"
        return f"{name}: {event['children']} children{of}"
    if kind == "fit":
        return _fit(event)
    if kind == "final":
        measured = f" (validation {event['reward']:.4f})" if event["reward"] is not None else ""
        return f"winner{measured}: {event['cell']}\ntraining it for {event['epochs']} epochs"
    if kind == "note":
        return str(event["text"])
    return _result(event) if kind == "done" else None


def _fit(event: Event) -> str:
    parts = []
    for name in ("in_sample", "cross_validated", "extrapolation"):
        rho = (event["report"].get(name) or {}).get("spearman")
        if rho is not None:
            parts.append(f"{name.replace('_', ' ')} {rho:.2f}")
    ranks = f", Spearman's rho: {', '.join(parts)}" if parts else ""
    return f"predictor fitted{ranks}"


def _result(event: Event) -> str:
    lines = [f"cell: {event['cell']}"]
    if event["reward"] is not None:
        lines.append(f"validation accuracy in the search: {event['reward']:.4f}")
    if event["test_accuracy"] is not None:
        size = f"{event['parameters']:,} parameters, {event['weight_bits'] / 8000:,.1f} kB of weights"
        lines.append(f"test accuracy: {100 * event['test_accuracy']:.2f} % ({size})")
    lines.append(f"in {event['path']} after {clock(event['seconds'])}")
    return "\n".join(lines)


@final
class Lines(Display):
    """Plain lines, one a child and one an epoch of the winner."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._tally = stream, _Tally()

    def event(self, event: Event) -> None:
        """Write the event's line, if it has one."""
        kind = event["event"]
        line = describe(event)
        if kind == "level":
            self._tally.begin() if not self._tally.fresh else None
        elif kind == "child":
            self._tally.take(event)
            line = self._child(event)
        elif kind == "epoch":
            result = f"loss {event['loss']:.4f}, validation {event['accuracy']:.4f}"
            line = f"epoch {event['epoch']}/{event['epochs']}: {result}{' (best)' if event['best'] else ''}"
        if line is not None:
            print(line, file=self._stream, flush=True)

    def _child(self, event: Event) -> str:
        tally = self._tally
        what = f"{event['reward']:.4f}" if event["status"] == "done" else f"failed ({event['error']})"
        pace = f"best {tally.best:.4f}, {tally.rate:.2f}/s, {tally.left} left"
        return f"level {event['level']}, child {event['done']}/{event['total']}: {what}; {pace}; {event['cell']}"


@final
class Bars(Display):
    """Live bars: level, children, rate, time left, best so far; then the winner's epochs."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._console, self._tally = Console(highlight=False), _Tally()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._running: dict[int, str] = {}

    def hello(self) -> None:
        """Start the bars."""
        self._progress.start()
        self._tasks["start"] = self._progress.add_task("starting", total=None, note="")

    def event(self, event: Event) -> None:
        """Show the event."""
        kind = event["event"]
        if kind in ("start", "done") and "start" in self._tasks:
            self._progress.remove_task(self._tasks.pop("start"))
        if kind == "done":
            self.close()
        line = describe(event)
        if line is not None:
            self._console.print(line, markup=False, soft_wrap=True)
        handler = {"level": self._level, "progress": self._going, "child": self._child, "epoch": self._epoch}.get(kind)
        if handler is not None:
            handler(event)

    def close(self) -> None:
        """Take the bars away; the lines stay."""
        self._progress.stop()

    def _level(self, event: Event) -> None:
        if not self._tally.fresh:
            self._tally.begin()
        old = self._tasks.pop("level", None)
        if old is not None:
            self._progress.remove_task(old)
        self._tasks["level"] = self._progress.add_task(f"level {event['level']}", total=event["children"], note="")
        if "search" not in self._tasks:
            self._tasks["search"] = self._progress.add_task("search", total=None, note="")

    def _going(self, event: Event) -> None:
        self._running[event["id"]] = f"#{event['id']} {event['epoch']}/{event['epochs']} {event['accuracy']:.3f}"
        self._progress.update(self._tasks["level"], note="  ".join(list(self._running.values())[-4:]))

    def _child(self, event: Event) -> None:
        tally = self._tally
        tally.take(event)
        self._running.pop(event["id"], None)
        note = f"best {tally.best:.4f}  {tally.rate:.2f}/s  {tally.left} left"
        self._progress.advance(self._tasks["level"])
        self._progress.update(self._tasks["search"], completed=event["done"], total=event["total"], note=note)
        if event["status"] == "failed":
            self._console.print(f"child {event['id']} failed: {event['error']}", markup=False, soft_wrap=True)

    def _epoch(self, event: Event) -> None:
        for name in ("level", "search"):
            if name in self._tasks:
                self._progress.remove_task(self._tasks.pop(name))
        if "winner" not in self._tasks:
            self._tasks["winner"] = self._progress.add_task("winner", total=event["epochs"], note="")
        note = f"loss {event['loss']:.4f}  validation {event['accuracy']:.4f}"
        self._progress.update(self._tasks["winner"], completed=event["epoch"], note=note)


class Terminated(SystemExit):
    """SIGTERM arrived."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C, so that workers are stopped and the display is put away."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
