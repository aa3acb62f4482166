"""Ctrl-C during a search: once ends it early, with a winner; twice stops."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, final

from pronas.errors import PronasError

__all__ = ["StoppedError", "ending_early"]

_AGAIN = "interrupted; run the same command again to go on"


class StoppedError(PronasError):
    """The user stopped the search. The message says how to go on."""

    exit_code = 130
    page = ""  # no error to explain


@final
class Wish:
    """What the user wants, as the answer to a search's events.

    Within a budget the first Ctrl-C during the search asks for an early end. Before, while the winner is trained, and
    in a search by numbers, whose winner may take longer than anyone would wait, it stops at once, as the second does.
    """

    def __init__(self) -> None:
        self._asked = self._searching = self._trained = False
        self._start: Mapping[str, Any] = {}

    def answer(self, event: Mapping[str, Any]) -> str | None:
        """What to return to an event."""
        kind = event["event"]
        if kind == "start":
            self._searching, self._start, self._trained = True, event, event["settled"] > 0
        elif kind in ("final", "done"):
            self._searching = False
        elif kind == "child" and event["status"] == "done":
            self._trained = True
        return "finish" if self._asked else None

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Take a Ctrl-C.

        Raises:
            KeyboardInterrupt: it means: stop.
        """
        if self._searching and not self._asked and self._start.get("budget") is None and self._trained:
            folder = shlex.quote(str(self._start["path"]))
            raise KeyboardInterrupt(f"{_AGAIN}, or train the best so far: pronas train {folder}")
        if self._asked or not self._searching or self._start.get("budget") is None:
            raise KeyboardInterrupt(_AGAIN)
        self._asked = True
        print("ending the search early, then training the best so far; Ctrl-C again stops", file=sys.stderr, flush=True)


@contextmanager
def ending_early() -> Iterator[Wish]:
    """Handle Ctrl-C so while a search runs.

    Raises:
        StoppedError: where the search was stopped.
    """
    wish = Wish()
    before = signal.signal(signal.SIGINT, wish.interrupt)
    try:
        yield wish
    except KeyboardInterrupt as error:
        raise StoppedError(str(error) or _AGAIN) from error
    finally:
        signal.signal(signal.SIGINT, before)
