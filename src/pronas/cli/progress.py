"""How a search is shown: a live bar on a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import NoReturn, Self, TextIO, final

from pronas.cli._words import Event, Level, Tally, child_line, describe, epoch_line

__all__ = ["Lines"]


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


def make_display(*, as_json: bool, stream: TextIO, verbose: bool = False) -> Display:
    """Choose the display: JSON lines if asked for, a live bar on a terminal, plain lines otherwise.

    Args:
        as_json: a JSON object a line.
        stream: standard output.
        verbose: also a line a child and a line an epoch of the winner.
    """
    if as_json:
        return JsonLines()
    if not stream.isatty():
        return Lines(stream, verbose=verbose)
    from pronas.cli.bars import Bar

    return Bar(verbose=verbose)


@final
class JsonLines(Display):
    """One JSON object a line on what was standard output.

    Libraries print there too (Ray does so from C++), so their standard output becomes standard error and ours is a copy
    of the descriptor.
    """

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
        os.dup2(2, 1)

    def event(self, event: Event) -> None:
        """Write the event."""
        print(json.dumps(event, ensure_ascii=False), file=self._out, flush=True)

    def close(self) -> None:
        """Give standard output back."""
        self._out.flush()
        os.dup2(self._out.fileno(), 1)
        self._out.close()


@final
class Lines(Display):
    """Plain lines: one a level; with ``verbose`` one a child and one an epoch of the winner."""

    def __init__(self, stream: TextIO, *, verbose: bool = False) -> None:
        self._stream, self._verbose = stream, verbose
        self._level, self._tally, self._test_images = Level(), Tally(), None

    def event(self, event: Event) -> None:
        """Write the event's lines, if it has some."""
        kind = event["event"]
        self._say(self._level.take(event))
        if kind == "start":
            self._test_images = event["test"]
        elif kind == "level":
            self._tally.begin()
        elif kind == "child":
            self._tally.take(event)
            self._say(child_line(event, self._tally) if self._verbose else None)
        elif kind == "epoch" and self._verbose:
            self._say(epoch_line(event))
        self._say(describe(event, verbose=self._verbose, test_images=self._test_images))

    def close(self) -> None:
        """Write what was done of a level that was cut short."""
        self._say(self._level.end())

    def _say(self, line: str | None) -> None:
        if line is not None:
            print(line, file=self._stream, flush=True)


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
