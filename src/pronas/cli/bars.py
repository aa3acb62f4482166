"""A search on a terminal: its lines, and below them one live bar for what is done now."""

from __future__ import annotations

from typing import final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pronas.cli._words import Event, Level, Tally, child_line, describe, epoch_line, name_of
from pronas.cli.progress import Display

__all__ = ["Bar"]


@final
class Bar(Display):
    """One live bar: the search's children with pace, time left and best so far; then trials; then the winner's epochs.

    Args:
        verbose: also a line a child and a line an epoch.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._console = Console(highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._level, self._tally, self._test_images = Level(), Tally(), None
        self._running: dict[int, str] = {}
        self._stage, self._task = "", TaskID(0)

    def hello(self) -> None:
        """Start the bar."""
        self._progress.start()
        self._show("starting", "starting", None, 0)

    def event(self, event: Event) -> None:
        """Show the event."""
        kind = event["event"]
        self._say(self._level.take(event))
        handler = {
            "start": self._begin,
            "level": self._next_level,
            "progress": self._going,
            "child": self._child,
            "trial": self._trial,
            "epoch": self._epoch,
        }.get(kind)
        if handler is not None:
            handler(event)
        elif kind == "done":
            self._progress.stop()
        self._say(describe(event, verbose=self._verbose, test_images=self._test_images))

    def close(self) -> None:
        """Take the bar away; the lines stay."""
        self._progress.stop()
        self._say(self._level.end())

    def _say(self, line: str | None) -> None:
        if line is not None:
            self._console.print(line, markup=False, soft_wrap=True)

    def _show(self, stage: str, words: str, total: float | None, completed: float, note: str = "") -> None:
        """Move the bar; each stage has its own, whose clock begins anew."""
        if stage != self._stage:
            if self._stage:
                self._progress.remove_task(self._task)
            self._stage, self._task = stage, self._progress.add_task(words, total=None, note="")
        self._progress.update(self._task, description=words, total=total, completed=completed, note=note)

    def _begin(self, event: Event) -> None:
        self._test_images = event["test"]

    def _next_level(self, event: Event) -> None:
        self._tally.begin()
        self._running.clear()
        self._now = name_of(event)
        self._children()

    def _going(self, event: Event) -> None:
        self._running[event["id"]] = f"#{event['id']} {event['epoch']}/{event['epochs']}"
        self._children()

    def _child(self, event: Event) -> None:
        self._tally.take(event)
        self._running.pop(event["id"], None)
        self._children()
        self._say(child_line(event, self._tally) if self._verbose else None)

    def _children(self) -> None:
        tally = self._tally
        note = "  ".join([str(tally) if tally.done else "", *list(self._running.values())[-2:]])
        self._show("search", self._now, tally.total or None, tally.done, note)

    def _trial(self, event: Event) -> None:
        self._show(f"trial {event['what']}", f"trial: {event['what']}", event["epochs"], event["epoch"])

    def _epoch(self, event: Event) -> None:
        note = f"loss {event['loss']:.4f}, validation {event['accuracy']:.4f}"
        self._show("winner", "winner", event["epochs"], event["epoch"], note)
        self._say(epoch_line(event) if self._verbose else None)
